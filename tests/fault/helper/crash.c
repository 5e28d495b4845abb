/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crashes: the helper is killed at every change it makes to a file, and so is fairlead-boot; every write fails once. An
 * agent that only believes hello drives the job on, and it always ends where it should: committed, on the
 * other slot, with a fallback that could have booted at every moment.
 */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 60 /* requests and restarts until a job must be done */

static struct gateway g;
static struct update u;

TestSuite(helper_crash, .timeout = 900);

static bool slot_holds(const char *slot, const uint8_t *image)
{
	struct fl_buf text = FL_BUF((size_t)1 << 20);
	cr_assert_eq(fl_file_read(gw_path(&g, slot), &text, NULL), FL_OK);
	bool same = text.len >= sizeof(g.images[0]) &&
		    memcmp(text.data, image, sizeof(g.images[0])) == 0;
	fl_buf_free(&text);
	return same;
}

/* True at every moment, whoever was killed. */
static void assert_safe(void)
{
	struct fl_boot_state boot;
	gw_decision(&g, &boot);
	cr_assert(slot_holds("slots/a.img", g.images[0]), "the running system was written to");
	cr_assert_not(fl_boot_is_withdrawn(&boot, boot.good));
	if (strcmp(boot.trial, "b") == 0 || strcmp(boot.good, "b") == 0)
		cr_assert(slot_holds("slots/b.img", g.images[1]), "an unsealed slot may boot");
}

static void power_cycle(void)
{
	assert_safe();
	const char slot = gw_boot_only(&g, false);
	if (slot == 'b')
		gw_set_image_info(&g, "2.0", 2, 1);
	else
		gw_set_image_info(&g, "1.0", 1, 1);
}

static void stage_and_seal(void)
{
	if (gw_stage(&g, &u.docs[0].digest) == FL_OK && gw_staged(&g, 10000) == FL_OK)
		(void)gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest);
}

static void on_trial(const char *plan_after_boot)
{
	uint8_t nonce[32];
	if (!g.hello.trial) {
		(void)gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest); /* idempotent */
		if (gw_job(&g, FL_FRAME_RESTART, &u.docs[0].digest) == FL_OK) {
			power_cycle();
			g.plan = plan_after_boot;
		}
	} else if (gw_nonce(&g, nonce) == FL_OK) {
		const struct paper_doc beat =
			paper_heartbeat(&g.paper, &(struct paper_heartbeat){.nonce = nonce});
		(void)gw_commit(&g, &u.docs[0].digest, &beat);
	}
}

/* Alive, greeted, and the phase it tells; "" when it died again. */
static const char *look(void)
{
	if (g.helper > 0 && g.sock >= 0 && gw_hello(&g) != FL_OK)
		gw_kill(&g);
	if (g.helper <= 0 && !gw_try_start(&g, u.runner)) {
		gw_kill(&g);
		return "";
	}
	for (size_t i = 0; i < g.hello.open_jobs.n; i++)
		return g.hello.open_jobs.items[i].components.items[0].phase;
	if (fl_digest_equal(&g.hello.components.items[0].release, &u.docs[1].digest))
		return "done";
	return g.hello.anchor_lost ? "lost" : "closed";
}

/* What the real agent would do, from what hello says alone. True when committed. */
static bool drive(const char *plan_after_boot)
{
	for (int round = 0; round < ROUNDS; round++) {
		const char *phase = look();
		assert_safe();
		if (strcmp(phase, "done") == 0)
			return true;
		if (strcmp(phase, "lost") == 0) {
			uint8_t nonce[32];
			if (gw_nonce(&g, nonce) == FL_OK) {
				const struct paper_doc beat = paper_heartbeat(
					&g.paper, &(struct paper_heartbeat){.nonce = nonce});
				(void)gw_heartbeat(&g, &beat);
			}
		} else if (strcmp(phase, "closed") == 0) {
			(void)gw_present(&g, u.docs, 2);
		} else if (strcmp(phase, "idle") == 0 || strcmp(phase, "staging") == 0) {
			stage_and_seal();
		} else if (strcmp(phase, "sealed") == 0) {
			(void)gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest);
		} else if (strcmp(phase, "trial") == 0) {
			on_trial(plan_after_boot);
			plan_after_boot = g.helper > 0 ? plan_after_boot : NULL;
		} else if (strcmp(phase, "decided") == 0) {
			(void)gw_commit(&g, &u.docs[0].digest, NULL);
		} else {
			cr_assert_str_empty(phase, "phase %s", phase);
		}
	}
	return false;
}

static void assert_committed(void)
{
	struct fl_boot_state boot;
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.good, "b");
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(g.hello.open_jobs.n, 0);
	cr_assert_eq(g.hello.components.items[0].release_seq, 2);
	cr_assert(slot_holds("slots/b.img", g.images[1]));
}

static bool offline; /* the updates come by offline jobs */

/* One update with this plan in the first helper, or in the first one after the restart. */
static bool run(const char *plan, bool after_boot)
{
	gw_init(&g);
	if (offline)
		gw_make_offline(&g, 1, 10, &u, NULL);
	else
		gw_make_update(&g, 1, 10, &u, NULL);
	g.plan = after_boot ? NULL : plan;
	const bool done = drive(after_boot ? plan : NULL);
	const bool fired = gw_fired(&g) > 0;
	cr_assert(done, "%s%s: not committed", plan, after_boot ? " after the restart" : "");
	assert_committed();
	gw_done(&g);
	return fired;
}

/* FAIRLEAD_CAMPAIGN=1: every change; otherwise every fourth, each test another fourth. */
static void sweep(const char *how, const char *error, bool after_boot, unsigned first)
{
	char plan[64];
	unsigned struck = 0;
	const bool whole = getenv("FAIRLEAD_CAMPAIGN") != NULL;
	for (unsigned n = whole ? 1 : first; n < 400; n += whole ? 1 : 4) {
		snprintf(plan, sizeof(plan), "%s:%u%s", how, n, error);
		if (!run(plan, after_boot))
			break;
		struck++;
	}
	cr_assert_gt(struck, 2, "the plan never struck");
}

Test(helper_crash, killed_at_every_change_before_the_restart)
{
	sweep("kill", "", false, 1);
}

Test(helper_crash, killed_at_every_change_after_the_restart)
{
	sweep("kill", "", true, 2);
}

Test(helper_crash, an_offline_job_killed_at_every_change)
{
	offline = true;
	sweep("kill", "", false, 2);
}

Test(helper_crash, torn_at_every_write)
{
	sweep("tear", "", false, 3);
}

Test(helper_crash, every_change_fails_once_before_the_restart)
{
	sweep("fail", ":EIO", false, 4);
}

Test(helper_crash, every_change_fails_once_after_the_restart)
{
	sweep("fail", ":ENOSPC", true, 1);
}

Test(helper_crash, fairlead_boot_killed_at_every_change_of_every_call)
{
	const unsigned step = getenv("FAIRLEAD_CAMPAIGN") != NULL ? 1 : 3;
	for (unsigned call = 2; call <= 12; call += step) {
		unsigned n = 1;
		for (bool fired = true; fired; n++) {
			gw_init(&g);
			gw_make_update(&g, 1, 10, &u, NULL);
			gw_break_boot(&g, call, n);
			cr_assert(drive(NULL), "call %u, change %u", call, n);
			assert_committed();
			fired = gw_fired(&g) > 0;
			gw_done(&g);
		}
	}
}

Test(helper_crash, after_a_kill_hello_tells_the_phase_and_the_target)
{
	static const struct {
		void (*go)(struct gateway *g, const struct update *u);
		const char *phase;
		const char *slot;
	} rows[] = {{gw_to_open, "idle", NULL},
		    {gw_to_staged, "staging", "b"},
		    {gw_to_sealed, "staging", "b"}, /* the lock is gone */
		    {gw_to_trial_set, "trial", "b"},
		    {gw_to_trial, "trial", "b"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gw_init(&g);
		gw_make_update(&g, 1, 10, &u, NULL);
		rows[i].go(&g, &u);
		gw_kill(&g);
		gw_start(&g, u.runner);
		cr_assert_eq(g.hello.open_jobs.n, 1);
		const struct fl_ipc_open_component *c = &g.hello.open_jobs.items[0].components.items[0];
		cr_assert_str_eq(c->phase, rows[i].phase, "row %zu", i);
		cr_assert(rows[i].slot == NULL ? c->slot == NULL : strcmp(c->slot, rows[i].slot) == 0);
		gw_done(&g);
	}
}

/* Power is cut, not only the helper killed, in every phase: the machine boots what boot decided. */
Test(helper_crash, power_cut_in_every_phase)
{
	static const char *const phases[] = {"idle", "staging", "sealed", "trial"};
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		gw_init(&g);
		gw_make_update(&g, 1, 10, &u, NULL);
		if (i == 0)
			gw_to_open(&g, &u);
		else if (i == 1)
			gw_to_staged(&g, &u);
		else if (i == 2)
			gw_to_sealed(&g, &u);
		else
			gw_to_trial_set(&g, &u);
		power_cycle();
		cr_assert(drive(NULL), "power cut in phase %s", phases[i]);
		assert_committed();
		gw_done(&g);
	}
}

/* Decided, and then the machine comes up on the old slot: forward, never back. */
Test(helper_crash, decided_but_the_old_slot_runs)
{
	struct fl_boot_state boot;
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial(&g, &u);
	gw_break_verb(&g, "good"); /* the decision stands, the switch does not */
	gw_kill(&g);
	gw_start(&g, u.runner);
	const struct paper_doc beat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_BOOT_SWITCH, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "decided");
	cr_assert_eq(gw_rollback(&g, &u.docs[0].digest), FL_E_PHASE, "a decision is never taken back");
	power_cycle();
	cr_assert_eq(gw_running(&g), 'a', "the trial had one try");
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_phase(&g, &u), "decided");
	cr_assert(gw_restart_asked(&g));
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "b");
	power_cycle();
	cr_assert_eq(gw_running(&g), 'b');
	cr_assert(drive(NULL));
	assert_committed();
	gw_done(&g);
}

/* …but not for ever: past its budget it waits for a person, and says so. */
Test(helper_crash, decided_and_the_new_slot_never_boots_again)
{
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial(&g, &u);
	gw_break_verb(&g, "good");
	gw_kill(&g);
	gw_start(&g, u.runner);
	const struct paper_doc beat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u.docs[0].digest, &beat), FL_E_BOOT_SWITCH);
	unsigned restarts = 0;
	for (int i = 0; i < 8; i++) {
		cr_assert_eq(gw_boot_only(&g, true), 'a');
		gw_set_image_info(&g, "1.0", 1, 1);
		gw_start(&g, u.runner);
		restarts += gw_restart_asked(&g);
		cr_assert_str_eq(gw_phase(&g, &u), "decided");
	}
	cr_assert_eq(restarts, 3);
	gw_done(&g);
}

/* --- a trial always ends --- */

Test(helper_crash, a_switch_that_was_never_set_is_no_trial)
{
	struct fl_boot_state boot;
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_break_verb(&g, "trial");
	gw_to_sealed(&g, &u);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_BOOT_SWITCH);
	cr_assert_str_eq(gw_phase(&g, &u), "trial");
	gw_kill(&g);
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_phase(&g, &u), "staging", "the lock went with the old helper");
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert(drive(NULL));
	assert_committed();
	gw_done(&g);
}

Test(helper_crash, a_switch_that_failed_may_be_set_again_while_the_lock_is_held)
{
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_break_verb(&g, "trial");
	gw_to_sealed(&g, &u);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_BOOT_SWITCH);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_OK, "repeatable");
	gw_done(&g);
}

Test(helper_crash, a_switch_taken_back_by_hand_is_not_set_again_without_a_seal)
{
	char command[300];
	struct fl_boot_state boot;
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial_set(&g, &u);
	gw_kill(&g);
	snprintf(command, sizeof(command), "%s --config %s/gateway.conf fallback", FL_BOOT, g.dir);
	cr_assert_eq(system(command), 0);
	gw_start(&g, u.runner);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_E_PHASE);
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_rollback(&g, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	gw_done(&g);
}

Test(helper_crash, recovery_is_tried_again_until_it_works)
{
	struct fl_boot_state boot;
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial_set(&g, &u);
	cr_assert_eq(gw_boot_only(&g, true), 'a');
	gw_break_verb(&g, "fallback");
	gw_start(&g, u.runner);
	cr_assert_str_eq(gw_phase(&g, &u), "rolling_back");
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "b");
	sleep(7);
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	gw_done(&g);
}

Test(helper_crash, a_slot_on_trial_for_a_lost_anchor_falls_back)
{
	struct fl_boot_state boot;
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial(&g, &u);
	gw_kill(&g);
	cr_assert_eq(unlink(gw_path(&g, "anchor/anchor")), 0);
	gw_start(&g, u.runner);
	cr_assert(g.hello.anchor_lost);
	cr_assert(gw_restart_asked(&g));
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "");
	cr_assert_eq(gw_boot_only(&g, false), 'a');
	gw_done(&g);
}

Test(helper_crash, a_system_that_does_not_tell_its_boot_has_a_deadline)
{
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	gw_to_trial_set(&g, &u);
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	cr_assert_eq(unlink(gw_path(&g, "run/boot-id")), 0);
	gw_start(&g, u.runner);
	cr_assert(g.hello.trial);
	cr_assert_gt(g.hello.trial_left_ms, 0);
	gw_done(&g);
}

/* The anchor's medium takes nothing more, and still the trial ends. */
Test(helper_crash, the_deadline_holds_on_a_medium_that_fails)
{
	char anchor[96];
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.deadline_s = 30});
	gw_to_trial_set(&g, &u);
	cr_assert_eq(gw_boot_only(&g, false), 'b');
	snprintf(anchor, sizeof(anchor), "%s/anchor", g.dir);
	g.plan = "fail:1:EIO:always";
	g.plan_dir = anchor;
	gw_start(&g, u.runner);
	cr_assert(g.hello.trial && g.hello.trial_left_ms > 25000);
	for (int i = 0; i < 40 && !gw_restart_asked(&g); i++)
		sleep(1);
	cr_assert(gw_restart_asked(&g));
	cr_assert_eq(gw_boot_only(&g, false), 'a', "the trial had one try");
	gw_done(&g);
}
