/* SPDX-License-Identifier: Apache-2.0 */
/* The next source after one that failed, lied, or asked for patience. */
#include "sources.h"

#include <criterion/criterion.h>

static struct fl_sources sources;

static void set_up(void)
{
	sources = (struct fl_sources){0};
	fl_sources_add(&sources, "a", false);
	fl_sources_add(&sources, "b", false);
	fl_sources_add(&sources, "c", false);
}

TestSuite(sources, .init = set_up);

static struct fl_sources_next fails(enum fl_rc rc, uint64_t retry_after_s, uint64_t now_ms)
{
	const struct fl_sources_failure failure = {rc, 0, retry_after_s};
	return fl_sources_failed(&sources, &failure, now_ms);
}

static char used(void)
{
	return *sources.of[sources.used].base;
}

Test(sources, the_next_one_follows_at_once_and_a_round_later_with_a_pause)
{
	static const uint64_t pauses[] = {0, 0, 500, 500, 500, 1000, 1000, 1000};
	for (size_t i = 0; i < 8; i++) {
		const struct fl_sources_next next = fails(FL_E_NETWORK, 0, 1);
		cr_assert(!next.spent);
		cr_assert_eq(next.wait_ms, pauses[i], "%zu: %llu", i, (unsigned long long)next.wait_ms);
		cr_assert_eq(used(), "bcabcabc"[i]);
	}
	cr_assert(fails(FL_E_NETWORK, 0, 1).spent, "three rounds");
}

Test(sources, a_right_byte_begins_to_count_anew)
{
	for (int i = 0; i < 100; i++) {
		cr_assert(!fails(FL_E_NETWORK, 0, 1).spent);
		if (i % 5 == 4)
			fl_sources_good(&sources);
	}
}

Test(sources, one_that_lied_is_asked_again_only_after_all_others)
{
	(void)fails(FL_E_CHUNK_MISMATCH, 0, 1);
	for (int i = 0; i < 5; i++) {
		cr_assert_neq(used(), 'a');
		(void)fails(FL_E_NETWORK, 0, 1);
		fl_sources_good(&sources);
	}
	(void)fails(FL_E_CHUNK_MISMATCH, 0, 1);
	cr_assert_eq(used(), 'b');
	(void)fails(FL_E_CHUNK_MISMATCH, 0, 1);
	cr_assert_eq(used(), 'c', "all have lied: again in turn");
}

Test(sources, patience_is_given_to_the_one_that_asked)
{
	struct fl_sources_next next = fails(FL_E_HTTP_STATUS, 30, 1000);
	cr_assert(!next.spent && next.wait_ms == 0 && used() == 'b');
	next = fails(FL_E_HTTP_STATUS, 8, 1000);
	cr_assert(!next.spent && next.wait_ms == 0 && used() == 'c');
	next = fails(FL_E_HTTP_STATUS, 60, 1000);
	cr_assert_eq(used(), 'b', "free first");
	cr_assert(!next.spent && next.wait_ms == 8000);
	next = fails(FL_E_HTTP_STATUS, 70, 9000);
	cr_assert_eq(used(), 'a');
	cr_assert(next.spent && next.wait_ms == 22000, "longer than a runner is kept waiting");
}

Test(sources, a_connection_that_got_on_and_was_cut_goes_on_at_once)
{
	const struct fl_sources_failure cut = {FL_E_TRUNCATED, FL_SOURCES_GOT_ON_BYTES, 0};
	const struct fl_sources_failure little = {FL_E_TRUNCATED, FL_SOURCES_GOT_ON_BYTES - 1, 0};
	const struct fl_sources_failure lie = {FL_E_CHUNK_MISMATCH, 1 << 20, 0};
	for (int i = 0; i < 100; i++) {
		const struct fl_sources_next next = fl_sources_failed(&sources, &cut, 1);
		cr_assert(!next.spent && next.wait_ms == 0 && used() == 'a');
	}
	(void)fl_sources_failed(&sources, &little, 1);
	cr_assert_eq(used(), 'b');
	(void)fl_sources_failed(&sources, &lie, 1);
	cr_assert_eq(used(), 'c');
}

Test(sources, a_liar_in_small_pieces_is_no_endless_story)
{
	const struct fl_sources_failure piece = {FL_E_TRUNCATED, FL_SOURCES_GOT_ON_BYTES, 0};
	const struct fl_sources_failure lie = {FL_E_CHUNK_MISMATCH, 0, 0};
	unsigned lies = 0;
	sources.n = 1;
	do {
		for (int i = 0; i < 15; i++)
			cr_assert(!fl_sources_failed(&sources, &piece, 1).spent);
		lies++;
	} while (!fl_sources_failed(&sources, &lie, 1).spent);
	cr_assert_eq(lies, FL_SOURCES_ROUNDS);
}

Test(sources, nobody_may_ask_for_ever)
{
	sources.n = 1;
	const struct fl_sources_next next = fails(FL_E_HTTP_STATUS, UINT64_MAX, 5);
	cr_assert(next.spent);
	cr_assert_eq(next.wait_ms, 3600000);
}

Test(sources, no_more_are_kept_than_there_is_room_for)
{
	for (int i = 0; i < 100; i++)
		fl_sources_add(&sources, "z", false);
	cr_assert_eq(sources.n, FL_SOURCES_MAX);
}
