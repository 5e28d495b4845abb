/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases: who signed the set and each component, whether it was made for this device, and whether
 * it may follow what the device has. The three questions are asked in this order; each refusal has
 * its own code.
 */
#include "signers.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/verify.h>

#include <string.h>

#define RELEASE "release"

struct subject {
	const struct fl_release *release;
	const struct fl_component *component; /* NULL: the set */
};

/* Vendor and product, and every class the release is for, so that device and fleet judge alike. */
static bool covers_product(const struct fl_scope *scope, const struct fl_release *release)
{
	if (scope->vendor != NULL &&
	    (release->vendor_id == NULL || strcmp(scope->vendor, release->vendor_id) != 0))
		return false;
	if (!fl_scope_lists(scope->products.items, scope->products.n, release->product))
		return false;
	for (size_t i = 0; i < release->compat->class_ids.n; i++) {
		if (!fl_scope_lists(scope->classes.items, scope->classes.n,
				    release->compat->class_ids.items[i]))
			return false;
	}
	return true;
}

/* The set (order, health, rollbacks) belongs to keys of the whole product: those without a list of
 * components or handlers. */
static bool covers_subject(const struct fl_role *role, const void *what)
{
	const struct subject *subject = what;
	const struct fl_scope *scope = role->scope;
	if (scope == NULL)
		return true;
	if (!covers_product(scope, subject->release))
		return false;
	if (subject->component == NULL)
		return scope->components.n == 0 && scope->handlers.n == 0;
	return fl_scope_lists(scope->components.items, scope->components.n,
			      subject->component->name) &&
	       fl_scope_lists(scope->handlers.items, scope->handlers.n,
			      subject->component->handler);
}

static enum fl_rc check_scopes(const struct fl_signers *signers, const struct fl_release *release,
			       struct fl_err *err)
{
	struct subject subject = {release, NULL};
	enum fl_rc rc = fl_signers_check(signers, RELEASE, covers_subject, &subject, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "the set");
	for (size_t i = 0; i < release->components.n; i++) {
		subject.component = &release->components.items[i];
		rc = fl_signers_check(signers, RELEASE, covers_subject, &subject, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "component '%s'", subject.component->name);
	}
	return FL_OK;
}

static bool among(const struct fl_digest *digests, size_t n, const struct fl_digest *digest)
{
	for (size_t i = 0; i < n; i++) {
		if (fl_digest_equal(&digests[i], digest))
			return true;
	}
	return false;
}

static enum fl_rc verify_signatures(const struct fl_root *root, const struct fl_envelope *env,
				    const struct fl_digest *digest, struct fl_arena *arena,
				    struct fl_release *ret, struct fl_err *err)
{
	enum fl_rc rc = fl_signers_expect_type(env, FL_DOC_RELEASE, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_signers signers = fl_signers_of(root, env);
	rc = fl_signers_check(&signers, RELEASE, NULL, NULL, err);
	if (rc == FL_OK && root->revoked != NULL &&
	    among(root->revoked->releases.items, root->revoked->releases.n, digest))
		rc = fl_fail(err, FL_E_KEY_REVOKED, 0, "the release is revoked");
	if (rc == FL_OK)
		rc = fl_release_decode(env->payload, arena, ret, err);
	return rc == FL_OK ? check_scopes(&signers, ret, err) : rc;
}

enum fl_rc fl_verify_release_signatures(const struct fl_root *root, const struct fl_envelope *env,
					struct fl_arena *arena, struct fl_release *ret,
					struct fl_err *err)
{
	struct fl_release release;
	struct fl_digest digest;
	enum fl_rc rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK)
		rc = verify_signatures(root, env, &digest, arena, &release, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "verify release");
	*ret = release;
	return FL_OK;
}

static enum fl_rc check_compatible(const struct fl_device_facts *device,
				   const struct fl_release *release, struct fl_err *err)
{
	const struct fl_compat *compat = release->compat;
	if (strcmp(release->product, device->product) != 0)
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "for product '%s'", release->product);
	if (!fl_scope_lists(compat->class_ids.items, compat->class_ids.n, device->class_id))
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "not for class '%s'", device->class_id);
	if (device->hw_rev < compat->hw_rev_min || device->hw_rev > compat->hw_rev_max)
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "not for hardware revision %llu",
			       (unsigned long long)device->hw_rev);
	return FL_OK;
}

static const struct fl_component_facts *facts_of(const struct fl_trust_state *state,
						 const char *name)
{
	for (size_t i = 0; i < state->components.n; i++) {
		if (strcmp(state->components.items[i].name, name) == 0)
			return &state->components.items[i];
	}
	return NULL;
}

static enum fl_rc below(struct fl_err *err, const char *what, uint64_t value, uint64_t floor)
{
	return fl_fail(err, FL_E_BELOW_FLOOR, 0, "%s %llu is below %llu", what,
		       (unsigned long long)value, (unsigned long long)floor);
}

static enum fl_rc check_floors(const struct fl_trust_state *state, const struct fl_component *c,
			       const struct fl_component_facts *facts, struct fl_err *err)
{
	if (c->security_version < facts->security_floor)
		return below(err, "security_version", c->security_version, facts->security_floor);
	for (size_t i = 0; i < state->root->floors.n; i++) {
		const struct fl_floor *floor = &state->root->floors.items[i];
		if (strcmp(floor->product, state->device->product) != 0 ||
		    strcmp(floor->component, c->name) != 0)
			continue;
		if (c->security_version < floor->min_security_version)
			return below(err, "security_version", c->security_version,
				     floor->min_security_version);
		if (c->release_seq < floor->min_release_seq)
			return below(err, "release_seq", c->release_seq, floor->min_release_seq);
	}
	return FL_OK;
}

/* Higher; equal for the same release only; lower where the committed release permits it. */
static enum fl_rc check_sequence(const struct fl_component *c,
				 const struct fl_component_facts *facts,
				 const struct fl_digest *digest, struct fl_err *err)
{
	if (c->release_seq > facts->release_seq)
		return FL_OK;
	if (c->release_seq == facts->release_seq && fl_digest_equal(digest, &facts->release))
		return FL_OK;
	if (c->release_seq < facts->release_seq &&
	    among(facts->permits_rollback_to.items, facts->permits_rollback_to.n, digest))
		return FL_OK;
	return fl_fail(err, FL_E_DOWNGRADE, 0, "release_seq %llu, the device has %llu",
		       (unsigned long long)c->release_seq, (unsigned long long)facts->release_seq);
}

static enum fl_rc check_component(const struct fl_trust_state *state, const struct fl_component *c,
				  const struct fl_digest *digest, struct fl_err *err)
{
	const struct fl_component_facts *facts = facts_of(state, c->name);
	if (facts == NULL)
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "the device has no such component");
	if (c->handler == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "a vendor's component document");
	if (strcmp(c->handler, facts->handler) != 0)
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "handler '%s', the device has '%s'",
			       c->handler, facts->handler);
	enum fl_rc rc = check_floors(state, c, facts, err);
	return rc == FL_OK ? check_sequence(c, facts, digest, err) : rc;
}

/* The job's components, or all. */
static enum fl_rc check_components(const struct fl_trust_state *state, const struct fl_job *job,
				   const struct fl_release *release, const struct fl_digest *digest,
				   struct fl_err *err)
{
	for (size_t i = 0; i < job->components.n; i++) {
		if (fl_release_component(release, job->components.items[i]) == NULL)
			return fl_fail(err, FL_E_RELEASE_MISMATCH, 0, "it has no component '%s'",
				       job->components.items[i]);
	}
	for (size_t i = 0; i < release->components.n; i++) {
		const struct fl_component *c = &release->components.items[i];
		if (!fl_scope_lists(job->components.items, job->components.n, c->name))
			continue;
		enum fl_rc rc = check_component(state, c, digest, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "component '%s'", c->name);
	}
	return FL_OK;
}

static enum fl_rc verify(const struct fl_trust_state *state, const struct fl_job *job,
			 const struct fl_envelope *env, struct fl_arena *arena,
			 struct fl_release *ret, struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK && !fl_digest_equal(&digest, &job->release))
		rc = fl_fail(err, FL_E_RELEASE_MISMATCH, 0, "not the release of the job");
	if (rc == FL_OK)
		rc = verify_signatures(state->root, env, &digest, arena, ret, err);
	if (rc == FL_OK && ret->expires < state->t_min)
		rc = fl_fail(err, FL_E_EXPIRED, 0, "expired %llu s ago",
			     (unsigned long long)(state->t_min - ret->expires));
	if (rc == FL_OK)
		rc = check_compatible(state->device, ret, err);
	return rc == FL_OK ? check_components(state, job, ret, &digest, err) : rc;
}

enum fl_rc fl_verify_release(const struct fl_trust_state *state, const struct fl_job *job,
			     const struct fl_envelope *env, struct fl_arena *arena,
			     struct fl_release *ret, struct fl_err *err)
{
	struct fl_release release;
	enum fl_rc rc = verify(state, job, env, arena, &release, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "verify release");
	*ret = release;
	return FL_OK;
}
