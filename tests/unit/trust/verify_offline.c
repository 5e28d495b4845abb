/* SPDX-License-Identifier: Apache-2.0 */
/* Offline jobs: by whom, for whom, and their own counter. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

static struct world w;
static struct fl_job_device devices[3];

static void setup(void)
{
	world_init(&w);
	devices[0] = (struct fl_job_device){.device_id = "gw-0000"};
	devices[1] = (struct fl_job_device){"gw-0001", w.device.identity};
	devices[2] = (struct fl_job_device){.device_id = "gw-0002"};
	w.job.intent = "install_offline";
	w.job.device_id = NULL;
	w.job.identity = (struct fl_digest){{0}};
	w.job.job_seq = 0;
	w.job.offline_seq = NOW;
	w.job.devices.items = devices;
	w.job.devices.n = 3;
}

static void teardown(void)
{
	world_done(&w);
}

TestSuite(offline, .init = setup, .fini = teardown);

Test(offline, dispatch_or_an_operator_orders_it)
{
	struct fl_job out;
	enum fl_job_verdict verdict = FL_JOB_OPEN;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(OPERATOR));
	cr_assert_eq(fl_verify_job(&w.state, &env, 0, &w.arena, &out, &verdict, &w.err), FL_OK, "%s",
		     w.err.msg);
	cr_assert_eq(verdict, FL_JOB_NEW);
	cr_assert(fl_job_is_offline(&out) && fl_job_has_release(&out));
	cr_assert_eq(out.offline_seq, NOW);
	cr_assert_eq(out.devices.n, 3);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(DISPATCH)), FL_OK, "%s", w.err.msg);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(DISPATCH, OPERATOR)), FL_OK);
}

Test(offline, nobody_else_does)
{
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(NOBODY)), FL_E_KEY_UNKNOWN);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(STRANGER)), FL_E_KEY_UNKNOWN);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(RELEASE_A, RELEASE_B, ROOT_A, ROOT_B)),
		     FL_E_SCOPE);
}

Test(offline, an_operator_orders_nothing_else)
{
	static const char *const all[] = {"install_offline", "install", "rollback", "cancel"};
	w.roles[ROLE_OPERATOR].intents.items = all;
	w.roles[ROLE_OPERATOR].intents.n = 4;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_OK);
	w.job.devices.items = NULL;
	w.job.devices.n = 0;
	w.job.offline_seq = 0;
	w.job.device_id = "gw-0001";
	w.job.identity = w.device.identity;
	w.job.job_seq = 42;
	w.job.target = w.device.identity;
	for (size_t i = 1; i < 4; i++) {
		w.job.intent = all[i];
		cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SCOPE, "%s", all[i]);
		cr_assert_eq(world_verify_job_by(&w, SIGNERS(DISPATCH)), FL_OK, "%s", w.err.msg);
	}
}

Test(offline, the_root_must_list_the_intent)
{
	static const char *const others[] = {"install"};
	w.roles[ROLE_OPERATOR].intents.items = others;
	w.roles[ROLE_DISPATCH].intents.items = others;
	w.roles[ROLE_DISPATCH].intents.n = 1;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SCOPE);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(DISPATCH)), FL_E_SCOPE);
	w.roles[ROLE_OPERATOR].intents.items = NULL;
	w.roles[ROLE_OPERATOR].intents.n = 0;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SCOPE);
}

Test(offline, a_threshold_of_operators_holds)
{
	w.role_keyids[ROLE_OPERATOR][1] = world_keyid(&w, VENDOR);
	w.roles[ROLE_OPERATOR].keyids.n = 2;
	w.roles[ROLE_OPERATOR].threshold = 2;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SIGNATURE);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR, OPERATOR)), FL_E_SIGNATURE);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR, VENDOR)), FL_OK, "%s", w.err.msg);
}

Test(offline, an_operator_may_be_limited)
{
	static const char *const other[] = {"other"};
	struct fl_scope scope = {.products = {other, 1}};
	w.roles[ROLE_OPERATOR].scope = &scope;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SCOPE);
	scope = (struct fl_scope){.classes = {other, 1}};
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SCOPE);
	scope = (struct fl_scope){.components = {other, 1}};
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_SCOPE,
		     "what a job does not say cannot be within a limit");
}

Test(offline, a_revoked_operator_orders_nothing)
{
	struct fl_digest revoked = world_keyid(&w, OPERATOR);
	w.revoked.keyids.items = &revoked;
	w.revoked.keyids.n = 1;
	w.root_in.revoked = &w.revoked;
	world_apply_root(&w);
	cr_assert_eq(world_verify_job_by(&w, SIGNERS(OPERATOR)), FL_E_KEY_REVOKED);
}

Test(offline, nothing_unsigned_is_parsed)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "not json", SIGNERS(VENDOR));
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_SCOPE);
	env = world_sign_text(&w, FL_DOC_JOB, "not json", SIGNERS(OPERATOR));
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_DOC_SYNTAX);
}

Test(offline, another_device_tenant_epoch_or_clone_is_refused)
{
	devices[1].device_id = "gw-0003";
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_DEVICE);
	devices[1].device_id = "gw-0001";
	devices[1].identity = world_keyid(&w, STRANGER); /* a clone with a key of its own */
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_DEVICE);
	devices[1].identity = (struct fl_digest){{0}}; /* signed without knowing the key */
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
	w.job.tenant = "other";
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_DEVICE);
	w.job.tenant = "acme";
	w.job.epoch = 4;
	cr_assert_eq(world_verify_job(&w), FL_E_WRONG_EPOCH);
}

Test(offline, its_numbers_are_its_own)
{
	w.state.job_seq = FL_U53_MAX; /* of the jobs from the network */
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
	w.state.offline_seq = NOW; /* this bundle, or one of the same number */
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
	w.state.offline_seq = NOW + 1; /* a newer one came before */
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
	w.state.offline_seq = NOW - 1;
	cr_assert_eq(world_verify_job(&w), FL_OK);
	w.state.offline_seq = 0; /* its first: numbers begin with the time */
	cr_assert_eq(world_verify_job(&w), FL_OK);
	w.job.offline_seq = (UINT64_C(1) << 32) + 1;
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
	w.job.offline_seq = FL_U53_MAX;
	cr_assert_eq(world_verify_job(&w), FL_E_REPLAYED);
}

Test(offline, an_open_one_may_come_again_a_closed_one_never)
{
	struct fl_job out;
	struct fl_digest digest;
	enum fl_job_verdict verdict = FL_JOB_NEW;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(OPERATOR));
	cr_assert_eq(fl_envelope_digest(&env, &digest, &w.err), FL_OK);
	w.state.offline_seq = NOW;
	w.state.t_min = NOW + 30 * DAY;
	w.state.open_jobs.items = &digest;
	w.state.open_jobs.n = 1;
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err), FL_OK,
		     "%s", w.err.msg);
	cr_assert_eq(verdict, FL_JOB_OPEN);
	w.state.open_jobs.n = 0;
	cr_assert_eq(fl_verify_job(&w.state, &env, NOW, &w.arena, &out, &verdict, &w.err),
		     FL_E_REPLAYED);
}

Test(offline, time_is_its_lower_bound)
{
	w.job.issued = NOW - 10 * DAY;
	w.job.expires = NOW - 1;
	cr_assert_eq(world_verify_job(&w), FL_E_EXPIRED);
	w.state.t_min = 0; /* no clock: numbers carry */
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
	w.job.expires = NOW + DAY;
	w.root_in.expires = NOW;
	world_apply_root(&w);
	w.state.t_min = NOW;
	cr_assert_eq(world_verify_job(&w), FL_E_EXPIRED, "the root's own");
}

/* Each member of the other kind of job, and each of its own that lacks. */
Test(offline, a_job_is_of_one_kind)
{
	const struct fl_job right = w.job;
	static const char *const urls[] = {"https://elsewhere"};
	w.job.device_id = "gw-0001";
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	w.job.identity = w.device.identity;
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	w.job.job_seq = 42;
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	w.job.urls.items = urls;
	w.job.urls.n = 1;
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	w.job.devices.items = NULL;
	w.job.devices.n = 0;
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	w.job.offline_seq = 0;
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	w.job.release = (struct fl_digest){{0}};
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job = right;
	devices[2].device_id = "gw-0000";
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD, "a device twice");
	devices[2].device_id = "gw-0002";
	w.job.intent = "install";
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD);
	w.job.device_id = "gw-0001";
	w.job.identity = w.device.identity;
	w.job.job_seq = 42;
	cr_assert_eq(world_verify_job(&w), FL_E_DOC_FIELD, "both kinds at once");
}

Test(offline, a_job_of_many_devices_fits_its_document)
{
	static struct fl_job_device many[FL_JOB_DEVICES_MAX];
	static char names[FL_JOB_DEVICES_MAX][FL_NAME_MAX + 1];
	for (size_t i = 0; i < FL_JOB_DEVICES_MAX; i++) {
		memset(names[i], 'x', FL_NAME_MAX);
		names[i][0] = (char)('a' + i / 20);
		names[i][1] = (char)('a' + i % 20);
		many[i] = (struct fl_job_device){names[i], w.device.identity};
	}
	many[FL_JOB_DEVICES_MAX - 1].device_id = "gw-0001";
	w.job.devices.items = many;
	w.job.devices.n = FL_JOB_DEVICES_MAX;
	cr_assert_eq(world_verify_job(&w), FL_OK, "%s", w.err.msg);
}

/* The release is asked the same questions as for any other job. */
Test(offline, its_release_is_verified_like_any_other)
{
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
	w.release.product = "other";
	cr_assert_eq(world_verify_release(&w), FL_E_INCOMPATIBLE);
	w.release.product = "gw-x";
	w.facts[0].release_seq = 3;
	cr_assert_eq(world_verify_release(&w), FL_E_DOWNGRADE);
}
