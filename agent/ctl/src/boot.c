/* SPDX-License-Identifier: Apache-2.0 */
#include "boot.h"

#include <fairlead/base/conf.h>
#include <fairlead/base/file.h>
#include <fairlead/trust/json.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000
#define OUTPUT_MAX  ((size_t)64 * 1024)
#define TEXT_MAX    256

extern char **environ;

static enum fl_rc find_path(const struct fl_ctl_boot *b, const char *section, const char *key,
			    const char *fallback, char out[PATH_MAX], struct fl_err *err)
{
	const char *path = fl_conf_get(b->conf, section, key, fallback);
	if (path == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "[%s] %s is missing", section, key);
	return fl_conf_path(b->conf, path, out, PATH_MAX, err);
}

enum fl_rc fl_ctl_boot_open(const char *config, struct fl_ctl_boot *ret, struct fl_err *err)
{
	*ret = (struct fl_ctl_boot){.config = config, .output = FL_BUF(OUTPUT_MAX)};
	enum fl_rc rc = fl_conf_load(config, &ret->conf, err);
	return rc == FL_OK ? find_path(ret, "boot", "program", NULL, ret->program, err) : rc;
}

void fl_ctl_boot_close(struct fl_ctl_boot *b)
{
	fl_buf_free(&b->output);
	fl_conf_free(b->conf);
}

static enum fl_rc start(char *const *argv, int out, pid_t *ret, struct fl_err *err)
{
	posix_spawn_file_actions_t actions;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "start '%s'", argv[0]);
	int e = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	if (e == 0)
		e = posix_spawn(ret, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return e == 0 ? FL_OK : fl_fail(err, FL_E_IO, e, "start '%s'", argv[0]);
}

/* Until its end; a program that keeps silent for PATIENCE_MS is none that we wait for. */
static enum fl_rc read_output(int fd, struct fl_buf *out, struct fl_err *err)
{
	struct pollfd p = {fd, POLLIN, 0};
	char block[4096];
	for (;;) {
		if (poll(&p, 1, PATIENCE_MS) != 1)
			return fl_fail(err, FL_E_TIMEOUT, 0, "no answer");
		const ssize_t n = read(fd, block, sizeof(block));
		if (n <= 0)
			return n == 0 ? FL_OK : fl_fail(err, FL_E_IO, errno, "read its answer");
		enum fl_rc rc = fl_buf_append(out, block, (size_t)n, err);
		if (rc != FL_OK)
			return rc;
	}
}

enum fl_rc fl_ctl_boot_run(struct fl_ctl_boot *b, const char *verb, int *ret_status,
			   struct fl_err *err)
{
	char *const argv[] = {b->program, (char[]){"--config"}, (char *)(uintptr_t)b->config,
			      (char *)(uintptr_t)verb, NULL};
	int ends[2], status = 0;
	pid_t pid = -1;
	fl_buf_clear(&b->output);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return fl_fail(err, FL_E_IO, errno, "pipe");
	enum fl_rc rc = start(argv, ends[1], &pid, err);
	fl_close(&ends[1]);
	if (rc == FL_OK) {
		rc = read_output(ends[0], &b->output, err);
		if (rc != FL_OK)
			(void)kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	fl_close(&ends[0]);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "fairlead-boot %s", verb);
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return FL_OK;
}

enum fl_rc fl_ctl_boot_fail(const struct fl_ctl_boot *b, const char *verb, int status,
			    struct fl_err *err)
{
	const char *text = b->output.len == 0 ? "" : fl_buf_str(&b->output);
	return fl_fail(err, FL_E_BOOT_SWITCH, 0, "fairlead-boot %s: status %d: %.*s%s", verb,
		       status, (int)strcspn(text, "\n"), text,
		       geteuid() == 0 ? "" : " (only root may ask it on most machines)");
}

static const struct fl_field slots_fields[] = {
	FL_OPT(struct fl_ctl_slots, running, STR, TEXT_MAX, NULL, "\"\": unknown"),
	FL_OPT(struct fl_ctl_slots, good, STR, TEXT_MAX, NULL, "the fallback"),
	FL_OPT(struct fl_ctl_slots, trial, STR, TEXT_MAX, NULL, "\"\": none"),
	FL_OPT(struct fl_ctl_slots, withdrawn, STRINGS, TEXT_MAX, NULL, "never offered"),
	FL_OPT(struct fl_ctl_slots, tries, U64, FL_U53_MAX, NULL, "of the trial"),
	FL_OPT(struct fl_ctl_slots, used, U64, FL_U53_MAX, NULL, "of them"),
	FL_OPT(struct fl_ctl_slots, proving, BOOL, 0, NULL, "booted as prove"),
};
static const struct fl_schema slots_schema =
	FL_SCHEMA("slots", struct fl_ctl_slots, slots_fields, "what boots");

enum fl_rc fl_ctl_boot_slots(struct fl_ctl_boot *b, struct fl_arena *arena,
			     struct fl_ctl_slots *ret, struct fl_err *err)
{
	int status = 0;
	enum fl_rc rc = fl_ctl_boot_run(b, "observe", &status, err);
	if (rc == FL_OK && status != 0)
		rc = fl_ctl_boot_fail(b, "observe", status, err);
	while (rc == FL_OK && b->output.len > 0 && b->output.data[b->output.len - 1] == '\n')
		b->output.data[--b->output.len] = '\0';
	return rc == FL_OK ? fl_json_decode(&slots_schema, b->output.data, b->output.len,
					    FL_JSON_IGNORE_UNKNOWN, arena, ret, err)
			   : rc;
}

/* --- the proof of the fallback --- */

enum fl_rc fl_ctl_boot_note(const struct fl_ctl_boot *b, const char *name, char *out, size_t size)
{
	char path[PATH_MAX], dir[PATH_MAX];
	struct fl_buf text = FL_BUF((size_t)4096);
	struct fl_err err;
	enum fl_rc rc = find_path(b, "anchor", "dir", NULL, dir, &err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), dir, name, &err);
	if (rc == FL_OK)
		rc = fl_file_read(path, &text, &err);
	if (rc == FL_OK)
		(void)snprintf(out, size, "%.*s", (int)strcspn(fl_buf_str(&text), "\n"),
			       fl_buf_str(&text));
	fl_buf_free(&text);
	return rc;
}

/* "0 BOOT": the helper counts from here, and knows that this boot is none of them. */
static enum fl_rc note_this_boot(const struct fl_ctl_boot *b, struct fl_err *err)
{
	char dir[PATH_MAX], path[PATH_MAX], line[TEXT_MAX];
	struct fl_buf id = FL_BUF((size_t)4096);
	enum fl_rc rc =
		find_path(b, "host", "boot_id", "/proc/sys/kernel/random/boot_id", path, err);
	if (rc == FL_OK)
		rc = fl_file_read(path, &id, err);
	if (rc == FL_OK)
		rc = find_path(b, "anchor", "dir", NULL, dir, err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), dir, "proving", err);
	if (rc == FL_OK) {
		const int n = snprintf(line, sizeof(line), "0 %.64s", fl_buf_str(&id));
		rc = fl_file_replace(path, line, (size_t)n, 0600, err);
	}
	if (rc == FL_OK && fl_path_join(path, sizeof(path), dir, "proof", err) == FL_OK)
		(void)unlink(path); /* of the time before */
	fl_buf_free(&id);
	return rc;
}

enum fl_rc fl_ctl_boot_prove(struct fl_ctl_boot *b, struct fl_err *err)
{
	static const char who[] = "fairleadctl\n";
	char path[PATH_MAX];
	int status = 0;
	enum fl_rc rc = note_this_boot(b, err);
	if (rc == FL_OK)
		rc = fl_ctl_boot_run(b, "prove", &status, err);
	if (rc == FL_OK && status != 0)
		rc = fl_ctl_boot_fail(b, "prove", status, err);
	if (rc == FL_OK)
		rc = find_path(b, "host", "restart_request", "/run/fairlead/restart", path, err);
	return rc == FL_OK ? fl_file_replace(path, who, sizeof(who) - 1, 0644, err) : rc;
}
