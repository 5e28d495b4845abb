/* SPDX-License-Identifier: Apache-2.0 */
#include "run_program.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS UINT64_C(60000)
#define READ_SIZE   ((size_t)4096)

/* An absolute path from one element of the list; false when no program is there. */
static bool program_in(const char *folder, size_t len, const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, "%.*s/%s", (int)len, folder, name);
	return len > 0 && folder[0] == '/' && n > 0 && (size_t)n < size && access(out, X_OK) == 0;
}

static bool find_program(const char *name, char *out, size_t size)
{
	const char *path = getenv("PATH");
	const char *lists[] = {path == NULL ? "/usr/bin:/bin" : path, "/usr/sbin:/sbin"};
	for (size_t i = 0; i < 2; i++) {
		for (const char *at = lists[i]; *at != '\0';) {
			size_t len = strcspn(at, ":");
			if (program_in(at, len, name, out, size))
				return true;
			at += len + (at[len] == ':' ? 1 : 0);
		}
	}
	return false;
}

static int start(const char *program, const char *const *argv, int output, pid_t *ret)
{
	char path[] = "PATH=/usr/bin:/bin:/usr/sbin:/sbin", locale[] = "LC_ALL=C";
	char *environment[] = {path, locale, NULL};
	posix_spawn_file_actions_t actions;
	int e = posix_spawn_file_actions_init(&actions);
	if (e != 0)
		return e;
	e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&actions, output, 1);
	if (e == 0)
		e = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (e == 0)
		e = posix_spawn(ret, program, &actions, NULL, (char *const *)(uintptr_t)argv,
				environment); /* changes neither, POSIX says */
	(void)posix_spawn_file_actions_destroy(&actions);
	return e;
}

/* Waits for bytes, reads some of them; *ret_end at the end of the output. */
static enum fl_rc read_some(int fd, uint64_t deadline_ms, struct fl_buf *out, bool *ret_end,
			    struct fl_err *err)
{
	uint64_t now = fl_clock_boot_ms(&fl_clock_system);
	struct pollfd p = {fd, POLLIN, 0};
	int ready = now >= deadline_ms ? 0 : poll(&p, 1, (int)(deadline_ms - now));
	if (ready < 0 && errno == EINTR)
		return FL_OK;
	if (ready == 0)
		return fl_fail(err, FL_E_TIMEOUT, 0, "no end of its output");
	uint8_t block[READ_SIZE];
	ssize_t n = read(fd, block, sizeof(block));
	if (n < 0)
		return errno == EINTR ? FL_OK : fl_fail(err, FL_E_IO, errno, "its output");
	*ret_end = n == 0;
	return fl_buf_append(out, block, (size_t)n, err);
}

static enum fl_rc read_output(int fd, struct fl_buf *out, struct fl_err *err)
{
	uint64_t deadline_ms = fl_clock_boot_ms(&fl_clock_system) + DEADLINE_MS;
	bool end = false;
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && !end)
		rc = read_some(fd, deadline_ms, out, &end, err);
	return rc;
}

static enum fl_rc reap(pid_t pid, struct fl_err *err)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return FL_OK;
	if (WIFEXITED(status))
		return fl_fail(err, FL_E_IO, 0, "it exited with %d", WEXITSTATUS(status));
	return fl_fail(err, FL_E_IO, 0, "it died of signal %d", WTERMSIG(status));
}

static enum fl_rc run(const char *program, const char *const *argv, struct fl_buf *out,
		      struct fl_err *err)
{
	int ends[2];
	pid_t pid = 0;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return fl_fail(err, FL_E_IO, errno, "pipe");
	int e = start(program, argv, ends[1], &pid);
	fl_close(&ends[1]);
	if (e != 0) {
		fl_close(&ends[0]);
		return fl_fail(err, FL_E_IO, e, "start it");
	}
	enum fl_rc rc = read_output(ends[0], out, err);
	fl_close(&ends[0]);
	if (rc != FL_OK)
		(void)kill(pid, SIGKILL);
	struct fl_err ended = {0};
	enum fl_rc exit_rc = reap(pid, rc == FL_OK ? err : &ended);
	return rc == FL_OK ? exit_rc : rc;
}

enum fl_rc fl_tools_run_program(const char *const *argv, struct fl_buf *out, struct fl_err *err)
{
	char program[4096];
	if (!find_program(argv[0], program, sizeof(program)))
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "no program '%s' on this machine",
			       argv[0]);
	enum fl_rc rc = run(program, argv, out, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "run '%s'", program);
}
