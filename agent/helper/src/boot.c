/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-boot, run for one verb at a time. It is short-lived; the loop waits for it. */
#include "host.h"

#include "children.h"

#include <fairlead/base/file.h>
#include <fairlead/boot/boot.h>
#include <fairlead/ipc/codec.h>
#include <fairlead/trust/json.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOOT_DEADLINE_MS 20000
#define ARGS_MAX	 4
#define OUTPUT_MAX	 ((size_t)4096)

struct outputs {
	int out, errors; /* memfds: no pipe that could fill up */
};

static enum fl_rc open_outputs(struct outputs *o, struct fl_err *err)
{
	o->out = memfd_create("boot-out", MFD_CLOEXEC);
	o->errors = memfd_create("boot-err", MFD_CLOEXEC);
	if (o->out < 0 || o->errors < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "memfd");
	return FL_OK;
}

/* The last line it wrote to standard error is its reason. */
static enum fl_rc refused(int errors, const char *verb, int status, struct fl_err *err)
{
	struct fl_err why;
	struct fl_buf text = FL_BUF(OUTPUT_MAX);
	char line[160] = "";
	if (fl_file_read_fd(errors, &text, &why) == FL_OK && text.len > 0) {
		const char *s = fl_buf_str(&text);
		size_t len = strcspn(s, "\n");
		len = len < sizeof(line) - 1 ? len : sizeof(line) - 1;
		memcpy(line, s, len);
		line[len] = '\0';
	}
	fl_buf_free(&text);
	return fl_fail(err, FL_E_BOOT_SWITCH, 0, "fairlead-boot %s: status %d: %s", verb, status,
		       line);
}

/* args: NULL ends them. */
static enum fl_rc run(const struct config *config, const char *const *args, struct fl_buf *out,
		      struct fl_err *err)
{
	struct outputs o = {-1, -1};
	pid_t pid = -1;
	int status = 0;
	const char *verb = args[0];
	const char *argv[ARGS_MAX + 4] = {config->boot_program, "--config", config->path};
	for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
		argv[3 + i] = args[i];
	enum fl_rc rc = open_outputs(&o, err);
	const struct child_fd fds[] = {{o.out, STDOUT_FILENO}, {o.errors, STDERR_FILENO}};
	const int failed = rc == FL_OK ? child_exec((char *const *)(uintptr_t)argv, fds, 2, &pid) : 0;
	if (failed != 0)
		rc = fl_fail(err, FL_E_BOOT_SWITCH, failed, "start '%s'", argv[0]);
	if (rc == FL_OK && !child_reap(pid, BOOT_DEADLINE_MS, &status)) {
		(void)child_kill(pid);
		rc = fl_fail(err, FL_E_BOOT_SWITCH, 0, "fairlead-boot %s: no end", verb);
	}
	if (rc == FL_OK && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		rc = refused(o.errors, verb, WIFEXITED(status) ? WEXITSTATUS(status) : -1, err);
	if (rc == FL_OK && out != NULL)
		rc = fl_file_read_fd(o.out, out, err);
	fl_close(&o.out);
	fl_close(&o.errors);
	return rc;
}

enum fl_rc boot_run(const struct config *config, const char *verb, const char *slot,
		    const char *root_hash, struct fl_err *err)
{
	const char *const args[] = {verb, slot, root_hash == NULL ? NULL : "--root-hash", root_hash,
				    NULL};
	return run(config, args, NULL, err);
}

struct answer {
	const char *running, *good, *trial;
	FL_LIST(const char *) withdrawn;
	uint64_t tries;
	bool proving;
};

static const struct fl_field answer_fields[] = {
	FL_REQ(struct answer, running, STR, FL_NAME_MAX, NULL, "running slot"),
	FL_REQ(struct answer, good, STR, FL_NAME_MAX, NULL, "fallback"),
	FL_REQ(struct answer, trial, STR, FL_NAME_MAX, NULL, "on trial"),
	FL_OPT(struct answer, withdrawn, STRINGS, BOOT_SLOTS_MAX, NULL, "never offered"),
	FL_OPT(struct answer, tries, U64, FL_BOOT_TRIES_MAX, NULL, "of the trial"),
	FL_OPT(struct answer, proving, BOOL, 0, NULL, "booted as the trial `prove`"),
};
static const struct fl_schema answer_schema =
	FL_SCHEMA("boot", struct answer, answer_fields, "fairlead-boot observe");

static bool take_name(const char *from, char to[FL_NAME_MAX + 1])
{
	memset(to, 0, FL_NAME_MAX + 1);
	if (from[0] == '\0')
		return true;
	if (!fl_name_valid(from))
		return false;
	memcpy(to, from, strlen(from));
	return true;
}

static bool take_answer(const struct answer *a, struct boot_view *ret)
{
	bool ok = take_name(a->good, ret->good) && take_name(a->trial, ret->trial);
	for (size_t i = 0; i < a->withdrawn.n && ok; i++)
		ok = take_name(a->withdrawn.items[i], ret->withdrawn[i]);
	ret->n_withdrawn = a->withdrawn.n;
	ret->tries = a->tries;
	ret->proving = a->proving;
	return ok;
}

enum fl_rc boot_observe(const struct config *config, struct boot_view *ret, struct fl_err *err)
{
	static const char *const observe[] = {"observe", NULL};
	struct answer a;
	struct boot_view view = {0};
	struct fl_arena arena = FL_ARENA((size_t)16 * 1024);
	struct fl_buf text = FL_BUF(OUTPUT_MAX);
	char running[FL_NAME_MAX + 1];
	enum fl_rc rc = run(config, observe, &text, err);
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (rc == FL_OK)
		rc = fl_json_decode(&answer_schema, text.data, text.len, FL_JSON_IGNORE_UNKNOWN,
				    &arena, &a, err);
	host_running(config, running);
	if (rc == FL_OK && (!take_answer(&a, &view) || !take_name(running, view.running)))
		rc = fl_fail(err, FL_E_BOOT_SWITCH, 0, "fairlead-boot observe: bad names");
	if (rc == FL_OK)
		*ret = view;
	fl_arena_free(&arena);
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, FL_E_BOOT_SWITCH, "observe boot");
}

bool boot_is_withdrawn(const struct boot_view *view, const char *slot)
{
	for (size_t i = 0; i < view->n_withdrawn; i++) {
		if (strcmp(view->withdrawn[i], slot) == 0)
			return true;
	}
	return false;
}
