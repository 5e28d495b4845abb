/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom to believe: the order of checks that agent and helper share. Pure: no clock, no file, no state of its own;
 * what the caller knows comes in as a struct. Every refusal has a code of its own.
 *
 *   1 root chain → 2 job → 3 release → (4…6: space, policy, chunks, seal) → 7 release again → 9 heartbeat, commit
 */
#ifndef FAIRLEAD_TRUST_VERIFY_H
#define FAIRLEAD_TRUST_VERIFY_H

#include <fairlead/trust/documents.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a device is: from its root-owned configuration. */
struct fl_device_facts {
	const char *tenant;
	const char *device_id;
	const char *product;
	const char *class_id;
	uint64_t hw_rev;
	struct fl_digest identity; /* SHA-256 of the device key's SPKI */
};

/* What is known of a component: max of anchor, running image and root. */
struct fl_component_facts {
	const char *name;
	const char *handler;	     /* as configured */
	uint64_t release_seq;	     /* committed; 0: never */
	uint64_t security_floor;     /* security_version may not be lower */
	struct fl_digest release;    /* committed release; zero: unknown */
	FL_LIST(struct fl_digest) permits_rollback_to; /* of the committed release */
};

struct fl_trust_state {
	const struct fl_root *root;
	const struct fl_device_facts *device;
	FL_LIST(struct fl_component_facts) components;
	uint64_t t_min;	 /* lower bound of the time, seconds since 1970 UTC */
	uint64_t job_seq; /* highest accepted */
	uint64_t offline_seq; /* the same of offline jobs */
	FL_LIST(struct fl_digest) open_jobs;
};

/*
 * Is `next` the root that follows `current`: version exactly +1 (epoch equal or higher), signed by both
 * thresholds? With current NULL: the factory's root, signed by its own threshold. *ret is filled on success only.
 * FL_E_ROOT_VERSION, FL_E_SIGNATURE, FL_E_DOC_*.
 */
enum fl_rc fl_verify_root(const struct fl_root *current, const struct fl_envelope *next,
			  struct fl_arena *arena, struct fl_root *ret, struct fl_err *err)
	FL_CHECKED;

enum fl_job_verdict {
	FL_JOB_NEW,	/* may be accepted: the caller lists it as open before it acts */
	FL_JOB_OPEN,	/* accepted before and not closed: go on */
};

/*
 * Signatures for its intent (dispatch; of an offline job also an operator), form, device, identity, tenant, epoch; then, unless it is
 * open: job_seq above the highest (offline_seq of an offline job) and at most 2^32 beyond it (FL_E_REPLAYED), expires ≥ t_min (FL_E_EXPIRED), issued not more than 30 days past
 * t_now (0: unknown).
 */
enum fl_rc fl_verify_job(const struct fl_trust_state *state, const struct fl_envelope *env,
			 uint64_t t_now, struct fl_arena *arena, struct fl_job *ret,
			 enum fl_job_verdict *verdict, struct fl_err *err) FL_CHECKED;

/*
 * Digest pinned by the job, signatures and scope of the set and of every component, revocation, expiry, product, class,
 * hardware revision, floors, release_seq (equal only for the same release; lower only when the committed release
 * permits it), only components that the device has, with their handlers.
 */
enum fl_rc fl_verify_release(const struct fl_trust_state *state, const struct fl_job *job,
			     const struct fl_envelope *env, struct fl_arena *arena,
			     struct fl_release *ret, struct fl_err *err) FL_CHECKED;

/* A release by itself, as the fleet server and `release verify` see it: signatures and scope, revocation. */
enum fl_rc fl_verify_release_signatures(const struct fl_root *root, const struct fl_envelope *env,
					struct fl_arena *arena, struct fl_release *ret,
					struct fl_err *err) FL_CHECKED;

/* Signed by dispatch, for this device, on this nonce (32 bytes). FL_E_NONCE otherwise. */
enum fl_rc fl_verify_heartbeat(const struct fl_trust_state *state, const struct fl_envelope *env,
			       const uint8_t nonce[32], struct fl_arena *arena,
			       struct fl_heartbeat *ret, struct fl_err *err) FL_CHECKED;

/* Signed by that device key, for that device. FL_E_REPORT_INVALID otherwise. */
enum fl_rc fl_verify_report(const struct fl_pubkey *device_key, const char *device_id,
			    const struct fl_envelope *env, struct fl_arena *arena,
			    struct fl_report *ret, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
