/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct → JSON text, by a schema. Holds every value to the limits that the decoder checks, so that
 * what one end writes the other accepts.
 */
#include "json_lex.h"

#include <fairlead/trust/digest.h>

#include <inttypes.h>
#include <string.h>

typedef enum fl_rc encode_kind(const struct fl_field *field, const void *place, struct fl_buf *out,
			       struct fl_err *err);

/* A pointer member, whatever it points to. */
static const void *pointer_at(const void *place)
{
	const void *pointer;
	memcpy(&pointer, place, sizeof(pointer));
	return pointer;
}

static struct fl_any_list list_at(const void *place)
{
	struct fl_any_list list;
	memcpy(&list, place, sizeof(list));
	return list;
}

static enum fl_rc bad(struct fl_err *err, const char *what)
{
	return fl_fail(err, FL_E_DOC_FIELD, 0, "%s", what);
}

/* One character of a string, n bytes at p (0: not UTF-8, shown as '?', so that no length grows). */
static enum fl_rc append_char(struct fl_buf *out, const uint8_t *p, size_t n, struct fl_err *err)
{
	if (n == 0)
		return fl_buf_append_str(out, "?", err);
	if (*p == '"' || *p == '\\')
		return fl_buf_appendf(out, err, "\\%c", *p);
	if (*p == '\n')
		return fl_buf_append_str(out, "\\n", err);
	if (*p < 0x20 || *p == 0x7f)
		return fl_buf_appendf(out, err, "\\u%04x", *p);
	return fl_buf_append(out, p, n, err);
}

static bool plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

enum fl_rc fl_json_append_string(struct fl_buf *out, const char *str, struct fl_err *err)
{
	const size_t start = out->len;
	const uint8_t *p = (const uint8_t *)str;
	size_t left = strlen(str);
	enum fl_rc rc = fl_buf_append_str(out, "\"", err);
	while (rc == FL_OK && left > 0) {
		size_t run = 0;
		while (run < left && plain(p[run]))
			run++;
		size_t n = run > 0 ? run : fl_json_utf8(p, left);
		rc = run > 0 ? fl_buf_append(out, p, run, err) : append_char(out, p, n, err);
		n = n == 0 ? 1 : n;
		p += n;
		left -= n;
	}
	if (rc == FL_OK)
		rc = fl_buf_append_str(out, "\"", err);
	if (rc != FL_OK)
		out->len = start;
	return rc;
}

static enum fl_rc append_checked(struct fl_buf *out, const char *text, uint64_t max,
				 struct fl_err *err)
{
	if (text == NULL || strlen(text) > max)
		return fl_fail(err, FL_E_DOC_FIELD, 0, "not a string of at most %" PRIu64 " bytes",
			       max);
	return fl_json_append_string(out, text, err);
}

static enum fl_rc encode_str(const struct fl_field *field, const void *place, struct fl_buf *out,
			     struct fl_err *err)
{
	return append_checked(out, pointer_at(place), field->max, err);
}

static enum fl_rc encode_name(const struct fl_field *field, const void *place, struct fl_buf *out,
			      struct fl_err *err)
{
	(void)field;
	const char *text = pointer_at(place);
	return fl_name_valid(text) ? fl_json_append_string(out, text, err) : bad(err, "not a name");
}

static enum fl_rc encode_uuid(const struct fl_field *field, const void *place, struct fl_buf *out,
			      struct fl_err *err)
{
	(void)field;
	const char *text = pointer_at(place);
	return fl_uuid_valid(text) ? fl_json_append_string(out, text, err) : bad(err, "not a UUID");
}

static enum fl_rc encode_u64(const struct fl_field *field, const void *place, struct fl_buf *out,
			     struct fl_err *err)
{
	uint64_t value = *(const uint64_t *)place;
	uint64_t max = field->max < FL_U53_MAX ? field->max : FL_U53_MAX;
	if (value > max)
		return fl_fail(err, FL_E_DOC_FIELD, 0, "above %" PRIu64, max);
	return fl_buf_appendf(out, err, "%" PRIu64, value);
}

static enum fl_rc encode_bool(const struct fl_field *field, const void *place, struct fl_buf *out,
			      struct fl_err *err)
{
	(void)field;
	return fl_buf_append_str(out, *(const bool *)place ? "true" : "false", err);
}

static enum fl_rc encode_digest(const struct fl_field *field, const void *place, struct fl_buf *out,
				struct fl_err *err)
{
	(void)field;
	if (fl_digest_is_zero(place))
		return bad(err, "an empty digest");
	char text[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(place, text);
	return fl_json_append_string(out, text, err);
}

static enum fl_rc encode_bytes(const struct fl_field *field, const void *place, struct fl_buf *out,
			       struct fl_err *err)
{
	const struct fl_bytes *bytes = place;
	if (bytes->len > field->max || bytes->len > out->max)
		return bad(err, "too many bytes");
	size_t size = FL_BASE64_SIZE(bytes->len);
	enum fl_rc rc = fl_buf_reserve(out, size + 1, err);
	if (rc != FL_OK)
		return rc;
	char *text = (char *)out->data + out->len;
	text[0] = '"';
	fl_base64_encode(bytes->data, bytes->len, text + 1);
	text[size] = '"';
	out->len += size + 1;
	out->data[out->len] = 0;
	return FL_OK;
}

static encode_kind encode_object, encode_list, encode_strings, encode_digests, encode_ext;

static encode_kind *const encode_by_kind[] = {
	[FL_K_STR] = encode_str,	 [FL_K_NAME] = encode_name,
	[FL_K_UUID] = encode_uuid,	 [FL_K_U64] = encode_u64,
	[FL_K_BOOL] = encode_bool,	 [FL_K_DIGEST] = encode_digest,
	[FL_K_BYTES] = encode_bytes,	 [FL_K_OBJECT] = encode_object,
	[FL_K_LIST] = encode_list,	 [FL_K_STRINGS] = encode_strings,
	[FL_K_DIGESTS] = encode_digests, [FL_K_EXT] = encode_ext,
};

/* Does the member hold something, as the table in fairlead/base/schema.h has it? */
static bool present(const struct fl_field *field, const void *place)
{
	switch (field->kind) {
	case FL_K_U64:
		return *(const uint64_t *)place != 0;
	case FL_K_BOOL:
		return *(const bool *)place;
	case FL_K_DIGEST:
		return !fl_digest_is_zero(place);
	case FL_K_BYTES:
		return ((const struct fl_bytes *)place)->data != NULL;
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		return list_at(place).items != NULL;
	case FL_K_STR:
	case FL_K_NAME:
	case FL_K_UUID:
	case FL_K_OBJECT:
	case FL_K_EXT:
	default:
		return pointer_at(place) != NULL;
	}
}

/* Required numbers, booleans, lists and bytes may be zero or empty; pointers and digests may not.
 */
static bool may_be_empty(enum fl_kind kind)
{
	return kind == FL_K_U64 || kind == FL_K_BOOL || kind == FL_K_BYTES || kind == FL_K_LIST ||
	       kind == FL_K_STRINGS || kind == FL_K_DIGESTS;
}

static enum fl_rc encode_member(const struct fl_field *field, const void *place, struct fl_buf *out,
				struct fl_err *err)
{
	if (!present(field, place) && !may_be_empty(field->kind))
		return fl_fail(err, FL_E_DOC_FIELD, 0, "%s: missing", field->name);
	enum fl_rc rc = fl_buf_appendf(out, err, "\"%s\":", field->name);
	if (rc == FL_OK)
		rc = encode_by_kind[field->kind](field, place, out, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "%s", field->name);
}

static enum fl_rc encode_members(const struct fl_schema *schema, const void *in, struct fl_buf *out,
				 struct fl_err *err)
{
	enum fl_rc rc = fl_buf_append_str(out, "{", err);
	bool first = true;
	for (size_t i = 0; rc == FL_OK && i < schema->n_fields; i++) {
		const struct fl_field *field = &schema->fields[i];
		const void *place = (const char *)in + field->offset;
		if (!field->required && !present(field, place))
			continue;
		if (!first)
			rc = fl_buf_append_str(out, ",", err);
		if (rc == FL_OK)
			rc = encode_member(field, place, out, err);
		first = false;
	}
	return rc == FL_OK ? fl_buf_append_str(out, "}", err) : rc;
}

static enum fl_rc encode_object(const struct fl_field *field, const void *place, struct fl_buf *out,
				struct fl_err *err)
{
	return encode_members(field->sub, pointer_at(place), out, err);
}

/* Every kind of list: `size` bytes per element, each written as `kind` says. */
static enum fl_rc encode_elements(const struct fl_field *field, const void *place, size_t size,
				  encode_kind *kind, struct fl_buf *out, struct fl_err *err)
{
	const struct fl_any_list list = list_at(place);
	if (list.n > field->max)
		return fl_fail(err, FL_E_DOC_FIELD, 0, "more than %" PRIu64 " elements",
			       field->max);
	enum fl_rc rc = fl_buf_append_str(out, "[", err);
	for (size_t i = 0; rc == FL_OK && i < list.n; i++) {
		if (i > 0)
			rc = fl_buf_append_str(out, ",", err);
		if (rc == FL_OK)
			rc = kind(field, (const char *)list.items + i * size, out, err);
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "[%zu]", i);
	}
	return rc == FL_OK ? fl_buf_append_str(out, "]", err) : rc;
}

static enum fl_rc element_struct(const struct fl_field *field, const void *place,
				 struct fl_buf *out, struct fl_err *err)
{
	return encode_members(field->sub, place, out, err);
}

static enum fl_rc element_string(const struct fl_field *field, const void *place,
				 struct fl_buf *out, struct fl_err *err)
{
	(void)field;
	return append_checked(out, pointer_at(place), FL_JSON_LIST_STRING_MAX, err);
}

static enum fl_rc encode_list(const struct fl_field *field, const void *place, struct fl_buf *out,
			      struct fl_err *err)
{
	return encode_elements(field, place, field->sub->size, element_struct, out, err);
}

static enum fl_rc encode_strings(const struct fl_field *field, const void *place,
				 struct fl_buf *out, struct fl_err *err)
{
	return encode_elements(field, place, sizeof(const char *), element_string, out, err);
}

static enum fl_rc encode_digests(const struct fl_field *field, const void *place,
				 struct fl_buf *out, struct fl_err *err)
{
	return encode_elements(field, place, sizeof(struct fl_digest), encode_digest, out, err);
}

/* The text as it is, on one line: line ends can only stand between its tokens. */
static enum fl_rc encode_ext(const struct fl_field *field, const void *place, struct fl_buf *out,
			     struct fl_err *err)
{
	(void)field;
	const char *text = pointer_at(place);
	const size_t len = strlen(text);
	enum fl_rc rc = fl_json_check(text, len, err);
	if (rc == FL_OK)
		rc = fl_buf_append(out, text, len, err);
	for (size_t i = out->len - len; rc == FL_OK && i < out->len; i++) {
		if (out->data[i] < 0x20)
			out->data[i] = ' ';
	}
	return rc;
}

enum fl_rc fl_json_encode_keys(const struct fl_schema *schema, const void *in,
			       enum fl_json_keys keys, struct fl_buf *out, struct fl_err *err)
{
	const size_t start = out->len;
	size_t end = 0;
	enum fl_rc rc = encode_members(schema, in, out, err);
	/* Depth and number of tokens show only in the whole. */
	if (rc == FL_OK)
		rc = fl_json_lex(out->data + start, out->len - start, keys, &end, err);
	if (rc != FL_OK) {
		out->len = start;
		return fl_wrap(err, rc, "encode %s", schema->name);
	}
	return FL_OK;
}

enum fl_rc fl_json_encode(const struct fl_schema *schema, const void *in, struct fl_buf *out,
			  struct fl_err *err)
{
	return fl_json_encode_keys(schema, in, FL_JSON_KEYS_PROFILE, out, err);
}
