/* SPDX-License-Identifier: Apache-2.0 */
/* keys sign, keys verify: signatures of documents. */
#include "commands.h"
#include "document.h"
#include "keys.h"
#include "output.h"
#include "release.h"

#include <fairlead/trust/verify.h>

#include <string.h>

struct signed_document {
	const char *type;
	struct fl_digest digest;
	FL_LIST(struct fl_digest) signed_by;
};
static const struct fl_field signed_fields[] = {
	FL_REQ(struct signed_document, type, STR, 64, NULL, "type of the document"),
	FL_REQ(struct signed_document, digest, DIGEST, 0, NULL, "digest of its payload"),
	FL_REQ(struct signed_document, signed_by, DIGESTS, FL_SIGS_MAX, NULL, "key ids"),
};
static const struct fl_schema signed_schema =
	FL_SCHEMA("signed", struct signed_document, signed_fields, "a signed document");

static enum fl_rc print_signed(const struct fl_tools_call *call, const struct fl_envelope *env,
			       struct fl_err *err)
{
	struct signed_document doc = {.type = fl_doc_type_name(env->type)};
	struct fl_digest keys[FL_SIGS_MAX];
	char text[FL_DIGEST_TEXT_SIZE];
	enum fl_rc rc = fl_envelope_digest(env, &doc.digest, err);
	if (rc != FL_OK)
		return rc;
	for (size_t i = 0; i < env->n_sigs; i++)
		keys[i] = env->sigs[i].keyid;
	doc.signed_by.items = keys;
	doc.signed_by.n = env->n_sigs;
	if (call->json)
		return fl_tools_json(call->out, &signed_schema, &doc, err);
	fl_digest_format(&doc.digest, text);
	(void)fprintf(call->out, "%-11s %s\n", doc.type, text);
	for (size_t i = 0; i < env->n_sigs; i++) {
		fl_digest_format(&keys[i], text);
		(void)fprintf(call->out, "%-11s %s\n", i == 0 ? "signed by" : "", text);
	}
	return FL_OK;
}

/* A release is signed only where its bytes are there to be checked: the same rule as `release
 * sign`. */
static enum fl_rc sign_release(const char *path, const char *key, struct fl_err *err)
{
	struct fl_tools_release release;
	enum fl_rc rc = fl_tools_release_open(path, &release, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_tools_release_add_signature(&release, key, err);
	fl_tools_release_close(&release);
	return rc;
}

enum fl_rc fl_tools_keys_sign(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_envelope env;
	const char *path = call->args[0];
	const char *key = fl_tools_opt(call, "key", NULL);
	enum fl_rc rc = fl_tools_document_load(path, 0, &arena, &env, err);
	if (rc == FL_OK)
		rc = env.type == FL_DOC_RELEASE ? sign_release(path, key, err)
						: fl_tools_document_sign(path, &env, key, err);
	if (rc == FL_OK && env.type == FL_DOC_RELEASE)
		rc = fl_tools_document_load(path, 0, &arena, &env, err);
	if (rc == FL_OK)
		rc = print_signed(call, &env, err);
	fl_arena_free(&arena);
	return rc;
}

static enum fl_rc verify_root(const struct fl_tools_call *call, struct fl_arena *arena,
			      struct fl_envelope *ret, struct fl_err *err)
{
	const char *previous_path = fl_tools_opt(call, "previous", NULL);
	struct fl_envelope previous_env;
	struct fl_root previous, root;
	enum fl_rc rc = fl_tools_document_load(call->args[0], FL_DOC_ROOT, arena, ret, err);
	if (rc == FL_OK && previous_path != NULL)
		rc = fl_tools_root_load(previous_path, arena, &previous_env, &previous, err);
	if (rc == FL_OK)
		rc = fl_verify_root(previous_path == NULL ? NULL : &previous, ret, arena, &root,
				    err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "verify '%s'", call->args[0]);
}

enum fl_rc fl_tools_keys_verify(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_arena arena = FL_TOOLS_DOCUMENT_ARENA;
	struct fl_envelope env;
	enum fl_rc rc = verify_root(call, &arena, &env, err);
	if (rc == FL_OK)
		rc = print_signed(call, &env, err);
	fl_arena_free(&arena);
	return rc;
}
