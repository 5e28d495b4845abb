/* SPDX-License-Identifier: Apache-2.0 */
/* Which path goes where, and which bytes a Range header means. */
#include "api/router.h"
#include "hub/range.h"

#include <criterion/criterion.h>
#include <string.h>

Test(unit_fleet_router, a_pattern_matches_its_paths_alone)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
		const char *param;
	} cases[] = {
		{"/enrol", "/enrol", true, ""},
		{"/enrol", "/enrol/", false, NULL},
		{"/enrol", "/enro", false, NULL},
		{"/enrol", "", false, NULL},
		{"/jobs/{}", "/jobs/x", true, "x"},
		{"/jobs/{}", "/jobs/", false, NULL},
		{"/jobs/{}", "/jobs", false, NULL},
		{"/jobs/{}", "/jobs/x/", false, NULL},
		{"/jobs/{}", "/jobs/x/y", false, NULL},
		{"/jobs/{}", "/jobs/{}", true, "{}"},
		{"/jobs/{}", "/jobs/..", true, ".."},
		{"/jobs/{}/cancel", "/jobs/x/cancel", true, "x"},
		{"/jobs/{}/cancel", "/jobs//cancel", false, NULL},
		{"/jobs/{}/cancel", "/jobs/x/cancel2", false, NULL},
		{"/jobs/{}/cancel", "/jobs/x", false, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fl_route_match match = {"kept"};
		bool got = fl_route_matches(cases[i].pattern, cases[i].path, &match);
		cr_assert_eq(got, cases[i].matches, "%s on %s", cases[i].pattern, cases[i].path);
		cr_assert_str_eq(match.param, got ? cases[i].param : "kept");
	}
}

Test(unit_fleet_router, a_segment_that_is_too_long_does_not_match)
{
	char path[FL_ROUTE_PARAM_MAX + 16] = "/jobs/";
	struct fl_route_match match;
	memset(path + 6, 'x', FL_ROUTE_PARAM_MAX - 1);
	cr_assert(fl_route_matches("/jobs/{}", path, &match));
	cr_assert_eq(strlen(match.param), FL_ROUTE_PARAM_MAX - 1);
	memset(path + 6, 'x', FL_ROUTE_PARAM_MAX);
	cr_assert_not(fl_route_matches("/jobs/{}", path, &match));
}

Test(unit_fleet_router, members_of_a_query)
{
	char out[8];
	cr_assert(fl_route_query("a=1&bb=22", "a", out, sizeof(out)));
	cr_assert_str_eq(out, "1");
	cr_assert(fl_route_query("a=1&bb=22", "bb", out, sizeof(out)));
	cr_assert_str_eq(out, "22");
	cr_assert(fl_route_query("a=&b=2", "a", out, sizeof(out)));
	cr_assert_str_eq(out, "");
	cr_assert(fl_route_query("a=1=2", "a", out, sizeof(out)));
	cr_assert_str_eq(out, "1=2");
	cr_assert(fl_route_query("a=1&a=2", "a", out, sizeof(out)));
	cr_assert_str_eq(out, "1");
	cr_assert(fl_route_query("a=1234567", "a", out, sizeof(out)));
	cr_assert_not(fl_route_query("a=12345678", "a", out, sizeof(out)));
	static const char *const without[] = {"", "b=1", "aa=1", "a", "&&", "=a", "ba=1"};
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		cr_assert_not(fl_route_query(without[i], "a", out, sizeof(out)), "%s", without[i]);
}

Test(unit_fleet_range, bytes_that_are_meant)
{
	static const struct {
		const char *header;
		uint64_t size;
		enum fl_range_kind kind;
		uint64_t first, len;
	} cases[] = {
		{"", 100, FL_RANGE_WHOLE, 0, 0},
		{"lines=1-2", 100, FL_RANGE_WHOLE, 0, 0},
		{"bytes=0-0", 100, FL_RANGE_PART, 0, 1},
		{"bytes=0-99", 100, FL_RANGE_PART, 0, 100},
		{"bytes=0-", 100, FL_RANGE_PART, 0, 100},
		{"bytes=99-", 100, FL_RANGE_PART, 99, 1},
		{"bytes=10-1000", 100, FL_RANGE_PART, 10, 90},
		{"bytes=-1", 100, FL_RANGE_PART, 99, 1},
		{"bytes=-100", 100, FL_RANGE_PART, 0, 100},
		{"bytes=-1000", 100, FL_RANGE_PART, 0, 100},
		{"bytes=1-922337203685477579", 100, FL_RANGE_PART, 1, 99},
		{"bytes=100-", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-", 0, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-1", 0, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-0", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=5-4", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=x", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=1", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=1-2,3-4", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=1-2x", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-5x", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes= 1-2", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=18446744073709551617-", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=1-18446744073709551617", 100, FL_RANGE_UNSATISFIABLE, 0, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fl_range range = {0, 0};
		cr_assert_eq(fl_range_parse(cases[i].header, cases[i].size, &range), cases[i].kind, "%s",
			     cases[i].header);
		cr_assert_eq(range.first, cases[i].first, "%s", cases[i].header);
		cr_assert_eq(range.len, cases[i].len, "%s", cases[i].header);
	}
}
