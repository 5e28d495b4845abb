/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the REST client lets itself be sent to, and as whom; what goes over the wire is
 * tests/system/test_cli.py's. */
#include "bench.h"
#include "list.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void set_up(void)
{
	bench_open();
	write_file("token", "abc123\n", 7);
	write_file("ca.pem", "x", 1);
	setenv("FAIRLEAD_FLEET", "https://127.0.0.1:1", 1);
	setenv("FAIRLEAD_TOKEN_FILE", "token", 1);
	setenv("FAIRLEAD_CA", "ca.pem", 1);
}

TestSuite(tools_fleet, .init = set_up, .fini = bench_close);

Test(tools_fleet, only_https_and_only_a_host)
{
	static const char *const wrong[] = {"http://127.0.0.1:1",
					    "ftp://127.0.0.1:1",
					    "file:///etc/passwd",
					    "127.0.0.1:1",
					    "",
					    "https://",
					    "https://u@127.0.0.1:1",
					    "https://u:p@127.0.0.1:1",
					    "https://127.0.0.1:1/api",
					    "https://127.0.0.1:1/?a=b",
					    "https://127.0.0.1:1/#a",
					    "https://127.0.0.1:99999"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(fairlead("status", "--fleet", wrong[i]), FL_TOOLS_USAGE, "'%s'",
			     wrong[i]);
	cr_assert_eq(fairlead("status", "--fleet", "https://127.0.0.1:1/"), FL_TOOLS_UNREACHABLE);
}

Test(tools_fleet, nothing_is_asked_without_ca_and_token)
{
	unsetenv("FAIRLEAD_CA");
	cr_assert_eq(fairlead("status"), FL_TOOLS_USAGE);
	cr_assert(told("--ca"));
	cr_assert_eq(fairlead("status", "--ca", "missing"), FL_TOOLS_USAGE);
	setenv("FAIRLEAD_CA", "ca.pem", 1);
	unsetenv("FAIRLEAD_TOKEN_FILE");
	cr_assert_eq(fairlead("status"), FL_TOOLS_USAGE);
	cr_assert(told("--token"));
	unsetenv("FAIRLEAD_FLEET");
	cr_assert_eq(fairlead("status"), FL_TOOLS_USAGE);
	cr_assert(told("--fleet"));
}

Test(tools_fleet, a_token_cannot_become_a_header)
{
	static const char *const wrong[] = {"",	      "\n",    "a b", "a\nX-Evil: 1",
					    "a\r\nb", "a\x01", "ä"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_file("token", wrong[i], strlen(wrong[i]));
		cr_assert_eq(fairlead("status"), FL_TOOLS_USAGE, "token %zu", i);
		cr_assert(told("holds no token"), "%s", bench_errors);
	}
}

Test(tools_fleet, what_becomes_a_path_is_checked)
{
	cr_assert_eq(fairlead("device", "show", "../jobs"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("device", "show", "a?b"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("jobs", "show", "1"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("jobs", "watch", "../status"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("jobs", "cancel", ""), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("jobs", "list", "--state", "a=b"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("jobs", "list", "--device", "a&b"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("device", "enroll", "gw", "--identity", "sha256:12"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("deploy", "sha256:12", "--device", "gw"), FL_TOOLS_NOTHING);
}

/* The objects of the list in text, one after the other, with '|' behind each. */
static const char *objects_of(const char *text)
{
	static char out[512];
	size_t at = 0, len = 0;
	const struct fl_bytes all = {(const uint8_t *)text, strlen(text)};
	out[0] = '\0';
	for (struct fl_bytes o; (o = fl_tools_next_object(all, &at)).data != NULL;)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s|", (int)o.len,
					(const char *)o.data);
	return out;
}

Test(tools_fleet, elements_of_a_list_are_cut_out_whole)
{
	cr_assert_str_eq(objects_of("{\"a\":[]}"), "");
	cr_assert_str_eq(objects_of("{\"a\":[{},{\"b\":1}],\"next\":\"x\"}"), "{}|{\"b\":1}|");
	cr_assert_str_eq(objects_of("{\"a\": [ {\"b\":[{\"c\":[]}]} , {} ] }"),
			 "{\"b\":[{\"c\":[]}]}|{}|");
	cr_assert_str_eq(objects_of("{\"a\":[{\"b\":\"}]\\\"{[\\\\\"},{\"c\":2}]}"),
			 "{\"b\":\"}]\\\"{[\\\\\"}|{\"c\":2}|");
	cr_assert_str_eq(objects_of("{}"), "");
	cr_assert_str_eq(objects_of("{\"a\":[{"), "", "cut off");
}
