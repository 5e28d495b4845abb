/* SPDX-License-Identifier: Apache-2.0 */
/* keys show: a private key's public half, a public key, or a root document. */
#include "keys.h"

#include "commands.h"
#include "document.h"
#include "output.h"

#include <fairlead/base/file.h>

#include <string.h>

#define KEYS_MAX 64

static enum fl_rc load_public(const char *path, const char *text, struct fl_pubkey *ret,
			      struct fl_err *err)
{
	if (strstr(text, "PRIVATE KEY-----") == NULL)
		return fl_pubkey_load(path, ret, err);
	struct fl_key *key = NULL;
	enum fl_rc rc = fl_key_load(path, &key, err);
	if (rc != FL_OK)
		return rc;
	*ret = *fl_key_public(key);
	fl_key_free(key);
	return FL_OK;
}

static bool holds(const struct fl_role *role, const struct fl_digest *keyid)
{
	for (size_t i = 0; i < role->keyids.n; i++) {
		if (fl_digest_equal(&role->keyids.items[i], keyid))
			return true;
	}
	return false;
}

/* "root", "release,operator": the roles that a key has. */
static const char *roles_of(const struct fl_root *root, const struct fl_digest *keyid,
			    struct fl_arena *arena, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(4096);
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < root->roles.n; i++) {
		if (holds(&root->roles.items[i], keyid))
			rc = fl_buf_appendf(&text, err, "%s%s", text.len > 0 ? "," : "",
					    root->roles.items[i].role);
	}
	const char *copy =
		rc == FL_OK ? fl_arena_copy(arena, fl_buf_str(&text), text.len, err) : NULL;
	fl_buf_free(&text);
	return copy;
}

static void print_head(FILE *out, const struct fl_root *root, const struct fl_envelope *env)
{
	char text[FL_WORDS_MAX];
	uint64_t now = fl_words_now();
	(void)fprintf(out, "root        version %llu, epoch %llu, %zu signature%s\n",
		      (unsigned long long)root->version, (unsigned long long)root->epoch,
		      env->n_sigs, env->n_sigs == 1 ? "" : "s");
	(void)fprintf(out, "issued      %s\n", fl_words_time(root->issued, now, text));
	(void)fprintf(out, "expires     %s\n", fl_words_time(root->expires, now, text));
	for (size_t i = 0; i < root->roles.n; i++)
		(void)fprintf(out, "%-11s %llu of %zu\n", root->roles.items[i].role,
			      (unsigned long long)root->roles.items[i].threshold,
			      root->roles.items[i].keyids.n);
	(void)fputc('\n', out);
}

static enum fl_rc show_root(const struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_envelope env;
	struct fl_root root;
	struct fl_tools_key_row rows[KEYS_MAX];
	enum fl_rc rc = fl_tools_root_load(call->args[0], &arena, &env, &root, err);
	size_t n = rc != FL_OK ? 0 : root.keys.n < KEYS_MAX ? root.keys.n : KEYS_MAX;
	for (size_t i = 0; rc == FL_OK && i < n; i++) {
		const struct fl_root_key *key = &root.keys.items[i];
		rows[i] = (struct fl_tools_key_row){roles_of(&root, &key->keyid, &arena, err),
						    key->alg, key->keyid};
		rc = rows[i].name == NULL ? err->rc : FL_OK;
	}
	if (rc == FL_OK && !call->json)
		print_head(call->out, &root, &env);
	if (rc == FL_OK)
		rc = fl_tools_keys_print(call, rows, n, err);
	fl_arena_free(&arena);
	return rc;
}

enum fl_rc fl_tools_keys_show(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_pubkey pub;
	enum fl_rc rc = fl_file_read(call->args[0], &text, err);
	bool envelope = rc == FL_OK && text.len > 0 && text.data[0] == '{';
	if (rc == FL_OK && !envelope)
		rc = load_public(call->args[0], fl_buf_str(&text), &pub, err);
	if (text.data != NULL)
		explicit_bzero(text.data, text.cap);
	fl_buf_free(&text);
	if (rc != FL_OK)
		return rc;
	if (envelope)
		return show_root(call, err);
	const struct fl_tools_key_row row = {call->args[0], fl_alg_name(pub.alg), pub.keyid};
	return fl_tools_keys_print(call, &row, 1, err);
}
