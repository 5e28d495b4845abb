/* SPDX-License-Identifier: Apache-2.0 */
/* Children: what they inherit, and that they end. */
#include "children.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fl_err err;

static pid_t run(const char *script, int inherit, int *control)
{
	char text[512];
	snprintf(text, sizeof(text), "%s", script);
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, text, NULL};
	const struct child_start start = {argv, inherit};
	struct child child = NO_CHILD;
	cr_assert_eq(child_spawn(&start, &child, &err), FL_OK, "%s", err.msg);
	fl_close(&child.pidfd);
	*control = child.control;
	return child.pid;
}

static size_t receive(int control, char *out, size_t size)
{
	(void)fcntl(control, F_SETFL, 0);
	ssize_t n = recv(control, out, size - 1, 0);
	cr_assert_geq(n, 0);
	out[n] = '\0';
	return (size_t)n;
}

Test(helper_children, a_child_has_its_descriptors_and_no_others)
{
	char seen[512];
	int control;
	int status;
	int kept[20];
	for (size_t i = 0; i < 20; i++)
		kept[i] = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
	int inherit = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	/* Criterion's own are not all closed on exec: they are not passed on either. `ls` has its folder open. */
	pid_t pid = run("exec ls /proc/self/fd >&3", inherit, &control);
	receive(control, seen, sizeof(seen));
	cr_assert_str_eq(seen, "0\n1\n2\n3\n4\n5\n");
	cr_assert(child_reap(pid, 5000, &status));
	cr_assert(WIFEXITED(status));
	cr_assert_eq(recv(control, seen, sizeof(seen), 0), 0, "its end is the end of the channel");
	fl_close(&control);
	pid = run("exec ls /proc/self/fd >&3", -1, &control);
	receive(control, seen, sizeof(seen));
	cr_assert_str_eq(seen, "0\n1\n2\n3\n4\n");
	cr_assert(child_reap(pid, 5000, &status));
	fl_close(&control);
	fl_close(&inherit);
	for (size_t i = 0; i < 20; i++)
		fl_close(&kept[i]);
}

/* In a process of its own: Criterion needs its low descriptors. */
static int inherit_from(int at)
{
	char seen[64];
	int status;
	char script[] = "readlink /proc/self/fd/4 | tr -d '\\n' >&3";
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script, NULL};
	const struct child_start start = {argv, at};
	struct child child = NO_CHILD;
	int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	if (dup2(fd, at) != at || child_spawn(&start, &child, NULL) != FL_OK)
		return 1;
	(void)fcntl(child.control, F_SETFL, 0);
	ssize_t n = recv(child.control, seen, sizeof(seen) - 1, 0);
	seen[n < 0 ? 0 : n] = '\0';
	return !child_reap(child.pid, 5000, &status) || strcmp(seen, "/etc/hostname") != 0;
}

Test(helper_children, low_numbers_of_the_parent_do_no_harm)
{
	for (int at = 3; at <= 4; at++) {
		int status;
		pid_t pid = fork();
		if (pid == 0)
			_exit(inherit_from(at));
		waitpid(pid, &status, 0);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "at %d", at);
	}
}

Test(helper_children, signals_start_as_from_a_shell)
{
	char seen[256];
	int control;
	int status;
	sigset_t all;
	sigfillset(&all);
	(void)signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(sigprocmask(SIG_BLOCK, &all, NULL), 0);
	pid_t pid = run("grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t' >&3", -1, &control);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	receive(control, seen, sizeof(seen));
	unsigned long long blocked = 1;
	unsigned long long ignored = 1;
	cr_assert_eq(sscanf(seen, "SigBlk:%llxSigIgn:%llx", &blocked, &ignored), 2, "%s", seen);
	cr_assert_eq(blocked, 0);
	cr_assert_eq(ignored & 0x7fffffff, 0, "but for two that belong to the C library");
	cr_assert(child_reap(pid, 5000, &status));
	fl_close(&control);
}

Test(helper_children, a_child_that_does_not_end_is_killed)
{
	int control;
	int status;
	pid_t pid = run("trap '' TERM INT; while :; do sleep 1; done", -1, &control);
	cr_assert_not(child_reap(pid, 50, &status));
	cr_assert(child_kill(pid));
	cr_assert_lt(kill(pid, 0), 0, "and reaped");
	cr_assert(child_kill(pid), "repeatable");
	fl_close(&control);
}

Test(helper_children, what_cannot_be_started_is_told)
{
	char *argv[] = {(char[]){"/nowhere/at/all"}, NULL};
	const struct child_start start = {argv, -1};
	struct child child = NO_CHILD;
	cr_assert_eq(child_spawn(&start, &child, &err), FL_E_NOT_FOUND);
	cr_assert_eq(child.control, -1);
	cr_assert_eq(child.pidfd, -1);
	cr_assert_not_null(strstr(err.msg, "/nowhere/at/all"));
}

/* One that leaves something behind, and one that pretends to be gone. */
static struct child start_child(const char *script)
{
	char text[256];
	struct child child = NO_CHILD;
	snprintf(text, sizeof(text), "%s", script);
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, text, NULL};
	const struct child_start start = {argv, -1};
	cr_assert_eq(child_spawn(&start, &child, &err), FL_OK, "%s", err.msg);
	return child;
}

Test(helper_children, a_child_is_gone_when_it_is_reaped_and_its_channel_has_ended)
{
	struct child child = start_child("sleep 1 & exit 0");
	usleep(300 * 1000);
	cr_assert_not(child_gone(&child), "somebody holds its channel");
	cr_assert_eq(child.pidfd, -1, "reaped all the same");
	usleep(1000 * 1000);
	cr_assert(child_gone(&child));
	cr_assert_eq(child.control, -1);
	child = start_child("exec 3>&-; sleep 1");
	usleep(300 * 1000);
	cr_assert_not(child_gone(&child), "it runs without its channel");
	cr_assert_eq(child.control, -1);
	usleep(1000 * 1000);
	cr_assert(child_gone(&child));
}

Test(helper_children, an_empty_packet_is_no_end)
{
	struct child child = start_child("exec /usr/bin/python3 -c 'import os, socket, time\n"
					 "s = socket.socket(fileno=3)\ns.send(b\"\")\ntime.sleep(9)'");
	struct pollfd p = {child.control, POLLIN, 0};
	cr_assert_eq(poll(&p, 1, 5000), 1);
	cr_assert_not(child_gone(&child));
	cr_assert_geq(child.control, 0);
	cr_assert(child_kill(child.pid));
	fl_close(&child.control);
	fl_close(&child.pidfd);
}
