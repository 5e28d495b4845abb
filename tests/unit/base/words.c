/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/words.h>

#include <criterion/criterion.h>
#include <fairlead/base/schema.h>

Test(words, of_others_cannot_steer_the_terminal)
{
	char printed[64] = "";
	FILE *out = fmemopen(printed, sizeof(printed), "w");
	fl_words_print_clean(out, "a\033[2Jb\r\nc\x7f"
				  "d\xc2\x9b"
				  "31mé");
	cr_assert_eq(fclose(out), 0);
	cr_assert_str_eq(printed, "a?[2Jb??c?d?31mé");
}

Test(words, times_are_absolute_and_relative)
{
	char s[FL_WORDS_MAX];
	cr_assert_str_eq(fl_words_time(1700000000, 1700000000, s), "2023-11-14 22:13:20Z (now)");
	cr_assert_str_eq(fl_words_time(1700000000, 1700000119, s),
			 "2023-11-14 22:13:20Z (119 s ago)");
	cr_assert_str_eq(fl_words_time(1700000000, 1700000120, s),
			 "2023-11-14 22:13:20Z (2 min ago)");
	cr_assert_str_eq(fl_words_time(1700007200, 1700000000, s), "2023-11-15 00:13:20Z (in 2 h)");
	cr_assert_str_eq(fl_words_time(1700000000, 1700172800, s),
			 "2023-11-14 22:13:20Z (2 d ago)");
	cr_assert_str_eq(fl_words_time(0, 1700000000, s), "-");
	cr_assert_str_eq(fl_words_time(UINT64_MAX, 1700000000, s), "-");
	cr_assert_gt(strlen(fl_words_time(FL_U53_MAX, 0, s)), 0, "no overflow");
}

Test(words, sizes)
{
	char s[FL_WORDS_MAX];
	cr_assert_str_eq(fl_words_size(0, s), "0 B");
	cr_assert_str_eq(fl_words_size(1023, s), "1023 B");
	cr_assert_str_eq(fl_words_size(1536, s), "1.5 KiB");
	cr_assert_str_eq(fl_words_size(64 << 20, s), "64.0 MiB");
	cr_assert_str_eq(fl_words_size(UINT64_MAX, s), "16.0 EiB");
}
