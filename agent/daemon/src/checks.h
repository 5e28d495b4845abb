/* SPDX-License-Identifier: Apache-2.0 */
/* The user's health checks: every executable in [check] dir must exit 0, one after the other, each
 * within its deadline. */
#ifndef FAIRLEAD_DAEMON_CHECKS_H
#define FAIRLEAD_DAEMON_CHECKS_H

#include "program.h"

struct fl_checks;
struct fl_checks_run;

typedef void fl_checks_done(struct fl_checks *checks, enum fl_rc rc, const struct fl_err *err);

struct fl_checks {
	struct fl_checks_run *run; /* NULL: idle */
	fl_checks_done *done;
	void *ctx;
};

/*
 * dir may be NULL: then done comes in the next turn of the loop. FL_E_CHECK_FAILED names the check
 * and ends with the last line it wrote to standard output.
 */
enum fl_rc fl_checks_start(struct fl_checks *checks, uv_loop_t *loop, const char *dir,
			   fl_checks_done *done, void *ctx, struct fl_err *err) FL_CHECKED;
/* Idempotent; a running check is killed, done is not called. */
void fl_checks_cancel(struct fl_checks *checks);

#endif
