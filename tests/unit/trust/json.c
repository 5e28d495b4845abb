/* SPDX-License-Identifier: Apache-2.0 */
/* The lexer: every leniency of cJSON 1.7.15 that docs/formats.md, section 2, closes. */
#include <fairlead/trust/json.h>

#include <criterion/criterion.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct fl_err err;

static enum fl_rc check_bytes(const void *text, size_t len)
{
	/* a copy of the exact length, so that a read past its end is seen */
	void *copy = malloc(len == 0 ? 1 : len);
	memcpy(copy, text, len);
	enum fl_rc rc = fl_json_check(copy, len, &err);
	free(copy);
	return rc;
}

static enum fl_rc check(const char *text)
{
	return check_bytes(text, strlen(text));
}

static void all_refused(const char *const *texts)
{
	for (; *texts != NULL; texts++)
		cr_expect_eq(check(*texts), FL_E_DOC_SYNTAX, "%s", *texts);
}

static void all_accepted(const char *const *texts)
{
	for (; *texts != NULL; texts++)
		cr_expect_eq(check(*texts), FL_OK, "%s: %s", *texts, err.msg);
}
#define REFUSED(...)  all_refused((const char *const[]){__VA_ARGS__, NULL})
#define ACCEPTED(...) all_accepted((const char *const[]){__VA_ARGS__, NULL})

Test(json, plain_objects_are_accepted)
{
	ACCEPTED("{}", "{\"a\":1}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":[{},[],1,\"\",true,false]}",
		 "{\"a_1\":\"x\",\"b\":0}", " {\t\"a\" :\r\n 1 } \n");
}

Test(json, only_an_object_stands_at_the_top)
{
	REFUSED("", " ", "1", "\"a\"", "[]", "[{}]", "true", "null", "x");
}

Test(json, a_key_that_stands_twice_is_refused)
{
	REFUSED("{\"a\":1,\"a\":2}", "{\"a\":1,\"b\":2,\"a\":3}", "{\"x\":{\"a\":1,\"a\":1}}",
		"{\"x\":[{\"b\":1,\"c\":1,\"b\":1}]}");
	ACCEPTED("{\"a\":{\"a\":{\"a\":1}}}", "{\"l\":[{\"a\":1},{\"a\":1}]}");
}

Test(json, an_escaped_key_cannot_hide_a_second_one)
{
	REFUSED("{\"a\":1,\"\\u0061\":2}", "{\"\\u0061\":2}", "{\"a\\u0000b\":1}");
}

Test(json, keys_are_lower_case_digits_and_underscore)
{
	REFUSED("{\"A\":1}", "{\"a-b\":1}", "{\"a b\":1}", "{\"\":1}", "{\"\xc3\xa4\":1}", "{a:1}",
		"{'a':1}", "{\"a.b\":1}", "{\"payloadType\":1}");
}

Test(json, a_key_has_at_most_forty_bytes)
{
	ACCEPTED("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}");
	REFUSED("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}");
}

Test(json, integers_end_at_two_to_the_53_less_one)
{
	ACCEPTED("{\"a\":0}", "{\"a\":9007199254740991}", "{\"a\":4294967296}");
	REFUSED("{\"a\":9007199254740992}", "{\"a\":9007199254740993}", "{\"a\":99999999999999999}",
		"{\"a\":18446744073709551616}", "{\"a\":10000000000000000000000000000000}");
}

Test(json, numbers_have_no_sign_point_exponent_or_leading_zero)
{
	REFUSED("{\"a\":-1}", "{\"a\":-0}", "{\"a\":+1}", "{\"a\":1.0}", "{\"a\":1e2}",
		"{\"a\":1E2}", "{\"a\":1e999}", "{\"a\":007}", "{\"a\":00}", "{\"a\":.5}",
		"{\"a\":1.}", "{\"a\":0x1}", "{\"a\":NaN}", "{\"a\":Infinity}");
}

Test(json, null_and_misspelt_literals_are_refused)
{
	REFUSED("{\"a\":null}", "{\"a\":tru}", "{\"a\":True}", "{\"a\":truee}", "{\"a\":falsey}",
		"{\"a\":t");
}

Test(json, nothing_stands_behind_the_object)
{
	REFUSED("{\"a\":1}xyz", "{\"a\":1}{}", "{\"a\":1},", "{}]", "{} //");
	cr_assert_eq(check_bytes("{}\0", 3), FL_E_DOC_SYNTAX);
}

Test(json, commas_and_colons_stand_where_they_must)
{
	REFUSED("{\"a\":1,}", "{,\"a\":1}", "{\"a\" 1}", "{\"a\":}", "{\"a\"}", "{\"a\":1 \"b\":2}",
		"{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":1,,\"b\":2}",
		"{\"a\":[1}}", "{\"a\":{]}", "{:1}");
}

Test(json, control_characters_in_strings_are_refused)
{
	REFUSED("{\"a\":\"x\ny\"}", "{\"a\":\"\t\"}", "{\"a\":\"\x01\"}", "{\"a\":\"\x7f\"}");
	cr_assert_eq(check_bytes("{\"a\":\"x\0y\"}", 11), FL_E_DOC_SYNTAX);
	ACCEPTED("{\"a\":\"x\\ny\\t\\u0001\"}");
}

Test(json, an_escaped_zero_byte_is_refused)
{
	REFUSED("{\"a\":\"good\\u0000evil\"}", "{\"a\":\"\\u0000\"}");
}

Test(json, a_byte_order_mark_is_refused)
{
	REFUSED("\xef\xbb\xbf{\"a\":1}");
}

Test(json, strings_are_valid_utf8)
{
	ACCEPTED("{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\xe2\x82\xac\"}", "{\"a\":\"\xf0\x9f\x98\x80\"}",
		 "{\"a\":\"\xf4\x8f\xbf\xbf\"}");
	REFUSED("{\"a\":\"\xff\"}", "{\"a\":\"\x80\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xc3(\"}",
		"{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xe0\x80\xaf\"}", "{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xf0\x80\x80\x80\"}",
		"{\"a\":\"\xe2\x82\"}", "{\"a\":\"\xf8\x88\x80\x80\x80\"}");
}

Test(json, escapes_are_those_of_the_standard)
{
	ACCEPTED("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"}");
	REFUSED("{\"a\":\"\\x41\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\",
		"{\"a\":\"\\u", "{\"a\":\"\\ud83d\"}", "{\"a\":\"\\ude00\"}",
		"{\"a\":\"\\ud83d\\u0041\"}", "{\"a\":\"\\ud83dx\"}", "{\"a\":\"\\ud83d\\ud83d\"}",
		"{\"a\":\"\\'\"}");
}

Test(json, a_text_that_is_cut_anywhere_is_refused)
{
	const char text[] = "{\"a\":[1,{\"b\":\"x\\u00e9\xc3\xa9\",\"c\":true}],\"d\":9}";
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		cr_assert_eq(check_bytes(text, len), FL_E_DOC_SYNTAX, "%zu bytes", len);
	cr_assert_eq(check_bytes(text, sizeof(text) - 1), FL_OK);
}

static void nest(char *out, int depth)
{
	out += sprintf(out, "{\"a\":");
	for (int i = 2; i < depth; i++)
		*out++ = '[';
	out += sprintf(out, "{}");
	for (int i = 2; i < depth; i++)
		*out++ = ']';
	sprintf(out, "}");
}

Test(json, sixteen_levels_are_the_most)
{
	char text[4096];
	nest(text, 16);
	cr_assert_eq(check(text), FL_OK, "%s", err.msg);
	nest(text, 17);
	cr_assert_eq(check(text), FL_E_DOC_SYNTAX);
	nest(text, 2000);
	cr_assert_eq(check(text), FL_E_DOC_SYNTAX);
}

/* {"a":[0,0,…]}: three tokens and one for each element */
static char *list_of(size_t n)
{
	char *text = malloc(2 * n + 16);
	char *p = text + sprintf(text, "{\"a\":[");
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%s0", i > 0 ? "," : "");
	strcpy(p, "]}");
	return text;
}

Test(json, twenty_thousand_tokens_are_the_most)
{
	char *text = list_of(20000 - 3);
	cr_assert_eq(check(text), FL_OK, "%s", err.msg);
	free(text);
	text = list_of(20000 - 2);
	cr_assert_eq(check(text), FL_E_DOC_SYNTAX);
	free(text);
}

Test(json, the_most_keys_in_one_object_cost_little)
{
	char *text = malloc(1 << 20);
	char *p = text + sprintf(text, "{");
	for (int i = 0; i < 9999; i++)
		p += sprintf(p, "%s\"k%d\":0", i > 0 ? "," : "", i);
	strcpy(p, "}");
	clock_t start = clock();
	cr_assert_eq(check(text), FL_OK, "%s", err.msg);
	cr_assert_lt(clock() - start, CLOCKS_PER_SEC / 4);
	memcpy(strstr(text, "\"k9000\""), "\"k0001\"", 7);
	cr_assert_eq(check(text), FL_OK, "k0001 is not k1");
	memcpy(strstr(text, "\"k0001\""), "\"k9001\"", 7);
	cr_assert_eq(check(text), FL_E_DOC_SYNTAX);
	free(text);
}

Test(json, members_packed_as_densely_as_can_be)
{
	/* five bytes per member is what the lexer reckons with */
	cr_assert_eq(check("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":"
			   "0,\"j\":0}"),
		     FL_OK);
	cr_assert_eq(check("{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{}}}}}}}"), FL_OK);
}

Test(json, the_message_names_the_byte)
{
	cr_assert_eq(check("{\"a\":1,\"b\":-1}"), FL_E_DOC_SYNTAX);
	cr_assert_str_eq(err.msg, "byte 11: a value was expected");
	cr_assert_eq(check("{\"a\":1,\"a\":1}"), FL_E_DOC_SYNTAX);
	cr_assert_str_eq(err.msg, "byte 8: key 'a' stands twice");
}

/* What cJSON alone would have taken; should a newer one refuse it, the lexer is still the one that
 * decides. */
Test(json, what_cjson_takes_is_not_the_measure)
{
	static const char *const texts[] = {"{\"a\":007}",  "{\"a\":1,\"a\":2}", "{\"a\":\"x\ny\"}",
					    "{\"a\":1}xyz", "{\"a\":1e999}",	 "{\"A\":1}"};
	size_t taken = 0;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cJSON *json = cJSON_Parse(texts[i]);
		taken += json != NULL;
		cJSON_Delete(json);
		cr_assert_eq(check(texts[i]), FL_E_DOC_SYNTAX);
	}
	cr_assert_gt(taken, 3);
}
