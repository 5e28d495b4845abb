/* SPDX-License-Identifier: Apache-2.0 */
/* Structs ↔ JSON by tables. */
#include "schemas.h"

#include <fairlead/trust/documents.h>
#include <fairlead/trust/json.h>

#include <criterion/criterion.h>
#include <string.h>

struct inner {
	const char *name;
	uint64_t count;
};

struct outer {
	const char *str;
	const char *name;
	const char *uuid;
	uint64_t number;
	bool flag;
	struct fl_digest digest;
	struct fl_bytes bytes;
	const struct inner *object;
	FL_LIST(struct inner) list;
	FL_LIST(const char *) strings;
	FL_LIST(struct fl_digest) digests;
	const char *ext;
};

static const struct fl_field inner_fields[] = {
	FL_REQ(struct inner, name, NAME, 0, NULL, "who"),
	FL_OPT(struct inner, count, U64, 1000, NULL, "how many"),
};
static const struct fl_schema inner_schema =
	FL_SCHEMA("inner", struct inner, inner_fields, "A part.");

#define OUTER(WHAT)                                                                                \
	WHAT(struct outer, str, STR, 8, NULL, "text"),                                             \
		WHAT(struct outer, name, NAME, 0, NULL, ""),                                       \
		WHAT(struct outer, uuid, UUID, 0, NULL, ""),                                       \
		WHAT(struct outer, number, U64, FL_U53_MAX, NULL, ""),                             \
		WHAT(struct outer, flag, BOOL, 0, NULL, ""),                                       \
		WHAT(struct outer, digest, DIGEST, 0, NULL, ""),                                   \
		WHAT(struct outer, bytes, BYTES, 6, NULL, ""),                                     \
		WHAT(struct outer, object, OBJECT, 0, &inner_schema, "a part"),                    \
		WHAT(struct outer, list, LIST, 2, &inner_schema, ""),                              \
		WHAT(struct outer, strings, STRINGS, 2, NULL, ""),                                 \
		WHAT(struct outer, digests, DIGESTS, 2, NULL, ""),                                 \
		WHAT(struct outer, ext, EXT, 0, NULL, "")

static const struct fl_field optional_fields[] = {OUTER(FL_OPT)};
static const struct fl_field required_fields[] = {OUTER(FL_REQ)};
static const struct fl_schema optional = FL_SCHEMA("optional", struct outer, optional_fields, NULL);
static const struct fl_schema required = FL_SCHEMA("required", struct outer, required_fields, NULL);

static struct fl_arena arena;
static struct fl_err err;
static struct outer out;

static void setup(void)
{
	arena = FL_ARENA(1 << 20);
}

static void teardown(void)
{
	fl_arena_free(&arena);
}

TestSuite(codec, .init = setup, .fini = teardown);

static enum fl_rc decode(const char *text)
{
	return fl_json_decode(&optional, text, strlen(text), FL_JSON_REFUSE_UNKNOWN, &arena, &out,
			      &err);
}

static const char *encode(const struct fl_schema *schema, const void *in)
{
	struct fl_buf buf = FL_BUF(1 << 20);
	enum fl_rc rc = fl_json_encode(schema, in, &buf, &err);
	const char *text = rc == FL_OK ? fl_arena_copy(&arena, buf.data, buf.len, &err) : NULL;
	cr_assert(rc == FL_OK || buf.len == 0, "output of a failed encoder");
	fl_buf_free(&buf);
	return text;
}

#define EXPECT_FIELD(text, message)                                                                \
	do {                                                                                       \
		cr_expect_eq(decode(text), FL_E_DOC_FIELD, "%s", text);                            \
		cr_expect_str_eq(err.msg, message);                                                \
	} while (0)

Test(codec, every_kind_arrives)
{
	cr_assert_eq(decode("{\"str\":\"a\\u00e9\\n\",\"name\":\"x-1\",\"uuid\":\"00112233-4455-"
			    "6677-8899-aabbccddeeff\","
			    "\"number\":9007199254740991,\"flag\":true,"
			    "\"digest\":\"sha256:"
			    "00000000000000000000000000000000000000000000000000000000000000ff\","
			    "\"bytes\":\"AAEC\",\"object\":{\"name\":\"o\",\"count\":7},"
			    "\"list\":[{\"name\":\"p\"},{\"name\":\"q\",\"count\":1000}],"
			    "\"strings\":[\"\",\"two\"],"
			    "\"digests\":[\"sha256:"
			    "01000000000000000000000000000000000000000000000000000000000000ff\"],"
			    "\"ext\":{ \"k\" : [ 1 , {\"z\":\"\\u0041\"} ] }}"),
		     FL_OK, "%s", err.msg);
	cr_assert_str_eq(out.str, "a\xc3\xa9\n");
	cr_assert_str_eq(out.name, "x-1");
	cr_assert_eq(out.number, FL_U53_MAX);
	cr_assert(out.flag);
	cr_assert_eq(out.digest.b[31], 0xff);
	cr_assert_eq(out.bytes.len, 3);
	cr_assert_arr_eq(out.bytes.data, "\0\1\2", 3);
	cr_assert_eq(out.object->count, 7);
	cr_assert_eq(out.list.n, 2);
	cr_assert_str_eq(out.list.items[1].name, "q");
	cr_assert_eq(out.list.items[0].count, 0);
	cr_assert_str_eq(out.strings.items[1], "two");
	cr_assert_eq(out.digests.items[0].b[0], 1);
	cr_assert_str_eq(out.ext, "{\"k\":[1,{\"z\":\"A\"}]}");
}

Test(codec, what_is_absent_is_zero)
{
	static const struct outer none;
	memset(&out, 0xff, sizeof(out));
	cr_assert_eq(decode("{}"), FL_OK);
	cr_assert_eq(memcmp(&out, &none, sizeof(out)), 0);
}

Test(codec, an_empty_list_is_not_an_absent_one)
{
	cr_assert_eq(decode("{\"strings\":[]}"), FL_OK);
	cr_assert_eq(out.strings.n, 0);
	cr_assert_not_null(out.strings.items);
	cr_assert_null(out.list.items);
	cr_assert_str_eq(encode(&optional, &out), "{\"strings\":[]}");
}

Test(codec, a_missing_required_member_is_named)
{
	cr_assert_eq(fl_json_decode(&required, "{\"str\":\"\"}", 10, FL_JSON_REFUSE_UNKNOWN, &arena,
				    &out, &err),
		     FL_E_DOC_FIELD);
	cr_assert_str_eq(err.msg, "name: missing");
}

Test(codec, an_unknown_member_is_refused_or_passed_over)
{
	EXPECT_FIELD("{\"new\":1}", "new: unknown member");
	EXPECT_FIELD("{\"object\":{\"name\":\"o\",\"new\":1}}", "object: new: unknown member");
	const char text[] =
		"{\"new\":[{\"x\":1}],\"object\":{\"name\":\"o\",\"new\":1},\"number\":5}";
	cr_assert_eq(fl_json_decode(&optional, text, sizeof(text) - 1, FL_JSON_IGNORE_UNKNOWN,
				    &arena, &out, &err),
		     FL_OK);
	cr_assert_eq(out.number, 5);
}

Test(codec, a_value_of_another_kind_is_refused)
{
	EXPECT_FIELD("{\"str\":1}", "str: not a string of at most 8 bytes");
	EXPECT_FIELD("{\"number\":\"1\"}", "number: not a number");
	EXPECT_FIELD("{\"number\":true}", "number: not a number");
	EXPECT_FIELD("{\"flag\":1}", "flag: neither true nor false");
	EXPECT_FIELD("{\"object\":[]}", "object: not an object");
	EXPECT_FIELD("{\"list\":{}}", "list: not a list");
	EXPECT_FIELD("{\"list\":[1]}", "list: [0]: not an object");
	EXPECT_FIELD("{\"strings\":[\"a\",1]}", "strings: [1]: not a string of at most 256 bytes");
	EXPECT_FIELD("{\"ext\":[]}", "ext: not an object");
	EXPECT_FIELD("{\"bytes\":{}}", "bytes: not canonical base64");
}

Test(codec, limits_hold_to_the_byte)
{
	cr_assert_eq(decode("{\"str\":\"12345678\"}"), FL_OK);
	EXPECT_FIELD("{\"str\":\"123456789\"}", "str: not a string of at most 8 bytes");
	EXPECT_FIELD("{\"str\":\"1234567\xc3\xa9\"}", "str: not a string of at most 8 bytes");
	cr_assert_eq(decode("{\"bytes\":\"AAAAAAAA\"}"), FL_OK);
	EXPECT_FIELD("{\"bytes\":\"AAAAAAAAAA==\"}", "bytes: more than 6 bytes");
	EXPECT_FIELD("{\"object\":{\"name\":\"o\",\"count\":1001}}", "object: count: above 1000");
	EXPECT_FIELD("{\"strings\":[\"\",\"\",\"\"]}", "strings: more than 2 elements");
}

Test(codec, a_list_s_string_has_at_most_256_bytes)
{
	char text[400] = "{\"strings\":[\"";
	size_t head = strlen(text);
	memset(text + head, 'x', 256);
	strcpy(text + head + 256, "\"]}");
	cr_assert_eq(decode(text), FL_OK, "%s", err.msg);
	strcpy(text + head + 256, "x\"]}");
	cr_assert_eq(decode(text), FL_E_DOC_FIELD);
}

Test(codec, names_and_uuids_are_checked)
{
	static const char *const bad[] = {"{\"name\":\"\"}",
					  "{\"name\":\"A\"}",
					  "{\"name\":\"../x\"}",
					  "{\"name\":\".x\"}",
					  "{\"name\":\"-x\"}",
					  "{\"name\":\"a/b\"}",
					  "{\"uuid\":\"00112233-4455-6677-8899-AABBCCDDEEFF\"}",
					  "{\"uuid\":\"00112233445566778899aabbccddeeff\"}",
					  "{\"uuid\":\"00112233-4455-6677-8899-aabbccddeef\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(decode(bad[i]), FL_E_DOC_FIELD, "%s", bad[i]);
}

/* opkg (CVE-2020-7982): an empty checksum was no checksum */
Test(codec, an_empty_zero_or_spaced_digest_is_refused)
{
	static const char *const bad[] = {
		"{\"digest\":\"\"}",
		"{\"digest\":\"sha256:\"}",
		"{\"digest\":\" "
		"sha256:00000000000000000000000000000000000000000000000000000000000000ff\"}",
		"{\"digest\":\"sha256:"
		"00000000000000000000000000000000000000000000000000000000000000ff \"}",
		"{\"digest\":\"sha256:"
		"0000000000000000000000000000000000000000000000000000000000000000\"}",
		"{\"digest\":\"sha256:"
		"00000000000000000000000000000000000000000000000000000000000000FF\"}",
		"{\"digest\":\"sha256:"
		"00000000000000000000000000000000000000000000000000000000000000f\"}",
		"{\"digest\":\"sha512:"
		"00000000000000000000000000000000000000000000000000000000000000ff\"}",
		"{\"digests\":[\"sha256:"
		"0000000000000000000000000000000000000000000000000000000000000000\"]}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(decode(bad[i]), FL_E_DOC_FIELD, "%s", bad[i]);
}

Test(codec, base64_is_canonical)
{
	static const char *const bad[] = {
		"{\"bytes\":\"AA\"}",	    "{\"bytes\":\"AA=\"}",   "{\"bytes\":\"AB==\"}",
		"{\"bytes\":\"AA==AA==\"}", "{\"bytes\":\"A===\"}",  "{\"bytes\":\"A-_A\"}",
		"{\"bytes\":\"AAAA\\n\"}",  "{\"bytes\":\" AAAA\"}", "{\"bytes\":\"====\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(decode(bad[i]), FL_E_DOC_FIELD, "%s", bad[i]);
}

Test(codec, members_are_told_apart_by_case)
{
	/* cJSON_GetObjectItem would find "name" for "NAME"; the lexer refuses the key before that
	 */
	cr_assert_eq(decode("{\"NAME\":\"x\"}"), FL_E_DOC_SYNTAX);
}

Test(codec, the_arena_s_limit_ends_a_decode)
{
	struct fl_arena small = FL_ARENA(16);
	const char text[] = "{\"strings\":[\"aaaaaaaaaaaaaaaaaaaaaaaa\"]}";
	cr_assert_eq(fl_json_decode(&optional, text, sizeof(text) - 1, FL_JSON_REFUSE_UNKNOWN,
				    &small, &out, &err),
		     FL_E_TOO_LARGE);
	cr_assert_eq(fl_json_decode(&optional, text, sizeof(text) - 1, FL_JSON_REFUSE_UNKNOWN,
				    &small, &out, NULL),
		     FL_E_TOO_LARGE, "without an error object");
	fl_arena_free(&small);
}

/* --- encoder --- */

Test(codec, members_are_written_in_the_order_of_the_table)
{
	struct outer in = {.flag = true, .str = "x", .number = 12};
	cr_assert_str_eq(encode(&optional, &in), "{\"str\":\"x\",\"number\":12,\"flag\":true}");
}

Test(codec, required_members_are_always_written)
{
	struct inner o = {"o", 0};
	struct outer in = {.str = "",
			   .name = "n",
			   .uuid = "00112233-4455-6677-8899-aabbccddeeff",
			   .object = &o,
			   .ext = "{}"};
	in.digest.b[0] = 1;
	cr_assert_str_eq(
		encode(&required, &in),
		"{\"str\":\"\",\"name\":\"n\",\"uuid\":\"00112233-4455-6677-8899-aabbccddeeff\","
		"\"number\":0,"
		"\"flag\":false,\"digest\":\"sha256:"
		"0100000000000000000000000000000000000000000000000000000000000000\",\"bytes\":\"\","
		"\"object\":{\"name\":\"o\"},\"list\":[],\"strings\":[],\"digests\":[],\"ext\":{}"
		"}");
}

Test(codec, what_the_decoder_would_refuse_is_not_written)
{
	static const struct inner nameless;
	static const char *const three[] = {"a", "b", "c"};
	struct outer bad[] = {
		{.str = "123456789"},
		{.name = "Not a name"},
		{.uuid = "x"},
		{.number = FL_U53_MAX + 1},
		{.bytes = {(const uint8_t *)"1234567", 7}},
		{.object = &nameless},
		{.ext = "{\"a\":-1}"},
		{.ext = "[]"},
		{.ext = "{\"a\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}"}, /* 16 levels: one too many
								       inside another object */
		{.strings = {three, 3}},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_null(encode(&optional, &bad[i]), "%zu", i);
}

Test(codec, a_string_that_is_no_utf8_is_still_one_line_of_json)
{
	struct fl_buf buf = FL_BUF(256);
	cr_assert_eq(fl_json_append_string(&buf, "a\xff\xc3\n\x1b[0m\"\\", &err), FL_OK);
	cr_assert_str_eq(fl_buf_str(&buf), "\"a??\\n\\u001b[0m\\\"\\\\\"");
	fl_buf_free(&buf);
}

Test(codec, a_buffer_that_is_too_small_is_left_as_it_was)
{
	struct fl_buf buf = FL_BUF(20);
	struct outer in = {.str = "1234567", .number = FL_U53_MAX};
	cr_assert_eq(fl_buf_append_str(&buf, "before", &err), FL_OK);
	cr_assert_eq(fl_json_encode(&optional, &in, &buf, &err), FL_E_TOO_LARGE);
	cr_assert_eq(buf.len, 6);
	cr_assert_eq(fl_json_append_string(&buf, "0123456789012345", &err), FL_E_TOO_LARGE);
	cr_assert_eq(buf.len, 6);
	fl_buf_free(&buf);
}

Test(codec, line_ends_of_an_ext_do_not_break_the_line)
{
	struct outer in = {.ext = "{\n\t\"a\": 1\r\n}\n"};
	const char *text = encode(&optional, &in);
	cr_assert_not_null(text, "%s", err.msg);
	cr_assert_null(strpbrk(text, "\r\n\t"));
	cr_assert_eq(decode(text), FL_OK);
	cr_assert_str_eq(out.ext, "{\"a\":1}");
}

static void round_trip(const struct fl_schema *schema, bool full)
{
	static uint64_t in[256], back[256];
	cr_assert_leq(schema->size, sizeof(in));
	fill_struct(schema, in, full, &arena);
	const char *first = encode(schema, in);
	cr_assert_not_null(first, "%s: %s", schema->name, err.msg);
	cr_assert_eq(fl_json_decode(schema, first, strlen(first), FL_JSON_REFUSE_UNKNOWN, &arena,
				    back, &err),
		     FL_OK, "%s: %s\n%s", schema->name, err.msg, first);
	cr_assert_str_eq(encode(schema, back), first, "%s", schema->name);
}

Test(codec, every_schema_survives_the_round_trip)
{
	static const struct fl_schema *const schemas[] = {
		&fl_root_schema,   &fl_release_schema,	  &fl_job_schema, &fl_heartbeat_schema,
		&fl_report_schema, &fl_image_info_schema, &optional,	  &required};
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		round_trip(schemas[i], true);
		round_trip(schemas[i], false);
	}
}

Test(codec, a_schema_describes_itself_and_those_below)
{
	struct fl_buf text = FL_BUF(1 << 16);
	cr_assert_eq(fl_json_describe(&optional, &text, &err), FL_OK, "%s", err.msg);
	cr_assert_not_null(strstr(fl_buf_str(&text), "| *`str`* | string | 8 | text |"));
	cr_assert_not_null(strstr(fl_buf_str(&text), "| *`list`* | list of inner | 2 |"));
	const char *inner = strstr(fl_buf_str(&text), "### inner\n\nA part.\n");
	cr_assert_not_null(inner);
	cr_assert_null(strstr(inner + 1, "### inner"), "described twice");
	fl_buf_free(&text);
}
