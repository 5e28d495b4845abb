/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict lexer in front of cJSON, and the codec between JSON text and structs that a schema describes
 * (fairlead/base/schema.h). The profile is docs/formats.md, section 2.
 */
#ifndef FAIRLEAD_TRUST_JSON_H
#define FAIRLEAD_TRUST_JSON_H

#include <fairlead/base/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_json_unknown {
	FL_JSON_REFUSE_UNKNOWN, /* documents: an unknown member is FL_E_DOC_FIELD */
	FL_JSON_IGNORE_UNKNOWN, /* messages: a newer peer may say more */
};

/* Is text[0…len) JSON of the profile? FL_E_DOC_SYNTAX with the byte offset in the message. Pure, O(len). */
enum fl_rc fl_json_check(const void *text, size_t len, struct fl_err *err) FL_CHECKED;

/*
 * Checks, parses and decodes text into *out (schema->size bytes, zeroed first). What *out points to is owned by
 * the arena. FL_E_DOC_SYNTAX, FL_E_DOC_FIELD (the member's path in the message), FL_E_TOO_LARGE.
 */
enum fl_rc fl_json_decode(const struct fl_schema *schema, const void *text, size_t len,
			  enum fl_json_unknown unknown, struct fl_arena *arena, void *out,
			  struct fl_err *err) FL_CHECKED;

/* Appends *in as one line of JSON in the order of the schema; absent optional members are left out. */
enum fl_rc fl_json_encode(const struct fl_schema *schema, const void *in, struct fl_buf *out,
			  struct fl_err *err) FL_CHECKED;

/* Appends str as a JSON string with its quotes. */
enum fl_rc fl_json_append_string(struct fl_buf *out, const char *str, struct fl_err *err) FL_CHECKED;

/* Appends the schema, and those under it, as Markdown tables. */
enum fl_rc fl_json_describe(const struct fl_schema *schema, struct fl_buf *out, struct fl_err *err)
	FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
