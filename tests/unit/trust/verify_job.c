/* SPDX-License-Identifier: Apache-2.0 */
/* Which jobs and heartbeats a device takes, and which reports the fleet does. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

static struct world w;

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_done(&w);
}

TestSuite(job, .init = setup, .fini = teardown);
TestSuite(heartbeat, .init = setup, .fini = teardown);
TestSuite(report, .init = setup, .fini = teardown);

Test(job, a_right_one_is_new)
{
	struct fl_job out;
	enum fl_job_verdict verdict = FL_JOB_OPEN;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(DISPATCH));
	cr_assert_eq(fl_verify_job(&w.state, &env, 0, &w.arena, &out, &verdict, &w.err), FL_OK,
		     "%s", w.err.msg);
	cr_assert_eq(verdict, FL_JOB_NEW);
	cr_assert_eq(out.job_seq, 42);
	cr_assert_str_eq(out.device_id, "gw-0001");
}

Test(job, only_dispatch_orders)
{
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(NOBODY)), FL_E_KEY_UNKNOWN);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(STRANGER)), FL_E_KEY_UNKNOWN);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(RELEASE_A, RELEASE_B, ROOT_A, ROOT_B)),
		     FL_E_SCOPE);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(STRANGER, DISPATCH)), FL_OK);
}

Test(job, a_known_keyid_over_a_foreign_signature_is_no_signature)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(STRANGER));
	env.sigs[0].keyid = world_keyid(&w, DISPATCH);
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_SIGNATURE);
}

Test(job, a_revoked_key_orders_nothing)
{
	struct fl_digest revoked = world_keyid(&w, DISPATCH);
	w.revoked.keyids.items = &revoked;
	w.revoked.keyids.n = 1;
	w.root_in.revoked = &w.revoked;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_KEY_REVOKED);
}

Test(job, a_revoked_key_that_left_the_root_is_still_named_so)
{
	struct fl_digest revoked = world_keyid(&w, STRANGER);
	w.revoked.keyids.items = &revoked;
	w.revoked.keyids.n = 1;
	w.root_in.revoked = &w.revoked;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(STRANGER)), FL_E_KEY_REVOKED);
}

Test(job, a_release_is_no_job)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	struct fl_envelope env =
		world_sign(&w, FL_DOC_HEARTBEAT,
			   &(struct fl_heartbeat){
				   "heartbeat", 1, "gw-0001", {(const uint8_t *)"", 0}, 1, 1, 1},
			   SIGNERS(DISPATCH));
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_DOC_TYPE);
	env.type = FL_DOC_JOB;
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_SIGNATURE);
}

Test(job, nothing_unsigned_is_parsed)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "not json", SIGNERS(STRANGER));
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_KEY_UNKNOWN);
	env = world_sign_text(&w, FL_DOC_JOB, "not json", SIGNERS(DISPATCH));
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_DOC_SYNTAX);
}

Test(job, an_intent_that_the_role_does_not_list_is_out_of_scope)
{
	static const char *const some[] = {"inventory", "cancel"};
	w.roles[ROLE_DISPATCH].intents.items = some;
	w.roles[ROLE_DISPATCH].intents.n = 2;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_SCOPE);
	w.job.intent = "inventory";
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
}

Test(job, a_role_without_intents_orders_nothing)
{
	w.roles[ROLE_DISPATCH].intents.items = NULL;
	w.roles[ROLE_DISPATCH].intents.n = 0;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_SCOPE);
}

Test(job, a_dispatch_role_may_be_limited_to_products_and_classes)
{
	static const char *const other[] = {"other"}, *const right[] = {"other", "gw-x"};
	struct fl_scope scope = {.products = {other, 1}};
	w.roles[ROLE_DISPATCH].scope = &scope;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_SCOPE);
	scope.products.items = right;
	scope.products.n = 2;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
	scope.classes.items = other;
	scope.classes.n = 1;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_SCOPE);
}

Test(job, another_device_tenant_or_identity_is_refused)
{
	w.job.device_id = "gw-0002";
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_DEVICE);
	w.job.device_id = "gw-0001";
	w.job.tenant = "other";
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_DEVICE);
	w.job.tenant = "acme";
	w.job.identity = world_keyid(&w, STRANGER); /* a clone with a key of its own */
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_DEVICE);
}

Test(job, another_epoch_is_refused)
{
	w.job.epoch = 2;
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_EPOCH);
	w.job.epoch = 4;
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_EPOCH);
}

Test(job, numbers_only_rise)
{
	const uint64_t old[] = {1, 40, 41};
	for (size_t i = 0; i < 3; i++) {
		w.job.job_seq = old[i];
		cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
	}
	w.job.job_seq = 42;
	cr_assert_eq(world_verify_job(&w), FL_OK);
	w.job.job_seq = 1000;
	cr_assert_eq(world_verify_job(&w), FL_OK);
}

Test(job, a_number_far_ahead_is_refused)
{
	w.job.job_seq = 41 + (UINT64_C(1) << 32);
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
	w.job.job_seq++;
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
	w.job.job_seq = FL_U53_MAX;
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
}

Test(job, an_open_one_goes_on_whatever_its_number_and_time)
{
	struct fl_job out;
	struct fl_digest digests[2] = {{{1}}};
	enum fl_job_verdict verdict = FL_JOB_NEW;
	w.job.job_seq = 7;
	w.job.issued = NOW - 20 * DAY;
	w.job.expires = NOW - DAY;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(DISPATCH));
	cr_assert_eq(fl_envelope_digest(&env, &digests[1], &w.err), FL_OK);
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_REPLAYED);
	w.state.open_jobs.items = digests;
	w.state.open_jobs.n = 2;
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err), FL_OK,
		     "%s", w.err.msg);
	cr_assert_eq(verdict, FL_JOB_OPEN);
	w.state.open_jobs.n = 1; /* closed */
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_REPLAYED);
}

Test(job, an_open_one_must_still_be_signed)
{
	struct fl_job out;
	struct fl_digest digest;
	enum fl_job_verdict verdict;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(STRANGER));
	cr_assert_eq(fl_envelope_digest(&env, &digest, &w.err), FL_OK);
	w.state.open_jobs.items = &digest;
	w.state.open_jobs.n = 1;
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_KEY_UNKNOWN);
}

Test(job, an_expired_one_is_refused)
{
	w.job.issued = NOW - 10 * DAY;
	w.job.expires = NOW - 1;
	cr_assert_eq(world_verify_job(&w), FL_E_EXPIRED);
	w.job.expires = NOW;
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
}

Test(job, a_device_without_a_clock_still_takes_it)
{
	w.state.t_min = 0; /* as if 1970 */
	cr_assert_eq(world_verify_job(&w), FL_OK);
	w.state.t_min = UINT64_C(4070908800); /* 2099 */
	cr_assert_eq(world_verify_job(&w), FL_E_EXPIRED);
}

Test(job, one_issued_far_ahead_of_known_time_is_refused)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	w.job.issued = NOW + 30 * DAY;
	w.job.expires = NOW + 40 * DAY;
	cr_assert_eq(world_verify_job(&w), FL_OK);
	w.job.issued++;
	cr_assert_eq(world_verify_job(&w), FL_E_TIME_UNTRUSTED);
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(DISPATCH));
	cr_assert_eq(fl_verify_job(&w.state, &env, 0, &w.arena, &out, &verdict, &w.err), FL_OK,
		     "no time known");
}

Test(job, an_expired_root_installs_nothing_new)
{
	w.root_in.expires = NOW - 1;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_EXPIRED);
	w.job.intent = "inventory";
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
	w.job.intent = "rollback";
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
}

Test(job, a_threshold_of_two_dispatch_keys_needs_both)
{
	w.role_keyids[ROLE_DISPATCH][1] = world_keyid(&w, OPERATOR);
	w.roles[ROLE_DISPATCH].keyids.n = 2;
	w.roles[ROLE_DISPATCH].threshold = 2;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job(&w), FL_E_SIGNATURE);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(DISPATCH, OPERATOR)), FL_OK, "%s", w.err.msg);
}

/* --- heartbeat --- */

static uint8_t nonce[32] = {1, 2, 3};

static enum fl_rc beat(const char *device_id, const uint8_t *sent, const enum who *signers)
{
	struct fl_heartbeat out, in = {"heartbeat", 1, device_id, {sent, 32}, NOW, 42, 1};
	struct fl_envelope env = world_sign(&w, FL_DOC_HEARTBEAT, &in, signers);
	return fl_verify_heartbeat(&w.state, &env, nonce, &w.arena, &out, &w.err);
}

Test(heartbeat, the_answer_to_the_nonce_is_taken)
{
	cr_assert_eq(beat("gw-0001", nonce, SIGNERS(DISPATCH)), FL_OK, "%s", w.err.msg);
}

Test(heartbeat, yesterday_s_answer_is_not)
{
	uint8_t other[32];
	for (size_t i = 0; i < sizeof(other); i++) {
		memcpy(other, nonce, sizeof(other));
		other[i] ^= 0x80;
		cr_assert_eq(beat("gw-0001", other, SIGNERS(DISPATCH)), FL_E_NONCE);
	}
}

Test(heartbeat, another_device_s_is_not)
{
	cr_assert_eq(beat("gw-0002", nonce, SIGNERS(DISPATCH)), FL_E_WRONG_DEVICE);
}

Test(heartbeat, only_dispatch_beats)
{
	cr_assert_eq(beat("gw-0001", nonce, SIGNERS(STRANGER)), FL_E_KEY_UNKNOWN);
	cr_assert_eq(beat("gw-0001", nonce, SIGNERS(RELEASE_A, RELEASE_B)), FL_E_SCOPE);
}

Test(heartbeat, a_role_without_intents_may)
{
	w.roles[ROLE_DISPATCH].intents.items = NULL;
	w.roles[ROLE_DISPATCH].intents.n = 0;
	world_apply_root(&w);
	cr_assert_eq(beat("gw-0001", nonce, SIGNERS(DISPATCH)), FL_OK, "%s", w.err.msg);
}

/* --- report --- */

static struct fl_report a_report(void)
{
	return (struct fl_report){.type = "report",
				  .spec = 1,
				  .device_id = "gw-0001",
				  .report_seq = 1,
				  .boot_id = "5f0c8f55-2a2c-4b42-9d3b-6a2c6fb9f6d0",
				  .state = "committed",
				  .utc = NOW,
				  .time_quality = "fleet"};
}

static enum fl_rc report_by(const enum who *signers, const struct fl_report *in)
{
	struct fl_report out;
	struct fl_envelope env = world_sign(&w, FL_DOC_REPORT, in, signers);
	return fl_verify_report(fl_key_public(w.keys[DEVICE]), "gw-0001", &env, &w.arena, &out,
				&w.err);
}

Test(report, the_device_s_own_is_taken)
{
	struct fl_report in = a_report();
	cr_assert_eq(report_by(SIGNERS(DEVICE), &in), FL_OK, "%s", w.err.msg);
}

Test(report, anybody_else_s_is_invalid)
{
	struct fl_report in = a_report();
	cr_assert_eq(report_by(SIGNERS(STRANGER), &in), FL_E_REPORT_INVALID);
	cr_assert_eq(report_by(SIGNERS(DISPATCH), &in), FL_E_REPORT_INVALID);
	cr_assert_eq(report_by(SIGNERS(NOBODY), &in), FL_E_REPORT_INVALID);
}

Test(report, one_in_another_device_s_name_is_invalid)
{
	struct fl_report in = a_report();
	in.device_id = "gw-0002";
	cr_assert_eq(report_by(SIGNERS(DEVICE), &in), FL_E_REPORT_INVALID);
}
