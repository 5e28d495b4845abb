/* SPDX-License-Identifier: Apache-2.0 */
/* The system's clock and randomness. */
#include <fairlead/base/clock.h>
#include <fairlead/base/encode.h>

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

Test(clock, boot_time_does_not_run_backwards)
{
	uint64_t last = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t now = fl_clock_boot_ms(&fl_clock_system);
		cr_assert_geq(now, last);
		last = now;
	}
	cr_assert_gt(last, 0);
}

Test(clock, wall_time_is_the_system_s)
{
	int64_t now = fl_clock_wall_s(&fl_clock_system);
	cr_assert_leq(llabs((long long)now - (long long)time(NULL)), 2);
}

Test(random, bytes_differ)
{
	struct fl_err err;
	unsigned char a[32] = {0}, b[32] = {0};
	cr_assert_eq(fl_random(a, sizeof(a), &err), FL_OK);
	cr_assert_eq(fl_random(b, sizeof(b), &err), FL_OK);
	cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
	cr_assert_eq(fl_random(NULL, 0, &err), FL_OK);
}

Test(random, uuids_are_valid_version_4_and_distinct)
{
	struct fl_err err;
	char seen[50][37];
	for (int i = 0; i < 50; i++) {
		cr_assert_eq(fl_uuid_new(seen[i], &err), FL_OK);
		cr_assert(fl_uuid_valid(seen[i]), "%s", seen[i]);
		cr_assert_eq(seen[i][14], '4');
		cr_assert_not_null(strchr("89ab", seen[i][19]));
		for (int k = 0; k < i; k++)
			cr_assert_str_neq(seen[i], seen[k]);
	}
}
