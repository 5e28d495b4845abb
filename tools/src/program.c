/* SPDX-License-Identifier: Apache-2.0 */
/* The way of one call: find the command, parse, run, say what went wrong, choose the exit code. */
#include "command.h"

#include "output.h"

#include <string.h>

#ifndef FL_VERSION
#define FL_VERSION "0.1.0"
#endif

enum fl_tools_exit fl_tools_exit_of(enum fl_rc rc)
{
	static const struct {
		enum fl_rc rc;
		enum fl_tools_exit exit;
	} table[] = {
		{FL_OK, FL_TOOLS_DONE},
		{FL_E_NOT_FOUND, FL_TOOLS_NOTHING},
		{FL_E_INVALID_ARGUMENT, FL_TOOLS_USAGE},
		{FL_E_NETWORK, FL_TOOLS_UNREACHABLE},
		{FL_E_TLS, FL_TOOLS_UNREACHABLE},
		{FL_E_TIMEOUT, FL_TOOLS_UNREACHABLE},
		{FL_E_PEER_CLOSED, FL_TOOLS_UNREACHABLE},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].rc == rc)
			return table[i].exit;
	}
	return FL_TOOLS_FAILED;
}

static bool is_word(const char *arg, const char *a, const char *b)
{
	return strcmp(arg, a) == 0 || (b != NULL && strcmp(arg, b) == 0);
}

/* What stands where a command should: help, the version, a group, or nothing we know. */
static int without_command(int argc, char **argv, FILE *out, FILE *errors)
{
	const char *word = argc > 1 ? argv[1] : "--help";
	if (is_word(word, "--version", "-V")) {
		(void)fputs("fairlead " FL_VERSION "\n", out);
		return FL_TOOLS_DONE;
	}
	if (is_word(word, "--help", "-h") || is_word(word, "help", NULL)) {
		fl_tools_help(argc > 1 ? out : errors);
		return argc > 1 ? FL_TOOLS_DONE : FL_TOOLS_USAGE;
	}
	bool asked = argc > 2 && is_word(argv[2], "--help", "-h");
	if ((argc == 2 || asked) && fl_tools_help_group(asked ? out : errors, word))
		return asked ? FL_TOOLS_DONE : FL_TOOLS_USAGE;
	(void)fprintf(errors, "fairlead: no command '%s'; 'fairlead --help' lists them\n", word);
	return FL_TOOLS_USAGE;
}

static void tell(const struct fl_tools_call *call, const struct fl_err *err, FILE *errors)
{
	(void)fputs("fairlead: ", errors);
	fl_words_print_clean(errors, err->msg);
	(void)fprintf(errors, " [%s]\n", fl_rc_name(err->rc));
	if (call->json)
		fl_tools_json_error(call->out, err);
}

int fl_tools_main(int argc, char **argv, FILE *out, FILE *errors)
{
	int words = 0;
	const struct fl_tools_command *command = fl_tools_find(argc, argv, &words);
	if (command == NULL)
		return without_command(argc, argv, out, errors);

	struct fl_err err = {0};
	struct fl_tools_call call;
	enum fl_rc rc = fl_tools_parse(command, argc - words, argv + words, &call, &err);
	call.out = out;
	if (rc == FL_OK && call.help) {
		fl_tools_help_command(out, command);
		return FL_TOOLS_DONE;
	}
	bool parsed = rc == FL_OK;
	if (parsed)
		rc = command->run(&call, &err);
	if (rc == FL_OK)
		return (int)call.exit;
	tell(&call, &err, errors);
	if (!parsed)
		(void)fprintf(errors, "Try 'fairlead %s --help'.\n", command->path);
	return (int)fl_tools_exit_of(rc);
}
