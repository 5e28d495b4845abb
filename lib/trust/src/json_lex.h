/* SPDX-License-Identifier: Apache-2.0 */
/* What the lexer offers to the rest of lib/trust beyond fl_json_check. */
#ifndef FAIRLEAD_TRUST_SRC_JSON_LEX_H
#define FAIRLEAD_TRUST_SRC_JSON_LEX_H

#include <fairlead/trust/json.h>

#define FL_JSON_DEPTH_MAX 16
#define FL_JSON_TOKENS_MAX                                                                         \
	20000u /* keys and values; an object or array is one, and each member of it */
#define FL_JSON_KEY_MAX 40

#define FL_JSON_LIST_STRING_MAX 256u

enum fl_json_keys {
	FL_JSON_KEYS_PROFILE,  /* [a-z0-9_]{1,40} */
	FL_JSON_KEYS_ENVELOPE, /* also A-Z: DSSE says "payloadType" */
};

/* *ret_end: the offset behind the object's last brace. */
enum fl_rc fl_json_lex(const void *text, size_t len, enum fl_json_keys keys, size_t *ret_end,
		       struct fl_err *err) FL_CHECKED;
/* fl_json_decode with the rule for keys as a choice. */
enum fl_rc fl_json_decode_keys(const struct fl_schema *schema, struct fl_bytes text,
			       enum fl_json_keys keys, enum fl_json_unknown unknown,
			       struct fl_arena *arena, void *out, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_json_encode_keys(const struct fl_schema *schema, const void *in,
			       enum fl_json_keys keys, struct fl_buf *out,
			       struct fl_err *err) FL_CHECKED;
/* Length of the UTF-8 sequence (RFC 3629) that starts at p, 0 when there is no valid one in the
 * `avail` bytes. */
size_t fl_json_utf8(const uint8_t *p, size_t avail);

#endif
