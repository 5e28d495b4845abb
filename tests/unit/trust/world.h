/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for the tests: the keys of everybody, a root document, one device, one release, one
 * job, all right. A test changes one thing and says what must come of it.
 */
#ifndef FAIRLEAD_TESTS_UNIT_TRUST_WORLD_H
#define FAIRLEAD_TESTS_UNIT_TRUST_WORLD_H

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>
#include <fairlead/trust/verify.h>

enum who {
	ROOT_A,
	ROOT_B,
	ROOT_C,
	RELEASE_A, /* P-256 */
	RELEASE_B,
	VENDOR,	  /* a release key for component mcu_a only */
	DISPATCH, /* P-256 */
	OPERATOR,
	STRANGER, /* in no root */
	DEVICE,
	N_KEYS,
	NOBODY = -1, /* ends a list of signers */
};

#define SIGNERS(...) ((const enum who[]){__VA_ARGS__, NOBODY})

enum { ROLE_ROOT, ROLE_RELEASE, ROLE_VENDOR, ROLE_DISPATCH, ROLE_OPERATOR, N_ROLES };

#define NOW UINT64_C(1800000000)
#define DAY UINT64_C(86400)

struct world {
	struct fl_arena arena;
	struct fl_key *keys[N_KEYS];
	struct fl_err err;

	/* the root as it will be signed; `root` is what comes out of decoding it */
	struct fl_root_key root_keys[N_KEYS];
	struct fl_role roles[8];
	struct fl_digest role_keyids[N_ROLES][4];
	struct fl_scope vendor_scope;
	struct fl_revoked revoked;
	struct fl_floor floor;
	struct fl_root root_in;
	struct fl_root root;

	struct fl_tree_ref tree;
	struct fl_installed_ref installed;
	struct fl_artifact artifact;
	struct fl_component components[2];
	struct fl_health health;
	struct fl_set set;
	struct fl_compat compat;
	struct fl_release release;

	struct fl_job job;
	struct fl_device_facts device;
	struct fl_component_facts facts[2];
	struct fl_trust_state state;
};

/* Fills everything; release v2 (release_seq 2) over a committed release_seq 1. Free with
 * world_done. */
void world_init(struct world *w);
void world_done(struct world *w);

struct fl_digest world_keyid(const struct world *w, enum who who);
/* Encodes root_in, decodes it again into w->root. */
void world_apply_root(struct world *w);
/* The struct as a signed envelope; the payload lives in the arena. */
struct fl_envelope world_sign(struct world *w, enum fl_doc_type type, const void *doc,
			      const enum who *signers);
/* The same over any text. */
struct fl_envelope world_sign_text(struct world *w, enum fl_doc_type type, const char *text,
				   const enum who *signers);
/* Signs the release (by both release keys), pins it in the job, and verifies it. */
enum fl_rc world_verify_release(struct world *w);
enum fl_rc world_verify_release_by(struct world *w, const enum who *signers);
/* Signs the job and verifies it. */
enum fl_rc world_verify_job(struct world *w);
enum fl_rc world_verify_job_by(struct world *w, const enum who *signers);

#endif
