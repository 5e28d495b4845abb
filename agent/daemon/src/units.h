/* SPDX-License-Identifier: Apache-2.0 */
/* What the service manager says of the units that a release names, asked by one `systemctl show`.
 */
#ifndef FAIRLEAD_DAEMON_UNITS_H
#define FAIRLEAD_DAEMON_UNITS_H

#include "program.h"

#define FL_UNITS_MAX 32

enum fl_units_state {
	FL_UNITS_ACTIVE,   /* all of them */
	FL_UNITS_STARTING, /* none has failed, some are not there yet */
	FL_UNITS_FAILED,
};

struct fl_units_answer {
	enum fl_units_state state;
	uint64_t restarts; /* the most that any of them was restarted since the boot */
	char worst[160];   /* "nginx.service is failed"; "" when all are active */
};

struct fl_units;

/* rc: FL_OK and the answer; else the service manager could not be asked. */
typedef void fl_units_done(struct fl_units *units, enum fl_rc rc, const struct fl_err *err,
			   const struct fl_units_answer *answer);

struct fl_units {
	struct fl_program program;
	size_t n;
	fl_units_done *done;
	void *ctx;
};

/* systemctl: the program to ask. names: 1 to FL_UNITS_MAX, borrowed for the call. */
enum fl_rc fl_units_start(struct fl_units *units, uv_loop_t *loop, const char *systemctl,
			  const char *const *names, size_t n, fl_units_done *done, void *ctx,
			  struct fl_err *err) FL_CHECKED;
/* Idempotent; done is not called. */
void fl_units_cancel(struct fl_units *units);

/* Pure: the output for n units, blocks of Key=value lines with an empty line between. FL_E_PROTOCOL
 * when it isn't that. */
enum fl_rc fl_units_read(const char *output, size_t n, struct fl_units_answer *ret,
			 struct fl_err *err) FL_CHECKED;

#endif
