/* SPDX-License-Identifier: Apache-2.0 */
/* An update from the factory to the commit, and every way back. */
#include "gateway.h"

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

TestSuite(helper_lifecycle, .init = set_up, .fini = tear_down, .timeout = 100);

Test(helper_lifecycle, a_new_device_is_lost_until_the_fleet_has_spoken)
{
	gw_start(&g, u.runner);
	cr_assert(g.hello.anchor_lost);
	cr_assert_eq(g.hello.root_version, 1);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_ANCHOR_LOST);
	gw_heal(&g);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_not(g.hello.anchor_lost);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
	cr_assert_str_eq(gw_phase(&g, &u), "idle");
}

Test(helper_lifecycle, an_update_is_committed)
{
	struct fl_boot_state boot;
	gw_to_trial(&g, &u);
	cr_assert_str_eq(gw_phase(&g, &u), "trial");
	cr_assert(g.hello.trial);
	cr_assert(g.hello.trial_left_ms > 590 * 1000 && g.hello.trial_left_ms <= 600 * 1000);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &heartbeat), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	cr_assert_not(g.hello.trial);
	const struct fl_ipc_component *c = gw_component(&g);
	cr_assert(fl_digest_equal(&c->release, &u.docs[1].digest));
	cr_assert_eq(c->release_seq, 2);
	cr_assert_str_eq(c->slot, "b");
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.good, "b");
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &heartbeat), FL_E_NOT_OPEN);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
}

Test(helper_lifecycle, the_next_update_goes_to_the_other_slot)
{
	struct update second;
	struct fl_boot_state boot;
	gw_to_trial(&g, &u);
	struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &heartbeat), FL_OK);
	gw_kill(&g);
	gw_make_update(&g, 2, 11, &second, &(struct paper_release){.security_version = 5});
	gw_to_trial_set(&g, &second);
	cr_assert_eq(gw_boot_only(&g, false), 'a');
	gw_set_image_info(&g, "3.0", 3, 5);
	gw_start(&g, second.runner);
	heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &second.docs[0].digest, &heartbeat), FL_OK, "%s", g.text);
	cr_assert_eq(gw_component(&g)->security_floor, 5);
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.good, "a");
	cr_assert(fl_boot_is_withdrawn(&boot, "b"), "a slot below the new floor boots no more");
}

Test(helper_lifecycle, a_slot_at_the_floor_stays_a_fallback)
{
	struct fl_boot_state boot;
	gw_to_trial(&g, &u);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &heartbeat), FL_OK);
	gw_decision(&g, &boot);
	cr_assert_not(fl_boot_is_withdrawn(&boot, "a"));
}

Test(helper_lifecycle, a_release_that_allows_local_commits_without_the_fleet)
{
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.reach = "local"});
	gw_to_trial(&g, &u);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, NULL), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
}

Test(helper_lifecycle, a_rollback_from_the_trial_restarts_into_the_old_slot)
{
	gw_to_trial(&g, &u);
	cr_assert_eq(gw_rollback(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert(gw_restart_asked(&g));
	cr_assert_str_eq(gw_phase(&g, &u), "rolling_back");
	cr_assert_eq(gw_boot_only(&g, false), 'a');
	gw_set_image_info(&g, "1.0", 1, 1);
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_phase(&g, &u), "rolling_back");
	cr_assert_not(g.hello.trial);
	cr_assert_eq(gw_rollback(&g, &u.docs[0].digest), FL_OK);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	cr_assert_eq(gw_component(&g)->release_seq, 1);
}

Test(helper_lifecycle, a_rollback_before_the_restart_closes_the_job)
{
	struct fl_boot_state boot;
	gw_to_trial_set(&g, &u);
	cr_assert_eq(gw_rollback(&g, &u.docs[0].digest), FL_OK);
	cr_assert_not(gw_restart_asked(&g));
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_reboot(&g, u.runner), 'a');
}

Test(helper_lifecycle, a_slot_that_does_not_boot_is_told_with_its_reason)
{
	struct fl_boot_state boot;
	gw_to_trial_set(&g, &u);
	cr_assert_eq(gw_boot_only(&g, true), 'a');
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_phase(&g, &u), "rolling_back");
	cr_assert_not_null(g.hello.boot_failure);
	cr_assert_str_eq(g.hello.boot_failure, "slot b: no init");
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "rolled_back"), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert_null(g.hello.boot_failure, "what other boots leave is no trial's");
}

Test(helper_lifecycle, without_a_commit_the_helper_falls_back_by_itself)
{
	uint32_t id;
	void *body;
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.deadline_s = 30});
	gw_to_trial(&g, &u);
	cr_assert_not(gw_restart_asked(&g));
	sleep(10);
	gw_kill(&g); /* a restart of the helper does not give the trial more time */
	gw_start(&g, u.runner);
	cr_assert(g.hello.trial_left_ms < 20500);
	cr_assert_eq(gw_next(&g, &id, &body, 22000), FL_OK);
	cr_assert_eq(g.type, FL_FRAME_PHASE);
	const struct fl_ipc_phase *event = body;
	cr_assert_str_eq(event->phase, "rolling_back");
	cr_assert_str_eq(event->code, "trial_deadline");
	cr_assert(gw_restart_asked(&g));
	cr_assert_eq(gw_boot_only(&g, false), 'a');
}

Test(helper_lifecycle, a_newer_job_takes_the_component_until_it_is_sealed)
{
	struct update newer;
	struct update newest;
	gw_to_staged(&g, &u);
	gw_make_update(&g, 2, 11, &newer, NULL);
	cr_assert_eq(gw_present(&g, newer.docs, 2), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	cr_assert_str_eq(gw_phase(&g, &newer), "idle");
	gw_kill(&g);
	gw_start(&g, newer.runner);
	gw_to_sealed(&g, &newer);
	gw_make_update(&g, 2, 12, &newest, &(struct paper_release){.release_seq = 9});
	cr_assert_eq(gw_present(&g, newest.docs, 2), FL_E_COMPONENT_BUSY);
	cr_assert_str_eq(gw_phase(&g, &newer), "sealed");
	cr_assert_eq(gw_close(&g, &newer.docs[0].digest, "failed"), FL_OK);
	cr_assert_eq(gw_present(&g, newest.docs, 2), FL_OK, "a refused job was not used up");
}

Test(helper_lifecycle, a_cancel_closes_its_job_and_comes_too_late_after_the_seal)
{
	gw_to_staged(&g, &u);
	struct paper_doc cancel = paper_job(
		&g.paper, &(struct paper_job){.job_seq = 11, .cancels = &u.docs[0].digest});
	cr_assert_eq(gw_present(&g, &cancel, 1), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	gw_make_update(&g, 1, 12, &u, NULL);
	gw_to_sealed(&g, &u);
	cancel = paper_job(&g.paper,
			   &(struct paper_job){.job_seq = 13, .cancels = &u.docs[0].digest});
	cr_assert_eq(gw_present(&g, &cancel, 1), FL_E_TOO_LATE);
	cr_assert_str_eq(gw_phase(&g, &u), "sealed");
}

Test(helper_lifecycle, an_open_job_may_be_presented_again)
{
	gw_to_staged(&g, &u);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
	cr_assert_str_eq(gw_phase(&g, &u), "staging");
}

Test(helper_lifecycle, documents_come_back_from_the_anchor)
{
	struct fl_buf text = FL_BUF(FL_DOC_PAYLOAD_MAX);
	gw_to_open(&g, &u);
	gw_kill(&g);
	gw_start(&g, u.runner);
	for (size_t i = 0; i < 2; i++) {
		const struct fl_ipc_get_document ask = {u.docs[i].digest};
		cr_assert_eq(gw_call(&g, FL_FRAME_GET_DOCUMENT, &ask, NULL, 0), FL_OK);
		cr_assert_eq(g.type, FL_FRAME_DOCUMENTS);
		cr_assert_eq(fl_memfd_read(g.fd, &text, NULL), FL_OK);
		cr_assert_eq(text.len, u.docs[i].env.payload.len);
		cr_assert_eq(memcmp(text.data, u.docs[i].env.payload.data, text.len), 0);
	}
	fl_buf_free(&text);
}

Test(helper_lifecycle, what_runners_do_wrong_ends_their_activity_only)
{
	static const struct {
		const char *mode;
		enum fl_rc code;
		const char *class;
	} rows[] = {
		{"hang", FL_E_PLUGIN_HUNG, "retry"},
		{"crash", FL_E_PLUGIN_CRASHED, "retry"},
		{"garbage", FL_E_PLUGIN_CRASHED, "retry"},
		{"refuse", FL_E_PLUGIN_REFUSED, "permanent"},
	};
	gw_to_open(&g, &u);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gw_kill(&g);
		gw_start(&g, rows[i].mode);
		cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
		cr_assert_eq(gw_staged(&g, 15000), rows[i].code, "%s", rows[i].mode);
		cr_assert_str_eq(g.staged.result, rows[i].class);
		cr_assert_str_eq(gw_phase(&g, &u), "staging");
	}
}

Test(helper_lifecycle, a_runner_that_is_never_ready_is_killed)
{
	gw_start(&g, "mute");
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
	cr_assert_eq(gw_staged(&g, 15000), FL_E_PLUGIN_HUNG);
}

Test(helper_lifecycle, stop_and_stage_again)
{
	gw_start(&g, "slow");
	gw_to_open(&g, &u);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK);
	cr_assert_geq(g.fd, 0, "the data channel comes with the answer");
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_OK, "a running one is replaced");
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
}

Test(helper_lifecycle, observe_tells_the_slots)
{
	gw_to_trial_set(&g, &u);
	const struct fl_ipc_target ask = {.component = "rootfs"};
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	uint32_t id;
	void *body;
	cr_assert_eq(fl_frame_encode(FL_FRAME_OBSERVE, 999, &ask, &frame, NULL), FL_OK);
	gw_send_raw(&g, frame.data, frame.len, NULL, 0);
	fl_buf_free(&frame);
	cr_assert_eq(gw_next(&g, &id, &body, 5000), FL_OK);
	const struct fl_ipc_observation *seen = body;
	cr_assert_str_eq(seen->phase, "trial");
	cr_assert_eq(seen->slots.n, 2);
	cr_assert(seen->slots.items[0].running && seen->slots.items[0].good);
	cr_assert(seen->slots.items[1].trial && !seen->slots.items[1].running);
}

Test(helper_lifecycle, a_stop_gives_up_the_seal)
{
	struct update newer;
	gw_to_sealed(&g, &u);
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
	cr_assert_str_eq(gw_phase(&g, &u), "staging");
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_PHASE);
	gw_make_update(&g, 2, 11, &newer, NULL);
	cr_assert_eq(gw_present(&g, newer.docs, 2), FL_OK, "it gives way again: %s", g.text);
}

Test(helper_lifecycle, fleet_or_gateway_asks_for_the_fleet_as_long_as_nothing_proves_the_gateway)
{
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.reach = "fleet-or-gateway"});
	gw_to_trial(&g, &u);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, NULL), FL_E_NONCE);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &heartbeat), FL_OK, "%s", g.text);
}

/* fairlead-boot is asked once for a request and once for a recovery, and not at all where nothing depends on it. */
Test(helper_lifecycle, boot_is_observed_once)
{
	const struct fl_digest *job = &u.docs[0].digest;
	gw_count_boot(&g);
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_verbs(&g), "observe ", "a start without an open job looks for an orphaned trial");
	gw_heal(&g);
	cr_assert_str_eq(gw_verbs(&g), "observe ");
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
	cr_assert_str_eq(gw_verbs(&g), "observe ");
	cr_assert_eq(gw_stage(&g, job), FL_OK);
	cr_assert_str_eq(gw_verbs(&g), "observe withdraw ");
	cr_assert_eq(gw_staged(&g, 10000), FL_OK);
	cr_assert_eq(gw_target(&g, FL_FRAME_SEAL, job), FL_OK);
	cr_assert_str_eq(gw_verbs(&g), "observe ");
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, job), FL_OK);
	cr_assert_str_eq(gw_verbs(&g), "observe trial ");
	cr_assert_eq(gw_job(&g, FL_FRAME_RESTART, job), FL_OK);
	cr_assert_str_eq(gw_verbs(&g), "observe ");
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	gw_set_image_info(&g, "2.0", 2, 1);
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_verbs(&g), "observe ", "recovery");
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_str_eq(gw_verbs(&g), "");
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job, &heartbeat), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_verbs(&g), "observe good ");
}

/* --- two components --- */

static void stage_both(const struct fl_digest *job)
{
	static const char *const names[] = {"rootfs", "app"};
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(gw_stage_of(&g, job, names[i]), FL_OK, "%s", g.text);
		cr_assert_eq(gw_staged(&g, 10000), FL_OK);
	}
}

Test(helper_lifecycle, a_set_is_switched_when_all_of_it_is_sealed)
{
	struct fl_boot_state boot;
	const struct fl_digest *job = &u.docs[0].digest;
	gw_add_component(&g);
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.with_app = true});
	gw_to_open(&g, &u);
	stage_both(job);
	cr_assert_eq(gw_target_of(&g, FL_FRAME_SEAL, job, "app"), FL_OK, "%s", g.text);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, job), FL_E_PHASE);
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_target_of(&g, FL_FRAME_SEAL, job, "rootfs"), FL_OK, "%s", g.text);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, job), FL_OK, "%s", g.text);
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	gw_set_image_info(&g, "2.0", 2, 1);
	gw_start(&g, u.runner);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, job, &heartbeat), FL_OK, "%s", g.text);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_eq(g.hello.open_jobs.n, 0);
	for (size_t i = 0; i < 2; i++) {
		cr_assert_eq(g.hello.components.items[i].release_seq, 2);
		cr_assert(fl_digest_equal(&g.hello.components.items[i].release, &u.docs[1].digest));
	}
}

Test(helper_lifecycle, a_set_rolls_back_whole)
{
	const struct fl_digest *job = &u.docs[0].digest;
	gw_add_component(&g);
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.with_app = true});
	gw_to_open(&g, &u);
	stage_both(job);
	cr_assert_eq(gw_target_of(&g, FL_FRAME_SEAL, job, "app"), FL_OK);
	cr_assert_eq(gw_target_of(&g, FL_FRAME_SEAL, job, "rootfs"), FL_OK);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, job), FL_OK);
	cr_assert_eq(gw_rollback(&g, job), FL_OK, "%s", g.text);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_eq(g.hello.open_jobs.n, 0);
}

/* One letter boots both: with one of them alone the other slot would be what it was long ago. */
Test(helper_lifecycle, what_switches_together_comes_together)
{
	struct update other;
	gw_add_component(&g);
	gw_start(&g, u.runner);
	gw_heal(&g);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_GROUP_INCOMPLETE);
	cr_assert_not_null(strstr(g.text, "'app'"), "%s", g.text);
	gw_make_update(&g, 1, 11, &other, &(struct paper_release){.component = "app"});
	cr_assert_eq(gw_present(&g, other.docs, 2), FL_E_GROUP_INCOMPLETE);
	cr_assert_not_null(strstr(g.text, "'rootfs'"), "%s", g.text);
	cr_assert_eq(gw_hello(&g), FL_OK);
	cr_assert_eq(g.hello.open_jobs.n, 0);
	gw_make_update(&g, 1, 12, &other, &(struct paper_release){.with_app = true});
	cr_assert_eq(gw_present(&g, other.docs, 2), FL_OK, "%s", g.text);
}
