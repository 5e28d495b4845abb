/* SPDX-License-Identifier: Apache-2.0 */
/* Offline jobs before the helper: each refusal, which changes nothing, and their counter, which outlives everything. */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <stdio.h>
#include <unistd.h>

static struct gateway g;
static struct update u;

static void set_up(void)
{
	gw_init(&g);
	gw_make_offline(&g, 1, 100, &u, &(struct paper_release){.reach = "local"});
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_offline, .init = set_up, .fini = tear_down, .timeout = 100);

static void restart(void)
{
	gw_kill(&g);
	gw_start(&g, u.runner);
}

static void assert_untouched(uint64_t offline_seq)
{
	struct fl_boot_state boot;
	restart();
	cr_assert_eq(g.hello.open_jobs.n, 0);
	cr_assert_eq(g.hello.offline_seq, offline_seq);
	cr_assert_eq(g.hello.job_seq, 0);
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.good, "a");
	cr_assert_str_eq(boot.trial, "");
}

Test(helper_offline, one_signed_by_an_operator_runs_to_its_trial)
{
	gw_to_trial(&g, &u);
	cr_assert_eq(g.hello.offline_seq, 100);
	cr_assert_eq(g.hello.job_seq, 0, "the other counter stands still");
	cr_assert_eq(gw_running(&g), 'b');
}

Test(helper_offline, every_refusal_changes_nothing)
{
	gw_start(&g, u.runner);
	gw_heal(&g);
	const struct {
		const char *what;
		struct paper_job ask;
		enum fl_rc code;
	} rows[] = {
		{"another device", {.device_id = "gw-2"}, FL_E_WRONG_DEVICE},
		{"another epoch", {.epoch = 2}, FL_E_WRONG_EPOCH},
		{"expired", {.expires = PAPER_NOW - 1}, FL_E_EXPIRED},
		{"far ahead", {.offline_seq = UINT64_C(1) << 40}, FL_E_REPLAYED},
		{"a stranger's", {.signer = g.paper.stranger}, FL_E_KEY_UNKNOWN},
		{"a release key's", {.signer = g.paper.release}, FL_E_SCOPE},
		{"dispatch, whose role does not list it", {.signer = g.paper.dispatch}, FL_E_SCOPE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct paper_job ask = rows[i].ask;
		ask.release = &u.docs[1].digest;
		ask.offline_seq = ask.offline_seq == 0 ? 100 : ask.offline_seq;
		const struct paper_doc docs[] = {paper_job(&g.paper, &ask), u.docs[1]};
		cr_assert_eq(gw_present(&g, docs, 2), rows[i].code, "%s: %s", rows[i].what, g.text);
	}
	assert_untouched(0);
}

Test(helper_offline, an_operator_orders_nothing_but_offline_jobs)
{
	gw_start(&g, u.runner);
	gw_heal(&g);
	struct paper_doc docs[] = {paper_job(&g.paper, &(struct paper_job){.job_seq = 11,
									    .release = &u.docs[1].digest,
									    .signer = g.paper.operator}),
				   u.docs[1]};
	cr_assert_eq(gw_present(&g, docs, 2), FL_E_SCOPE, "%s", g.text);
	assert_untouched(0);
}

Test(helper_offline, the_release_is_judged_like_any_other)
{
	struct update other;
	gw_set_image_info(&g, "9.0", 9, 4);
	gw_start(&g, u.runner);
	gw_heal(&g);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_BELOW_FLOOR, "%s", g.text);
	gw_make_offline(&g, 2, 101, &other, &(struct paper_release){.signer = g.paper.operator});
	cr_assert_eq(gw_present(&g, other.docs, 2), FL_E_SCOPE, "%s", g.text);
	const struct paper_doc mixed[] = {u.docs[0], other.docs[1]};
	cr_assert_eq(gw_present(&g, mixed, 2), FL_E_RELEASE_MISMATCH);
	cr_assert_neq(gw_present(&g, u.docs, 1), FL_OK, "a job without its release");
	assert_untouched(0);
}

Test(helper_offline, the_same_bundle_is_the_same_job_until_its_end)
{
	gw_to_staged(&g, &u);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
	cr_assert_str_eq(gw_phase(&g, &u), "staging");
	restart();
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK);
	cr_assert_eq(g.hello.open_jobs.n, 1);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	restart();
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	cr_assert_eq(gw_stage(&g, &u.docs[0].digest), FL_E_NOT_OPEN);
	assert_untouched(100);
}

Test(helper_offline, an_older_bundle_never_follows_a_newer_one)
{
	struct update older, newer;
	gw_make_offline(&g, 2, 99, &older, NULL);
	gw_make_offline(&g, 2, 200, &newer, NULL);
	gw_to_open(&g, &u);
	cr_assert_eq(gw_present(&g, older.docs, 2), FL_E_REPLAYED);
	cr_assert_eq(gw_present(&g, newer.docs, 2), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed", "it gave way");
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	restart();
	cr_assert_eq(g.hello.offline_seq, 200);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
	cr_assert_str_eq(gw_phase(&g, &newer), "idle");
}

/* Between the two counters the one that comes last is the newer. */
Test(helper_offline, jobs_of_both_kinds_follow_each_other)
{
	struct update online, again;
	gw_make_update(&g, 2, 10, &online, NULL);
	gw_make_offline(&g, 1, 101, &again, NULL);
	gw_to_open(&g, &u);
	cr_assert_eq(gw_present(&g, online.docs, 2), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	cr_assert_eq(gw_present(&g, again.docs, 2), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &online), "closed");
	cr_assert_str_eq(gw_phase(&g, &again), "idle");
	restart();
	cr_assert(g.hello.job_seq == 10 && g.hello.offline_seq == 101);
	cr_assert_eq(gw_present(&g, online.docs, 2), FL_E_REPLAYED);
}

Test(helper_offline, one_that_is_sealed_is_not_pushed_aside)
{
	struct update online, other;
	gw_to_sealed(&g, &u);
	gw_make_update(&g, 2, 10, &online, NULL);
	gw_make_offline(&g, 2, 101, &other, NULL);
	cr_assert_eq(gw_present(&g, online.docs, 2), FL_E_COMPONENT_BUSY);
	cr_assert_eq(gw_present(&g, other.docs, 2), FL_E_COMPONENT_BUSY);
	cr_assert_str_eq(gw_phase(&g, &u), "sealed");
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	cr_assert_eq(gw_present(&g, other.docs, 2), FL_OK, "a refused job was not used up");
}

Test(helper_offline, a_cancel_of_the_fleet_withdraws_it)
{
	gw_to_staged(&g, &u);
	const struct paper_doc cancel = paper_job(
		&g.paper, &(struct paper_job){.job_seq = 1, .cancels = &u.docs[0].digest});
	cr_assert_eq(gw_present(&g, &cancel, 1), FL_OK, "%s", g.text);
	cr_assert_str_eq(gw_phase(&g, &u), "closed");
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
}

Test(helper_offline, without_its_anchor_the_device_takes_none)
{
	gw_start(&g, u.runner);
	cr_assert(g.hello.anchor_lost);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_ANCHOR_LOST);
	assert_untouched(0);
}

static void put_reset(void)
{
	struct fl_err err;
	cr_assert_eq(fl_file_replace(gw_path(&g, "anchor/reset"), "x\n", 2, 0600, &err), FL_OK, "%s",
		     err.msg);
}

static bool has_reset(void)
{
	return access(gw_path(&g, "anchor/reset"), F_OK) == 0;
}

Test(helper_offline, a_person_may_end_the_loss_of_the_anchor)
{
	gw_start(&g, u.runner);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_ANCHOR_LOST);
	put_reset();
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_OK, "%s", g.text);
	cr_assert_not(has_reset(), "it counts once");
	restart();
	cr_assert_not(g.hello.anchor_lost);
	cr_assert_eq(g.hello.offline_seq, 100);
	cr_assert_eq(gw_close(&g, &u.docs[0].digest, "failed"), FL_OK);
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_REPLAYED);
}

Test(helper_offline, a_reset_does_not_wait_for_a_later_loss)
{
	gw_start(&g, u.runner);
	gw_heal(&g);
	put_reset();
	restart();
	cr_assert_not(has_reset());
}

Test(helper_offline, a_reset_opens_no_door_below_the_running_image)
{
	gw_set_image_info(&g, "9.0", 9, 4);
	gw_start(&g, u.runner);
	put_reset();
	cr_assert_eq(gw_present(&g, u.docs, 2), FL_E_BELOW_FLOOR, "%s", g.text);
	const struct paper_doc forged[] = {
		paper_job(&g.paper, &(struct paper_job){.offline_seq = 5,
							.release = &u.docs[1].digest,
							.signer = g.paper.stranger}),
		u.docs[1]};
	cr_assert_eq(gw_present(&g, forged, 2), FL_E_KEY_UNKNOWN);
	assert_untouched(0);
}
