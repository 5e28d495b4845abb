/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation fails, once and for good: of our own code by the linker's --wrap, of SQLite by
 * its own hook. Each call then returns an error or does what it says, nothing is set aside, nothing
 * leaks, and with memory again it works.
 */
#include "flow.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS ((size_t)20)

static struct {
	unsigned calls, at; /* at 0: none fails */
	bool always;
	unsigned fired;
	long ours; /* allocations of our code that were not freed */
} oom;

static bool refuses(void)
{
	bool hit = oom.at != 0 && (++oom.calls == oom.at || (oom.always && oom.calls > oom.at));
	oom.fired += hit ? 1 : 0;
	return hit;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

static void *counted(void *p)
{
	oom.ours += p != NULL ? 1 : 0;
	return p;
}

void *__wrap_malloc(size_t size)
{
	return refuses() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refuses() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
	if (refuses())
		return NULL;
	void *q = __real_realloc(p, size);
	return p == NULL ? counted(q) : q;
}

void __wrap_free(void *p)
{
	oom.ours -= p != NULL ? 1 : 0;
	__real_free(p);
}

static sqlite3_mem_methods real_memory;

static void *sqlite_malloc(int size)
{
	return refuses() ? NULL : real_memory.xMalloc(size);
}

static void *sqlite_realloc(void *p, int size)
{
	return refuses() ? NULL : real_memory.xRealloc(p, size);
}

static void hook_sqlite(void)
{
	cr_assert_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
	sqlite3_mem_methods m = real_memory;
	m.xMalloc = sqlite_malloc;
	m.xRealloc = sqlite_realloc;
	cr_assert_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &m), SQLITE_OK);
	cr_assert_eq(sqlite3_initialize(), SQLITE_OK);
}

/* One life with the n-th allocation refused: false when the plan no longer struck. */
static bool one_life(unsigned n, bool always)
{
	char dir[64];
	char why[512];
	size_t reached = 0;
	flow_new_dir(dir);
	long ours = oom.ours;
	sqlite3_int64 theirs = sqlite3_memory_used();
	oom.calls = oom.fired = 0;
	oom.at = n;
	oom.always = always;
	struct flow_result r = flow_run(dir, 0, STEPS, !always, NULL);
	unsigned fired = oom.fired;
	oom.at = 0;
	cr_assert(r.acked == STEPS || always, "%u: %zu steps, %s", n, r.acked, fl_rc_name(r.rc));
	/* Where only the ballast could not be made, the change itself is done. */
	cr_assert(r.failures == 0 || r.rc == FL_E_NO_MEMORY, "%u: %s", n, fl_rc_name(r.rc));
	cr_assert_eq(oom.ours, ours, "%u: %ld allocations leaked", n, oom.ours - ours);
	cr_assert_eq(sqlite3_memory_used(), theirs, "%u: SQLite leaked", n);
	cr_assert(flow_check(dir, r.acked, &reached, why), "%u: %s", n, why);
	flow_clear_dir(dir, true);
	return fired > 0;
}

static unsigned all_lives(bool always, unsigned stride)
{
	unsigned n = 1;
	hook_sqlite();
	while (one_life(n, always))
		n += stride;
	return n;
}

Test(oom, each_allocation_once)
{
	unsigned n = all_lives(false, 1);
	fprintf(stderr, "oom: %u allocations, each failed once\n", n - 1);
	cr_assert_gt(n, 1000);
}

Test(oom, all_from_each_allocation_on)
{
	unsigned n = all_lives(true, 1);
	fprintf(stderr, "oom: %u allocations, all from there on failed\n", n - 1);
	cr_assert_gt(n, 1000);
}

/* Loading, with a fault at each allocation: an error, or all of it; never a row less. */
Test(oom, loading_gives_all_or_an_error)
{
	char dir[64];
	struct fl_buf whole = FL_BUF(1 << 20);
	hook_sqlite();
	flow_new_dir(dir);
	cr_assert_eq(flow_run(dir, 0, STEPS, false, NULL).acked, STEPS);
	flow_expect(STEPS, &whole);
	unsigned n = 1;
	for (bool more = true; more; n++) {
		struct fl_store *store = NULL;
		struct fl_buf have = FL_BUF(1 << 20);
		struct fl_err err = {0};
		bool rebuilt = true;
		size_t damaged = 0;
		cr_assert_eq(fl_store_open(dir, &store, &rebuilt, &err), FL_OK, "%s", err.msg);
		cr_assert_eq(fl_buf_reserve(&have, 1 << 19, &err),
			     FL_OK); /* only the store's memory fails */
		oom.calls = oom.fired = 0;
		oom.at = n;
		oom.always = false;
		enum fl_rc rc = flow_dump(store, &have, &damaged, &err);
		more = oom.fired > 0;
		oom.at = 0;
		cr_assert(rc == FL_OK || rc == FL_E_NO_MEMORY, "%u: %s", n, err.msg);
		cr_assert_eq(damaged, 0, "%u", n);
		cr_assert(rc != FL_OK || strcmp(fl_buf_str(&have), fl_buf_str(&whole)) == 0, "%u",
			  n);
		fl_buf_free(&have);
		fl_store_close(store);
	}
	fl_buf_free(&whole);
	flow_clear_dir(dir, true);
	cr_assert_gt(n, 10);
}

Test(oom, the_log_ring)
{
	char dir[64];
	flow_new_dir(dir);
	unsigned n = 1;
	for (bool more = true; more; n++) {
		struct fl_log_ring *ring = NULL;
		struct fl_log_line *lines = NULL;
		struct fl_arena arena = FL_ARENA(1 << 20);
		struct fl_err err = {0};
		size_t n_lines = 0;
		long ours = oom.ours;
		oom.calls = oom.fired = 0;
		oom.at = n;
		enum fl_rc rc = fl_log_ring_open(dir, &ring, &err);
		if (rc == FL_OK) {
			fl_log_ring_append(ring, 1, 6, "a line");
			rc = fl_log_ring_lines(ring, &arena, &lines, &n_lines, &err);
		}
		more = oom.fired > 0;
		oom.at = 0;
		cr_assert(rc == FL_E_NO_MEMORY || (rc == FL_OK && n_lines >= 1), "%u: %s", n,
			  err.msg);
		fl_arena_free(&arena);
		fl_log_ring_close(ring);
		cr_assert_eq(oom.ours, ours, "%u: leaked", n);
	}
	cr_assert_gt(n, 4);
	flow_clear_dir(dir, true);
}
