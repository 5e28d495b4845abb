/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include "commands.h"
#include "content.h"
#include "document.h"
#include "output.h"

#include <fairlead/base/file.h>

#include <string.h>
#include <unistd.h>

static const struct fl_field key_fields[] = {
	FL_REQ(struct fl_tools_key_row, name, STR, 4096, NULL, "file or roles"),
	FL_REQ(struct fl_tools_key_row, alg, STR, 64, NULL, "algorithm"),
	FL_REQ(struct fl_tools_key_row, keyid, DIGEST, 0, NULL,
	       "SHA-256 of the SubjectPublicKeyInfo"),
};
const struct fl_schema fl_tools_key_schema =
	FL_SCHEMA("key", struct fl_tools_key_row, key_fields, "a key");

struct key_list {
	FL_LIST(struct fl_tools_key_row) keys;
};
static const struct fl_field list_fields[] = {
	FL_REQ(struct key_list, keys, LIST, 64, &fl_tools_key_schema, "keys"),
};
static const struct fl_schema list_schema =
	FL_SCHEMA("keys", struct key_list, list_fields, "a list of keys");

enum fl_rc fl_tools_alg(const struct fl_tools_call *call, enum fl_alg *ret, struct fl_err *err)
{
	const char *name = fl_tools_opt(call, "alg", "ed25519");
	if (!fl_alg_from_name(name, ret))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "--alg: ed25519 or ecdsa-p256-sha256, not '%s'", name);
	return FL_OK;
}

enum fl_rc fl_tools_keys_print(const struct fl_tools_call *call,
			       const struct fl_tools_key_row *rows, size_t n, struct fl_err *err)
{
	if (call->json) {
		struct key_list list = {.keys = {rows, n}};
		return fl_tools_json(call->out, &list_schema, &list, err);
	}
	static const char *const heading[] = {"KEY", "ALGORITHM", "KEYID"};
	struct fl_tools_table table = FL_TOOLS_TABLE(3);
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; rc == FL_OK && i < n; i++) {
		char keyid[FL_DIGEST_TEXT_SIZE];
		fl_digest_format(&rows[i].keyid, keyid);
		const char *cells[] = {rows[i].name, rows[i].alg, keyid};
		rc = fl_tools_table_row(&table, cells, err);
	}
	if (rc == FL_OK)
		fl_tools_table_print(call->out, &table);
	fl_tools_table_free(&table);
	return rc;
}

static enum fl_rc add_suffix(char out[FL_TOOLS_PATH_MAX], const char *path, const char *suffix,
			     struct fl_err *err)
{
	int n = snprintf(out, FL_TOOLS_PATH_MAX, "%s%s", path, suffix);
	if (n < 0 || n >= FL_TOOLS_PATH_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", path);
	return FL_OK;
}

/* Makes one key and its two files; *ret owned. */
static enum fl_rc generate(enum fl_alg alg, const char *private_path, const char *public_path,
			   struct fl_key **ret, struct fl_err *err)
{
	struct fl_key *key = NULL;
	enum fl_rc rc = fl_key_generate(alg, &key, err);
	if (rc == FL_OK)
		rc = fl_key_save(key, private_path, err);
	if (rc == FL_OK)
		rc = fl_pubkey_save(fl_key_public(key), public_path, err);
	if (rc != FL_OK) {
		fl_key_free(key);
		return rc;
	}
	*ret = key;
	return FL_OK;
}

enum fl_rc fl_tools_keys_generate(struct fl_tools_call *call, struct fl_err *err)
{
	char public_path[FL_TOOLS_PATH_MAX];
	enum fl_alg alg;
	struct fl_key *key = NULL;
	enum fl_rc rc = fl_tools_alg(call, &alg, err);
	if (rc == FL_OK)
		rc = add_suffix(public_path, call->args[0], ".pub", err);
	if (rc == FL_OK)
		rc = generate(alg, call->args[0], public_path, &key, err);
	if (rc != FL_OK)
		return rc;
	struct fl_tools_key_row row = {call->args[0], fl_alg_name(alg), fl_key_public(key)->keyid};
	fl_key_free(key);
	return fl_tools_keys_print(call, &row, 1, err);
}

/* The keys of a new fleet. */
#define N_KEYS 5
static const char *const key_names[N_KEYS] = {"root1", "root2", "root3", "release", "dispatch"};

struct new_fleet {
	const char *dir;
	const char *product;
	struct fl_key *keys[N_KEYS];
};

static enum fl_rc make_key(struct new_fleet *fleet, size_t i, enum fl_alg alg, struct fl_err *err)
{
	char base[FL_TOOLS_PATH_MAX], private_path[FL_TOOLS_PATH_MAX],
		public_path[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = fl_path_join(base, sizeof(base), fleet->dir, key_names[i], err);
	if (rc == FL_OK)
		rc = add_suffix(private_path, base, ".key", err);
	if (rc == FL_OK)
		rc = add_suffix(public_path, base, ".pub", err);
	return rc == FL_OK ? generate(alg, private_path, public_path, &fleet->keys[i], err) : rc;
}

/* root: 2 of 3; release: 1, for the one product; dispatch: 1, every intent there is. */
static enum fl_rc make_root(const struct new_fleet *fleet, struct fl_arena *arena,
			    struct fl_envelope *ret, struct fl_err *err)
{
	static const char *const intents[] = {"install", "rollback", "cancel", "inventory",
					      "collect_logs", "install_offline"};
	struct fl_root_key keys[N_KEYS];
	struct fl_digest ids[N_KEYS];
	for (size_t i = 0; i < N_KEYS; i++) {
		const struct fl_pubkey *pub = fl_key_public(fleet->keys[i]);
		ids[i] = pub->keyid;
		keys[i] = (struct fl_root_key){
			pub->keyid, fl_alg_name(pub->alg), {pub->spki, pub->spki_len}};
	}
	const struct fl_scope scope = {.products = {&fleet->product, 1}};
	const struct fl_role roles[] = {
		{.role = "root", .threshold = 2, .keyids = {ids, 3}},
		{.role = "release", .threshold = 1, .keyids = {ids + 3, 1}, .scope = &scope},
		{.role = "dispatch",
		 .threshold = 1,
		 .keyids = {ids + 4, 1},
		 .intents = {intents, 6}},
	};
	const uint64_t now = fl_words_now();
	const struct fl_root root = {.type = "root",
				     .spec = 1,
				     .version = 1,
				     .epoch = 1,
				     .issued = now,
				     .expires = now + UINT64_C(1826) * 86400,
				     .keys = {keys, N_KEYS},
				     .roles = {roles, 3}};
	enum fl_rc rc =
		fl_tools_document_make(FL_DOC_ROOT, &fl_root_schema, &root, arena, ret, err);
	for (size_t i = 0; rc == FL_OK && i < 2; i++)
		rc = fl_envelope_sign(ret, fleet->keys[i], err);
	return rc;
}

static enum fl_rc make_fleet(struct new_fleet *fleet, enum fl_alg alg, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_envelope env;
	enum fl_rc rc = fl_path_join(path, sizeof(path), fleet->dir, "root.json", err);
	if (rc == FL_OK && access(path, F_OK) == 0)
		rc = fl_fail(err, FL_E_EXISTS, 0, "'%s'", path);
	if (rc == FL_OK)
		rc = fl_dir_make(fleet->dir, 0700, err);
	for (size_t i = 0; rc == FL_OK && i < N_KEYS; i++)
		rc = make_key(fleet, i, alg, err);
	if (rc == FL_OK)
		rc = make_root(fleet, &arena, &env, err);
	if (rc == FL_OK)
		rc = fl_tools_document_save(path, &env, err);
	fl_arena_free(&arena);
	return rc;
}

enum fl_rc fl_tools_keys_init(struct fl_tools_call *call, struct fl_err *err)
{
	struct new_fleet fleet = {.dir = call->args[0],
				  .product = fl_tools_opt(call, "product", "")};
	enum fl_alg alg;
	enum fl_rc rc = fl_tools_alg(call, &alg, err);
	if (rc == FL_OK && !fl_name_valid(fleet.product))
		rc = fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--product: no name: '%s'",
			     fleet.product);
	if (rc == FL_OK)
		rc = make_fleet(&fleet, alg, err);
	struct fl_tools_key_row rows[N_KEYS];
	for (size_t i = 0; rc == FL_OK && i < N_KEYS; i++)
		rows[i] = (struct fl_tools_key_row){key_names[i], fl_alg_name(alg),
						    fl_key_public(fleet.keys[i])->keyid};
	for (size_t i = 0; i < N_KEYS; i++)
		fl_key_free(fleet.keys[i]);
	return rc == FL_OK ? fl_tools_keys_print(call, rows, N_KEYS, err) : rc;
}
