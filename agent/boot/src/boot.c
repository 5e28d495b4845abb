/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, once for all back ends: lock, load, rule, store when it changed. */
#include "backends.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const struct fl_boot_backend *fl_boot_backend_find(const char *name)
{
	static const struct fl_boot_backend *const backends[] = {
		&fl_boot_sim, &fl_boot_exec, &fl_boot_uboot, &fl_boot_grub, &fl_boot_sdboot};
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	}
	return NULL;
}

/* One writer at a time; released when *fd is closed. */
static enum fl_rc lock(const struct fl_boot_host *host, int *fd, struct fl_err *err)
{
	*fd = open(host->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0 || flock(*fd, LOCK_EX) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "lock '%s'", host->dir);
	return FL_OK;
}

/* What boots as `prove` is the good slot. */
static void settle_running(struct fl_boot_host *host, const struct fl_boot_state *state)
{
	if (host->proving && host->running[0] == '\0')
		memcpy(host->running, state->good, sizeof(host->running));
}

enum fl_rc fl_boot_observe(const struct fl_boot_backend *b, struct fl_boot_host *host,
			   struct fl_boot_state *ret, struct fl_err *err)
{
	struct fl_boot_state state = {0};
	enum fl_rc rc = b->load(host, &state, err);
	if (rc != FL_OK)
		return rc;
	settle_running(host, &state);
	*ret = state;
	return FL_OK;
}

/* One verb's way: begin, a rule on `next`, end. */
struct change {
	int lock_fd;
	struct fl_boot_state old, next;
	bool changed;
};

static enum fl_rc begin(const struct fl_boot_backend *b, struct fl_boot_host *host,
			struct change *c, struct fl_err *err)
{
	c->changed = false;
	enum fl_rc rc = lock(host, &c->lock_fd, err);
	if (rc == FL_OK)
		rc = fl_boot_observe(b, host, &c->old, err);
	if (rc == FL_OK)
		c->next = c->old;
	return rc;
}

static enum fl_rc end(const struct fl_boot_backend *b, const struct fl_boot_host *host,
		      struct change *c, enum fl_rc rc, struct fl_err *err)
{
	if (rc == FL_OK && c->changed) {
		c->next.seq = c->old.seq + 1;
		rc = b->store(host, &c->old, &c->next, err);
	}
	fl_close(&c->lock_fd);
	return rc;
}

enum fl_rc fl_boot_withdraw(const struct fl_boot_backend *b, struct fl_boot_host *host,
			    const char *slot, struct fl_err *err)
{
	struct change c;
	enum fl_rc rc = begin(b, host, &c, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_withdraw(host, &c.next, slot, &c.changed, err);
	return end(b, host, &c, rc, err);
}

enum fl_rc fl_boot_trial(const struct fl_boot_backend *b, struct fl_boot_host *host,
			 const struct fl_boot_trial *trial, struct fl_err *err)
{
	struct change c;
	enum fl_rc rc = begin(b, host, &c, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_trial(host, &c.next, trial, &c.changed, err);
	return end(b, host, &c, rc, err);
}

enum fl_rc fl_boot_good(const struct fl_boot_backend *b, struct fl_boot_host *host,
			struct fl_err *err)
{
	struct change c;
	enum fl_rc rc = begin(b, host, &c, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_good(host, &c.next, &c.changed, err);
	return end(b, host, &c, rc, err);
}

enum fl_rc fl_boot_fallback(const struct fl_boot_backend *b, struct fl_boot_host *host,
			    struct fl_err *err)
{
	struct change c;
	enum fl_rc rc = begin(b, host, &c, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_fallback(&c.next, &c.changed, err);
	return end(b, host, &c, rc, err);
}

enum fl_rc fl_boot_prove(const struct fl_boot_backend *b, struct fl_boot_host *host, unsigned tries,
			 struct fl_err *err)
{
	struct change c;
	enum fl_rc rc = begin(b, host, &c, err);
	if (rc == FL_OK)
		rc = fl_boot_rule_prove(host, &c.next, tries, &c.changed, err);
	return end(b, host, &c, rc, err);
}

static enum fl_rc first_decision(const struct fl_boot_backend *b, struct fl_boot_host *host,
				 const char *slot, struct fl_err *err)
{
	struct fl_boot_state old = {0};
	struct fl_boot_state first = {.seq = 1};
	enum fl_rc rc = b->load(host, &old, err);
	if (rc == FL_OK && strcmp(old.good, slot) == 0)
		return FL_OK;
	if (rc == FL_OK)
		return fl_fail(err, FL_E_EXISTS, 0, "slot '%s' is good already", old.good);
	if (rc != FL_E_NOT_FOUND && rc != FL_E_CORRUPT)
		return rc;
	memcpy(first.good, slot, strlen(slot) + 1);
	return b->store(host, NULL, &first, err);
}

enum fl_rc fl_boot_init(const struct fl_boot_backend *b, struct fl_boot_host *host,
			const char *slot, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	if (fl_boot_find_slot(host, slot) == NULL)
		return fl_fail(err, FL_E_SLOT_MISSING, 0, "the configuration has no slot '%s'",
			       slot);
	enum fl_rc rc = b->makes_dir ? fl_dir_make(host->dir, 0755, err) : FL_OK;
	if (rc == FL_OK)
		rc = lock(host, &fd, err);
	return rc == FL_OK ? first_decision(b, host, slot, err) : rc;
}

/* --- doctor --- */

void findings_add(struct findings *f, bool ok, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->report(f->ctx, ok, text);
	f->all_ok = f->all_ok && ok;
}

/* Something is there to boot from: a device, or a file that is not empty. */
static bool is_filled(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 &&
	       (S_ISBLK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size > 0));
}

static void check_parts(const struct fl_boot_host *host, struct findings *f)
{
	for (size_t i = 0; i < host->n_parts; i++) {
		const struct fl_boot_part *p = &host->parts[i];
		findings_add(f, access(p->path, R_OK) == 0, "%s: slot %s is readable: %s",
			     p->component, p->slot, p->path);
	}
}

/* All parts of the letter. */
static bool is_bootable(const struct fl_boot_host *host, const char *slot)
{
	bool any = false;
	for (size_t i = 0; i < host->n_parts; i++) {
		if (strcmp(host->parts[i].slot, slot) != 0)
			continue;
		any = true;
		if (!is_filled(host->parts[i].path))
			return false;
	}
	return any;
}

static void check_prove(const struct fl_boot_host *host, const struct fl_boot_state *state,
			struct findings *f)
{
	if (strcmp(state->trial, FL_BOOT_PROVE) != 0)
		return;
	if (host->proving)
		findings_add(f, true, "prove: this boot is one of its %u", state->tries);
	else
		findings_add(f, true, "prove: counted %u of %u; `fallback` ends it", state->used,
			     state->tries);
}

static void check_state(const struct fl_boot_host *host, const struct fl_boot_state *state,
			struct findings *f)
{
	const char *trial = fl_boot_trial_content(state);
	const char *running = host->running;
	findings_add(f, is_bootable(host, state->good), "the fallback is there: slot %s",
		     state->good);
	findings_add(f, !fl_boot_is_withdrawn(state, state->good), "the fallback is not withdrawn");
	if (trial[0] != '\0') {
		findings_add(f, is_bootable(host, trial), "the trial is there: slot %s", trial);
		findings_add(f, !fl_boot_is_withdrawn(state, trial), "the trial is not withdrawn");
	}
	findings_add(f,
		     running[0] != '\0' &&
			     (strcmp(running, state->good) == 0 || strcmp(running, trial) == 0),
		     "the running slot is the fallback or on trial: slot %s", running);
	check_prove(host, state, f);
}

enum fl_rc fl_boot_doctor(const struct fl_boot_backend *b, struct fl_boot_host *host,
			  fl_boot_report *report, void *ctx, struct fl_err *err)
{
	struct fl_boot_state state = {0};
	struct fl_err why = {0};
	struct findings f = {report, ctx, true};
	const bool valid = fl_boot_observe(b, host, &state, &why) == FL_OK;
	findings_add(&f, valid, "the boot decision is valid%s%s", valid ? "" : ": ", why.msg);
	findings_add(&f, host->n_slots >= 2, "at least two slots are configured");
	check_parts(host, &f);
	if (valid)
		check_state(host, &state, &f);
	if (!b->check(host, valid ? &state : NULL, report, ctx))
		f.all_ok = false;
	return f.all_ok ? FL_OK : fl_fail(err, FL_E_BOOT_SWITCH, 0, "the self-test found a fault");
}
