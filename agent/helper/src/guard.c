/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard of a trial: the agent must be heard again and again, and the hardware watchdog is fed
 * only while all goes well.
 *
 *   trial runs, deadline not over, agent heard within [trial] silence_s  ──▶ the watchdog is fed
 *   otherwise                                                            ──▶ back, and it is fed no
 * more
 *
 * What is armed is never left armed: with the end of the trial it is disarmed, if its driver allows
 * that (magic close), else fed on.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FEEDS_PER_TIMEOUT 4
#define MAGIC_CLOSE	  "V"

static bool trial_counts(const struct helper *h)
{
	return h->anchor.deadline_s != 0 && h->anchor.trial_start_ms != 0 && !h->trial_ended;
}

/* --- what the agent says --- */

/* Once: the soak's time and the checks after it are added to the trial. */
static enum fl_rc begin_soak(struct helper *h, const struct fl_digest *job, struct fl_err *err)
{
	struct work w;
	struct fl_anchor next = h->anchor;
	enum fl_rc rc = work_open(h, job, &w, err);
	if (rc == FL_OK && w.release.set->health->soak != NULL) {
		const struct fl_health *health = w.release.set->health;
		const uint32_t add = (uint32_t)(health->soak->duration_s + health->deadline_s);
		if (fl_anchor_extend_trial(&next, fl_clock_boot_ms(h->clock), add))
			rc = save(h, &next, err);
	}
	work_free(&w);
	return rc;
}

enum fl_rc on_alive(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_alive *says = rq->body;
	int place;
	if (!trial_is_running(h, &place) || place != fl_anchor_find_job(&h->anchor, &says->job) ||
	    fl_anchor_job_phase(&h->anchor, place) != FL_PHASE_TRIAL)
		return fl_fail(err, FL_E_PHASE, 0, "the job is not on trial in this boot");
	h->heard_ms = fl_clock_boot_ms(h->clock);
	return says->well && !h->anchor.trial_well ? begin_soak(h, &says->job, err) : FL_OK;
}

static uint64_t silence_left_ms(const struct helper *h, uint64_t now)
{
	const uint64_t end = h->heard_ms + h->config.silence_s * 1000;
	if (h->pending)
		return UINT64_MAX; /* it waits for us */
	return now >= end ? 0 : end - now;
}

/* --- the hardware --- */

static void feed(struct helper *h, uint64_t now)
{
	if (write(h->watchdog, "\n", 1) != 1)
		fl_log(FL_LOG_WARNING, "watchdog '%s' was not fed", h->config.watchdog);
	h->feed_ms = now + h->config.watchdog_timeout_s * 1000 / FEEDS_PER_TIMEOUT;
}

static void arm(struct helper *h, uint64_t now)
{
	int timeout_s = (int)h->config.watchdog_timeout_s;
	h->watchdog_tried = true;
	h->watchdog = open(h->config.watchdog, O_WRONLY | O_CLOEXEC);
	if (h->watchdog < 0) {
		fl_log(FL_LOG_WARNING, "watchdog '%s': %s; the trial goes on without",
		       h->config.watchdog,
		       errno == EBUSY ? "another program feeds it" : "cannot be opened");
		return;
	}
	if (ioctl(h->watchdog, WDIOC_SETTIMEOUT, &timeout_s) != 0)
		fl_log(FL_LOG_NOTICE, "watchdog '%s': keeps its own timeout", h->config.watchdog);
	else
		fl_log(FL_LOG_NOTICE, "watchdog '%s': armed, %d s", h->config.watchdog, timeout_s);
	feed(h, now);
}

/* Where the driver has no way out, closing would reset the machine: it is fed for as long as we
 * live. */
static void disarm(struct helper *h)
{
	struct watchdog_info info = {0};
	const bool asked = ioctl(h->watchdog, WDIOC_GETSUPPORT, &info) == 0;
	if (asked && (info.options & WDIOF_MAGICCLOSE) == 0)
		return;
	if (write(h->watchdog, MAGIC_CLOSE, 1) == 1)
		fl_close(&h->watchdog);
}

/* --- every turn of the loop --- */

static void guard_trial(struct helper *h, uint64_t now)
{
	int place;
	if (trial_left_ms(h) == 0) {
		if (now >= h->expire_again_ms)
			trial_expire(h, FL_E_TRIAL_DEADLINE,
				     "no commit before the deadline of the trial");
	} else if (silence_left_ms(h, now) == 0) {
		if (now >= h->expire_again_ms)
			trial_expire(h, FL_E_TRIAL_SILENT, "the agent was silent during the trial");
	} else {
		if (h->config.watchdog != NULL && !h->watchdog_tried && trial_is_running(h, &place))
			arm(h, now);
		if (h->watchdog >= 0 && now >= h->feed_ms)
			feed(h, now);
	}
}

void guard(struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	if (trial_counts(h))
		guard_trial(h, now);
	else if (h->watchdog >= 0 && now >= h->feed_ms) {
		disarm(h);
		if (h->watchdog >= 0)
			feed(h, now);
	}
}

static uint64_t until_ms(uint64_t then, uint64_t now)
{
	return then > now ? then - now : 0;
}

uint64_t guard_left_ms(const struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	uint64_t left = UINT64_MAX;
	if (trial_counts(h)) {
		const uint64_t silence = silence_left_ms(h, now);
		left = trial_left_ms(h) < silence ? trial_left_ms(h) : silence;
		left = left > 0 ? left : until_ms(h->expire_again_ms, now);
	}
	if (h->watchdog >= 0 && until_ms(h->feed_ms, now) < left)
		left = until_ms(h->feed_ms, now);
	return left;
}
