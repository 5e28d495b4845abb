/* SPDX-License-Identifier: Apache-2.0 */
#include "choice.h"

#include <criterion/criterion.h>

#define MIB ((uint64_t)1024 * 1024)

static const struct fl_source_ref from_3 = {.release_seq = 3}, from_4 = {.release_seq = 4}, untold = {0};
static const struct fl_artifact artifacts[] = {
	{.id = "full", .format = "zstd-frames", .size = 100 * MIB},
	{.id = "from3", .format = "delta", .size = 20 * MIB, .source = &from_3},
	{.id = "from4", .format = "delta", .size = 9 * MIB, .source = &from_4},
	{.id = "untold", .format = "delta", .size = 8 * MIB, .source = &untold},
	{.id = "packed", .format = "brotli", .size = 90 * MIB},
};
static const struct fl_component component = {.name = "rootfs", .artifacts = {artifacts, 5}};
static const struct fl_choice on_3 = {.source = true, .release_seq = 3, .spool_bytes = 50 * MIB};

static const char *made(const struct fl_choice *choice, const char *id)
{
	const struct fl_artifact *a = fl_choice_make(choice, &component, id);
	return a == NULL ? "none" : a->id;
}

Test(choice, the_smallest_that_can_be_used)
{
	struct fl_choice c = on_3;
	cr_assert_str_eq(made(&c, NULL), "from3");
	c.release_seq = 4;
	cr_assert_str_eq(made(&c, NULL), "from4");
	c.release_seq = 5;
	cr_assert_str_eq(made(&c, NULL), "full");
	c.spool_bytes = 95 * MIB;
	cr_assert_str_eq(made(&c, NULL), "packed", "it needs no source");
}

Test(choice, a_source_that_may_change_or_is_not_known_is_none)
{
	struct fl_choice c = on_3;
	c.source = false;
	cr_assert_str_eq(made(&c, NULL), "full");
	c.source = true;
	c.release_seq = 0;
	cr_assert_str_eq(made(&c, NULL), "full", "0 is no release's number, here and there");
}

Test(choice, a_spool_too_small)
{
	struct fl_choice c = on_3;
	c.spool_bytes = 20 * MIB - 1;
	cr_assert_str_eq(made(&c, NULL), "full");
	c.spool_bytes = 20 * MIB;
	cr_assert_str_eq(made(&c, NULL), "from3");
}

Test(choice, what_the_job_asks_for_if_it_can_be)
{
	cr_assert_str_eq(made(&on_3, "full"), "full");
	cr_assert_str_eq(made(&on_3, "from3"), "from3");
	cr_assert_str_eq(made(&on_3, "from4"), "from3");
	cr_assert_str_eq(made(&on_3, "other"), "from3");
}

Test(choice, nothing_can_be_used)
{
	const struct fl_component deltas = {.name = "rootfs", .artifacts = {&artifacts[2], 2}};
	cr_assert_null(fl_choice_make(&on_3, &deltas, NULL));
	cr_assert_null(fl_choice_full(&deltas));
}

Test(choice, a_fallback_is_a_full_one_that_nobody_asked_for_beside_a_smaller_one)
{
	cr_assert(fl_choice_is_fallback(&component, &artifacts[0], NULL));
	cr_assert(fl_choice_is_fallback(&component, &artifacts[0], "from4"));
	cr_assert_not(fl_choice_is_fallback(&component, &artifacts[0], "full"));
	cr_assert_not(fl_choice_is_fallback(&component, &artifacts[1], NULL));
	const struct fl_component alone = {.name = "rootfs", .artifacts = {artifacts, 1}};
	cr_assert_not(fl_choice_is_fallback(&alone, &artifacts[0], NULL));
}
