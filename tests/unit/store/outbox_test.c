/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(outbox, .init = set_up, .fini = tear_down);
TestSuite(numbers, .init = set_up, .fini = tear_down);

static struct fl_buf text = {NULL, 0, 0, FL_STORE_REPORT_MAX};

static void add(uint64_t seq, bool final)
{
	char report[32];
	snprintf(report, sizeof(report), "report %llu", (unsigned long long)seq);
	OK(fl_store_outbox_add(store, seq, final, report, &err));
}

/* The next number above `after`, 0 when there is none; its text is checked. */
static uint64_t next(uint64_t after)
{
	uint64_t seq = 0;
	char want[32];
	enum fl_rc rc = fl_store_outbox_next(store, after, &seq, &text, &err);
	if (rc == FL_E_NOT_FOUND)
		return 0;
	cr_assert_eq(rc, FL_OK, "%s", err.msg);
	snprintf(want, sizeof(want), "report %llu", (unsigned long long)seq);
	cr_assert_str_eq(fl_buf_str(&text), want);
	fl_buf_free(&text);
	return seq;
}

static size_t count(void)
{
	size_t n = 0;
	for (uint64_t seq = next(0); seq != 0; seq = next(seq))
		n++;
	return n;
}

Test(outbox, reports_come_in_order_until_they_are_acknowledged)
{
	cr_assert_eq(next(0), 0);
	add(5, false);
	add(2, true);
	add(9, false);
	reopen();
	cr_assert(next(0) == 2 && next(2) == 5 && next(4) == 5 && next(5) == 9 && next(9) == 0);
	OK(fl_store_outbox_ack(store, 5, &err));
	reopen();
	cr_assert_eq(next(0), 9);
	OK(fl_store_outbox_ack(store, 5, &err));
	cr_assert_eq(next(0), 9, "an acknowledgement again does no harm");
	OK(fl_store_outbox_ack(store, UINT64_MAX, &err));
	cr_assert_eq(next(0), 0);
}

Test(outbox, the_same_number_again_replaces)
{
	add(3, false);
	OK(fl_store_outbox_add(store, 3, true, "another", &err));
	uint64_t seq = 0;
	OK(fl_store_outbox_next(store, 0, &seq, &text, &err));
	cr_assert_str_eq(fl_buf_str(&text), "another");
	fl_buf_free(&text);
	OK(fl_store_outbox_ack(store, 3, &err));
	cr_assert_eq(next(0), 0);
}

Test(outbox, the_oldest_that_are_not_final_are_dropped)
{
	for (uint64_t seq = 1; seq <= FL_STORE_OUTBOX_MAX; seq++)
		add(seq, seq <= 2 || seq == 4);
	cr_assert_eq(count(), FL_STORE_OUTBOX_MAX);
	add(2001, false);
	add(2002, true);
	cr_assert_eq(count(), FL_STORE_OUTBOX_MAX);
	cr_assert(next(0) == 1 && next(1) == 2 && next(2) == 4 && next(4) == 6, "3 and 5 are gone");
	cr_assert(next(2000) == 2001 && next(2001) == 2002);
}

Test(outbox, among_final_ones_the_oldest_goes)
{
	for (uint64_t seq = 1; seq <= FL_STORE_OUTBOX_MAX; seq++)
		add(seq, true);
	add(5000, true);
	cr_assert_eq(next(0), 2);
	add(5001, false);
	cr_assert_eq(next(0), 2, "progress does not push out a result");
	cr_assert_eq(next(5000), 0);
	cr_assert_eq(count(), FL_STORE_OUTBOX_MAX);
}

Test(outbox, limits)
{
	char *large = malloc(FL_STORE_REPORT_MAX + 2);
	memset(large, 'l', FL_STORE_REPORT_MAX + 1);
	large[FL_STORE_REPORT_MAX + 1] = '\0';
	cr_assert_eq(fl_store_outbox_add(store, 1, true, large, &err), FL_E_TOO_LARGE);
	large[FL_STORE_REPORT_MAX] = '\0';
	OK(fl_store_outbox_add(store, 1, true, large, &err));
	uint64_t seq = 77;
	struct fl_buf small = FL_BUF(100);
	cr_assert_eq(fl_store_outbox_next(store, 0, &seq, &small, &err), FL_E_TOO_LARGE);
	cr_assert_eq(seq, 77);
	OK(fl_store_outbox_next(store, 0, &seq, &text, &err));
	cr_assert_str_eq(fl_buf_str(&text), large);
	fl_buf_free(&small);
	fl_buf_free(&text);
	free(large);
	cr_assert_eq(fl_store_outbox_add(store, UINT64_MAX, true, "", &err), FL_E_INVALID_ARGUMENT);
	OK(fl_store_outbox_add(store, INT64_MAX, true, "", &err));
	OK(fl_store_outbox_next(store, 5, &seq, &text, &err));
	cr_assert(seq == INT64_MAX && text.len == 0);
	fl_buf_free(&text);
	cr_assert_eq(next(INT64_MAX), 0);
	cr_assert_eq(next(UINT64_MAX), 0);
}

Test(outbox, a_damaged_report_is_passed_over_and_dropped)
{
	for (uint64_t seq = 1; seq <= 5; seq++)
		add(seq, false);
	tamper("UPDATE outbox SET envelope = x'00' WHERE seq IN (1, 3)", NULL);
	tamper("UPDATE outbox SET seq = 30 WHERE seq = 4", NULL);
	tamper("UPDATE outbox SET final = 1 WHERE seq = 5", NULL);
	reopen();
	cr_assert(next(0) == 2 && next(2) == 0);
	int64_t rows = 0;
	tamper("SELECT count(*) FROM outbox", &rows);
	cr_assert_eq(rows, 1);
	reopen();
}

Test(outbox, the_same_report_is_not_written_again)
{
	add(1, true);
	size_t before = size_of("state.db-wal");
	for (int i = 0; i < 200; i++)
		add(1, true);
	cr_assert_eq(size_of("state.db-wal"), before);
	OK(fl_store_outbox_ack(store, 0, &err));
	cr_assert_eq(size_of("state.db-wal"), before);
}

/* ---- numbers ---- */

static uint64_t number(const char *name)
{
	uint64_t value = 99;
	OK(fl_store_number_get(store, name, &value, &err));
	return value;
}

Test(numbers, come_back_by_name)
{
	cr_assert_eq(number("report_seq"), 0);
	OK(fl_store_number_set(store, "report_seq", 12, &err));
	OK(fl_store_number_set(store, "report_acked", UINT64_MAX, &err));
	OK(fl_store_number_set(store, "zero", 0, &err));
	reopen();
	cr_assert_eq(number("report_seq"), 12);
	cr_assert_eq(number("report_acked"), UINT64_MAX);
	cr_assert_eq(number("report"), 0);
	OK(fl_store_number_set(store, "report_seq", 13, &err));
	cr_assert_eq(number("report_seq"), 13);
}

Test(numbers, are_limited)
{
	char name[32];
	for (int i = 0; i < FL_STORE_NUMBERS_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		OK(fl_store_number_set(store, name, (uint64_t)i + 1, &err));
	}
	cr_assert_eq(fl_store_number_set(store, "more", 1, &err), FL_E_TOO_LARGE);
	OK(fl_store_number_set(store, "n5", 1005, &err));
	cr_assert_eq(number("n5"), 1005);
	OK(fl_store_number_set(store, "n6", 0, &err));
	OK(fl_store_number_set(store, "more", 1, &err));
}

Test(numbers, a_damaged_one_was_never_set)
{
	OK(fl_store_number_set(store, "a", 1, &err));
	OK(fl_store_number_set(store, "b", 2, &err));
	tamper("UPDATE number SET value = value + 1 WHERE value = 1", NULL);
	reopen();
	cr_assert_eq(number("a"), 0);
	cr_assert_eq(number("b"), 2);
	OK(fl_store_number_set(store, "a", 3, &err));
	cr_assert_eq(number("a"), 3);
	int64_t rows = 0;
	tamper("SELECT count(*) FROM number", &rows);
	cr_assert_eq(rows, 2, "in place of the damaged one");
	reopen();
}

Test(numbers, a_damaged_double_does_not_hide_the_good_one)
{
	OK(fl_store_number_set(store, "a", 7, &err));
	tamper("INSERT INTO number SELECT -5, name, 8, sum FROM number", NULL);
	reopen();
	cr_assert_eq(number("a"), 7);
	OK(fl_store_number_set(store, "a", 9, &err));
	cr_assert_eq(number("a"), 9);
}

Test(numbers, the_same_value_is_not_written_again)
{
	OK(fl_store_number_set(store, "a", 7, &err));
	size_t before = size_of("state.db-wal");
	for (int i = 0; i < 200; i++)
		OK(fl_store_number_set(store, "a", 7, &err));
	cr_assert_eq(size_of("state.db-wal"), before);
}
