/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of root documents. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

static struct world w;
static struct fl_root out;

static void setup(void)
{
	world_init(&w);
	memset(&out, 0, sizeof(out));
}

static void teardown(void)
{
	world_done(&w);
}

TestSuite(root, .init = setup, .fini = teardown);

static enum fl_rc factory(const enum who *signers)
{
	struct fl_envelope env = world_sign(&w, FL_DOC_ROOT, &w.root_in, signers);
	return fl_verify_root(NULL, &env, &w.arena, &out, &w.err);
}

/* root_in, as version 2, over the world's version 1 */
static enum fl_rc next(const enum who *signers)
{
	struct fl_envelope env = world_sign(&w, FL_DOC_ROOT, &w.root_in, signers);
	return fl_verify_root(&w.root, &env, &w.arena, &out, &w.err);
}

/* Version 2 has new root keys: OPERATOR and VENDOR (both thresholds 2). */
static void rotate(void)
{
	w.root_in.version = 2;
	w.role_keyids[ROLE_ROOT][0] = world_keyid(&w, OPERATOR);
	w.role_keyids[ROLE_ROOT][1] = world_keyid(&w, VENDOR);
	w.roles[ROLE_ROOT].keyids.n = 2;
}

Test(root, the_factory_s_root_is_signed_by_its_own_threshold)
{
	cr_assert_eq(factory(SIGNERS(ROOT_A, ROOT_C)), FL_OK, "%s", w.err.msg);
	cr_assert_eq(out.version, 1);
	cr_assert_eq(out.epoch, 3);
	cr_assert_eq(out.keys.n, STRANGER);
}

Test(root, one_key_of_two_is_too_few)
{
	cr_assert_eq(factory(SIGNERS(ROOT_A)), FL_E_SIGNATURE);
	cr_assert_eq(factory(SIGNERS(NOBODY)), FL_E_SIGNATURE);
	cr_assert_eq(out.version, 0, "filled on failure");
}

Test(root, the_same_key_twice_is_too_few)
{
	struct fl_envelope env = world_sign(&w, FL_DOC_ROOT, &w.root_in, SIGNERS(ROOT_A));
	env.sigs[1] = env.sigs[0];
	env.n_sigs = 2;
	cr_assert_eq(fl_verify_root(NULL, &env, &w.arena, &out, &w.err), FL_E_SIGNATURE);
	env.sigs[1].keyid = world_keyid(&w, ROOT_B);
	cr_assert_eq(fl_verify_root(NULL, &env, &w.arena, &out, &w.err), FL_E_SIGNATURE);
}

Test(root, keys_of_other_roles_do_not_help)
{
	cr_assert_eq(factory(SIGNERS(ROOT_A, RELEASE_A, DISPATCH, OPERATOR)), FL_E_SIGNATURE);
}

Test(root, the_next_version_is_signed_by_both_thresholds)
{
	rotate();
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B, OPERATOR, VENDOR)), FL_OK, "%s", w.err.msg);
	cr_assert_eq(out.version, 2);
}

Test(root, old_keys_alone_are_not_enough)
{
	rotate();
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B, ROOT_C)), FL_E_SIGNATURE);
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B, OPERATOR)), FL_E_SIGNATURE);
}

Test(root, new_keys_alone_are_not_enough)
{
	rotate();
	cr_assert_eq(next(SIGNERS(OPERATOR, VENDOR)), FL_E_SIGNATURE);
	cr_assert_eq(next(SIGNERS(OPERATOR, VENDOR, ROOT_A)), FL_E_SIGNATURE);
	cr_assert_eq(out.version, 0);
}

Test(root, no_version_is_skipped_or_repeated)
{
	const uint64_t versions[] = {1, 3, 4, FL_U53_MAX};
	for (size_t i = 0; i < 4; i++) {
		w.root_in.version = versions[i];
		cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_E_ROOT_VERSION);
	}
	w.root_in.version = 2;
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_OK);
}

Test(root, the_epoch_never_falls)
{
	w.root_in.version = 2;
	w.root_in.epoch = 2;
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_E_ROOT_VERSION);
	w.root_in.epoch = 9;
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_OK);
}

Test(root, an_expired_root_may_still_be_followed)
{
	/* neither the time of the old one nor that of the new one is looked at here */
	w.root_in.expires = w.root_in.issued;
	world_apply_root(&w);
	w.root_in.version = 2;
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_OK);
}

Test(root, a_key_that_the_current_root_revokes_lets_nothing_in)
{
	struct fl_digest revoked = world_keyid(&w, ROOT_A);
	w.revoked.keyids.items = &revoked;
	w.revoked.keyids.n = 1;
	w.root_in.revoked = &w.revoked;
	world_apply_root(&w);
	w.root_in.version = 2;
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_E_SIGNATURE);
	cr_assert_eq(next(SIGNERS(ROOT_B, ROOT_C)), FL_OK);
}

Test(root, a_root_may_revoke_a_key_that_still_let_it_in)
{
	struct fl_digest revoked = world_keyid(&w, ROOT_A);
	w.revoked.keyids.items = &revoked;
	w.revoked.keyids.n = 1;
	w.root_in.revoked = &w.revoked;
	w.root_in.version = 2;
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_E_SIGNATURE, "its own threshold lacks one");
	cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B, ROOT_C)), FL_OK);
}

Test(root, other_documents_are_no_roots)
{
	struct fl_envelope env = world_sign(&w, FL_DOC_ROOT, &w.root_in, SIGNERS(ROOT_A, ROOT_B));
	env.type = FL_DOC_RELEASE;
	cr_assert_eq(fl_verify_root(NULL, &env, &w.arena, &out, &w.err), FL_E_DOC_TYPE);
	/* signed as a release, presented as a root */
	env = world_sign(&w, FL_DOC_RELEASE, &w.release, SIGNERS(ROOT_A, ROOT_B));
	env.type = FL_DOC_ROOT;
	cr_assert_eq(fl_verify_root(&w.root, &env, &w.arena, &out, &w.err), FL_E_SIGNATURE);
}

Test(root, nothing_unsigned_is_parsed)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_ROOT, "not json", SIGNERS(STRANGER));
	cr_assert_eq(fl_verify_root(&w.root, &env, &w.arena, &out, &w.err), FL_E_SIGNATURE);
	env = world_sign_text(&w, FL_DOC_ROOT, "not json", SIGNERS(ROOT_A, ROOT_B));
	cr_assert_eq(fl_verify_root(&w.root, &env, &w.arena, &out, &w.err), FL_E_DOC_SYNTAX);
}

Test(root, a_chain_of_forty_is_walked_one_by_one)
{
	for (uint64_t version = 2; version <= 41; version++) {
		w.root_in.version = version;
		cr_assert_eq(next(SIGNERS(ROOT_A, ROOT_B)), FL_OK, "%s", w.err.msg);
		w.root = out;
	}
	cr_assert_eq(w.root.version, 41);
}
