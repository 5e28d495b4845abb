/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end exec: a program of the integrator keeps the decision, for a loader of any kind. Its whole contract:
 *
 *   PROGRAM load    prints the decision as it was stored; exit 0, or 4 when none was ever stored
 *   PROGRAM store   reads the new one on standard input and keeps it; exit 0 when it is durable, old or new at every
 *                   instant
 *
 * The text carries its own checksum, so what is printed is believed whole or not at all. Root's word is needed for what
 * root runs: the program and its folder belong to root, or to who runs fairlead-boot, and nobody else may write there.
 */
#include "backends.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX    ((size_t)8192)
#define DEADLINE_MS   8000
#define STATUS_NONE   4
#define STATUS_KILLED (-1)

static enum fl_rc check_owner(const char *path, bool folder, struct fl_err *err)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return fl_fail(err, FL_E_CONFIG, errno, "'%s'", path);
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode) || access(path, X_OK) != 0)
		return fl_fail(err, FL_E_CONFIG, 0, "'%s' is no program", path);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return fl_fail(err, FL_E_DENIED, 0, "'%s' could be changed by others", path);
	return FL_OK;
}

/* The program without links, when it and its folder are root's alone. */
static enum fl_rc find_program(const struct fl_boot_host *host, char real[PATH_MAX],
			       struct fl_err *err)
{
	char folder[PATH_MAX];
	if (host->program == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "[boot] exec is not set");
	if (realpath(host->program, real) == NULL)
		return fl_fail(err, FL_E_CONFIG, errno, "'%s'", host->program);
	memcpy(folder, real, strlen(real) + 1);
	char *slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	enum fl_rc rc = check_owner(real, false, err);
	return rc == FL_OK ? check_owner(folder, true, err) : rc;
}

/* One run of the program. */
struct call {
	int in, out[2], pidfd;
	pid_t pid;
	struct fl_buf output;
};

static enum fl_rc open_pipes(struct call *c, const struct fl_buf *input, struct fl_err *err)
{
	c->in = input == NULL ? open("/dev/null", O_RDONLY | O_CLOEXEC)
			      : memfd_create("boot-decision", MFD_CLOEXEC);
	if (c->in < 0 || pipe2(c->out, O_CLOEXEC) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "pipes");
	if (input == NULL)
		return FL_OK;
	enum fl_rc rc = fl_write_all(c->in, input->data, input->len, err);
	if (rc == FL_OK && lseek(c->in, 0, SEEK_SET) != 0)
		rc = fl_fail(err, FL_E_IO, errno, "memfd");
	return rc;
}

static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none;
	sigset_t all;
	sigemptyset(&none);
	sigfillset(&all);
	int rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
							POSIX_SPAWN_SETSIGDEF);
	if (rc == 0)
		rc = posix_spawnattr_setpgroup(attr, 0);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(attr, &none);
	return rc == 0 ? posix_spawnattr_setsigdefault(attr, &all) : rc;
}

static int set_files(posix_spawn_file_actions_t *actions, const struct call *c)
{
	int rc = posix_spawn_file_actions_adddup2(actions, c->in, STDIN_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(actions, c->out[1], STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
	return rc == 0 ? posix_spawn_file_actions_addchdir_np(actions, "/") : rc;
}

/* A group of its own, nothing inherited but standard error, an environment that says where and nothing else. */
static enum fl_rc start(struct call *c, const char *program, const char *verb, const char *dir,
			struct fl_err *err)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char where[PATH_MAX + 32];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)verb, NULL};
	char *const environment[] = {path, where, NULL};
	snprintf(where, sizeof(where), "FAIRLEAD_BOOT_DIR=%s", dir);
	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "start '%s'", program);
	int rc = set_files(&actions, c);
	if (rc == 0)
		rc = set_attributes(&attr);
	if (rc == 0)
		rc = posix_spawn(&c->pid, program, &actions, &attr, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (rc != 0)
		return fl_fail(err, FL_E_IO, rc, "start '%s'", program);
	fl_close(&c->out[1]);
	c->pidfd = pidfd_open(c->pid, 0);
	return c->pidfd >= 0 ? FL_OK : fl_fail(err, FL_E_IO, errno, "watch '%s'", program);
}

/* What there is to read; closed at the end of it, and when it is too much: cut off, it is no decision. */
static void take_output(struct call *c)
{
	char piece[1024];
	struct fl_err why;
	const ssize_t n = read(c->out[0], piece, sizeof(piece));
	if (n <= 0 || fl_buf_append(&c->output, piece, (size_t)n, &why) != FL_OK)
		fl_close(&c->out[0]);
}

/* Until it has ended and said all, or its time is over. */
static bool watch(struct call *c)
{
	const uint64_t end = fl_clock_boot_ms(&fl_clock_system) + DEADLINE_MS;
	for (;;) {
		const uint64_t now = fl_clock_boot_ms(&fl_clock_system);
		struct pollfd fds[] = {{c->out[0], POLLIN, 0}, {c->pidfd, POLLIN, 0}};
		if (now >= end)
			return false;
		const int n = poll(fds, 2, (int)(end - now));
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0 && fds[0].revents != 0) {
			take_output(c);
		} else if (n > 0 && fds[1].revents != 0) {
			return true;
		}
	}
}

/* Whatever it left running goes with it. */
static int end(struct call *c, bool in_time)
{
	int status = STATUS_KILLED;
	int word = 0;
	if (c->pid > 0) {
		(void)kill(-c->pid, SIGKILL);
		if (waitpid(c->pid, &word, 0) == c->pid && in_time && WIFEXITED(word))
			status = WEXITSTATUS(word);
	}
	fl_close(&c->in);
	fl_close(&c->out[0]);
	fl_close(&c->out[1]);
	fl_close(&c->pidfd);
	return status;
}

/* *ret_status: of the program; FL_E_TIMEOUT when it was killed. `input` NULL: nothing to read for it. */
static enum fl_rc run(const struct fl_boot_host *host, const char *verb, const struct fl_buf *input,
		      struct fl_buf *output, int *ret_status, struct fl_err *err)
{
	char program[PATH_MAX];
	bool in_time = false;
	struct call c = {-1, {-1, -1}, -1, -1, FL_BUF(OUTPUT_MAX)};
	enum fl_rc rc = find_program(host, program, err);
	if (rc == FL_OK)
		rc = open_pipes(&c, input, err);
	if (rc == FL_OK)
		rc = start(&c, program, verb, host->dir, err);
	if (rc == FL_OK)
		in_time = watch(&c);
	*ret_status = end(&c, in_time);
	if (rc == FL_OK && !in_time)
		rc = fl_fail(err, FL_E_TIMEOUT, 0, "'%s %s': no end", program, verb);
	*output = c.output;
	return rc;
}

static enum fl_rc exec_load(const struct fl_boot_host *host, struct fl_boot_state *ret,
			    struct fl_err *err)
{
	int status;
	struct fl_buf text;
	enum fl_rc rc = run(host, "load", NULL, &text, &status, err);
	if (rc == FL_OK && status == STATUS_NONE)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "'%s' has no decision", host->program);
	else if (rc == FL_OK && status != 0)
		rc = fl_fail(err, FL_E_IO, 0, "'%s load': status %d", host->program, status);
	if (rc == FL_OK)
		rc = fl_boot_decision_parse(&text, ret, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc exec_store(const struct fl_boot_host *host, const struct fl_boot_state *old,
			     const struct fl_boot_state *next, struct fl_err *err)
{
	int status;
	struct fl_buf text = FL_BUF(OUTPUT_MAX);
	struct fl_buf said = FL_BUF(OUTPUT_MAX);
	enum fl_rc rc = fl_boot_decision_print(next, &text, err);
	(void)old;
	if (rc == FL_OK)
		rc = run(host, "store", &text, &said, &status, err);
	if (rc == FL_OK && status != 0)
		rc = fl_fail(err, FL_E_IO, 0, "'%s store': status %d", host->program, status);
	fl_buf_free(&text);
	fl_buf_free(&said);
	return rc;
}

static bool exec_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
		       fl_boot_report *report, void *ctx)
{
	char program[PATH_MAX];
	struct fl_err why = {0};
	struct findings f = {report, ctx, true};
	const bool found = find_program(host, program, &why) == FL_OK;
	(void)state;
	findings_add(&f, found, "the program is root's alone%s%s", found ? "" : ": ", why.msg);
	return f.all_ok;
}

const struct fl_boot_backend fl_boot_exec = {
	.name = "exec",
	.makes_dir = true,
	.load = exec_load,
	.store = exec_store,
	.check = exec_check,
};
