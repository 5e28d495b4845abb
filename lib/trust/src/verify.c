/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs, heartbeats and reports: what names one device. Signatures first, then parsing, then what it
 * says. */
#include "signers.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/verify.h>

#include <string.h>

#define JOB_SEQ_JUMP_MAX (UINT64_C(1) << 32)
#define ISSUED_AHEAD_MAX (UINT64_C(30) * 24 * 3600)

#define DISPATCH "dispatch"
#define OPERATOR "operator"

struct order {
	const struct fl_device_facts *device;
	const char *intent; /* NULL: any */
};

/* An entry covers the device's product and class, and lists the intent: without a list it orders
 * nothing; a limit on contents, which an order does not show, is none that it keeps. */
static bool covers_order(const struct fl_role *role, const void *what)
{
	const struct order *order = what;
	const struct fl_scope *scope = role->scope;
	if (scope != NULL &&
	    (scope->vendor != NULL || scope->components.n > 0 || scope->handlers.n > 0 ||
	     !fl_scope_lists(scope->products.items, scope->products.n, order->device->product) ||
	     !fl_scope_lists(scope->classes.items, scope->classes.n, order->device->class_id)))
		return false;
	return order->intent == NULL ||
	       (role->intents.n > 0 &&
		fl_scope_lists(role->intents.items, role->intents.n, order->intent));
}

/* Orders are dispatch's; an offline job may be an operator's. What it is nobody knows (NULL) until a
 * key of either has signed it. */
static enum fl_rc check_signers(const struct fl_signers *signers, const struct order *order,
				struct fl_err *err)
{
	struct fl_err why;
	enum fl_rc rc = fl_signers_check(signers, DISPATCH, covers_order, order, err);
	if (rc == FL_OK || signers->valid == 0 ||
	    (order->intent != NULL && strcmp(order->intent, "install_offline") != 0))
		return rc;
	const enum fl_rc as_operator =
		fl_signers_check(signers, OPERATOR, covers_order, order, &why);
	if (as_operator == FL_OK || rc != FL_E_SCOPE)
		return as_operator == FL_OK ? as_operator : rc;
	if (as_operator == FL_E_SCOPE)
		return fl_fail(err, rc, 0, "the keys that signed may not order this");
	return fl_fail(err, as_operator, 0, "%s", why.msg);
}

static enum fl_rc check_devices(const struct fl_device_facts *device, const struct fl_job *job,
				struct fl_err *err)
{
	for (size_t i = 0; i < job->devices.n; i++) {
		const struct fl_job_device *named = &job->devices.items[i];
		if (strcmp(named->device_id, device->device_id) != 0)
			continue;
		if (!fl_digest_is_zero(&named->identity) &&
		    !fl_digest_equal(&named->identity, &device->identity))
			return fl_fail(err, FL_E_WRONG_DEVICE, 0, "for another device key");
		return FL_OK;
	}
	return fl_fail(err, FL_E_WRONG_DEVICE, 0, "for %zu devices, and this is none of them",
		       job->devices.n);
}

static enum fl_rc check_device(const struct fl_device_facts *device, const struct fl_job *job,
			       struct fl_err *err)
{
	if (strcmp(job->tenant, device->tenant) != 0)
		return fl_fail(err, FL_E_WRONG_DEVICE, 0, "for tenant '%s'", job->tenant);
	if (fl_job_is_offline(job))
		return check_devices(device, job, err);
	if (strcmp(job->device_id, device->device_id) != 0)
		return fl_fail(err, FL_E_WRONG_DEVICE, 0, "for device '%s'", job->device_id);
	if (!fl_digest_equal(&job->identity, &device->identity))
		return fl_fail(err, FL_E_WRONG_DEVICE, 0, "for another device key");
	return FL_OK;
}

static bool is_open(const struct fl_trust_state *state, const struct fl_digest *job)
{
	for (size_t i = 0; i < state->open_jobs.n; i++) {
		if (fl_digest_equal(&state->open_jobs.items[i], job))
			return true;
	}
	return false;
}

/* Above the highest that was accepted, each kind by its own counter, and not out of all proportion. */
static enum fl_rc check_number(const struct fl_trust_state *state, const struct fl_job *job,
			       struct fl_err *err)
{
	const bool offline = fl_job_is_offline(job);
	const uint64_t seq = offline ? job->offline_seq : job->job_seq;
	const uint64_t highest = offline ? state->offline_seq : state->job_seq;
	if (seq <= highest)
		return fl_fail(err, FL_E_REPLAYED, 0, "number %llu, %llu was accepted before",
			       (unsigned long long)seq, (unsigned long long)highest);
	if (seq - highest > JOB_SEQ_JUMP_MAX)
		return fl_fail(err, FL_E_REPLAYED, 0, "number %llu is too far ahead of %llu",
			       (unsigned long long)seq, (unsigned long long)highest);
	return FL_OK;
}

/* What is asked once, when the job is accepted. */
static enum fl_rc check_new(const struct fl_trust_state *state, const struct fl_job *job,
			    uint64_t t_now, struct fl_err *err)
{
	enum fl_rc rc = check_number(state, job, err);
	if (rc != FL_OK)
		return rc;
	if (job->expires < state->t_min)
		return fl_fail(err, FL_E_EXPIRED, 0, "expired %llu s ago",
			       (unsigned long long)(state->t_min - job->expires));
	if ((strcmp(job->intent, "install") == 0 || fl_job_is_offline(job)) &&
	    state->root->expires <= state->t_min)
		return fl_fail(err, FL_E_EXPIRED, 0, "the root document has expired");
	if (t_now != 0 && job->issued > t_now && job->issued - t_now > ISSUED_AHEAD_MAX)
		return fl_fail(err, FL_E_TIME_UNTRUSTED, 0,
			       "issued more than 30 days ahead of time");
	return FL_OK;
}

static enum fl_rc verify_job(const struct fl_trust_state *state, const struct fl_envelope *env,
			     struct fl_arena *arena, struct fl_job *ret, struct fl_err *err)
{
	enum fl_rc rc = fl_signers_expect_type(env, FL_DOC_JOB, err);
	if (rc != FL_OK)
		return rc;
	struct order order = {state->device, NULL};
	const struct fl_signers signers = fl_signers_of(state->root, env);
	rc = check_signers(&signers, &order, err);
	if (rc == FL_OK)
		rc = fl_job_decode(env->payload, arena, ret, err);
	if (rc != FL_OK)
		return rc;
	order.intent = ret->intent;
	rc = check_signers(&signers, &order, err);
	if (rc == FL_OK)
		rc = check_device(state->device, ret, err);
	if (rc == FL_OK && ret->epoch != state->root->epoch)
		rc = fl_fail(err, FL_E_WRONG_EPOCH, 0, "epoch %llu, the root's is %llu",
			     (unsigned long long)ret->epoch,
			     (unsigned long long)state->root->epoch);
	return rc;
}

enum fl_rc fl_verify_job(const struct fl_trust_state *state, const struct fl_envelope *env,
			 uint64_t t_now, struct fl_arena *arena, struct fl_job *ret,
			 enum fl_job_verdict *verdict, struct fl_err *err)
{
	struct fl_job job;
	struct fl_digest digest;
	bool open = false;
	enum fl_rc rc = verify_job(state, env, arena, &job, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK)
		open = is_open(state, &digest);
	if (rc == FL_OK && !open)
		rc = check_new(state, &job, t_now, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "verify job");
	*ret = job;
	*verdict = open ? FL_JOB_OPEN : FL_JOB_NEW;
	return FL_OK;
}

static enum fl_rc verify_heartbeat(const struct fl_trust_state *state,
				   const struct fl_envelope *env, const uint8_t nonce[32],
				   struct fl_arena *arena, struct fl_heartbeat *ret,
				   struct fl_err *err)
{
	enum fl_rc rc = fl_signers_expect_type(env, FL_DOC_HEARTBEAT, err);
	if (rc != FL_OK)
		return rc;
	const struct order order = {state->device, NULL};
	const struct fl_signers signers = fl_signers_of(state->root, env);
	struct fl_heartbeat heartbeat;
	rc = fl_signers_check(&signers, DISPATCH, covers_order, &order, err);
	if (rc == FL_OK)
		rc = fl_heartbeat_decode(env->payload, arena, &heartbeat, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(heartbeat.device_id, state->device->device_id) != 0)
		return fl_fail(err, FL_E_WRONG_DEVICE, 0, "for device '%s'", heartbeat.device_id);
	if (memcmp(heartbeat.nonce.data, nonce, heartbeat.nonce.len) != 0)
		return fl_fail(err, FL_E_NONCE, 0, "another nonce");
	*ret = heartbeat;
	return FL_OK;
}

enum fl_rc fl_verify_heartbeat(const struct fl_trust_state *state, const struct fl_envelope *env,
			       const uint8_t nonce[32], struct fl_arena *arena,
			       struct fl_heartbeat *ret, struct fl_err *err)
{
	enum fl_rc rc = verify_heartbeat(state, env, nonce, arena, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "verify heartbeat");
}

static enum fl_rc verify_report(const struct fl_pubkey *device_key, const char *device_id,
				const struct fl_envelope *env, struct fl_arena *arena,
				struct fl_report *ret, struct fl_err *err)
{
	enum fl_rc rc = fl_signers_expect_type(env, FL_DOC_REPORT, err);
	if (rc != FL_OK)
		return rc;
	if (fl_envelope_count_valid(env, &device_key, 1) != 1)
		return fl_fail(err, FL_E_REPORT_INVALID, 0, "not signed by the device's key");
	struct fl_report report;
	rc = fl_report_decode(env->payload, arena, &report, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(report.device_id, device_id) != 0)
		return fl_fail(err, FL_E_REPORT_INVALID, 0, "of device '%s'", report.device_id);
	*ret = report;
	return FL_OK;
}

enum fl_rc fl_verify_report(const struct fl_pubkey *device_key, const char *device_id,
			    const struct fl_envelope *env, struct fl_arena *arena,
			    struct fl_report *ret, struct fl_err *err)
{
	enum fl_rc rc = verify_report(device_key, device_id, env, arena, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "verify report");
}
