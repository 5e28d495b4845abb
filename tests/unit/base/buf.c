/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers and arenas: limits, growth, ownership. */
#include <fairlead/base/buf.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static struct fl_err err;

Test(buf, grows_up_to_its_maximum_and_no_further)
{
	struct fl_buf buf = FL_BUF(1000);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(fl_buf_append(&buf, "x", 1, &err), FL_OK);
	cr_assert_eq(fl_buf_append(&buf, "x", 1, &err), FL_E_TOO_LARGE);
	cr_assert_eq(buf.len, 1000);
	cr_assert_eq(buf.data[1000], 0);
	fl_buf_free(&buf);
}

Test(buf, refuses_lengths_that_would_wrap_around)
{
	struct fl_buf buf = FL_BUF(100);
	cr_assert_eq(fl_buf_append(&buf, "abc", 3, &err), FL_OK);
	cr_assert_eq(fl_buf_reserve(&buf, SIZE_MAX, &err), FL_E_TOO_LARGE);
	cr_assert_eq(fl_buf_reserve(&buf, SIZE_MAX - 2, &err), FL_E_TOO_LARGE);
	cr_assert_eq(fl_buf_reserve(&buf, 97, &err), FL_OK);
	cr_assert_eq(fl_buf_reserve(&buf, 98, &err), FL_E_TOO_LARGE);
	cr_assert_str_eq(fl_buf_str(&buf), "abc");
	fl_buf_free(&buf);
}

Test(buf, a_zero_byte_always_follows)
{
	struct fl_buf buf = FL_BUF(300);
	cr_assert_str_eq(fl_buf_str(&buf), "", "nothing allocated yet");
	for (size_t i = 0; i < 300; i++) {
		cr_assert_eq(fl_buf_append_str(&buf, "y", &err), FL_OK);
		cr_assert_eq(strlen(fl_buf_str(&buf)), i + 1);
	}
	fl_buf_free(&buf);
}

Test(buf, formats)
{
	struct fl_buf buf = FL_BUF(20);
	cr_assert_eq(fl_buf_appendf(&buf, &err, "%s-%d", "a", 12), FL_OK);
	cr_assert_eq(fl_buf_appendf(&buf, &err, "/%03d", 7), FL_OK);
	cr_assert_str_eq(fl_buf_str(&buf), "a-12/007");
	cr_assert_eq(fl_buf_appendf(&buf, &err, "%20s", "too long"), FL_E_TOO_LARGE);
	cr_assert_str_eq(fl_buf_str(&buf), "a-12/007");
	fl_buf_free(&buf);
}

Test(buf, consumes_from_the_front)
{
	struct fl_buf buf = FL_BUF(20);
	fl_buf_consume(&buf, 0);
	cr_assert_eq(fl_buf_append_str(&buf, "hello", &err), FL_OK);
	fl_buf_consume(&buf, 2);
	cr_assert_str_eq(fl_buf_str(&buf), "llo");
	fl_buf_consume(&buf, 3);
	cr_assert_str_eq(fl_buf_str(&buf), "");
	fl_buf_free(&buf);
}

Test(buf, consuming_more_than_there_is_is_a_bug, .signal = SIGABRT)
{
	struct fl_buf buf = FL_BUF(20);
	fl_buf_consume(&buf, 1);
}

Test(buf, may_be_used_again_after_free)
{
	struct fl_buf buf = FL_BUF(20);
	cr_assert_eq(fl_buf_append_str(&buf, "one", &err), FL_OK);
	fl_buf_free(&buf);
	cr_assert_eq(buf.max, 20);
	cr_assert_eq(fl_buf_append_str(&buf, "two", &err), FL_OK);
	cr_assert_str_eq(fl_buf_str(&buf), "two");
	fl_buf_free(&buf);
	fl_buf_free(&buf);
}

Test(arena, gives_zeroed_aligned_memory)
{
	struct fl_arena arena = FL_ARENA(1 << 20);
	const size_t sizes[] = {1, 3, 8, 16, 100, 4096, 5000, 1, 0, 70000, 7};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned char *p = fl_arena_alloc(&arena, sizes[i], &err);
		cr_assert_not_null(p);
		cr_assert_eq((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < sizes[i]; k++)
			cr_assert_eq(p[k], 0);
		memset(p, 0xaa, sizes[i]); /* a block that overlaps another shows as a byte that is
					      not zero */
	}
	fl_arena_free(&arena);
	cr_assert_eq(arena.used, 0);
}

Test(arena, ends_at_its_maximum)
{
	struct fl_arena arena = FL_ARENA(100);
	cr_assert_not_null(fl_arena_alloc(&arena, 60, &err));
	cr_assert_null(fl_arena_alloc(&arena, 41, &err));
	cr_assert_eq(err.rc, FL_E_TOO_LARGE);
	cr_assert_null(fl_arena_alloc(&arena, SIZE_MAX, &err));
	cr_assert_null(fl_arena_alloc(&arena, 41, NULL), "without an error object");
	cr_assert_not_null(fl_arena_alloc(&arena, 40, &err));
	fl_arena_free(&arena);
}

Test(arena, copies_end_with_a_zero_byte)
{
	struct fl_arena arena = FL_ARENA(1000);
	char *copy = fl_arena_copy(&arena, "abcdef", 3, &err);
	cr_assert_str_eq(copy, "abc");
	cr_assert_str_eq(fl_arena_copy(&arena, NULL, 0, &err), "");
	cr_assert_null(fl_arena_copy(&arena, "x", SIZE_MAX, &err));
	fl_arena_free(&arena);
}
