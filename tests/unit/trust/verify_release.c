/* SPDX-License-Identifier: Apache-2.0 */
/* Which releases a device takes: signatures and scopes, then compatibility, then what may follow
 * what. */
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

TestSuite(release, .init = setup, .fini = teardown);

#define BOTH SIGNERS(RELEASE_A, RELEASE_B)

static bool says(const char *part)
{
	return strstr(w.err.msg, part) != NULL;
}

Test(release, a_right_one_is_taken)
{
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, BOTH);
	cr_assert_eq(fl_envelope_digest(&env, &w.job.release, &w.err), FL_OK);
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err), FL_OK, "%s",
		     w.err.msg);
	cr_assert_str_eq(out.version, "2.0");
	cr_assert_eq(out.components.n, 2);
}

/* --- signatures and scopes --- */

Test(release, one_of_two_keys_is_too_few)
{
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(RELEASE_A)), FL_E_SIGNATURE);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(RELEASE_A, STRANGER)), FL_E_SIGNATURE);
}

Test(release, the_same_key_twice_is_too_few)
{
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, SIGNERS(RELEASE_A));
	struct fl_envelope again = world_sign(&w, FL_DOC_RELEASE, &w.release, SIGNERS(RELEASE_A));
	env.sigs[1] = again.sigs[0]; /* ECDSA: another signature by the same key */
	env.n_sigs = 2;
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err),
		     FL_E_SIGNATURE);
	env.sigs[1].keyid = world_keyid(&w, RELEASE_B);
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err),
		     FL_E_SIGNATURE);
}

Test(release, unsigned_and_foreign_ones_are_unknown)
{
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(NOBODY)), FL_E_KEY_UNKNOWN);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(STRANGER, DEVICE)), FL_E_KEY_UNKNOWN);
}

/* security.md 2: what a stolen server can sign */
Test(release, dispatch_and_root_keys_sign_no_release)
{
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(DISPATCH)), FL_E_SCOPE);
	cr_assert_eq(
		world_verify_release_by(&w, SIGNERS(DISPATCH, OPERATOR, ROOT_A, ROOT_B, ROOT_C)),
		FL_E_SCOPE);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(DISPATCH, RELEASE_A)), FL_E_SIGNATURE);
}

Test(release, a_vendor_s_key_does_not_sign_the_set)
{
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(VENDOR)), FL_E_SCOPE);
	cr_assert(says("the set"), "%s", w.err.msg);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(VENDOR, RELEASE_A)), FL_E_SIGNATURE);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(VENDOR, RELEASE_A, RELEASE_B)), FL_OK);
}

Test(release, keys_of_two_entries_do_not_add_up)
{
	/* two entries "release", each with a threshold of two, one key of each has signed */
	w.role_keyids[ROLE_VENDOR][1] = world_keyid(&w, OPERATOR);
	w.roles[ROLE_VENDOR].keyids.n = 2;
	w.roles[ROLE_VENDOR].threshold = 2;
	w.roles[ROLE_VENDOR].scope = NULL;
	world_apply_root(&w);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(RELEASE_A, VENDOR)), FL_E_SIGNATURE);
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(VENDOR, OPERATOR)), FL_OK,
		     "either entry will do");
}

static void limit_release(const struct fl_scope *scope)
{
	w.roles[ROLE_RELEASE].scope = scope;
	world_apply_root(&w);
}

Test(release, a_scope_of_products_holds)
{
	static const char *const other[] = {"gw-y"}, *const both[] = {"gw-y", "gw-x"};
	struct fl_scope scope = {.products = {other, 1}};
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_E_SCOPE);
	scope.products.items = both;
	scope.products.n = 2;
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, a_scope_of_classes_holds_for_every_class_of_the_release)
{
	static const char *const a[] = {"class-a"}, *const ab[] = {"class-a", "class-b"};
	struct fl_scope scope = {.classes = {a, 1}};
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
	w.compat.class_ids.items = ab;
	w.compat.class_ids.n = 2;
	cr_assert_eq(world_verify_release(&w), FL_E_SCOPE);
	scope.classes.items = ab;
	scope.classes.n = 2;
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, a_scope_of_a_vendor_holds)
{
	struct fl_scope scope = {.vendor = "acme"};
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_E_SCOPE, "a release without a vendor");
	w.release.vendor_id = "other";
	cr_assert_eq(world_verify_release(&w), FL_E_SCOPE);
	w.release.vendor_id = "acme";
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, a_scope_with_handlers_or_components_is_no_product_scope)
{
	static const char *const all[] = {"rootfs", "mcu_a", "mcu"};
	struct fl_scope scope = {.handlers = {all, 3}};
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_E_SCOPE);
	scope = (struct fl_scope){.components = {all, 3}};
	limit_release(&scope);
	cr_assert_eq(world_verify_release(&w), FL_E_SCOPE);
}

Test(release, revoked_keys_count_no_more)
{
	struct fl_digest revoked[] = {world_keyid(&w, RELEASE_A), world_keyid(&w, RELEASE_B)};
	w.revoked.keyids.items = revoked;
	w.revoked.keyids.n = 1;
	w.root_in.revoked = &w.revoked;
	world_apply_root(&w);
	cr_assert_eq(world_verify_release(&w), FL_E_SIGNATURE, "one is left, two are needed");
	cr_assert_eq(world_verify_release_by(&w, SIGNERS(RELEASE_A)), FL_E_KEY_REVOKED);
	w.revoked.keyids.n = 2;
	world_apply_root(&w);
	cr_assert_eq(world_verify_release(&w), FL_E_KEY_REVOKED);
}

Test(release, a_revoked_release_is_refused)
{
	cr_assert_eq(world_verify_release(&w), FL_OK);
	struct fl_digest revoked[] = {{{1}}, w.job.release};
	w.revoked.releases.items = revoked;
	w.revoked.releases.n = 2;
	w.root_in.revoked = &w.revoked;
	world_apply_root(&w);
	cr_assert_eq(world_verify_release(&w), FL_E_KEY_REVOKED);
	cr_assert(says("release is revoked"));
}

Test(release, other_documents_are_no_releases)
{
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_JOB, &w.job, BOTH);
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err),
		     FL_E_DOC_TYPE);
	env.type = FL_DOC_RELEASE;
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err),
		     FL_E_SIGNATURE);
}

Test(release, nothing_unsigned_is_parsed)
{
	struct fl_release out;
	struct fl_envelope env = world_sign_text(&w, FL_DOC_RELEASE, "not json", SIGNERS(STRANGER));
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err),
		     FL_E_KEY_UNKNOWN);
	env = world_sign_text(&w, FL_DOC_RELEASE, "not json", BOTH);
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err),
		     FL_E_DOC_SYNTAX);
}

/* --- this job, this device --- */

Test(release, another_than_the_pinned_one_is_refused)
{
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, BOTH);
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err),
		     FL_E_RELEASE_MISMATCH);
	memset(&w.job.release, 0, sizeof(w.job.release));
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err),
		     FL_E_RELEASE_MISMATCH, "a job that pins none");
}

Test(release, another_product_class_or_revision_is_incompatible)
{
	static const char *const others[] = {"class-b", "class-c"};
	w.release.product = "gw-y";
	cr_assert_eq(world_verify_release(&w), FL_E_INCOMPATIBLE);
	w.release.product = "gw-x";
	w.compat.class_ids.items = others;
	w.compat.class_ids.n = 2;
	cr_assert_eq(world_verify_release(&w), FL_E_INCOMPATIBLE);
	w.device.class_id = "class-c";
	cr_assert_eq(world_verify_release(&w), FL_OK);
}

Test(release, hardware_revisions_are_inclusive)
{
	const struct {
		uint64_t rev;
		enum fl_rc rc;
	} rows[] = {{1, FL_E_INCOMPATIBLE}, {2, FL_OK}, {4, FL_OK}, {5, FL_E_INCOMPATIBLE}};
	for (size_t i = 0; i < 4; i++) {
		w.device.hw_rev = rows[i].rev;
		cr_assert_eq(world_verify_release(&w), rows[i].rc, "revision %llu",
			     (unsigned long long)rows[i].rev);
	}
}

Test(release, an_expired_one_is_refused)
{
	w.release.expires = NOW;
	cr_assert_eq(world_verify_release(&w), FL_OK);
	w.release.expires = NOW - 1;
	cr_assert_eq(world_verify_release(&w), FL_E_EXPIRED);
}

Test(release, a_component_that_the_device_lacks_is_incompatible)
{
	w.state.components.n = 1;
	cr_assert_eq(world_verify_release(&w), FL_E_INCOMPATIBLE);
	static const char *const only[] = {"rootfs"};
	w.job.components.items = only;
	w.job.components.n = 1;
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, a_job_names_components_of_the_release_only)
{
	static const char *const names[] = {"rootfs", "modem"};
	w.job.components.items = names;
	w.job.components.n = 2;
	cr_assert_eq(world_verify_release(&w), FL_E_RELEASE_MISMATCH);
}

Test(release, another_handler_is_incompatible)
{
	w.facts[1].handler = "script";
	cr_assert_eq(world_verify_release(&w), FL_E_INCOMPATIBLE);
	cr_assert(says("component 'mcu_a'"));
}

Test(release, a_vendor_s_document_cannot_be_installed_yet)
{
	w.components[1] = (struct fl_component){.name = "mcu_a", .document = {{5}}};
	cr_assert_eq(world_verify_release(&w), FL_E_NOT_SUPPORTED);
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, BOTH);
	cr_assert_eq(fl_verify_release_signatures(&w.root, &env, &w.arena, &out, &w.err), FL_OK,
		     "but published");
}

/* --- what may follow what --- */

Test(release, a_lower_sequence_is_a_downgrade)
{
	w.facts[0].release_seq = 3;
	cr_assert_eq(world_verify_release(&w), FL_E_DOWNGRADE);
	cr_assert(says("component 'rootfs'"));
}

Test(release, an_equal_sequence_is_for_the_same_release_only)
{
	w.facts[0].release_seq = 2;
	cr_assert_eq(world_verify_release(&w), FL_E_DOWNGRADE);
	w.facts[0].release = w.job.release; /* as signed just now */
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, BOTH);
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err), FL_OK, "%s",
		     w.err.msg);
}

Test(release, an_equal_sequence_with_an_unknown_release_is_refused)
{
	/* the anchor was lost: the image tells its number, nobody the release */
	w.facts[0].release_seq = 2;
	memset(&w.facts[0].release, 0, sizeof(w.facts[0].release));
	cr_assert_eq(world_verify_release(&w), FL_E_DOWNGRADE);
}

Test(release, a_permitted_rollback_is_taken)
{
	struct fl_release out;
	w.facts[0].release_seq = 3;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, BOTH);
	struct fl_digest permits[2] = {{{1}}};
	cr_assert_eq(fl_envelope_digest(&env, &permits[1], &w.err), FL_OK);
	w.job.release = permits[1];
	w.facts[0].permits_rollback_to.items = permits;
	w.facts[0].permits_rollback_to.n = 1;
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err),
		     FL_E_DOWNGRADE);
	w.facts[0].permits_rollback_to.n = 2;
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err), FL_OK, "%s",
		     w.err.msg);
	/* the permission is the component's */
	w.facts[1].release_seq = 3;
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err),
		     FL_E_DOWNGRADE);
}

Test(release, no_permission_goes_below_the_floor)
{
	struct fl_release out;
	struct fl_envelope env = world_sign(&w, FL_DOC_RELEASE, &w.release, BOTH);
	cr_assert_eq(fl_envelope_digest(&env, &w.job.release, &w.err), FL_OK);
	w.facts[0].release_seq = 3;
	w.facts[0].permits_rollback_to.items = &w.job.release;
	w.facts[0].permits_rollback_to.n = 1;
	w.facts[0].security_floor = 6;
	cr_assert_eq(fl_verify_release(&w.state, &w.job, &env, &w.arena, &out, &w.err),
		     FL_E_BELOW_FLOOR);
}

Test(release, the_security_floor_is_inclusive)
{
	w.facts[0].security_floor = 5;
	cr_assert_eq(world_verify_release(&w), FL_OK);
	w.facts[0].security_floor = 6;
	cr_assert_eq(world_verify_release(&w), FL_E_BELOW_FLOOR);
}

static void root_floor(const char *product, const char *component, uint64_t seq, uint64_t security)
{
	w.floor = (struct fl_floor){product, component, seq, security};
	w.root_in.floors.items = &w.floor;
	w.root_in.floors.n = 1;
	world_apply_root(&w);
}

/* an old release, newer than what a long-offline device has */
Test(release, the_root_s_floors_hold)
{
	root_floor("gw-x", "rootfs", 2, 5);
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
	root_floor("gw-x", "rootfs", 4, 0);
	cr_assert_eq(world_verify_release(&w), FL_E_BELOW_FLOOR);
	root_floor("gw-x", "rootfs", 0, 6);
	cr_assert_eq(world_verify_release(&w), FL_E_BELOW_FLOOR);
}

Test(release, a_floor_is_for_its_product_and_component)
{
	root_floor("gw-y", "rootfs", 99, 99);
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
	root_floor("gw-x", "other", 99, 99);
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, a_component_that_the_job_leaves_out_is_not_held_against_it)
{
	static const char *const only[] = {"mcu_a"};
	w.facts[0].release_seq = 9;
	w.job.components.items = only;
	w.job.components.n = 1;
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}

Test(release, sequences_past_32_bits_are_compared_whole)
{
	w.facts[0].release_seq = UINT64_C(1) << 40;
	w.components[0].release_seq = (UINT64_C(1) << 40) - 1;
	cr_assert_eq(world_verify_release(&w), FL_E_DOWNGRADE);
	w.components[0].release_seq = (UINT64_C(1) << 40) + 1;
	cr_assert_eq(world_verify_release(&w), FL_OK, "%s", w.err.msg);
}
