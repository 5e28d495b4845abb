/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes: runners, and our own seal check. Each has a control socket; its end is a part of the child's end. */
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
	CHILD_OBSERVE,
	CHILD_DECODE, /* makes what CHILD_STAGE of the same component writes */
	CHILD_RECHECK,
};

enum child_state {
	CHILD_RUNS,
	CHILD_ENDING,	  /* SIGTERM is sent */
	CHILD_KILLED,	  /* SIGKILL is sent, or it is reaped and its channel is still open */
	CHILD_WAITS,	  /* nothing is left of it; told with the other of staging and decoder */
	CHILD_UNKILLABLE, /* told; looked at for ever */
};

/* What must stand in a slot, as a release signed it. */
struct content {
	uint64_t size;
	struct fl_digest root;
	bool zero_tail;
};

/* What it came to, told when nothing is left of it. */
struct outcome {
	char result[16];
	char code[41];
	char text[1025];
};

struct child {
	enum child_kind kind;
	enum child_state state;
	pid_t pid;
	int pidfd;   /* -1: reaped */
	int control; /* -1: all copies of the child's end are closed */
	int target;  /* kept open, and with it the lock, until nothing is left of the child */
	uint64_t silence_ms;  /* allowed */
	uint64_t deadline_ms; /* by BOOTTIME; of the next sign of life, or of the state */
	uint64_t until_ms;    /* by BOOTTIME: no sign of life moves the deadline past it; 0: none */
	struct fl_digest job;
	struct content content; /* seal, recheck: what the slot is compared with */
	char slot[2];		/* … and its letter */
	bool asked;	   /* an agent waits for the answer to a seal, … */
	uint32_t reply_id; /* … with this id */
	struct outcome outcome;
};

#define NO_CHILD ((struct child){.kind = CHILD_NONE, .pidfd = -1, .control = -1, .target = -1})

struct child_start {
	char *const *argv;
	int inherit; /* stands at CONTROL_FD + 1 in the child; -1: none */
};

struct child_fd {
	int fd; /* above all `at` */
	int at; /* in the child */
};
/* Starts argv as from a shell, with these descriptors in ascending order of `at` and the standard ones; 0 or an errno. */
int child_exec(char *const *argv, const struct child_fd *fds, size_t n, pid_t *pid);
/* Starts argv with a new control socket at CONTROL_FD: pid, pidfd and control of *child are set. */
enum fl_rc child_spawn(const struct child_start *start, struct child *child,
		       struct fl_err *err) FL_CHECKED;
/* Reaps without waiting. True when nothing is left: reaped, and the control channel has ended. */
bool child_gone(struct child *child);
/* Waits at most deadline_ms; false when it has not ended. */
bool child_reap(pid_t pid, uint64_t deadline_ms, int *status);
/* SIGKILL, and reaped; false when that cannot be. */
bool child_kill(pid_t pid);

#endif
