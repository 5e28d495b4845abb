/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal, base64, names, UUIDs: exactly one text per value. */
#include <fairlead/base/encode.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(hex, round_trip)
{
	unsigned char in[256], out[256];
	char text[513];
	for (int i = 0; i < 256; i++)
		in[i] = (unsigned char)i;
	fl_hex_encode(in, sizeof(in), text);
	cr_assert_eq(strlen(text), 512);
	cr_assert_eq(strncmp(text, "000102", 6), 0);
	cr_assert(fl_hex_decode(text, 512, out, sizeof(out)));
	cr_assert_arr_eq(in, out, 256);
}

Test(hex, other_lengths_and_characters_are_refused)
{
	unsigned char out[2];
	cr_assert(fl_hex_decode("00ff", 4, out, 2));
	cr_assert_not(fl_hex_decode("00f", 3, out, 2));
	cr_assert_not(fl_hex_decode("00ff0", 5, out, 2));
	cr_assert_not(fl_hex_decode("00FF", 4, out, 2));
	cr_assert_not(fl_hex_decode("00fg", 4, out, 2));
	cr_assert_not(fl_hex_decode(" 0ff", 4, out, 2));
	cr_assert_not(fl_hex_decode("0x00", 4, out, 2));
	cr_assert(fl_hex_decode("", 0, out, 0));
}

/* RFC 4648, section 10 */
Test(base64, the_vectors_of_the_rfc)
{
	static const char *const rows[][2] = {{"", ""},
					      {"f", "Zg=="},
					      {"fo", "Zm8="},
					      {"foo", "Zm9v"},
					      {"foob", "Zm9vYg=="},
					      {"fooba", "Zm9vYmE="},
					      {"foobar", "Zm9vYmFy"}};
	for (size_t i = 0; i < 7; i++) {
		char text[16], out[16];
		size_t len = 99;
		fl_base64_encode(rows[i][0], strlen(rows[i][0]), text);
		cr_assert_str_eq(text, rows[i][1]);
		cr_assert_eq(strlen(text) + 1, FL_BASE64_SIZE(strlen(rows[i][0])));
		cr_assert(fl_base64_decode(text, strlen(text), out, &len));
		cr_assert_eq(len, strlen(rows[i][0]));
		cr_assert_arr_eq(out, rows[i][0], len);
	}
}

Test(base64, only_the_canonical_text_is_taken)
{
	static const char *const bad[] = {"Z",		"Zg",	       "Zg=",  "Zh==",	 "Zm9=",
					  "Zg==Zg==",	"====",	       "Z===", "Zm9v\n", "Zm 9v",
					  "Zm9vYg==\n", "Zm-_",	       "=Zm9", "Zm9v=",	 "Zg=a",
					  "\xc3\xa9==", "Zm9vZg==Zm9v"};
	char out[16];
	size_t len;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(fl_base64_decode(bad[i], strlen(bad[i]), out, &len), "'%s'", bad[i]);
	cr_expect_not(fl_base64_decode("Zm9\0", 4, out, &len), "a zero byte");
}

/* Of all texts of four characters that decode, each is what its bytes encode to. */
Test(base64, every_group_has_one_text)
{
	static const char chars[] = "AQgwBRhxZ+/9=-_ az";
	char text[5] = "", again[8];
	unsigned char out[4];
	size_t len, taken = 0;
	for (size_t i = 0; i < 18 * 18 * 18 * 18; i++) {
		text[0] = chars[i % 18];
		text[1] = chars[i / 18 % 18];
		text[2] = chars[i / 324 % 18];
		text[3] = chars[i / 5832];
		if (!fl_base64_decode(text, 4, out, &len))
			continue;
		taken++;
		fl_base64_encode(out, len, again);
		cr_assert_str_eq(again, text);
	}
	cr_assert_gt(taken, 1000);
}

Test(name, safe_in_a_path)
{
	static const char *const good[] = {"a",	   "rootfs", "gw-0001", "mcu_a",
					   "v1.2", "0",	     "a..b",	"_x"};
	static const char *const bad[] = {"",	 ".",	"..",	    ".a",  "-a",   "A", "a/b",
					  "a b", "a\n", "\xc3\xa9", "a:b", "a\\b", "*"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(fl_name_valid(good[i]), "'%s'", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(fl_name_valid(bad[i]), "'%s'", bad[i]);
}

Test(name, has_at_most_64_bytes)
{
	char name[70];
	memset(name, 'n', sizeof(name));
	name[64] = '\0';
	cr_assert(fl_name_valid(name));
	name[64] = 'n';
	name[65] = '\0';
	cr_assert_not(fl_name_valid(name));
}

Test(uuid, lower_case_with_dashes)
{
	cr_assert(fl_uuid_valid("00112233-4455-6677-8899-aabbccddeeff"));
	cr_assert_not(fl_uuid_valid("00112233-4455-6677-8899-AABBCCDDEEFF"));
	cr_assert_not(fl_uuid_valid("00112233-4455-6677-8899-aabbccddeeff0"));
	cr_assert_not(fl_uuid_valid("00112233-4455-6677-8899-aabbccddeef"));
	cr_assert_not(fl_uuid_valid("001122334455-6677-8899-aabbccddeeff0"));
	cr_assert_not(fl_uuid_valid("{0112233-4455-6677-8899-aabbccddeef}"));
	cr_assert_not(fl_uuid_valid(""));
}

Test(digest, zero_and_equal)
{
	struct fl_digest a = {{0}}, b = {{0}};
	cr_assert(fl_digest_is_zero(&a));
	cr_assert(fl_digest_equal(&a, &b));
	b.b[31] = 1;
	cr_assert_not(fl_digest_is_zero(&b));
	cr_assert_not(fl_digest_equal(&a, &b));
}
