/* SPDX-License-Identifier: Apache-2.0 */
/* Signed documents in files: an envelope's text and a line end. */
#ifndef FL_TOOLS_DOCUMENT_H
#define FL_TOOLS_DOCUMENT_H

#include <fairlead/trust/digest.h>
#include <fairlead/trust/documents.h>

/* Memory enough for one document and what it decodes to. */
#define FL_TOOLS_DOCUMENT_ARENA FL_ARENA((size_t)8 * 1024 * 1024)

/* type 0: whatever it says. What *ret points to is owned by the arena. */
enum fl_rc fl_tools_document_load(const char *path, enum fl_doc_type type, struct fl_arena *arena,
				  struct fl_envelope *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_tools_document_save(const char *path, const struct fl_envelope *env,
				  struct fl_err *err) FL_CHECKED;
/* A document as an envelope without signatures; the payload is owned by the arena. */
enum fl_rc fl_tools_document_make(enum fl_doc_type type, const struct fl_schema *schema,
				  const void *in, struct fl_arena *arena, struct fl_envelope *ret,
				  struct fl_err *err) FL_CHECKED;
/* Loads and decodes a root document; verifies nothing. */
enum fl_rc fl_tools_root_load(const char *path, struct fl_arena *arena, struct fl_envelope *ret_env,
			      struct fl_root *ret, struct fl_err *err) FL_CHECKED;
/* The digest of the payload as text. */
enum fl_rc fl_tools_document_digest(const struct fl_envelope *env, char out[FL_DIGEST_TEXT_SIZE],
				    struct fl_err *err) FL_CHECKED;
/* Signs env by the key at `key` (fl_key_load) and saves it to path. */
enum fl_rc fl_tools_document_sign(const char *path, struct fl_envelope *env, const char *key,
				  struct fl_err *err) FL_CHECKED;

#endif
