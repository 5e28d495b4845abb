/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, its parser and its help. */
#include "bench.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(tools_command, .init = bench_open, .fini = bench_close);

Test(tools_command, every_row_is_whole)
{
	for (size_t i = 0; i < fl_tools_n_commands; i++) {
		const struct fl_tools_command *c = &fl_tools_commands[i];
		cr_assert_not_null(c->run, "%s", c->path);
		cr_assert_leq(c->min_args, c->max_args, "%s", c->path);
		cr_assert_eq(c->max_args == 0, c->args[0] == '\0', "%s", c->path);
		for (size_t k = 0; k < i; k++)
			cr_assert_str_neq(c->path, fl_tools_commands[k].path);
	}
}

Test(tools_command, no_option_stands_twice_in_a_command)
{
	for (size_t i = 0; i < fl_tools_n_commands; i++) {
		const struct fl_tools_command *c = &fl_tools_commands[i];
		const struct fl_tools_option *a, *b;
		for (size_t k = 0; (a = fl_tools_option_at(c, k)) != NULL; k++) {
			cr_assert(!a->needed || a->arg != NULL, "%s --%s", c->path, a->name);
			for (size_t m = 0; m < k; m++) {
				b = fl_tools_option_at(c, m);
				cr_assert_str_neq(a->name, b->name, "%s", c->path);
				cr_assert(a->letter == 0 || a->letter != b->letter, "%s -%c",
					  c->path, a->letter);
			}
		}
	}
}

static void split(const char *path, char *group, char *word)
{
	group[0] = word[0] = '\0';
	(void)sscanf(path, "%31s %31s", group, word);
}

Test(tools_command, help_tells_every_option_of_every_command)
{
	for (size_t i = 0; i < fl_tools_n_commands; i++) {
		const struct fl_tools_command *c = &fl_tools_commands[i];
		char a[32], b[32], option[64];
		split(c->path, a, b);
		int status = b[0] == '\0' ? fairlead(a, "--help") : fairlead(a, b, "--help");
		cr_assert_eq(status, FL_TOOLS_DONE, "%s", c->path);
		const struct fl_tools_option *o;
		for (size_t k = 0; (o = fl_tools_option_at(c, k)) != NULL; k++) {
			(void)snprintf(option, sizeof(option), "--%s", o->name);
			cr_assert_not_null(strstr(bench_out, option), "%s %s", c->path, option);
		}
		cr_assert_not_null(strstr(bench_out, "Exit codes:"));
	}
}

Test(tools_command, help_of_program_and_group_lists_the_commands)
{
	cr_assert_eq(fairlead("--help"), FL_TOOLS_DONE);
	for (size_t i = 0; i < fl_tools_n_commands; i++)
		cr_assert_not_null(strstr(bench_out, fl_tools_commands[i].path));
	cr_assert_eq(fairlead("keys", "--help"), FL_TOOLS_DONE);
	cr_assert_not_null(strstr(bench_out, "keys root-next"));
	cr_assert_null(strstr(bench_out, "release create"));
}

Test(tools_command, a_wrong_command_line_is_exit_code_3)
{
	cr_assert_eq(fairlead_((const char *const[]){NULL}), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("bogus"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys", "bogus"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys", "bogus", "--help"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys", "init"), FL_TOOLS_USAGE);
	cr_assert_eq(fairlead("keys", "init", "d"), FL_TOOLS_USAGE);
	cr_assert(told("--product NAME is needed"));
	cr_assert_eq(fairlead("keys", "init", "d", "e", "--product", "p"), FL_TOOLS_USAGE);
	cr_assert(told("too many arguments: 'e'"));
	cr_assert_eq(fairlead("keys", "init", "d", "--bogus"), FL_TOOLS_USAGE);
	cr_assert(told("'--bogus'"));
	cr_assert_eq(fairlead("keys", "init", "d", "--product"), FL_TOOLS_USAGE);
	cr_assert(told("'--product' needs a value"));
	cr_assert_eq(fairlead("keys", "init", "d", "-xp", "gw"), FL_TOOLS_USAGE);
	cr_assert_not(is_there("d"), "nothing was made");
}

Test(tools_command, version_and_json_errors)
{
	cr_assert_eq(fairlead("--version"), FL_TOOLS_DONE);
	cr_assert_eq(strncmp(bench_out, "fairlead ", 9), 0);
	cr_assert_eq(fairlead("keys", "show", "missing", "--json"), FL_TOOLS_NOTHING);
	cr_assert_eq(strncmp(bench_out, "{\"code\":\"not_found\",\"text\":\"", 28), 0, "%s",
		     bench_out);
}

static const struct fl_tools_option options[] = {
	{"name", 'n', true, "X", "a name"},
	{"flag", 'f', false, NULL, "a flag"},
	{"number", 0, false, "N", "a number"},
};
static const struct fl_tools_command command = {"test", "ARG...", 0, 3,	  false,
						"test", options,  3, NULL};
static struct fl_tools_call call;

static enum fl_rc parse(int argc, const char *const *args)
{
	static char copies[16][64];
	char *argv[17] = {NULL};
	struct fl_err err = {0};
	for (int i = 0; i < argc; i++) {
		(void)snprintf(copies[i], sizeof(copies[i]), "%s", args[i]);
		argv[i] = copies[i];
	}
	return fl_tools_parse(&command, argc, argv, &call, &err);
}
#define PARSE(...)                                                                                 \
	parse(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),                         \
	      (const char *const[]){__VA_ARGS__})

Test(tools_command, options_and_arguments_in_any_order)
{
	cr_assert_eq(PARSE("test", "a", "-n", "1", "b", "--name=2", "-f", "--", "-c"), FL_OK);
	cr_assert_eq(call.n_args, 3);
	cr_assert_str_eq(call.args[0], "a");
	cr_assert_str_eq(call.args[1], "b");
	cr_assert_str_eq(call.args[2], "-c");
	cr_assert_str_eq(fl_tools_value(&call, "name", 0), "1");
	cr_assert_str_eq(fl_tools_value(&call, "name", 1), "2");
	cr_assert_null(fl_tools_value(&call, "name", 2));
	cr_assert_str_eq(fl_tools_opt(&call, "name", "x"), "2");
	cr_assert(fl_tools_has(&call, "flag"));
	cr_assert_not(call.json);
}

Test(tools_command, named_values)
{
	cr_assert_eq(PARSE("test", "--name", "a=1", "-n", "b=2", "-n", "a=3=4", "-n", "ab=5"),
		     FL_OK);
	cr_assert_str_eq(fl_tools_named(&call, "name", "a", "x"), "3=4");
	cr_assert_str_eq(fl_tools_named(&call, "name", "b", "x"), "2");
	cr_assert_str_eq(fl_tools_named(&call, "name", "c", "x"), "x");
}

Test(tools_command, numbers_have_bounds)
{
	static const char *const wrong[] = {
		"", "-1", " 1", "1 ", "0x1", "1.5", "11", "0", "18446744073709551617"};
	struct fl_err err;
	uint64_t value = 7;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cr_assert_eq(PARSE("test", "-n", "x", "--number", wrong[i]), FL_OK);
		cr_assert_eq(fl_tools_u64(&call, "number", 1, 10, &value, &err),
			     FL_E_INVALID_ARGUMENT, "'%s'", wrong[i]);
		cr_assert_eq(value, 7);
	}
	cr_assert_eq(PARSE("test", "-n", "x", "--number", "10"), FL_OK);
	cr_assert_eq(fl_tools_u64(&call, "number", 1, 10, &value, &err), FL_OK);
	cr_assert_eq(value, 10);
	cr_assert_eq(PARSE("test", "-n", "x"), FL_OK);
	cr_assert_eq(fl_tools_u64(&call, "number", 1, 10, &value, &err), FL_OK);
	cr_assert_eq(value, 10, "untouched where the option is absent");
}

Test(tools_command, exit_codes_of_errors)
{
	cr_assert_eq(fl_tools_exit_of(FL_OK), 0);
	cr_assert_eq(fl_tools_exit_of(FL_E_SIGNATURE), 1);
	cr_assert_eq(fl_tools_exit_of(FL_E_NOT_FOUND), 2);
	cr_assert_eq(fl_tools_exit_of(FL_E_INVALID_ARGUMENT), 3);
	cr_assert_eq(fl_tools_exit_of(FL_E_NETWORK), 4);
	cr_assert_eq(fl_tools_exit_of(FL_E_TLS), 4);
	cr_assert_eq(fl_tools_exit_of(FL_E_TIMEOUT), 4);
}
