/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a runner: asked for before it is forced, told when nothing is left of it, and never waited for by the loop. */
#include "gateway.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

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

TestSuite(helper_end, .init = set_up, .fini = tear_down, .timeout = 60);

static uint64_t now_ms(void)
{
	return fl_clock_boot_ms(&fl_clock_system);
}

static enum fl_rc stop(void)
{
	return gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest);
}

static enum fl_rc seal(void)
{
	return gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest);
}

static void start_runner(const char *mode)
{
	gw_start(&g, mode);
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
	usleep(300 * 1000);
}

static void send_stop(void)
{
	const struct fl_ipc_target ask = {u.docs[0].digest, "rootfs"};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	cr_assert_eq(fl_frame_encode(FL_FRAME_STOP, 777, &ask, &frame, NULL), FL_OK);
	gw_send_raw(&g, frame.data, frame.len, NULL, 0);
	fl_buf_free(&frame);
}

static bool target_is_marked(void)
{
	struct fl_buf text = FL_BUF((size_t)1 << 20);
	cr_assert_eq(fl_file_read(gw_path(&g, "slots/b.img"), &text, NULL), FL_OK);
	const bool marked = memcmp(text.data, "end", 3) == 0;
	fl_buf_free(&text);
	return marked;
}

/* Straight after the answer the target is free: neither process of the runner holds it any more. */
Test(helper_end, a_stop_is_answered_when_nothing_is_left_of_the_runner)
{
	static const char *const modes[] = {"careful 700", "careless 700"};
	for (size_t i = 0; i < 2; i++) {
		gw_kill(&g);
		start_runner(modes[i]);
		const uint64_t before = now_ms();
		cr_assert_eq(stop(), FL_OK, "%s: %s", modes[i], g.text);
		cr_assert_geq(now_ms() - before, 600, "%s", modes[i]);
		cr_assert_eq(fl_rc_from_name(g.staged.code), FL_E_CANCELLED, "told before the answer");
		cr_assert_eq(seal(), FL_E_SEAL_MISMATCH, "%s: %s", modes[i], g.text);
		cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s: %s", modes[i], g.text);
		cr_assert_eq(stop(), FL_OK, "%s", g.text);
	}
}

Test(helper_end, a_runner_is_asked_before_it_is_killed)
{
	start_runner("careful 100");
	cr_assert_not(target_is_marked());
	cr_assert_eq(stop(), FL_OK, "%s", g.text);
	cr_assert(target_is_marked(), "it had time for its last words");
}

Test(helper_end, one_that_does_not_listen_is_killed)
{
	start_runner("stubborn 500");
	const uint64_t before = now_ms();
	cr_assert_eq(gw_staged(&g, 15000), FL_E_PLUGIN_HUNG);
	cr_assert_geq(now_ms() - before, 3000, "asked first, then killed, and the rest of it waited for");
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
}

Test(helper_end, what_replaces_a_runner_waits_for_its_end)
{
	struct update newer;
	start_runner("careless 700");
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_eq(seal(), FL_E_SEAL_MISMATCH, "%s", g.text);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
	gw_make_update(&g, 2, 11, &newer, NULL);
	cr_assert_eq(gw_present(&g, newer.docs, 2), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	cr_assert_eq(gw_stage(&g, &newer.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_eq(gw_close(&g, &newer.docs[0].digest, "failed"), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &newer), "closed");
}

Test(helper_end, a_cancel_waits_for_the_runner)
{
	start_runner("careless 700");
	const struct paper_doc cancel = paper_job(
		&g.paper, &(struct paper_job){.job_seq = 11, .cancels = &u.docs[0].digest});
	const uint64_t before = now_ms();
	cr_assert_eq(gw_present(&g, &cancel, 1), FL_OK, "%s", g.text);
	cr_assert_geq(now_ms() - before, 600);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
}

Test(helper_end, a_seal_that_is_stopped_is_answered)
{
	start_runner(u.runner);
	cr_assert_eq(gw_staged(&g, 10000), FL_OK);
	const struct fl_ipc_target ask = {u.docs[0].digest, "rootfs"};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	cr_assert_eq(fl_frame_encode(FL_FRAME_SEAL, 778, &ask, &frame, NULL), FL_OK);
	gw_send_raw(&g, frame.data, frame.len, NULL, 0);
	fl_buf_free(&frame);
	cr_assert_eq(stop(), FL_OK, "%s", g.text); /* the seal's own answer came before: ok or cancelled */
	cr_assert_str_eq(gw_phase(&g, &u), "staging");
	cr_assert_eq(seal(), FL_OK, "%s", g.text);
}

/* The loop serves meanwhile, and what waited is forgotten with the agent that asked for it. */
Test(helper_end, nobody_else_waits_for_a_runner_that_is_ending)
{
	start_runner("careful 3000");
	send_stop();
	usleep(100 * 1000);
	const uint64_t before = now_ms();
	gw_connect(&g);
	cr_assert_lt(now_ms() - before, 1500, "a newer agent is greeted");
	memset(&g.staged, 0, sizeof(g.staged));
	cr_assert_eq(gw_staged(&g, 10000), FL_E_CANCELLED, "and hears of the end");
	cr_assert_geq(now_ms() - before, 2000);
}

Test(helper_end, an_agent_that_goes_away_while_its_request_waits)
{
	start_runner("careful 1500");
	send_stop();
	usleep(100 * 1000);
	fl_close(&g.sock);
	gw_connect(&g);
	cr_assert_eq(seal(), FL_E_SEAL_MISMATCH, "%s", g.text);
}

Test(helper_end, what_cannot_be_killed_keeps_its_component)
{
	start_runner("careless 8000"); /* no signal reaches the one that is left */
	const uint64_t before = now_ms();
	cr_assert_eq(stop(), FL_E_RUNNER_UNKILLABLE, "%s", g.text);
	cr_assert_geq(now_ms() - before, 4500);
	cr_assert_eq(fl_rc_from_name(g.staged.code), FL_E_RUNNER_UNKILLABLE);
	cr_assert_str_eq(g.staged.result, "permanent");
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_RUNNER_UNKILLABLE);
	cr_assert_eq(seal(), FL_E_RUNNER_UNKILLABLE);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_E_RUNNER_UNKILLABLE);
	sleep(4);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "it is gone after all: %s", g.text);
}
