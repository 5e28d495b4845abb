/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32
#define LONG_BASE   256 /* getopt_long's value of option i is LONG_BASE + i */

/* What every command takes, and every command that talks to the fleet. */
static const struct fl_tools_option common[] = {
	{"json", 0, false, NULL, "print JSON instead of text"},
	{"help", 'h', false, NULL, "print this help"},
};
static const struct fl_tools_option of_fleet[] = {
	{"fleet", 0, false, "URL", "the fleet, https://HOST:PORT (or FAIRLEAD_FLEET)"},
	{"token", 0, false, "FILE", "file with the access token (or FAIRLEAD_TOKEN_FILE)"},
	{"ca", 0, false, "FILE", "PEM of the fleet's own CA (or FAIRLEAD_CA)"},
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

const struct fl_tools_option *fl_tools_option_at(const struct fl_tools_command *command, size_t i)
{
	if (i < command->n_options)
		return &command->options[i];
	i -= command->n_options;
	if (command->fleet) {
		if (i < N(of_fleet))
			return &of_fleet[i];
		i -= N(of_fleet);
	}
	return i < N(common) ? &common[i] : NULL;
}

/* Does the word at *path equal `word`? Steps over it. */
static bool take_word(const char **path, const char *word)
{
	size_t len = strcspn(*path, " ");
	if (strlen(word) != len || strncmp(*path, word, len) != 0)
		return false;
	*path += len;
	*path += strspn(*path, " ");
	return true;
}

static int words_matched(const char *path, int argc, char **argv)
{
	int words = 0;
	while (*path != '\0') {
		if (words + 1 >= argc || !take_word(&path, argv[words + 1]))
			return 0;
		words++;
	}
	return words;
}

const struct fl_tools_command *fl_tools_find(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < fl_tools_n_commands; i++) {
		int words = words_matched(fl_tools_commands[i].path, argc, argv);
		if (words > 0) {
			*ret_words = words;
			return &fl_tools_commands[i];
		}
	}
	return NULL;
}

/* getopt's two tables out of ours. */
struct getopt_tables {
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 2];
};

static void fill_tables(const struct fl_tools_command *command, struct getopt_tables *t)
{
	*t = (struct getopt_tables){0};
	size_t s = 0;
	t->shorts[s++] = ':';
	const struct fl_tools_option *o;
	for (size_t i = 0; (o = fl_tools_option_at(command, i)) != NULL; i++) {
		FL_BUG_ON(i == OPTIONS_MAX);
		t->longs[i] = (struct option){o->name, o->arg ? required_argument : no_argument,
					      NULL, LONG_BASE + (int)i};
		if (o->letter == 0)
			continue;
		t->shorts[s++] = o->letter;
		if (o->arg != NULL)
			t->shorts[s++] = ':';
	}
}

static const struct fl_tools_option *option_of(const struct fl_tools_command *command, int c)
{
	if (c >= LONG_BASE)
		return fl_tools_option_at(command, (size_t)(c - LONG_BASE));
	const struct fl_tools_option *o;
	for (size_t i = 0; (o = fl_tools_option_at(command, i)) != NULL; i++) {
		if (o->letter == c)
			return o;
	}
	return NULL;
}

static enum fl_rc add_value(struct fl_tools_call *call, int c, struct fl_err *err)
{
	const struct fl_tools_option *o = option_of(call->command, c);
	FL_BUG_ON(o == NULL);
	if (call->n_values == FL_TOOLS_VALUES_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d options", FL_TOOLS_VALUES_MAX);
	const char *value = o->arg == NULL ? "" : optarg;
	call->values[call->n_values++] = (struct fl_tools_value){o->name, value};
	return FL_OK;
}

static enum fl_rc parse_options(int argc, char **argv, struct fl_tools_call *call,
				struct fl_err *err)
{
	struct getopt_tables tables;
	fill_tables(call->command, &tables);
	optind = 0; /* glibc: start anew, whatever was parsed before */
	opterr = 0;
	for (;;) {
		int at = optind > 0 ? optind : 1;
		int c = getopt_long(argc, argv, tables.shorts, tables.longs, NULL);
		if (c == -1)
			return FL_OK;
		if (c == ':')
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "option '%s' needs a value",
				       argv[optind - 1]);
		if (c == '?')
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "unknown option '%s'",
				       argv[optind > at ? optind - 1 : at]);
		enum fl_rc rc = add_value(call, c, err);
		if (rc != FL_OK)
			return rc;
	}
}

static enum fl_rc take_args(int argc, char **argv, struct fl_tools_call *call, struct fl_err *err)
{
	const struct fl_tools_command *command = call->command;
	size_t n = (size_t)(argc - optind);
	if (n < command->min_args)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "expected: %s", command->args);
	if (n > command->max_args || n > FL_TOOLS_ARGS_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "too many arguments: '%s'",
			       argv[optind + (int)command->max_args]);
	for (size_t i = 0; i < n; i++)
		call->args[i] = argv[optind + (int)i];
	call->n_args = n;
	return FL_OK;
}

static enum fl_rc check_needed(const struct fl_tools_call *call, struct fl_err *err)
{
	for (size_t i = 0; i < call->command->n_options; i++) {
		const struct fl_tools_option *o = &call->command->options[i];
		if (o->needed && !fl_tools_has(call, o->name))
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--%s %s is needed", o->name,
				       o->arg);
	}
	return FL_OK;
}

enum fl_rc fl_tools_parse(const struct fl_tools_command *command, int argc, char **argv,
			  struct fl_tools_call *ret, struct fl_err *err)
{
	*ret = (struct fl_tools_call){.command = command, .out = stdout};
	enum fl_rc rc = parse_options(argc, argv, ret, err);
	if (rc != FL_OK)
		return rc;
	ret->json = fl_tools_has(ret, "json");
	ret->help = fl_tools_has(ret, "help");
	if (ret->help)
		return FL_OK;
	rc = take_args(argc, argv, ret, err);
	return rc != FL_OK ? rc : check_needed(ret, err);
}

const char *fl_tools_value(const struct fl_tools_call *call, const char *option, size_t i)
{
	for (size_t k = 0; k < call->n_values; k++) {
		if (strcmp(call->values[k].name, option) == 0 && i-- == 0)
			return call->values[k].value;
	}
	return NULL;
}

const char *fl_tools_opt(const struct fl_tools_call *call, const char *option, const char *fallback)
{
	for (size_t k = call->n_values; k > 0; k--) {
		if (strcmp(call->values[k - 1].name, option) == 0)
			return call->values[k - 1].value;
	}
	return fallback;
}

bool fl_tools_has(const struct fl_tools_call *call, const char *option)
{
	return fl_tools_value(call, option, 0) != NULL;
}

enum fl_rc fl_tools_parse_u64(const char *text, const char *what, uint64_t min, uint64_t max,
			      uint64_t *ret, struct fl_err *err)
{
	char *end = NULL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	bool digits = text[0] >= '0' && text[0] <= '9';
	if (!digits || *end != '\0' || errno != 0 || value < min || value > max)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "%s must be a number from %llu to %llu, not '%s'", what,
			       (unsigned long long)min, (unsigned long long)max, text);
	*ret = value;
	return FL_OK;
}

enum fl_rc fl_tools_u64(const struct fl_tools_call *call, const char *option, uint64_t min,
			uint64_t max, uint64_t *io_value, struct fl_err *err)
{
	const char *text = fl_tools_opt(call, option, NULL);
	if (text == NULL)
		return FL_OK;
	char what[64];
	(void)snprintf(what, sizeof(what), "--%s", option);
	return fl_tools_parse_u64(text, what, min, max, io_value, err);
}

const char *fl_tools_named(const struct fl_tools_call *call, const char *option, const char *name,
			   const char *fallback)
{
	size_t len = strlen(name);
	const char *found = fallback;
	const char *value;
	for (size_t i = 0; (value = fl_tools_value(call, option, i)) != NULL; i++) {
		if (strncmp(value, name, len) == 0 && value[len] == '=')
			found = value + len + 1;
	}
	return found;
}
