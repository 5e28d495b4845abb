/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text → struct, by a schema. The lexer has seen the same bytes before cJSON does, so none of
 * cJSON's leniencies can be reached: what remains of it is a tree of objects, arrays, strings,
 * integers and booleans.
 */
#include "json_lex.h"

#include <fairlead/trust/digest.h>

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

struct decoder {
	enum fl_json_unknown unknown;
	struct fl_arena *arena;
	struct fl_err *err; /* never NULL */
};

/*
 * Stores the item's value at `place`. Pointers and lists are copied there byte by byte: the
 * struct's member has a pointer type that is not known here.
 */
typedef enum fl_rc decode_kind(const struct decoder *d, const struct fl_field *field,
			       const cJSON *item, void *place);

static enum fl_rc bad(const struct decoder *d, const char *what)
{
	return fl_fail(d->err, FL_E_DOC_FIELD, 0, "%s", what);
}

/* A string item of at most max bytes; NULL otherwise. The lexer has refused \u0000: strlen is its
 * length. */
static const char *text_of(const cJSON *item, uint64_t max)
{
	const char *text = cJSON_IsString(item) ? item->valuestring : NULL;
	return text != NULL && strlen(text) <= max ? text : NULL;
}

static enum fl_rc keep_text(const struct decoder *d, const char *text, void *place)
{
	char *copy = fl_arena_copy(d->arena, text, strlen(text), d->err);
	if (copy == NULL)
		return d->err->rc;
	memcpy(place, &copy, sizeof(copy));
	return FL_OK;
}

static enum fl_rc decode_str(const struct decoder *d, const struct fl_field *field,
			     const cJSON *item, void *place)
{
	const char *text = text_of(item, field->max);
	if (text == NULL)
		return fl_fail(d->err, FL_E_DOC_FIELD, 0,
			       "not a string of at most %" PRIu64 " bytes", field->max);
	return keep_text(d, text, place);
}

static enum fl_rc decode_name(const struct decoder *d, const struct fl_field *field,
			      const cJSON *item, void *place)
{
	(void)field;
	const char *text = text_of(item, FL_NAME_MAX);
	return text != NULL && fl_name_valid(text) ? keep_text(d, text, place)
						   : bad(d, "not a name");
}

static enum fl_rc decode_uuid(const struct decoder *d, const struct fl_field *field,
			      const cJSON *item, void *place)
{
	(void)field;
	const char *text = text_of(item, 36);
	return text != NULL && fl_uuid_valid(text) ? keep_text(d, text, place)
						   : bad(d, "not a UUID");
}

static enum fl_rc decode_u64(const struct decoder *d, const struct fl_field *field,
			     const cJSON *item, void *place)
{
	if (!cJSON_IsNumber(item))
		return bad(d, "not a number");
	/* Exact: the lexer let only integers up to 2^53 - 1 pass. valueint would saturate. */
	uint64_t value = (uint64_t)item->valuedouble;
	if (value > field->max)
		return fl_fail(d->err, FL_E_DOC_FIELD, 0, "above %" PRIu64, field->max);
	*(uint64_t *)place = value;
	return FL_OK;
}

static enum fl_rc decode_bool(const struct decoder *d, const struct fl_field *field,
			      const cJSON *item, void *place)
{
	(void)field;
	if (!cJSON_IsBool(item))
		return bad(d, "neither true nor false");
	*(bool *)place = cJSON_IsTrue(item) != 0;
	return FL_OK;
}

/* All zero stands for "absent" in the structs, so it is no value: an empty digest must never mean
 * "don't check". */
static bool parse_digest(const cJSON *item, struct fl_digest *ret)
{
	const char *text = text_of(item, FL_DIGEST_TEXT_SIZE);
	return text != NULL && fl_digest_parse(text, ret) && !fl_digest_is_zero(ret);
}

static enum fl_rc decode_digest(const struct decoder *d, const struct fl_field *field,
				const cJSON *item, void *place)
{
	(void)field;
	return parse_digest(item, place) ? FL_OK : bad(d, "not a digest 'sha256:<64 hex>'");
}

static enum fl_rc decode_bytes(const struct decoder *d, const struct fl_field *field,
			       const cJSON *item, void *place)
{
	const char *text = cJSON_IsString(item) ? item->valuestring : NULL;
	size_t text_len = text == NULL ? 1 : strlen(text);
	if (text_len % 4 != 0)
		return bad(d, "not canonical base64");
	uint8_t *data = fl_arena_alloc(d->arena, text_len / 4 * 3 + 1, d->err);
	if (data == NULL)
		return d->err->rc;
	struct fl_bytes bytes = {data, 0};
	if (!fl_base64_decode(text, text_len, data, &bytes.len))
		return bad(d, "not canonical base64");
	if (bytes.len > field->max)
		return fl_fail(d->err, FL_E_DOC_FIELD, 0, "more than %" PRIu64 " bytes",
			       field->max);
	*(struct fl_bytes *)place = bytes;
	return FL_OK;
}

static decode_kind decode_object, decode_list, decode_strings, decode_digests, decode_ext;

static decode_kind *const decode_by_kind[] = {
	[FL_K_STR] = decode_str,	 [FL_K_NAME] = decode_name,
	[FL_K_UUID] = decode_uuid,	 [FL_K_U64] = decode_u64,
	[FL_K_BOOL] = decode_bool,	 [FL_K_DIGEST] = decode_digest,
	[FL_K_BYTES] = decode_bytes,	 [FL_K_OBJECT] = decode_object,
	[FL_K_LIST] = decode_list,	 [FL_K_STRINGS] = decode_strings,
	[FL_K_DIGESTS] = decode_digests, [FL_K_EXT] = decode_ext,
};

static const struct fl_field *find_field(const struct fl_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		if (strcmp(schema->fields[i].name, name) == 0)
			return &schema->fields[i];
	}
	return NULL;
}

static enum fl_rc check_present(const struct decoder *d, const struct fl_schema *schema,
				const cJSON *object)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct fl_field *field = &schema->fields[i];
		if (field->required &&
		    cJSON_GetObjectItemCaseSensitive(object, field->name) == NULL)
			return fl_fail(d->err, FL_E_DOC_FIELD, 0, "%s: missing", field->name);
	}
	return FL_OK;
}

static enum fl_rc decode_members(const struct decoder *d, const struct fl_schema *schema,
				 const cJSON *object, void *out)
{
	if (!cJSON_IsObject(object))
		return bad(d, "not an object");
	const cJSON *item = NULL;
	cJSON_ArrayForEach(item, object)
	{
		const struct fl_field *field = find_field(schema, item->string);
		if (field == NULL && d->unknown == FL_JSON_IGNORE_UNKNOWN)
			continue;
		if (field == NULL)
			return fl_fail(d->err, FL_E_DOC_FIELD, 0, "%s: unknown member",
				       item->string);
		enum fl_rc rc =
			decode_by_kind[field->kind](d, field, item, (char *)out + field->offset);
		if (rc != FL_OK)
			return fl_wrap(d->err, rc, "%s", field->name);
	}
	return check_present(d, schema, object);
}

static enum fl_rc decode_object(const struct decoder *d, const struct fl_field *field,
				const cJSON *item, void *place)
{
	void *sub = fl_arena_alloc(d->arena, field->sub->size, d->err);
	if (sub == NULL)
		return d->err->rc;
	enum fl_rc rc = decode_members(d, field->sub, item, sub);
	if (rc == FL_OK)
		memcpy(place, &sub, sizeof(sub));
	return rc;
}

/*
 * Room for the elements of an array. A list that is there but empty keeps a pointer, so that it can
 * be told from an absent one.
 */
static enum fl_rc list_room(const struct decoder *d, const struct fl_field *field,
			    const cJSON *item, size_t size, struct fl_any_list *ret,
			    void **ret_items)
{
	if (!cJSON_IsArray(item))
		return bad(d, "not a list");
	struct fl_any_list list = {NULL, 0};
	for (const cJSON *element = item->child; element != NULL; element = element->next)
		list.n++;
	if (list.n > field->max)
		return fl_fail(d->err, FL_E_DOC_FIELD, 0, "more than %" PRIu64 " elements",
			       field->max);
	void *items = fl_arena_alloc(d->arena, list.n * size, d->err);
	if (items == NULL)
		return d->err->rc;
	list.items = items;
	*ret_items = items;
	*ret = list;
	return FL_OK;
}

/* Every kind of list: `size` bytes per element, each decoded as `kind` says. */
static enum fl_rc decode_elements(const struct decoder *d, const struct fl_field *field,
				  const cJSON *item, size_t size, decode_kind *kind, void *place)
{
	struct fl_any_list list;
	void *items = NULL;
	enum fl_rc rc = list_room(d, field, item, size, &list, &items);
	size_t i = 0;
	for (const cJSON *element = item->child; rc == FL_OK && element != NULL;
	     element = element->next, i++) {
		rc = kind(d, field, element, (char *)items + i * size);
		if (rc != FL_OK)
			rc = fl_wrap(d->err, rc, "[%zu]", i);
	}
	if (rc == FL_OK)
		memcpy(place, &list, sizeof(list));
	return rc;
}

static enum fl_rc element_struct(const struct decoder *d, const struct fl_field *field,
				 const cJSON *item, void *place)
{
	return decode_members(d, field->sub, item, place);
}

static enum fl_rc element_string(const struct decoder *d, const struct fl_field *field,
				 const cJSON *item, void *place)
{
	(void)field;
	const char *text = text_of(item, FL_JSON_LIST_STRING_MAX);
	return text != NULL ? keep_text(d, text, place)
			    : bad(d, "not a string of at most 256 bytes");
}

static enum fl_rc decode_list(const struct decoder *d, const struct fl_field *field,
			      const cJSON *item, void *place)
{
	return decode_elements(d, field, item, field->sub->size, element_struct, place);
}

static enum fl_rc decode_strings(const struct decoder *d, const struct fl_field *field,
				 const cJSON *item, void *place)
{
	return decode_elements(d, field, item, sizeof(const char *), element_string, place);
}

static enum fl_rc decode_digests(const struct decoder *d, const struct fl_field *field,
				 const cJSON *item, void *place)
{
	return decode_elements(d, field, item, sizeof(struct fl_digest), decode_digest, place);
}

static enum fl_rc append_value(struct fl_buf *out, const cJSON *item, struct fl_err *err);

static enum fl_rc append_container(struct fl_buf *out, const cJSON *container, struct fl_err *err)
{
	const bool object = cJSON_IsObject(container) != 0;
	enum fl_rc rc = fl_buf_append_str(out, object ? "{" : "[", err);
	for (const cJSON *item = container->child; rc == FL_OK && item != NULL; item = item->next) {
		if (item != container->child)
			rc = fl_buf_append_str(out, ",", err);
		if (rc == FL_OK && object)
			rc = fl_buf_appendf(out, err, "\"%s\":", item->string);
		if (rc == FL_OK)
			rc = append_value(out, item, err);
	}
	return rc == FL_OK ? fl_buf_append_str(out, object ? "}" : "]", err) : rc;
}

/* Not with cJSON_Print, which writes large integers as 9.00719925474099e+15. */
static enum fl_rc append_value(struct fl_buf *out, const cJSON *item, struct fl_err *err)
{
	if (cJSON_IsString(item))
		return fl_json_append_string(out, item->valuestring, err);
	if (cJSON_IsNumber(item))
		return fl_buf_appendf(out, err, "%" PRIu64, (uint64_t)item->valuedouble);
	if (cJSON_IsBool(item))
		return fl_buf_append_str(out, cJSON_IsTrue(item) ? "true" : "false", err);
	return append_container(out, item, err);
}

/* The object's text again, without its spaces: nobody below reads it, it is passed on. */
static enum fl_rc decode_ext(const struct decoder *d, const struct fl_field *field,
			     const cJSON *item, void *place)
{
	(void)field;
	if (!cJSON_IsObject(item))
		return bad(d, "not an object");
	struct fl_buf text = FL_BUF(d->arena->max);
	enum fl_rc rc = append_value(&text, item, d->err);
	if (rc == FL_OK)
		rc = keep_text(d, fl_buf_str(&text), place);
	fl_buf_free(&text);
	return rc;
}

enum fl_rc fl_json_decode_keys(const struct fl_schema *schema, struct fl_bytes text,
			       enum fl_json_keys keys, enum fl_json_unknown unknown,
			       struct fl_arena *arena, void *out, struct fl_err *err)
{
	struct fl_err local = {0};
	struct decoder d = {unknown, arena, err != NULL ? err : &local};
	memset(out, 0, schema->size);
	size_t lexed_end = 0;
	enum fl_rc rc = fl_json_lex(text.data, text.len, keys, &lexed_end, d.err);
	if (rc != FL_OK)
		return rc;
	const char *start = (const char *)text.data;
	const char *end = NULL;
	cJSON *root = cJSON_ParseWithLengthOpts(start, text.len, &end, 0);
	if (root == NULL)
		return fl_fail(d.err, FL_E_NO_MEMORY, 0, "JSON of %zu bytes", text.len);
	/* Lexer and parser must have seen the same object. */
	rc = end == start + lexed_end ? decode_members(&d, schema, root, out)
				      : fl_fail(d.err, FL_E_DOC_SYNTAX, 0, "not parsed whole");
	cJSON_Delete(root);
	return rc;
}

enum fl_rc fl_json_decode(const struct fl_schema *schema, const void *text, size_t len,
			  enum fl_json_unknown unknown, struct fl_arena *arena, void *out,
			  struct fl_err *err)
{
	return fl_json_decode_keys(schema, (struct fl_bytes){text, len}, FL_JSON_KEYS_PROFILE,
				   unknown, arena, out, err);
}
