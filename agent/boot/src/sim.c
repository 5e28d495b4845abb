/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end sim: DIR/decision, replaced atomically; script/machine plays the boot loader that reads it and counts the
 * tries by itself. Crash contract and bytes: docs/internals/sim-boot.md.
 */
#include "sim.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DECISION_MAX ((size_t)4096)

static enum fl_rc decision_path(const struct fl_boot_host *host, char path[PATH_MAX],
				struct fl_err *err)
{
	return fl_path_join(path, PATH_MAX, host->dir, "decision", err);
}

/* One writer at a time; released when *fd is closed. */
static enum fl_rc lock(const struct fl_boot_host *host, int *fd, struct fl_err *err)
{
	*fd = open(host->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0 || flock(*fd, LOCK_EX) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "lock '%s'", host->dir);
	return FL_OK;
}

static enum fl_rc load(const struct fl_boot_host *host, struct fl_boot_state *ret,
		       struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_buf text = FL_BUF(DECISION_MAX);
	enum fl_rc rc = decision_path(host, path, err);
	if (rc == FL_OK)
		rc = fl_file_read(path, &text, err);
	if (rc == FL_E_TOO_LARGE)
		rc = fl_fail(err, FL_E_CORRUPT, 0, "boot decision: too long");
	if (rc == FL_OK)
		rc = fl_boot_decision_parse(&text, ret, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc store(const struct fl_boot_host *host, const struct fl_boot_state *state,
			struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_buf text = FL_BUF(DECISION_MAX);
	enum fl_rc rc = decision_path(host, path, err);
	if (rc == FL_OK)
		rc = fl_boot_decision_print(state, &text, err);
	if (rc == FL_OK)
		rc = fl_file_replace(path, text.data, text.len, 0644, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc store_next(const struct fl_boot_host *host, struct fl_boot_state *state,
			     bool changed, struct fl_err *err)
{
	if (!changed)
		return FL_OK;
	state->seq++;
	return store(host, state, err);
}

static enum fl_rc sim_observe(const struct fl_boot_host *host, struct fl_boot_state *ret,
			      struct fl_err *err)
{
	return load(host, ret, err);
}

static enum fl_rc sim_withdraw(const struct fl_boot_host *host, const char *slot,
			       struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct fl_boot_state state;
	bool changed = false;
	enum fl_rc rc = lock(host, &fd, err);
	if (rc == FL_OK)
		rc = load(host, &state, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_withdraw(host, &state, slot, &changed, err);
	return rc == FL_OK ? store_next(host, &state, changed, err) : rc;
}

static enum fl_rc sim_trial(const struct fl_boot_host *host, const char *slot, unsigned tries,
			    struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct fl_boot_state state;
	bool changed = false;
	enum fl_rc rc = lock(host, &fd, err);
	if (rc == FL_OK)
		rc = load(host, &state, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_trial(host, &state, slot, tries, &changed, err);
	return rc == FL_OK ? store_next(host, &state, changed, err) : rc;
}

static enum fl_rc sim_good(const struct fl_boot_host *host, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct fl_boot_state state;
	bool changed = false;
	enum fl_rc rc = lock(host, &fd, err);
	if (rc == FL_OK)
		rc = load(host, &state, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_good(host, &state, &changed, err);
	return rc == FL_OK ? store_next(host, &state, changed, err) : rc;
}

static enum fl_rc sim_fallback(const struct fl_boot_host *host, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct fl_boot_state state;
	bool changed = false;
	enum fl_rc rc = lock(host, &fd, err);
	if (rc == FL_OK)
		rc = load(host, &state, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_fallback(&state, &changed, err);
	return rc == FL_OK ? store_next(host, &state, changed, err) : rc;
}

static enum fl_rc sim_init(const struct fl_boot_host *host, const char *slot, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	struct fl_boot_state state;
	if (fl_boot_find_slot(host, slot) == NULL)
		return fl_fail(err, FL_E_SLOT_MISSING, 0, "the configuration has no slot '%s'", slot);
	enum fl_rc rc = fl_dir_make(host->dir, 0755, err);
	if (rc == FL_OK)
		rc = lock(host, &fd, err);
	if (rc != FL_OK)
		return rc;
	rc = load(host, &state, err);
	if (rc == FL_OK && strcmp(state.good, slot) == 0)
		return FL_OK;
	if (rc == FL_OK)
		return fl_fail(err, FL_E_EXISTS, 0, "slot '%s' is good already", state.good);
	if (rc != FL_E_NOT_FOUND && rc != FL_E_CORRUPT)
		return rc;
	state = (struct fl_boot_state){.seq = 1};
	memcpy(state.good, slot, strlen(slot) + 1);
	return store(host, &state, err);
}

struct findings {
	fl_boot_report *report;
	void *ctx;
	bool all_ok;
};

static void find(struct findings *f, bool ok, const char *what, const char *name)
{
	char text[256];
	snprintf(text, sizeof(text), "%s%s%s", what, name[0] == '\0' ? "" : " ", name);
	f->report(f->ctx, ok, text);
	f->all_ok = f->all_ok && ok;
}

/* Something is there to boot from: a device, or a file that is not empty. */
static bool is_bootable(const struct fl_boot_slot *slot)
{
	struct stat st;
	return slot != NULL && stat(slot->path, &st) == 0 &&
	       (S_ISBLK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size > 0));
}

static void check_state(const struct fl_boot_host *host, const struct fl_boot_state *state,
			struct findings *f)
{
	const bool on_trial = state->trial[0] != '\0';
	find(f, is_bootable(fl_boot_find_slot(host, state->good)), "the fallback is there: slot",
	     state->good);
	find(f, !fl_boot_is_withdrawn(state, state->good), "the fallback is not withdrawn", "");
	if (on_trial) {
		find(f, is_bootable(fl_boot_find_slot(host, state->trial)),
		     "the trial is there: slot", state->trial);
		find(f, !fl_boot_is_withdrawn(state, state->trial), "the trial is not withdrawn", "");
	}
	find(f,
	     strcmp(host->running, state->good) == 0 ||
		     (on_trial && strcmp(host->running, state->trial) == 0),
	     "the running slot is the fallback or on trial: slot", host->running);
}

static enum fl_rc sim_doctor(const struct fl_boot_host *host, fl_boot_report *report, void *ctx,
			     struct fl_err *err)
{
	struct fl_boot_state state;
	struct fl_err why = {0};
	struct findings f = {report, ctx, true};
	enum fl_rc rc = load(host, &state, &why);
	find(&f, rc == FL_OK, "the boot decision is valid", rc == FL_OK ? "" : why.msg);
	find(&f, host->n_slots >= 2, "at least two slots are configured", "");
	for (size_t i = 0; i < host->n_slots; i++)
		find(&f, access(host->slots[i].path, R_OK) == 0, "slot is readable:",
		     host->slots[i].path);
	if (rc == FL_OK)
		check_state(host, &state, &f);
	return f.all_ok ? FL_OK : fl_fail(err, FL_E_BOOT_SWITCH, 0, "the self-test found a fault");
}

const struct fl_boot_backend fl_boot_sim = {
	.name = "sim",
	.observe = sim_observe,
	.withdraw = sim_withdraw,
	.trial = sim_trial,
	.good = sim_good,
	.fallback = sim_fallback,
	.init = sim_init,
	.doctor = sim_doctor,
};
