/* SPDX-License-Identifier: Apache-2.0 */
/* The decision file: its exact text, and that no other text is half believed. */
#include <fairlead/boot/boot.h>

#include <fairlead/trust/digest.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct fl_boot_state sample(void)
{
	struct fl_boot_state s = {.seq = 17, .tries = 1, .n_withdrawn = 2};
	s.good[0] = 'a';
	s.trial[0] = 'b';
	s.withdrawn[0][0] = 'c';
	s.withdrawn[1][0] = 'd';
	return s;
}

static struct fl_buf with_sum(const char *body)
{
	struct fl_buf text = FL_BUF(8192);
	struct fl_digest sum;
	char hex[FL_DIGEST_HEX_SIZE];
	cr_assert_eq(fl_sha256(NULL, 0, body, strlen(body), &sum, NULL), FL_OK);
	fl_hex_encode(sum.b, sizeof(sum.b), hex);
	cr_assert_eq(fl_buf_appendf(&text, NULL, "%ssha256=%s\n", body, hex), FL_OK);
	return text;
}

Test(boot_decision, the_text_is_the_one_that_the_machine_reads)
{
	struct fl_buf out = FL_BUF(4096);
	const struct fl_boot_state s = sample();
	struct fl_boot_state back;
	struct fl_buf want = with_sum("fairlead-sim-boot 1\nseq=17\ngood=a\ntrial=b\ntries=1\n"
				      "withdrawn=c,d\n");
	cr_assert_eq(fl_boot_decision_print(&s, &out, NULL), FL_OK);
	cr_assert_str_eq(fl_buf_str(&out), fl_buf_str(&want));
	cr_assert_eq(fl_boot_decision_parse(&out, &back, NULL), FL_OK);
	cr_assert_eq(memcmp(&back, &s, sizeof(s)), 0);
	fl_buf_free(&out);
	fl_buf_free(&want);
}

Test(boot_decision, every_changed_byte_and_every_cut_is_damage)
{
	struct fl_buf out = FL_BUF(4096);
	struct fl_boot_state back = {0};
	const struct fl_boot_state s = sample();
	cr_assert_eq(fl_boot_decision_print(&s, &out, NULL), FL_OK);
	for (size_t i = 0; i < out.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			out.data[i] ^= (uint8_t)(1u << bit);
			cr_assert_eq(fl_boot_decision_parse(&out, &back, NULL), FL_E_CORRUPT);
			out.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	const size_t whole = out.len;
	for (out.len = 0; out.len < whole; out.len++) {
		const uint8_t kept = out.data[out.len];
		out.data[out.len] = 0;
		cr_assert_eq(fl_boot_decision_parse(&out, &back, NULL), FL_E_CORRUPT);
		out.data[out.len] = kept;
	}
	cr_assert_eq(fl_buf_append(&out, "\n", 1, NULL), FL_OK);
	cr_assert_eq(fl_boot_decision_parse(&out, &back, NULL), FL_E_CORRUPT);
	cr_assert_eq(back.seq, 0, "untouched");
	fl_buf_free(&out);
}

/* A right sum over a wrong text. */
Test(boot_decision, other_texts_are_refused_even_with_their_sum)
{
	static const char *const bodies[] = {
		"fairlead-sim-boot 2\nseq=1\ngood=a\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=01\ngood=a\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=-1\ngood=a\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=\ngood=a\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot "
		"1\nseq=9999999999999999999\ngood=a\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=../a\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=a\ntries=1\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=b\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=\ntries=1\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=b\ntries=10\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=\ntries=0\nwithdrawn=b,\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=\ntries=0\nwithdrawn=,b\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=\ntries=0\nwithdrawn=b,b\n",
		"fairlead-sim-boot 1\ngood=a\nseq=1\ntrial=\ntries=0\nwithdrawn=\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=\ntries=0\nwithdrawn=\nmore=1\n",
		"fairlead-sim-boot 1\nseq=1\ngood=a\ntrial=\ntries=0\n",
		"",
	};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct fl_boot_state back;
		struct fl_buf text = with_sum(bodies[i]);
		cr_assert_eq(fl_boot_decision_parse(&text, &back, NULL), FL_E_CORRUPT, "%s",
			     bodies[i]);
		fl_buf_free(&text);
	}
}

Test(boot_decision, as_many_slots_as_there_may_be)
{
	struct fl_boot_state s = {.seq = 1};
	struct fl_boot_state back;
	struct fl_buf out = FL_BUF(4096);
	memset(s.good, 'g', FL_NAME_MAX);
	for (size_t i = 0; i < FL_BOOT_SLOTS_MAX; i++)
		memset(s.withdrawn[s.n_withdrawn++], (int)('a' + i), FL_NAME_MAX);
	s.withdrawn[6][0] = 'z'; /* not the good one's name */
	cr_assert_eq(fl_boot_decision_print(&s, &out, NULL), FL_OK);
	cr_assert_eq(fl_boot_decision_parse(&out, &back, NULL), FL_OK);
	cr_assert_eq(memcmp(&back, &s, sizeof(s)), 0);
	fl_buf_free(&out);
}
