/* SPDX-License-Identifier: Apache-2.0 */
/* The way of one call: parse, ask, show, choose the exit code. */
#include "ctl.h"

#include "show.h"

#include <fairlead/trust/json.h>

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FL_VERSION
#define FL_VERSION "0.1.0"
#endif

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
	{"lines", required_argument, NULL, 'n'},  {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},	  {"prove-fallback", no_argument, NULL, 'P'},
	{"yes", no_argument, NULL, 'y'},	  {NULL, 0, NULL, 0},
};

static const char options_help[] =
	"\nOptions:\n"
	"  -c, --config FILE  configuration of the gateway (default " FL_CTL_CONFIG_DEFAULT ")\n"
	"      --json         print the result as JSON\n"
	"  -n, --lines N      log: only the last N lines\n"
	"      --prove-fallback  doctor: restart as for an update, and come back by the boot loader alone (root)\n"
	"  -y, --yes          do not ask before that\n"
	"  -h, --help         print this help\n"
	"  -V, --version      print the version\n"
	"\nExit codes:\n"
	"  0  done\n"
	"  1  failed, or the agent refused; doctor: a fault was found\n"
	"  2  there is nothing of what was asked for: no job, no line\n"
	"  3  the command line is wrong\n"
	"  4  the agent does not answer\n";

static void help(FILE *out)
{
	(void)fputs("Usage: fairleadctl [OPTION]... VERB\n"
		    "Asks the update agent of this gateway.\n\nVerbs:\n",
		    out);
	for (size_t i = 0; i < fl_ctl_n_verbs; i++)
		(void)fprintf(out, "  %-10s %s\n", fl_ctl_verbs[i].name, fl_ctl_verbs[i].summary);
	(void)fputs(options_help, out);
}

const struct fl_ctl_verb *fl_ctl_find(const char *name)
{
	for (size_t i = 0; i < fl_ctl_n_verbs; i++) {
		if (strcmp(fl_ctl_verbs[i].name, name) == 0)
			return &fl_ctl_verbs[i];
	}
	return NULL;
}

static bool parse_lines(const char *text, uint64_t *ret)
{
	char *end = NULL;
	unsigned long long value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0')
		return false;
	*ret = value;
	return true;
}

bool fl_ctl_agreed(const struct fl_ctl_call *call, const char *question)
{
	char answer[8] = "";
	if (call->yes)
		return true;
	if (isatty(STDIN_FILENO) == 0)
		return false;
	(void)fprintf(call->out, "%s Go on? [y/N] ", question);
	(void)fflush(call->out);
	return fgets(answer, sizeof(answer), stdin) != NULL &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

/* What is to be done at once; ASK: the agent is to be asked. */
enum decision { ASK, HELP, VERSION, WRONG };

static enum decision parse(int argc, char **argv, struct fl_ctl_call *call)
{
	int c;
	optind = 0; /* glibc: start anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:n:hVy", options, NULL)) != -1) {
		if (c == 'h')
			return HELP;
		if (c == 'V')
			return VERSION;
		if (c == '?' || (c == 'n' && !parse_lines(optarg, &call->lines)))
			return WRONG;
		if (c == 'c')
			call->config = optarg;
		call->json |= c == 'j';
		call->prove_fallback |= c == 'P';
		call->yes |= c == 'y';
	}
	if (argc - optind < 1)
		return WRONG;
	call->verb = argv[optind];
	const struct fl_ctl_verb *verb = fl_ctl_find(call->verb);
	const bool takes_argument = verb != NULL && verb->takes_argument;
	if (argc - optind != (takes_argument ? 2 : 1))
		return WRONG;
	if (takes_argument)
		call->argument = argv[optind + 1];
	return call->prove_fallback && strcmp(call->verb, "doctor") != 0 ? WRONG : ASK;
}

static enum fl_ctl_exit exit_of(enum fl_rc rc)
{
	return rc == FL_E_UNREACHABLE ? FL_CTL_UNREACHABLE : FL_CTL_FAILED;
}

static void tell(const struct fl_ctl_call *call, const struct fl_err *err, FILE *errors)
{
	struct fl_buf text = FL_BUF((size_t)4096);
	(void)fputs("fairleadctl: ", errors);
	fl_words_print_clean(errors, err->msg);
	(void)fprintf(errors, " [%s]\n", fl_rc_name(err->rc));
	if (call->json && fl_json_append_string(&text, err->msg, NULL) == FL_OK)
		(void)fprintf(call->out, "{\"code\":\"%s\",\"text\":%s}\n", fl_rc_name(err->rc),
			      fl_buf_str(&text));
	fl_buf_free(&text);
}

/* Decodes also what is only passed on: `--json` promises the members of its schema. */
static enum fl_rc run(const struct fl_ctl_call *call, const struct fl_ctl_verb *verb,
		      enum fl_ctl_exit *ret, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(8 * FL_CTL_ANSWER_MAX);
	const char *text = NULL;
	enum fl_rc rc = fl_ctl_ask(call->config, verb->name, &arena, &text, err);
	void *result = rc == FL_OK ? fl_arena_alloc(&arena, verb->schema->size, err) : NULL;
	if (rc == FL_OK)
		rc = result == NULL ? err->rc
				    : fl_json_decode(verb->schema, text, strlen(text),
						     FL_JSON_IGNORE_UNKNOWN, &arena, result, err);
	if (rc == FL_OK && call->json)
		(void)fprintf(call->out, "%s\n", text);
	else if (rc == FL_OK)
		verb->show(call, result);
	if (rc == FL_OK)
		*ret = verb->empty != NULL && verb->empty(result) ? FL_CTL_NOTHING : FL_CTL_DONE;
	fl_arena_free(&arena);
	return rc;
}

int fl_ctl_main(int argc, char **argv, FILE *out, FILE *errors)
{
	struct fl_ctl_call call = {.config = FL_CTL_CONFIG_DEFAULT, .out = out};
	struct fl_err err = {0};
	enum fl_ctl_exit exit = FL_CTL_DONE;
	enum decision decision = parse(argc, argv, &call);
	const struct fl_ctl_verb *verb = decision == ASK ? fl_ctl_find(call.verb) : NULL;
	if (decision == HELP) {
		help(out);
		return FL_CTL_DONE;
	}
	if (decision == VERSION) {
		(void)fputs("fairleadctl " FL_VERSION "\n", out);
		return FL_CTL_DONE;
	}
	if (verb == NULL) {
		if (decision == ASK)
			(void)fprintf(errors, "fairleadctl: no verb '%s'\n", call.verb);
		help(errors);
		return FL_CTL_USAGE;
	}
	const enum fl_rc rc = verb->run != NULL ? verb->run(&call, &exit, &err) : run(&call, verb, &exit, &err);
	if (rc == FL_OK)
		return (int)exit;
	tell(&call, &err, errors);
	return (int)exit_of(err.rc);
}
