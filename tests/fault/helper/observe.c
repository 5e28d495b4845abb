/* SPDX-License-Identifier: Apache-2.0 */
/* The handler is asked after a start; its answer is told, and nothing depends on it. */
#include "gateway.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <stdio.h>
#include <unistd.h>

static struct gateway g;
static struct update u;

static void set_up(void)
{
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_observe, .init = set_up, .fini = tear_down, .timeout = 100);

static uint64_t now_ms(void)
{
	return fl_clock_boot_ms(&fl_clock_system);
}

static void restart(const char *observe)
{
	gw_kill(&g);
	g.observe = observe;
	gw_start(&g, u.runner);
}

/* What hello tells: "CODE TEXT", "" when nobody was asked. */
static const char *told(void)
{
	static char text[400];
	const struct fl_ipc_component *c = &g.hello.components.items[0];
	snprintf(text, sizeof(text), "%s%s%s", c->observed == NULL ? "" : c->observed,
		 c->observed_text == NULL ? "" : " ", c->observed_text == NULL ? "" : c->observed_text);
	return text;
}

static const struct fl_ipc_observation *observe(const char *component)
{
	const struct fl_ipc_target ask = {.component = component};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	uint32_t id;
	void *body;
	cr_assert_eq(fl_frame_encode(FL_FRAME_OBSERVE, 999, &ask, &frame, NULL), FL_OK);
	gw_send_raw(&g, frame.data, frame.len, NULL, 0);
	fl_buf_free(&frame);
	cr_assert_eq(gw_next(&g, &id, &body, 30000), FL_OK);
	cr_assert_eq(id, 999);
	cr_assert_eq(g.type, FL_FRAME_OBSERVATION);
	return body;
}

static void assert_not_told(void)
{
	cr_assert_null(g.hello.components.items[0].observed, "%s", told());
}

Test(helper_observe, without_a_transaction_nobody_is_asked)
{
	gw_to_open(&g, &u);
	restart(NULL);
	assert_not_told();
}

/* The target, and the fallback while the target runs: never the slot that runs. */
Test(helper_observe, the_first_hello_after_a_start_brings_the_answer)
{
	static const struct {
		void (*go)(struct gateway *g, const struct update *u);
		const char *answer;
	} rows[] = {{gw_to_staged, "ok b"}, {gw_to_sealed, "ok b"}, {gw_to_trial_set, "ok b"},
		    {gw_to_trial, "ok a"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].go(&g, &u);
		restart(NULL);
		cr_assert_str_eq(told(), rows[i].answer, "row %zu", i);
		tear_down();
		set_up();
	}
}

Test(helper_observe, a_handler_is_given_the_slot_for_reading_alone)
{
	gw_to_staged(&g, &u);
	restart("write");
	cr_assert_str_eq(told(), "ok b");
}

/* Whatever it does, the helper is there, and the update goes on to its end. */
static void goes_on(void)
{
	const struct fl_digest *job = &u.docs[0].digest;
	cr_assert_eq(gw_stage(&g, job), FL_OK, "%s", g.text);
	cr_assert_eq(gw_staged(&g, 10000), FL_OK, "%s", g.text);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, job), FL_OK, "%s", g.text);
	cr_assert_eq(gw_hello(&g), FL_OK);
	assert_not_told(); /* what was said was of another content */
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, job), FL_OK, "%s", g.text);
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	gw_set_image_info(&g, "2.0", 2, 1);
	gw_start(&g, u.runner);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job, &heartbeat), FL_OK, "%s", g.text);
}

Test(helper_observe, what_it_says_is_a_check)
{
	static const struct {
		const char *mode, *answer;
	} rows[] = {
		{"crash", "plugin_crashed the process ended without a result"},
		{"garbage", "plugin_crashed"},
		{"hang", "plugin_hung"},
		{"refuse", "plugin_refused"},
		{"absent", "slot_missing the handler does not find it"},
		{"runs", "protocol it says that the slot runs, which it does not"},
		{"trial", "protocol it says that the slot is on trial, which it is not"},
		{"good", "protocol it says that the slot is good, which it is not"},
		{"other", "protocol it speaks of another slot"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gw_to_staged(&g, &u);
		restart(rows[i].mode);
		cr_assert_eq(strncmp(told(), rows[i].answer, strlen(rows[i].answer)), 0, "%s: '%s'",
			     rows[i].mode, told());
		goes_on();
		tear_down();
		set_up();
	}
}

/* Greeted after 2 s at most, and staging does not wait for the rest of its 20 s. */
Test(helper_observe, one_that_never_answers_holds_nothing_up)
{
	static const char *const modes[] = {"mute", "slow", "flood", "stubborn 500"};
	for (size_t i = 0; i < 4; i++) {
		gw_to_staged(&g, &u);
		uint64_t before = now_ms();
		restart(modes[i]);
		cr_assert_lt(now_ms() - before, 3500, "%s", modes[i]);
		assert_not_told();
		before = now_ms();
		goes_on();
		cr_assert_lt(now_ms() - before, 12000, "%s", modes[i]);
		tear_down();
		set_up();
	}
}

Test(helper_observe, signs_of_life_do_not_make_it_longer)
{
	gw_to_staged(&g, &u);
	restart("slow");
	assert_not_told();
	sleep(21);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_eq(strncmp(told(), "plugin_hung", 11), 0, "'%s'", told());
}

/* The recovery itself happens all the same: nothing of it waits for a handler. */
Test(helper_observe, a_failed_trial_is_rolled_back_whatever_it_says)
{
	struct fl_boot_state boot;
	gw_to_trial_set(&g, &u);
	g.observe = "mute";
	cr_assert_eq(gw_boot_only(&g, true), 'a');
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_phase(&g, &u), "rolling_back");
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "rolled_back"), FL_OK, "%s", g.text);
}

Test(helper_observe, a_target_that_is_gone_is_told)
{
	gw_to_staged(&g, &u);
	gw_kill(&g);
	cr_assert_eq(unlink(gw_path(&g, "slots/b.img")), 0);
	gw_start(&g, u.runner);
	cr_assert_eq(strncmp(told(), "slot_missing", 12), 0, "'%s'", told());
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_SLOT_MISSING);
}

Test(helper_observe, lost_documents_are_no_obstacle)
{
	char command[200];
	gw_to_staged(&g, &u);
	gw_kill(&g);
	snprintf(command, sizeof(command), "find %s/anchor -type f ! -name anchor -delete", g.dir);
	cr_assert_eq(system(command), 0);
	gw_start(&g, u.runner);
	cr_assert_str_eq(told(), "ok b");
}

/* After a runner that crashed or hung: what does the device say now? */
Test(helper_observe, a_crash_is_followed_by_a_question)
{
	static const char *const modes[] = {"crash", "hang"};
	for (size_t i = 0; i < 2; i++) {
		gw_kill(&g);
		gw_start(&g, modes[i]);
		gw_to_open(&g, &u);
		cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
		cr_assert_neq(gw_staged(&g, 15000), FL_OK);
		usleep(500 * 1000);
		cr_assert_eq(gw_hello(&g), FL_OK);
		cr_assert_str_eq(told(), "ok b", "%s", modes[i]);
	}
}

Test(helper_observe, anybody_may_ask)
{
	gw_to_open(&g, &u);
	const struct fl_ipc_observation *seen = observe("rootfs");
	cr_assert_str_eq(seen->observed, "ok");
	cr_assert_str_eq(seen->phase, "idle");
	cr_assert(seen->slots.items[0].running);
	cr_assert_str_eq(seen->slots.items[1].version, "7.7", "of the slot that does not run");
	cr_assert_eq(seen->slots.items[1].release_seq, 77);
	cr_assert_str_eq(seen->slots.items[0].version, "1.0", "of the running image itself");
}

/* A sealed target stays locked: what is known is told, and nobody is asked. */
Test(helper_observe, asking_breaks_no_seal)
{
	gw_to_sealed(&g, &u);
	const struct fl_ipc_observation *seen = observe("rootfs");
	cr_assert_null(seen->observed);
	cr_assert_str_eq(seen->phase, "sealed");
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_OK, "%s", g.text);
}

Test(helper_observe, a_question_is_answered_when_the_handler_hangs)
{
	g.observe = "hang";
	gw_to_open(&g, &u);
	const uint64_t before = now_ms();
	const struct fl_ipc_observation *seen = observe("rootfs");
	cr_assert_str_eq(seen->observed, "plugin_hung");
	cr_assert_lt(now_ms() - before, 8000);
	cr_assert(seen->slots.items[0].running, "what the helper knows is told");
}
