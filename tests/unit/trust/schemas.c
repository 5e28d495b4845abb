/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas.h"

#include <criterion/criterion.h>
#include <string.h>

static void *room(struct fl_arena *arena, size_t size)
{
	struct fl_err err;
	void *p = fl_arena_alloc(arena, size, &err);
	cr_assert_not_null(p, "%s", err.msg);
	return p;
}

static const char *text_of(struct fl_arena *arena, size_t len, char c)
{
	char *text = room(arena, len + 1);
	memset(text, c, len);
	return text;
}

static void put(void *place, const void *pointer)
{
	memcpy(place, &pointer, sizeof(pointer));
}

static void put_list(const struct fl_field *field, void *place, bool full, struct fl_arena *arena)
{
	size_t n = !full ? 0 : field->max < 3 ? (size_t)field->max : 3;
	struct fl_any_list list = {NULL, n};
	size_t size = field->kind == FL_K_LIST	    ? field->sub->size
		      : field->kind == FL_K_STRINGS ? sizeof(char *)
						    : sizeof(struct fl_digest);
	char *items = room(arena, n * size);
	for (size_t i = 0; i < n; i++) {
		if (field->kind == FL_K_LIST)
			fill_struct(field->sub, items + i * size, full, arena);
		else if (field->kind == FL_K_STRINGS)
			put(items + i * size, text_of(arena, 256 - i, (char)('a' + i)));
		else
			memset(items + i * size, (int)i + 1, size);
	}
	list.items = items;
	memcpy(place, &list, sizeof(list));
}

static void fill_field(const struct fl_field *field, void *place, bool full, struct fl_arena *arena)
{
	static const char strange[] =
		"\"\\/\b\f\n\r\t\x01\x7f \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
	switch (field->kind) {
	case FL_K_STR:
		put(place, full && field->max >= sizeof(strange)
				   ? strange
				   : text_of(arena, full ? field->max : 0, 'z'));
		return;
	case FL_K_NAME:
		put(place, text_of(arena, full ? FL_NAME_MAX : 1, 'n'));
		return;
	case FL_K_UUID:
		put(place, "00112233-4455-6677-8899-aabbccddeeff");
		return;
	case FL_K_U64:
		*(uint64_t *)place = full ? field->max : 0;
		return;
	case FL_K_BOOL:
		*(bool *)place = full;
		return;
	case FL_K_DIGEST:
		memset(place, 0xa5, sizeof(struct fl_digest));
		return;
	case FL_K_BYTES:
		*(struct fl_bytes *)place = (struct fl_bytes){
			(const uint8_t *)text_of(arena, 4096, '\xfb'),
			full ? (field->max < 4096 ? (size_t)field->max : 4096) : 0};
		return;
	case FL_K_OBJECT:
		put(place, room(arena, field->sub->size));
		fill_struct(field->sub, *(void **)place, full, arena);
		return;
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		put_list(field, place, full, arena);
		return;
	case FL_K_EXT:
		put(place,
		    "{\"a\":[1,{\"b\":9007199254740991}],\"c\":\"\\u0001\xc3\xa9\",\"d\":true}");
		return;
	default:
		cr_assert_fail("a kind nobody fills");
	}
}

void fill_struct(const struct fl_schema *schema, void *out, bool full, struct fl_arena *arena)
{
	memset(out, 0, schema->size);
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct fl_field *field = &schema->fields[i];
		if (full || field->required)
			fill_field(field, (char *)out + field->offset, full, arena);
	}
}
