/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and root documents by the command line. */
#include "bench.h"
#include "document.h"

#include <fairlead/trust/verify.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(tools_keys, .init = bench_open, .fini = bench_close);

static struct fl_arena arena;
static struct fl_envelope env;
static struct fl_root root;

static void load(const char *path)
{
	struct fl_err err = {0};
	fl_arena_free(&arena);
	arena = FL_TOOLS_DOCUMENT_ARENA;
	cr_assert_eq(fl_tools_root_load(path, &arena, &env, &root, &err), FL_OK, "%s", err.msg);
}

static void init(void)
{
	cr_assert_eq(fairlead("keys", "init", "k", "--product", "gw"), 0, "%s", bench_errors);
}

static const struct fl_role *role_of(const char *name)
{
	for (size_t i = 0; i < root.roles.n; i++) {
		if (strcmp(root.roles.items[i].role, name) == 0)
			return &root.roles.items[i];
	}
	cr_assert(false, "no role %s", name);
	abort();
}

/* "sha256:…" of a key file, as `keys show` tells it. */
static const char *keyid_of(const char *path)
{
	static char id[72];
	cr_assert_eq(fairlead("keys", "show", path, "--json"), 0);
	const char *at = strstr(bench_out, "sha256:");
	cr_assert_not_null(at);
	(void)snprintf(id, sizeof(id), "%.71s", at);
	return id;
}

Test(tools_keys, init_makes_a_root_that_verifies)
{
	init();
	load("k/root.json");
	cr_assert_eq(root.version, 1);
	cr_assert_eq(env.n_sigs, 2);
	cr_assert_eq(root.expires - root.issued, UINT64_C(1826) * 86400);
	cr_assert_eq(role_of("root")->threshold, 2);
	cr_assert_eq(role_of("root")->keyids.n, 3);
	cr_assert_eq(role_of("release")->threshold, 1);
	cr_assert_eq(role_of("release")->scope->products.n, 1);
	cr_assert_str_eq(role_of("release")->scope->products.items[0], "gw");
	cr_assert_eq(role_of("dispatch")->intents.n, 6);
	fl_arena_free(&arena);
	cr_assert_eq(fairlead("keys", "verify", "k/root.json"), 0, "%s", bench_errors);
}

Test(tools_keys, private_keys_are_private)
{
	static const char *const names[] = {"root1", "root2", "root3", "release", "dispatch"};
	init();
	for (size_t i = 0; i < 5; i++) {
		char path[64];
		struct stat st;
		(void)snprintf(path, sizeof(path), "k/%s.key", names[i]);
		cr_assert_eq(stat(path, &st), 0);
		cr_assert_eq(st.st_mode & 0777, 0600);
		(void)snprintf(path, sizeof(path), "k/%s.pub", names[i]);
		cr_assert(is_there(path));
	}
	cr_assert_eq(fairlead("keys", "show", "k/root1.key"), 0);
	cr_assert_null(strstr(bench_out, "PRIVATE"));
}

Test(tools_keys, nothing_is_ever_replaced)
{
	size_t before_len, after_len;
	init();
	uint8_t *before = read_whole("k/root1.key", &before_len);
	cr_assert_eq(fairlead("keys", "init", "k", "--product", "gw"), FL_TOOLS_FAILED);
	cr_assert_eq(remove("k/root.json"), 0);
	cr_assert_eq(fairlead("keys", "init", "k", "--product", "gw"), FL_TOOLS_FAILED);
	cr_assert_eq(fairlead("keys", "generate", "k/root1.key"), FL_TOOLS_FAILED);
	uint8_t *after = read_whole("k/root1.key", &after_len);
	cr_assert(before_len == after_len && memcmp(before, after, before_len) == 0);
	free(before);
	free(after);
}

Test(tools_keys, both_algorithms)
{
	cr_assert_eq(fairlead("keys", "init", "k", "--product", "gw", "--alg", "ecdsa-p256-sha256"),
		     0, "%s", bench_errors);
	cr_assert_eq(fairlead("keys", "verify", "k/root.json"), 0);
	cr_assert_eq(fairlead("keys", "generate", "x", "--alg", "rsa"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys", "generate", "x"), 0);
	char private_id[72];
	(void)snprintf(private_id, sizeof(private_id), "%s", keyid_of("x"));
	cr_assert_str_eq(private_id, keyid_of("x.pub"));
}

Test(tools_keys, a_bad_product_is_refused_before_keys_are_made)
{
	cr_assert_eq(fairlead("keys", "init", "k", "--product", "../x"), FL_TOOLS_USAGE);
	cr_assert_not(is_there("k"));
}

static void sign(const char *path, const char *key)
{
	cr_assert_eq(fairlead("keys", "sign", path, "--key", key), 0, "%s", bench_errors);
}

Test(tools_keys, the_next_root_needs_the_threshold_before)
{
	init();
	cr_assert_eq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json"), 0);
	cr_assert_eq(fairlead("keys", "verify", "2.json", "--previous", "k/root.json"),
		     FL_TOOLS_FAILED, "unsigned");
	sign("2.json", "k/root3.key");
	cr_assert_eq(fairlead("keys", "verify", "2.json", "--previous", "k/root.json"),
		     FL_TOOLS_FAILED, "one signature");
	sign("2.json", "k/root3.key");
	cr_assert_eq(fairlead("keys", "verify", "2.json", "--previous", "k/root.json"),
		     FL_TOOLS_FAILED, "the same key twice");
	sign("2.json", "k/release.key");
	cr_assert_eq(fairlead("keys", "verify", "2.json", "--previous", "k/root.json"),
		     FL_TOOLS_FAILED, "a key that is no root key");
	sign("2.json", "k/root1.key");
	cr_assert_eq(fairlead("keys", "verify", "2.json", "--previous", "k/root.json"), 0, "%s",
		     bench_errors);
	cr_assert_eq(fairlead("keys", "verify", "2.json", "--previous", "2.json"), FL_TOOLS_FAILED,
		     "not its own successor");
}

Test(tools_keys, keys_come_and_go)
{
	init();
	cr_assert_eq(fairlead("keys", "generate", "new"), 0);
	cr_assert_eq(fairlead("keys", "generate", "op"), 0);
	char old[72];
	(void)snprintf(old, sizeof(old), "%s", keyid_of("k/release.pub"));
	cr_assert_eq(
		fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--add-release",
			 "new.pub", "--add-operator", "op.pub", "--revoke", old, "--revoke-release",
			 "sha256:1111111111111111111111111111111111111111111111111111111111111111",
			 "--floor", "rootfs=4,2", "--product", "gw", "--new-epoch"),
		0, "%s", bench_errors);
	load("2.json");
	cr_assert_eq(root.version, 2);
	cr_assert_eq(root.epoch, 2);
	cr_assert_eq(env.n_sigs, 0);
	cr_assert_eq(role_of("release")->keyids.n, 1);
	cr_assert_eq(role_of("operator")->keyids.n, 1);
	cr_assert_eq(root.keys.n, 6);
	cr_assert_eq(root.revoked->keyids.n, 1);
	cr_assert_eq(root.revoked->releases.n, 1);
	cr_assert_eq(root.floors.n, 1);
	cr_assert_eq(root.floors.items[0].min_release_seq, 4);
	cr_assert_eq(root.floors.items[0].min_security_version, 2);
	fl_arena_free(&arena);

	cr_assert_eq(fairlead("keys", "root-next", "2.json", "-o", "3.json", "--floor",
			      "rootfs=9,3", "--product", "gw"),
		     0);
	load("3.json");
	cr_assert_eq(root.version, 3);
	cr_assert_eq(root.epoch, 2);
	cr_assert_eq(root.floors.n, 1, "raised, not doubled");
	cr_assert_eq(root.floors.items[0].min_release_seq, 9);
	cr_assert_eq(root.revoked->keyids.n, 1, "what was revoked stays so");
	fl_arena_free(&arena);
}

Test(tools_keys, intents_are_added_to_every_entry_of_a_role)
{
	init();
	cr_assert_eq(fairlead("keys", "generate", "op"), 0, "%s", bench_errors);
	cr_assert_eq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--add-operator",
			      "op.pub", "--add-intent", "operator=install_offline", "--add-intent",
			      "dispatch=install_offline"),
		     0, "%s", bench_errors);
	load("2.json");
	cr_assert_eq(role_of("operator")->intents.n, 1);
	cr_assert_str_eq(role_of("operator")->intents.items[0], "install_offline");
	cr_assert_eq(role_of("dispatch")->intents.n, 6, "it had it already");
	fl_arena_free(&arena);
	cr_assert_eq(fairlead("keys", "root-next", "k/root.json", "-o", "3.json", "--add-intent",
			      "operator=install_offline"),
		     FL_TOOLS_NOTHING, "no such role yet");
	cr_assert_eq(fairlead("keys", "root-next", "k/root.json", "-o", "3.json", "--add-intent",
			      "dispatch"),
		     FL_TOOLS_USAGE);
	cr_assert_not(is_there("3.json"));
}

Test(tools_keys, a_root_that_could_not_be_used_is_not_made)
{
	init();
	char id[72];
	(void)snprintf(id, sizeof(id), "%s", keyid_of("k/release.pub"));
	cr_assert_neq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--revoke", id),
		      0, "nobody could sign a release");
	cr_assert_neq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--threshold",
			       "root=4"),
		      0);
	cr_assert_neq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--threshold",
			       "bogus=1"),
		      0);
	cr_assert_eq(
		fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--remove",
			 "sha256:1111111111111111111111111111111111111111111111111111111111111111"),
		FL_TOOLS_NOTHING);
	cr_assert_eq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--floor", "x=1"),
		     FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys", "root-next", "k/root.json", "-o", "2.json", "--revoke", "zz"),
		     FL_TOOLS_USAGE);
	cr_assert_not(is_there("2.json"));
}

Test(tools_keys, a_changed_root_does_not_verify)
{
	init();
	for (size_t byte = 60; byte < 1200; byte += 97) {
		flip_bit("k/root.json", byte);
		cr_assert_neq(fairlead("keys", "verify", "k/root.json"), 0, "byte %zu", byte);
		flip_bit("k/root.json", byte);
	}
	cr_assert_eq(fairlead("keys", "verify", "k/root.json"), 0);
}
