/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After any start. The machine is believed first (which slot runs, what boot decided, which boot this is), then the
 * anchor; a job is where these two put it:
 *
 *   anchor        target runs        the old slot runs
 *   sealed        –                  staging: the lock on the slot went with the old process
 *   trial         on trial: the      another boot than the switch's: the trial failed, rolling_back
 *                 deadline goes on   the same boot: not restarted yet; staging, if the switch was never made
 *   decided       finish             fallback, trial, restart: forward, within the budget
 *   rolling_back  fallback, restart  fallback; the agent closes the job
 *   nothing open  the slot is on trial for nobody (a lost anchor): fallback, restart
 *
 * What fails is tried again every few seconds: a full disk at the start must not cost the trial its deadline.
 */
#include "helper.h"

#include <fairlead/base/log.h>

#include <string.h>

#define RECOVER_RETRY_MS 5000

static enum fl_rc unseal(struct helper *h, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	return fl_anchor_unseal(&next) ? save(h, &next, err) : FL_OK;
}

static enum fl_rc start_trial(struct helper *h, struct fl_anchor_name boot, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	if (!fl_anchor_run_trial(&next, boot, fl_clock_boot_ms(h->clock)))
		return FL_OK;
	enum fl_rc rc = save(h, &next, err);
	if (rc != FL_OK) { /* the deadline runs all the same, in memory */
		h->anchor.boot = next.boot;
		h->anchor.trial_start_ms = next.trial_start_ms;
	}
	return rc;
}

/* The switch was never made: the slot is still withdrawn, as staging left it. */
static bool never_switched(const struct trial *t)
{
	return t->slot != NULL && strcmp(t->view.trial, t->slot->name) != 0 &&
	       boot_is_withdrawn(&t->view, t->slot->name);
}

/* The lock and what was sealed under it went with the old process: it is staged and sealed again. */
static enum fl_rc unswitch(struct helper *h, const struct trial *t, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	enum fl_rc rc = fl_anchor_unswitch(&next, t->place, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

static enum fl_rc trial_failed(struct helper *h, struct trial *t, struct fl_err *err)
{
	char why[256];
	host_read_line(h->config.boot_failure, why, sizeof(why));
	fl_log(FL_LOG_ERROR, "the trial failed, slot '%s' runs: %s", t->view.running,
	       why[0] == '\0' ? "no reason known" : why);
	return trial_roll_back(h, t->place, t, err);
}

static enum fl_rc recover_trial(struct helper *h, struct trial *t, struct fl_err *err)
{
	struct fl_anchor_name boot = {{0}};
	enum fl_rc rc = host_boot(&h->config, &boot, err);
	if (t->runs) /* a system that does not tell its boot has its deadline all the same */
		return start_trial(h, boot, err);
	if (rc != FL_OK)
		return rc;
	if (never_switched(t))
		return unswitch(h, t, err);
	return fl_anchor_same_boot(&h->anchor, boot) ? FL_OK : trial_failed(h, t, err);
}

/* A trial's tries are used up: only a new decision boots the slot again. */
static enum fl_rc recover_decided(struct helper *h, struct trial *t, struct fl_err *err)
{
	if (t->runs)
		return trial_finish(h, t->place, err);
	if (t->slot == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "the configuration has lost the target");
	enum fl_rc rc = switch_boot(h, "fallback", NULL, err);
	if (rc == FL_OK)
		rc = switch_to(h, t->slot->name, NULL, err); /* its root hash is kept */
	return rc == FL_OK ? trial_restart(h, t->place, err) : rc;
}

static enum fl_rc recover_job(struct helper *h, int place, struct fl_err *err)
{
	struct trial t;
	enum fl_rc rc = trial_look_at(h, place, &t, err);
	if (rc != FL_OK || t.place < 0)
		return rc;
	fl_log(FL_LOG_NOTICE, "open job in phase %s, slot '%s' runs", fl_phase_name(t.phase),
	       t.view.running);
	switch (t.phase) {
	case FL_PHASE_TRIAL:
		return recover_trial(h, &t, err);
	case FL_PHASE_DECIDED:
		return recover_decided(h, &t, err);
	case FL_PHASE_ROLLING_BACK:
		return trial_roll_back(h, place, &t, err);
	case FL_PHASE_IDLE:
	case FL_PHASE_STAGING:
	case FL_PHASE_SEALED:
		break;
	}
	return FL_OK;
}

/* A slot on trial that no open job stands behind has nobody who could commit it. */
static enum fl_rc end_orphan_trial(struct helper *h, struct fl_err *err)
{
	struct boot_view view;
	int place;
	if (trial_is_running(h, &place))
		return FL_OK;
	enum fl_rc rc = look(h, &view, err);
	if (rc != FL_OK || strcmp(view.running, view.trial) != 0 || view.running[0] == '\0' ||
	    strcmp(view.running, view.good) == 0)
		return rc;
	fl_log(FL_LOG_ERROR, "slot '%s' is on trial, and no job is open: falling back", view.running);
	rc = switch_boot(h, "fallback", NULL, err);
	return rc == FL_OK ? host_request_restart(&h->config, err) : rc;
}

static bool look_again(struct helper *h, enum fl_rc rc, const struct fl_err *why, const char *what)
{
	if (rc == FL_OK)
		return false;
	fl_log_err(FL_LOG_ERROR, why, "%s", what);
	h->recover_again_ms = fl_clock_boot_ms(h->clock) + RECOVER_RETRY_MS;
	return true;
}

/* What cannot be healed now does not keep the helper from serving: what it is stays visible. */
static void recover_jobs(struct helper *h)
{
	bool open = false;
	struct fl_err why;
	h->recover_again_ms = 0;
	for (int place = 0; place < FL_ANCHOR_JOBS; place++) {
		if (fl_anchor_id_is_zero(&h->anchor.jobs[place].job))
			continue;
		open = true;
		enum fl_rc rc = recover_job(h, place, &why);
		if (rc != FL_E_BUDGET) /* more of the same would not help: a person, or a newer job */
			(void)look_again(h, rc, &why, "recover a job");
	}
	(void)look_again(h, prove(h, &why), &why, "prove the fallback");
	if (!open)
		(void)look_again(h, end_orphan_trial(h, &why), &why, "end a trial without a job");
}

void recover_again(struct helper *h)
{
	recover_jobs(h);
}

enum fl_rc recover(struct helper *h, struct fl_err *err)
{
	enum fl_rc rc = unseal(h, err);
	if (rc == FL_OK)
		recover_jobs(h);
	return rc;
}
