/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>

enum fl_rc fl_tools_document_load(const char *path, enum fl_doc_type type, struct fl_arena *arena,
				  struct fl_envelope *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_file_read(path, &text, err);
	while (rc == FL_OK && text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	if (rc == FL_OK)
		rc = type == 0 ? fl_envelope_parse_any(text.data, text.len, arena, ret, err)
			       : fl_envelope_parse(text.data, text.len, type, arena, ret, err);
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "document '%s'", path);
}

enum fl_rc fl_tools_document_save(const char *path, const struct fl_envelope *env,
				  struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX + 1);
	enum fl_rc rc = fl_envelope_write(env, &text, err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&text, "\n", err);
	if (rc == FL_OK)
		rc = fl_file_replace(path, text.data, text.len, 0644, err);
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "write '%s'", path);
}

enum fl_rc fl_tools_document_make(enum fl_doc_type type, const struct fl_schema *schema,
				  const void *in, struct fl_arena *arena, struct fl_envelope *ret,
				  struct fl_err *err)
{
	struct fl_buf payload = FL_BUF(fl_doc_type_max(type));
	enum fl_rc rc = fl_json_encode(schema, in, &payload, err);
	char *copy = NULL;
	if (rc == FL_OK) {
		copy = fl_arena_copy(arena, payload.data, payload.len, err);
		rc = copy == NULL ? err->rc : FL_OK;
	}
	if (rc == FL_OK)
		*ret = (struct fl_envelope){.type = type,
					    .payload = {(uint8_t *)copy, payload.len}};
	fl_buf_free(&payload);
	return rc;
}

enum fl_rc fl_tools_root_load(const char *path, struct fl_arena *arena, struct fl_envelope *ret_env,
			      struct fl_root *ret, struct fl_err *err)
{
	enum fl_rc rc = fl_tools_document_load(path, FL_DOC_ROOT, arena, ret_env, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_root_decode(ret_env->payload, arena, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "root document '%s'", path);
}

enum fl_rc fl_tools_document_digest(const struct fl_envelope *env, char out[FL_DIGEST_TEXT_SIZE],
				    struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK)
		fl_digest_format(&digest, out);
	return rc;
}

enum fl_rc fl_tools_document_sign(const char *path, struct fl_envelope *env, const char *key,
				  struct fl_err *err)
{
	struct fl_key *loaded = NULL;
	enum fl_rc rc = fl_key_load(key, &loaded, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_envelope_sign(env, loaded, err);
	fl_key_free(loaded);
	return rc == FL_OK ? fl_tools_document_save(path, env, err) : rc;
}
