/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes. The outer one, which the helper started, does nothing but wait; the inner one
 * works. Since the inner one is process 1 of its namespace, its end is the end of everything it may
 * have started, whatever session that is in; and since the outer one reaps it, the end of the outer
 * one tells that all is over.
 *
 *   helper -- SIGTERM --> outer -- SIGTERM, 2 s later SIGKILL --> inner
 *   helper dies: SIGKILL to outer;  outer dies: SIGKILL to inner;  inner dies: SIGKILL to all in
 *   its namespace
 */
#include "sandbox.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_S	      2
#define INHIBIT_MAX_S 60

/* Its end of file tells the inner process that the outer one is gone. */
static int alive_pipe[2] = {-1, -1};
static atomic_bool *inhibited; /* shared by both */

static bool write_file(const char *path, const char *text, size_t len)
{
	FL_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, len) == (ssize_t)len;
}

/* The same ids inside as outside; without it everything is seen as "nobody", which does no harm. */
static void map_ids(uid_t uid, gid_t gid)
{
	char map[64];
	int n = snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)uid, (unsigned)uid);
	(void)write_file("/proc/self/uid_map", map, (size_t)n);
	(void)write_file("/proc/self/setgroups", "deny", 4);
	n = snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)gid, (unsigned)gid);
	(void)write_file("/proc/self/gid_map", map, (size_t)n);
}

static void take_namespaces(struct protections *protections)
{
	static const struct {
		int flags;
		const char *names[3];
	} wanted[] = {
		{CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET,
		 {"pid_namespace", "ipc_namespace", "net_namespace"}},
		{CLONE_NEWPID | CLONE_NEWIPC, {"pid_namespace", "ipc_namespace", NULL}},
		{CLONE_NEWPID, {"pid_namespace", NULL, NULL}},
	};
	bool ordinary = geteuid() != 0;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (unshare(wanted[i].flags | (ordinary ? CLONE_NEWUSER : 0)) != 0)
			continue;
		if (ordinary) {
			map_ids(uid, gid);
			protections_add(protections, "user_namespace");
		}
		for (size_t k = 0; k < 3 && wanted[i].names[k] != NULL; k++)
			protections_add(protections, "%s", wanted[i].names[k]);
		return;
	}
}

/* The child's status, or -1 while it runs. A signal number as a shell shows it. */
static int reap(pid_t child)
{
	int status;
	pid_t pid = waitpid(child, &status, WNOHANG);
	if (pid != child)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* SIGTERM is passed on; what doesn't end by itself is killed, unless it must not be just now. */
_Noreturn static void wait_for(pid_t child, const sigset_t *signals)
{
	bool asked = false;
	unsigned waited_s = 0;
	const struct timespec grace = {GRACE_S, 0};
	for (;;) {
		int status = reap(child);
		if (status >= 0)
			_exit(status);
		int sig = asked ? sigtimedwait(signals, NULL, &grace) : sigwaitinfo(signals, NULL);
		if (sig == SIGTERM)
			(void)kill(child, SIGTERM);
		asked = asked || sig == SIGTERM;
		if (sig >= 0 || errno != EAGAIN)
			continue;
		waited_s += GRACE_S;
		if (!atomic_load(inhibited) || waited_s > INHIBIT_MAX_S)
			(void)kill(child, SIGKILL);
	}
}

void processes_inhibit(bool on)
{
	atomic_store(inhibited, on);
}

/* Holds nothing back that others wait for: the channels' and the target's last copies are the inner
 * process's. */
_Noreturn static void outer(pid_t child, const sigset_t *signals)
{
	if (dup2(alive_pipe[1], STDERR_FILENO + 1) >= 0)
		(void)close_range(STDERR_FILENO + 2, ~0u, 0);
	wait_for(child, signals);
}

enum fl_rc processes_split(struct protections *protections, struct fl_err *err)
{
	sigset_t signals, before;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &signals, &before);
	inhibited = mmap(NULL, sizeof(*inhibited), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (inhibited == MAP_FAILED || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
	    pipe2(alive_pipe, O_CLOEXEC) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "processes");
	take_namespaces(protections);
	pid_t child = fork();
	if (child < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "fork");
	if (child > 0)
		outer(child, &signals);
	fl_close(&alive_pipe[1]);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return FL_OK;
}

enum fl_rc processes_tie(struct fl_err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "death signal");
	struct pollfd parent = {alive_pipe[0], 0, 0};
	if (poll(&parent, 1, 0) != 0)
		return fl_fail(err, FL_E_PEER_CLOSED, 0, "the outer process is gone");
	fl_close(&alive_pipe[0]);
	return FL_OK;
}
