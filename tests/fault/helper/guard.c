/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of a trial: silence of the agent, the soak's time, the hardware watchdog. */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENT "\n[trial]\nsilence_s = 30\n"

static struct gateway g;
static struct update u;

static void set_up(void)
{
	gw_init(&g);
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_guard, .init = set_up, .fini = tear_down, .timeout = 150);

static void to_trial(const char *configuration, const struct paper_release *release)
{
	if (configuration != NULL)
		gw_configure(&g, configuration);
	gw_make_update(&g, 1, 10, &u, release);
	gw_to_trial(&g, &u);
}

static enum fl_rc alive(const struct fl_digest *job, bool well)
{
	const struct fl_ipc_alive body = {*job, well};
	return gw_call(&g, FL_FRAME_ALIVE, &body, NULL, 0);
}

static const struct fl_digest *job(void)
{
	return &u.docs[0].digest;
}

static void expect_fall_back(const char *code, int within_ms)
{
	uint32_t id;
	void *body;
	cr_assert_eq(gw_next(&g, &id, &body, within_ms), FL_OK);
	cr_assert_eq(g.type, FL_FRAME_PHASE);
	const struct fl_ipc_phase *event = body;
	cr_assert_str_eq(event->phase, "rolling_back");
	cr_assert_str_eq(event->code, code);
	cr_assert(gw_restart_asked(&g));
	cr_assert_eq(gw_boot_only(&g, false), 'a');
}

Test(helper_guard, alive_is_for_the_job_on_trial)
{
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial_set(&g, &u);
	cr_assert_eq(alive(job(), true), FL_E_PHASE, "the old system runs");
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	gw_set_image_info(&g, "2.0", 2, 1);
	gw_start(&g, u.runner);
	cr_assert_eq(alive(job(), false), FL_OK, "%s", g.text);
	cr_assert_eq(alive(&u.docs[1].digest, false), FL_E_PHASE, "no job");
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job(), &heartbeat), FL_OK, "%s", g.text);
	cr_assert_eq(alive(job(), false), FL_E_PHASE, "it is over");
}

Test(helper_guard, a_silent_agent_ends_the_trial)
{
	to_trial(SILENT, NULL);
	sleep(20);
	cr_assert_eq(alive(job(), false), FL_OK);
	sleep(20);
	cr_assert_not(gw_restart_asked(&g), "it was heard 20 s ago");
	expect_fall_back("trial_silent", 15000);
	gw_start(&g, "done");
	cr_assert_str_eq(g.hello.boot_failure, "trial_silent: the agent was silent during the trial",
			 "told also to an agent that did not hear it then");
}

/* Its request waits for a handler, and nothing else of it is read meanwhile. */
Test(helper_guard, an_agent_that_waits_for_an_answer_is_not_silent)
{
	const struct fl_ipc_target ask = {.component = "rootfs"};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	uint32_t id;
	void *body;
	g.observe = "mute";
	to_trial(SILENT, NULL);
	sleep(24);
	cr_assert_eq(fl_frame_encode(FL_FRAME_OBSERVE, 999, &ask, &frame, NULL), FL_OK);
	gw_send_raw(&g, frame.data, frame.len, NULL, 0);
	fl_buf_free(&frame);
	cr_assert_eq(gw_next(&g, &id, &body, 30000), FL_OK);
	cr_assert_eq(g.type, FL_FRAME_OBSERVATION, "%s", fl_frame_name(g.type));
	sleep(3);
	cr_assert_not(gw_restart_asked(&g), "24 s before its request, 3 s after the answer");
	expect_fall_back("trial_silent", 10000);
}

Test(helper_guard, an_agent_that_never_comes_ends_the_trial)
{
	to_trial(SILENT, NULL);
	fl_close(&g.sock);
	for (int i = 0; i < 40 && !gw_restart_asked(&g); i++)
		sleep(1);
	cr_assert(gw_restart_asked(&g));
	cr_assert_eq(gw_boot_only(&g, false), 'a');
}

Test(helper_guard, a_soak_has_its_own_time_and_no_commit_comes_before_its_end)
{
	to_trial(NULL, &(struct paper_release){.deadline_s = 30, .soak_s = 60});
	struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job(), &heartbeat), FL_E_PHASE, "nobody said that all is well");
	cr_assert_eq(alive(job(), true), FL_OK, "%s", g.text);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert(g.hello.trial_well);
	cr_assert(g.hello.trial_left_ms > 85000 && g.hello.trial_left_ms <= 90000);
	sleep(3);
	cr_assert_eq(alive(job(), true), FL_OK);
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert(g.hello.trial_well, "a restart of the helper does not forget it");
	cr_assert_leq(g.hello.trial_left_ms, 87500, "nor does saying it twice give it twice");
	heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job(), &heartbeat), FL_E_PHASE, "the soak has just begun");
	sleep(58);
	cr_assert_eq(gw_commit(&g, job(), &heartbeat), FL_OK, "%s", g.text);
}

Test(helper_guard, after_its_soak_a_trial_ends_too)
{
	to_trial(NULL, &(struct paper_release){.deadline_s = 30, .soak_s = 60});
	cr_assert_eq(alive(job(), true), FL_OK);
	sleep(85);
	cr_assert_not(gw_restart_asked(&g));
	expect_fall_back("trial_deadline", 10000);
}

Test(helper_guard, fleet_or_gateway_gives_the_fleet_half_of_the_deadline)
{
	to_trial(NULL, &(struct paper_release){.deadline_s = 30, .reach = "fleet-or-gateway"});
	cr_assert_eq(gw_commit(&g, job(), NULL), FL_E_NONCE);
	sleep(16);
	cr_assert_eq(gw_commit(&g, job(), NULL), FL_OK, "%s", g.text);
}

/* ---- the watchdog, played by a file: what would reach the device is what stands in it ---- */

static struct fl_buf fed(void)
{
	struct fl_err err;
	struct fl_buf text = FL_BUF((size_t)4096);
	cr_assert_eq(fl_file_read(gw_path(&g, "watchdog"), &text, &err), FL_OK);
	return text;
}

static size_t feeds(void)
{
	struct fl_buf text = fed();
	const size_t n = text.len;
	fl_buf_free(&text);
	return n;
}

static void with_watchdog(const char *more)
{
	char text[256];
	gw_write(&g, "watchdog", "", 0);
	snprintf(text, sizeof(text), "\n[watchdog]\ndevice = %s\ntimeout_s = 4\n%s",
		 gw_path(&g, "watchdog"), more);
	to_trial(text, NULL);
}

Test(helper_guard, the_watchdog_is_fed_during_a_trial_and_disarmed_by_its_commit)
{
	with_watchdog("");
	const size_t begin = feeds();
	sleep(4);
	const size_t later = feeds();
	cr_assert(later >= begin + 3 && later <= begin + 5, "%zu, then %zu", begin, later);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job(), &heartbeat), FL_OK, "%s", g.text);
	sleep(3);
	struct fl_buf text = fed();
	cr_assert_eq(text.data[text.len - 1], 'V', "magic close");
	const size_t end = text.len;
	fl_buf_free(&text);
	sleep(3);
	cr_assert_eq(feeds(), end);
}

Test(helper_guard, the_watchdog_is_fed_no_more_when_the_trial_goes_wrong)
{
	with_watchdog(SILENT);
	sleep(20);
	const size_t while_well = feeds();
	cr_assert_geq(while_well, 15);
	expect_fall_back("trial_silent", 15000);
	const size_t end = feeds();
	sleep(3);
	struct fl_buf text = fed();
	cr_assert_eq(text.len, end);
	cr_assert_neq(text.data[text.len - 1], 'V', "it is left to bite");
	fl_buf_free(&text);
}

Test(helper_guard, without_a_trial_the_watchdog_is_left_alone)
{
	char text[160];
	gw_write(&g, "watchdog", "", 0);
	snprintf(text, sizeof(text), "\n[watchdog]\ndevice = %s\n", gw_path(&g, "watchdog"));
	gw_configure(&g, text);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_staged(&g, &u);
	sleep(2);
	cr_assert_eq(feeds(), 0);
}

Test(helper_guard, a_watchdog_that_is_not_there_is_no_obstacle)
{
	to_trial("\n[watchdog]\ndevice = /nonexistent/watchdog\n", NULL);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job(), &heartbeat), FL_OK, "%s", g.text);
}
