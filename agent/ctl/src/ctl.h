/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairleadctl: one question to the agent over its local socket (docs/protocol.md, section 5), the
 * answer for people or as JSON. A verb is one row of a table.
 */
#ifndef FL_CTL_CTL_H
#define FL_CTL_CTL_H

#include <fairlead/base/schema.h>

#include <stdio.h>

#define FL_CTL_CONFIG_DEFAULT "/etc/fairlead/gateway.conf"
#define FL_CTL_ANSWER_MAX     ((size_t)4 * 1024 * 1024)

enum fl_ctl_exit {
	FL_CTL_DONE = 0,
	FL_CTL_FAILED = 1,
	FL_CTL_NOTHING = 2, /* there is nothing of what was asked for */
	FL_CTL_USAGE = 3,
	FL_CTL_UNREACHABLE = 4, /* the agent does not answer */
};

struct fl_ctl_call {
	const char *verb;
	const char *config;
	bool json;
	uint64_t lines; /* of the log; 0: all */
	bool prove_fallback, yes; /* doctor */
	const char *argument;	  /* of the verb; NULL: none */
	FILE *out;
};

struct fl_ctl_verb {
	const char *name;
	const char *summary;
	const struct fl_schema *schema; /* of its result; NULL: `run` is the verb, the agent alone cannot answer it */
	void (*show)(const struct fl_ctl_call *call, const void *result);
	bool (*empty)(const void *result); /* NULL: there is always something */
	enum fl_rc (*run)(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err);
	bool takes_argument;
};

extern const struct fl_ctl_verb fl_ctl_verbs[];
extern const size_t fl_ctl_n_verbs;
const struct fl_ctl_verb *fl_ctl_find(const char *name);

/*
 * Asks over the socket that the configuration names; *ret is the text of the `result` object, owned
 * by the arena. FL_E_UNREACHABLE: nobody answers. What the agent refuses is its code and text.
 */
enum fl_rc fl_ctl_ask(const char *config, const char *verb, struct fl_arena *arena,
		      const char **ret, struct fl_err *err) FL_CHECKED;

/* The same for `install`: fd, an open file that is at path, goes along. */
enum fl_rc fl_ctl_ask_install(const char *config, const char *path, int fd, struct fl_arena *arena,
			      const char **ret, struct fl_err *err) FL_CHECKED;

/* install.c: hands a bundle to the agent. */
enum fl_rc fl_ctl_install(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err)
	FL_CHECKED;

/* anchor.c: has the helper accept jobs again that no fleet will tell it of. */
enum fl_rc fl_ctl_anchor(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err)
	FL_CHECKED;
/* Asked on a terminal; without one, --yes must say it. */
bool fl_ctl_agreed(const struct fl_ctl_call *call, const char *question);

/* doctor.c: shows what it finds, or begins a proof of the fallback. */
enum fl_rc fl_ctl_doctor(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err)
	FL_CHECKED;

/* The whole program, but for the process around it. */
int fl_ctl_main(int argc, char **argv, FILE *out, FILE *errors);

#endif
