/* SPDX-License-Identifier: Apache-2.0 */
#include "children.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_DEADLINE_MS 5000

extern char **environ;

/* The child starts as from a shell: default signals, nothing blocked, and no descriptor but those named here. */
static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none;
	sigset_t all;
	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	int rc = posix_spawnattr_setsigmask(attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(attr, &all);
	if (rc == 0)
		rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return rc;
}

/* What is given, and nothing that somebody before us left open. */
static int set_descriptors(posix_spawn_file_actions_t *actions, const struct child_fd *fds,
			   size_t n)
{
	int rc = 0;
	int next = STDERR_FILENO + 1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = posix_spawn_file_actions_adddup2(actions, fds[i].fd, fds[i].at);
		next = fds[i].at >= next ? fds[i].at + 1 : next;
	}
	return rc == 0 ? posix_spawn_file_actions_addclosefrom_np(actions, next) : rc;
}

int child_exec(char *const *argv, const struct child_fd *fds, size_t n, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc == 0)
		rc = set_signals(&attr);
	if (rc == 0)
		rc = set_descriptors(&actions, fds, n);
	if (rc == 0)
		rc = posix_spawn(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* A copy above the numbers that are given away in the child. */
static int above(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, CONTROL_FD + 10);
}

enum fl_rc child_spawn(const struct child_start *start, struct child *child, struct fl_err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "socket pair");
	FL_AUTO_FD ours = pair[0];
	FL_AUTO_FD theirs = pair[1];
	FL_AUTO_FD high = above(theirs);
	FL_AUTO_FD high_inherit = start->inherit < 0 ? -1 : above(start->inherit);
	if (high < 0 || (start->inherit >= 0 && high_inherit < 0))
		return fl_fail(err, fl_rc_from_errno(errno), errno, "descriptor");
	/* The child's end blocks: it has nothing else to do. */
	if (fcntl(high, F_SETFL, 0) != 0)
		return fl_fail(err, FL_E_IO, errno, "descriptor flags");
	const struct child_fd fds[] = {{high, CONTROL_FD}, {high_inherit, CONTROL_FD + 1}};
	pid_t pid;
	int rc = child_exec(start->argv, fds, high_inherit < 0 ? 1 : 2, &pid);
	if (rc != 0)
		return fl_fail(err, fl_rc_from_errno(rc), rc, "start '%s'", start->argv[0]);
	child->pidfd = pidfd_open(pid, 0);
	if (child->pidfd < 0) {
		rc = errno;
		(void)child_kill(pid);
		return fl_fail(err, fl_rc_from_errno(rc), rc, "process descriptor");
	}
	child->pid = pid;
	child->control = ours;
	ours = -1;
	return FL_OK;
}

/* An end of file proves nothing: an empty packet looks the same. A hang-up comes with the last copy of the other end. */
static bool hung_up(int control)
{
	struct pollfd p = {control, 0, 0};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

bool child_gone(struct child *child)
{
	int status;
	if (child->pidfd >= 0 && child_reap(child->pid, 0, &status))
		fl_close(&child->pidfd);
	if (child->control >= 0 && hung_up(child->control))
		fl_close(&child->control);
	return child->pidfd < 0 && child->control < 0;
}

bool child_reap(pid_t pid, uint64_t deadline_ms, int *status)
{
	const uint64_t end = fl_clock_boot_ms(&fl_clock_system) + deadline_ms;
	struct timespec pause = {0, 100 * 1000};
	for (;;) {
		pid_t done = waitpid(pid, status, WNOHANG);
		if (done == pid || (done < 0 && errno == ECHILD))
			return true;
		if (fl_clock_boot_ms(&fl_clock_system) >= end)
			return false;
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 10 * 1000 * 1000)
			pause.tv_nsec *= 2;
	}
}

bool child_kill(pid_t pid)
{
	int status;
	(void)kill(pid, SIGKILL);
	return child_reap(pid, KILL_DEADLINE_MS, &status);
}
