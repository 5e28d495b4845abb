/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a program by LD_PRELOAD: stops it (SIGSTOP) at a moment that a test names, so that it can be killed
 * exactly there. The file $FAIRLEAD_STOP names the moment, is looked at on every call below, and is gone once the
 * program has stopped:
 *
 *   N TEXT    after a line with TEXT was written to standard error and N more durable writes were done;
 *             without TEXT: after the N-th durable write from now on
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char control[4096];
static int matched, syncs;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("FAIRLEAD_STOP");
	snprintf(control, sizeof(control), "%s", path == NULL ? "" : path);
	unsetenv("LD_PRELOAD"); /* not for children */
	unsetenv("FAIRLEAD_STOP");
}

/* What is to be waited for; 0 when there is nothing. */
static int read_plan(int *n, char *text, size_t size)
{
	char plan[512];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	long len = syscall(SYS_read, fd, plan, sizeof(plan) - 1);
	syscall(SYS_close, fd);
	if (len <= 0)
		return 0;
	plan[len] = '\0';
	plan[strcspn(plan, "\n")] = '\0';
	char *rest = NULL;
	*n = (int)strtol(plan, &rest, 10);
	snprintf(text, size, "%s", rest + strspn(rest, " "));
	return 1;
}

static void stop_here(void)
{
	matched = syncs = 0;
	syscall(SYS_unlinkat, AT_FDCWD, control, 0);
	kill(getpid(), SIGSTOP);
}

static void on_line(const char *line, size_t len)
{
	char text[512];
	int n;
	if (!read_plan(&n, text, sizeof(text)) || text[0] == '\0' || matched ||
	    memmem(line, len, text, strlen(text)) == NULL)
		return;
	matched = 1;
	syncs = 0;
	if (n == 0)
		stop_here();
}

static void on_sync(void)
{
	char text[512];
	int n;
	if (!read_plan(&n, text, sizeof(text)) || (text[0] != '\0' && !matched))
		return;
	if (++syncs >= n)
		stop_here();
}

ssize_t write(int fd, const void *data, size_t len)
{
	static ssize_t (*next)(int, const void *, size_t);
	if (next == NULL)
		next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	ssize_t done = next(fd, data, len);
	if (fd == STDERR_FILENO && control[0] != '\0')
		on_line(data, len);
	return done;
}

#define SYNC(name)                                                                                 \
	int name(int fd)                                                                           \
	{                                                                                          \
		static int (*next)(int);                                                           \
		if (next == NULL)                                                                  \
			next = (int (*)(int))dlsym(RTLD_NEXT, #name);                              \
		int rc = next(fd);                                                                 \
		if (control[0] != '\0')                                                            \
			on_sync();                                                                 \
		return rc;                                                                         \
	}

SYNC(fsync)
SYNC(fdatasync)
