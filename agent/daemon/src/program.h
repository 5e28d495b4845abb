/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program, run to its end within a deadline, with what it writes to standard output and
 * standard error kept up to a limit. It inherits three descriptors and nothing else.
 */
#ifndef FAIRLEAD_DAEMON_PROGRAM_H
#define FAIRLEAD_DAEMON_PROGRAM_H

#include <fairlead/base/buf.h>

#include <uv.h>

#define FL_PROGRAM_OUTPUT_MAX ((size_t)64 * 1024)

struct fl_program;
struct fl_program_run;

/*
 * rc: FL_OK for exit status 0; FL_E_CHECK_FAILED for another, or a signal; FL_E_TIMEOUT when it was
 * killed at its deadline. output: borrowed, for the call; what is beyond FL_PROGRAM_OUTPUT_MAX is
 * lost.
 */
typedef void fl_program_done(struct fl_program *program, enum fl_rc rc, const struct fl_err *err,
			     const struct fl_buf *output);

struct fl_program {
	struct fl_program_run *run; /* NULL: idle */
	fl_program_done *done;
	void *ctx;
};

/* argv is borrowed for the call; argv[0] is a path, or a name looked for in PATH. Failed: done is
 * never called. */
enum fl_rc fl_program_start(struct fl_program *program, uv_loop_t *loop, char *const argv[],
			    uint64_t deadline_ms, fl_program_done *done, void *ctx,
			    struct fl_err *err) FL_CHECKED;
/* Idempotent; the program is killed and reaped, done is not called. */
void fl_program_cancel(struct fl_program *program);

#endif
