/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes: runners, and our own seal check. Each has a control socket; its end is the end of the child. */
#ifndef FAIRLEAD_HELPER_CHILDREN_H
#define FAIRLEAD_HELPER_CHILDREN_H

#include <fairlead/base/encode.h>
#include <fairlead/base/err.h>

#include <stdint.h>
#include <sys/types.h>

#define CONTROL_FD 3 /* in the child */

enum child_kind {
	CHILD_NONE,
	CHILD_STAGE,
	CHILD_SEAL,
};

struct child {
	enum child_kind kind;
	pid_t pid;
	int control;
	int target; /* kept open, and with it the lock, until the child is reaped */
	uint64_t silence_ms;  /* allowed */
	uint64_t deadline_ms; /* by BOOTTIME */
	struct fl_digest job;
	bool asked;	   /* an agent waits for the answer to a seal, … */
	uint32_t reply_id; /* … with this id */
	bool unkillable;
};

struct child_start {
	char *const *argv;
	int inherit; /* stands at CONTROL_FD + 1 in the child; -1: none */
};

/* Starts argv with a new control socket at CONTROL_FD; *control and *pid are the caller's. */
enum fl_rc child_spawn(const struct child_start *start, int *control, pid_t *pid,
		       struct fl_err *err) FL_CHECKED;
/* Waits at most deadline_ms; false when it has not ended. */
bool child_reap(pid_t pid, uint64_t deadline_ms, int *status);
/* SIGKILL, and reaped; false when that cannot be. */
bool child_kill(pid_t pid);

#endif
