/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two processes of a runner: nothing survives them. What a plugin could start, were seccomp not
 * there, is started here: a grandchild with a session of its own that ignores every signal it can,
 * and holds the write end of a pipe.
 */
#include "sandbox.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum end {
	INNER_RETURNS,
	INNER_CRASHES,
	SIGKILL_TO_OUTER,
	SIGTERM_TO_OUTER,
	PARENT_DIES,
	OUTER_STOPPED
};

_Noreturn static void grandchild(int out)
{
	(void)setsid();
	for (int sig = 1; sig < 32; sig++)
		(void)signal(sig, SIG_IGN);
	(void)!write(out, "g", 1);
	for (;;)
		pause();
}

/* What fairlead-runner does between start and its end. */
_Noreturn static void runner(int out, enum end end)
{
	struct protections protections = {.n = 0};
	struct fl_err err;
	if (processes_split(&protections, &err) != FL_OK || processes_tie(&err) != FL_OK)
		_exit(9);
	if (!protections_have(&protections, "pid_namespace") || getpid() != 1)
		_exit(8);
	if (fork() == 0)
		grandchild(out);
	if (end == INNER_CRASHES) {
		(void)!write(out, "i", 1);
		usleep(100000);
		__builtin_trap();
	}
	(void)!write(out, "i", 1);
	for (;;) {
		usleep(100000);
		if (end == INNER_RETURNS || end == OUTER_STOPPED)
			_exit(0);
	}
}

/* Its own process between the test and the runner, for PARENT_DIES. */
static pid_t start(int out, enum end end)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (end != PARENT_DIES)
		runner(out, end);
	if (fork() == 0)
		runner(out, end);
	usleep(300000);
	(void)kill(getpid(), SIGKILL);
	_exit(0);
}

static int wait_status(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* Reads "g" and "i" in any order, then acts, then expects the end of the pipe: nobody holds it any
 * more. */
static int play(enum end end)
{
	int ends[2], status;
	char byte;
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = start(ends[1], end);
	fl_close(&ends[1]);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(read(ends[0], &byte, 1), 1);
	if (end == SIGKILL_TO_OUTER)
		(void)kill(pid, SIGKILL);
	if (end == SIGTERM_TO_OUTER)
		(void)kill(pid, SIGTERM);
	if (end == OUTER_STOPPED)
		(void)kill(pid, SIGSTOP);
	status = end == OUTER_STOPPED ? 0 : wait_status(pid);
	struct pollfd rest = {ends[0], POLLIN, 0};
	/* where the outer process ended by itself, all is over already; else the kernel needs a
	 * moment */
	int wait_ms = end >= SIGKILL_TO_OUTER && end != SIGTERM_TO_OUTER ? 5000 : 0;
	cr_expect_eq(poll(&rest, 1, wait_ms), 1, "something is still alive");
	cr_expect_eq(read(ends[0], &byte, 1), 0);
	fl_close(&ends[0]);
	if (end == OUTER_STOPPED)
		(void)kill(pid, SIGCONT);
	return end == OUTER_STOPPED ? wait_status(pid) : status;
}

TestSuite(runner_processes, .timeout = 60);

Test(runner_processes, an_end_ends_all)
{
	int status = play(INNER_RETURNS);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
}

Test(runner_processes, a_crash_ends_all)
{
	int status = play(INNER_CRASHES);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) > 0, "%x", status);
}

Test(runner_processes, sigkill_ends_all)
{
	int status = play(SIGKILL_TO_OUTER);
	cr_assert(WIFSIGNALED(status));
}

Test(runner_processes, sigterm_gives_grace_and_ends_all)
{
	int status = play(SIGTERM_TO_OUTER);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL, "%x", status);
}

/* The outer process keeps no copy of anything: the end of a channel is the end of the inner one. */
Test(runner_processes, channels_end_with_the_inner_one)
{
	int status = play(OUTER_STOPPED);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
}

Test(runner_processes, a_dead_helper_ends_all)
{
	(void)play(PARENT_DIES);
}
