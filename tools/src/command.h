/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of `fairlead` is one row of a table: its words, its options, its function. From the
 * rows come the parser (getopt_long), every --help text and the checks of docs/man/fairlead.1. The
 * rows are in commands.c.
 */
#ifndef FL_TOOLS_COMMAND_H
#define FL_TOOLS_COMMAND_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The exit codes; fl_tools_exit_of() maps every error code to one of them. */
enum fl_tools_exit {
	FL_TOOLS_DONE = 0,
	FL_TOOLS_FAILED = 1,
	FL_TOOLS_NOTHING = 2,	  /* nothing to do, or what was named does not exist */
	FL_TOOLS_USAGE = 3,	  /* the command line is wrong */
	FL_TOOLS_UNREACHABLE = 4, /* no answer from the fleet, or it is not who it should be */
};

struct fl_tools_option {
	const char *name;
	char letter;	 /* short form; 0: none */
	bool needed;	 /* the command cannot do without */
	const char *arg; /* name of its value; NULL: a flag */
	const char *help;
};

struct fl_tools_call;
typedef enum fl_rc fl_tools_run(struct fl_tools_call *call, struct fl_err *err);

struct fl_tools_command {
	const char *path; /* "release create"; "status" */
	const char *args; /* "DIR|FILE"; "" for none */
	size_t min_args, max_args;
	bool fleet; /* talks to the fleet: takes --fleet, --token, --ca */
	const char *summary;
	const struct fl_tools_option *options;
	size_t n_options;
	fl_tools_run *run;
};

#define FL_TOOLS_VALUES_MAX 512
#define FL_TOOLS_ARGS_MAX   64

struct fl_tools_value {
	const char *name;  /* of the option */
	const char *value; /* "" of a flag */
};

/* One use of a command. Strings are borrowed from argv. */
struct fl_tools_call {
	const struct fl_tools_command *command;
	const char *args[FL_TOOLS_ARGS_MAX];
	size_t n_args;
	struct fl_tools_value values[FL_TOOLS_VALUES_MAX];
	size_t n_values;
	bool json;
	bool help;
	FILE *out;
	enum fl_tools_exit
		exit; /* set by a command that succeeded but has no FL_TOOLS_DONE to tell */
};

extern const struct fl_tools_command fl_tools_commands[];
extern const size_t fl_tools_n_commands;

/* The command that argv[1…] names, and how many words that takes; NULL when there is none. */
const struct fl_tools_command *fl_tools_find(int argc, char **argv, int *ret_words);
/* Parses argv[0…argc) (argv[0] is the command's last word; reordered). FL_E_INVALID_ARGUMENT. */
enum fl_rc fl_tools_parse(const struct fl_tools_command *command, int argc, char **argv,
			  struct fl_tools_call *ret, struct fl_err *err) FL_CHECKED;

/* The i-th option of a command: its own, then the fleet's, then the common ones; NULL past the
 * last. */
const struct fl_tools_option *fl_tools_option_at(const struct fl_tools_command *command, size_t i);

/* The i-th value of an option, NULL past the last. */
const char *fl_tools_value(const struct fl_tools_call *call, const char *option, size_t i);
/* The last value, or fallback. */
const char *fl_tools_opt(const struct fl_tools_call *call, const char *option,
			 const char *fallback);
bool fl_tools_has(const struct fl_tools_call *call, const char *option);
/* A decimal number in min…max; fallback when the option is not given. FL_E_INVALID_ARGUMENT. */
enum fl_rc fl_tools_u64(const struct fl_tools_call *call, const char *option, uint64_t min,
			uint64_t max, uint64_t *io_value, struct fl_err *err) FL_CHECKED;
/* The same for any text; `what` names it in the message. */
enum fl_rc fl_tools_parse_u64(const char *text, const char *what, uint64_t min, uint64_t max,
			      uint64_t *ret, struct fl_err *err) FL_CHECKED;
/* The value of the last `--option NAME=VALUE` with that name, or fallback. */
const char *fl_tools_named(const struct fl_tools_call *call, const char *option, const char *name,
			   const char *fallback);

/* Help of the program, of a group ("keys", false when there is none), of a command. */
void fl_tools_help(FILE *out);
bool fl_tools_help_group(FILE *out, const char *group);
void fl_tools_help_command(FILE *out, const struct fl_tools_command *command);

enum fl_tools_exit fl_tools_exit_of(enum fl_rc rc);
/* The whole program, but for the process around it. */
int fl_tools_main(int argc, char **argv, FILE *out, FILE *errors);

#endif
