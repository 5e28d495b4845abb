/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit, rollback and close.
 *
 * A commit needs three things that the agent cannot make up: the target runs, its image-info is the
 * release's, and the heartbeat that the release asks for is signed on a nonce this helper made
 * since its start. Then the decision is saved, and from there on every crash rolls forward.
 */
#include "helper.h"

#include <fairlead/base/job_state.h>
#include <fairlead/base/log.h>

#include <string.h>

static enum fl_rc differs(struct fl_err *err, const char *what)
{
	return fl_fail(err, FL_E_IMAGE_INFO, 0, "the running image has another %s than the release",
		       what);
}

static enum fl_rc check_image(struct helper *h, struct work *w, struct fl_err *err)
{
	struct fl_image_info info;
	enum fl_rc rc = host_image_info(&h->config, &w->arena, &info, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_component *c = fl_release_component(&w->release, info.component);
	if (c == NULL || !job_names(&w->job, info.component))
		return differs(err, "component");
	if (strcmp(info.product, w->release.product) != 0)
		return differs(err, "product");
	if (strcmp(info.version, c->version) != 0)
		return differs(err, "version");
	if (info.release_seq != c->release_seq || info.security_version != c->security_version)
		return differs(err, "release_seq or security_version");
	return FL_OK;
}

/*
 * Without the fleet's word only by a rule that lets it be absent. That the gateway answers is the
 * agent's to see; that the fleet was given half of the deadline is ours.
 */
static bool heartbeat_needed(const struct helper *h, const struct fl_health *health)
{
	const uint64_t gone_ms = fl_clock_boot_ms(h->clock) - h->anchor.trial_start_ms;
	for (size_t i = 0; i < health->reach.n; i++) {
		if (strcmp(health->reach.items[i], "local") == 0 ||
		    (strcmp(health->reach.items[i], "fleet-or-gateway") == 0 &&
		     gone_ms * 2 >= health->deadline_s * 1000))
			return false;
	}
	return true;
}

static enum fl_rc check_reach(struct helper *h, struct request *rq, const struct work *w,
			      struct fl_err *err)
{
	const struct fl_ipc_commit *ask = rq->body;
	struct fl_envelope env;
	struct fl_heartbeat heartbeat;
	if (!ask->heartbeat && heartbeat_needed(h, w->release.set->health))
		return fl_fail(err, FL_E_NONCE, 0, "the release asks for a heartbeat");
	if (!ask->heartbeat)
		return FL_OK;
	if (ask->documents.n != 1 || rq->n_fds != 1)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a heartbeat is one document");
	enum fl_rc rc =
		receive_document(&ask->documents.items[0], rq->fds[0], &rq->arena, &env, err);
	return rc == FL_OK ? verify_heartbeat(h, &env, &heartbeat, &rq->arena, err) : rc;
}

static enum fl_rc check_trial(struct helper *h, struct work *w, struct fl_err *err)
{
	struct trial t;
	struct fl_release release;
	enum fl_rc rc = trial_look_at(h, w->place, &t, err);
	if (rc == FL_OK && (t.place < 0 || t.phase != FL_PHASE_TRIAL))
		rc = fl_fail(err, FL_E_PHASE, 0, "phase %s", fl_phase_name(t.phase));
	if (rc == FL_OK && !t.runs)
		rc = fl_fail(err, FL_E_PHASE, 0, "the target does not run");
	if (rc == FL_OK)
		rc = fl_verify_release_signatures(&h->root, &w->release_env, &w->arena, &release,
						  err);
	return rc == FL_OK ? check_image(h, w, err) : rc;
}

/* The soak began when the agent told that all was well; what is left after it is the deadline of
 * the last checks. */
static enum fl_rc check_soak(const struct helper *h, const struct work *w, struct fl_err *err)
{
	const struct fl_health *health = w->release.set->health;
	if (health->soak == NULL ||
	    (h->anchor.trial_well && trial_left_ms(h) <= health->deadline_s * 1000))
		return FL_OK;
	return fl_fail(err, FL_E_PHASE, 0, "the soak is not over");
}

static enum fl_rc decide(struct helper *h, struct request *rq, struct work *w, struct fl_err *err)
{
	struct fl_anchor next;
	enum fl_rc rc = check_trial(h, w, err);
	if (rc == FL_OK)
		rc = check_soak(h, w, err);
	if (rc == FL_OK)
		rc = check_reach(h, rq, w, err);
	if (rc != FL_OK)
		return rc;
	next = h->anchor;
	next.jobs[w->place].tries = 0;
	rc = fl_anchor_decide(&next, w->place, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

/* Once decided, no document is needed to go on. */
enum fl_rc on_commit(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_commit *ask = rq->body;
	struct work w;
	enum fl_rc rc = FL_OK;
	const int place = fl_anchor_find_job(&h->anchor, &ask->job);
	if (place < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "commit: the job is not open");
	if (fl_anchor_job_phase(&h->anchor, place) != FL_PHASE_DECIDED) {
		rc = work_open(h, &ask->job, &w, err);
		if (rc == FL_OK)
			rc = decide(h, rq, &w, err);
		work_free(&w);
	}
	if (rc == FL_OK)
		rc = trial_finish(h, place, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "commit");
}

static enum fl_rc close_job(struct helper *h, int place, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	enum fl_rc rc = fl_anchor_close_job(&next, place, err);
	if (rc == FL_OK)
		rc = stop_children_of(h, place, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

/* Before the switch there is nothing to take back. */
enum fl_rc on_rollback(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_rollback *ask = rq->body;
	struct trial t;
	const int place = fl_anchor_find_job(&h->anchor, &ask->job);
	if (place < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "rollback: the job is not open");
	enum fl_rc rc = trial_look_at(h, place, &t, err);
	if (rc == FL_OK && t.place >= 0) {
		fl_log(FL_LOG_NOTICE, "rollback asked for: %s%s%s", ask->reason,
		       ask->text == NULL ? "" : ": ", ask->text == NULL ? "" : ask->text);
		rc = trial_roll_back(h, place, &t, err);
	}
	if (rc == FL_OK && (t.place < 0 || !t.runs))
		rc = close_job(h, place, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "rollback");
}

enum fl_rc on_close(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_close *ask = rq->body;
	struct trial t;
	enum fl_job_state state;
	const int place = fl_anchor_find_job(&h->anchor, &ask->job);
	if (place < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "close: the job is not open");
	if (!fl_job_state_from_name(ask->state, &state) || !fl_job_state_final(state) ||
	    strcmp(ask->state, "committed") == 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "close: state '%s'", ask->state);
	enum fl_rc rc = trial_look_at(h, place, &t, err);
	if (rc == FL_OK && t.place >= 0 && t.runs)
		rc = fl_fail(err, FL_E_PHASE, 0, "phase %s, and the target runs",
			     fl_phase_name(t.phase));
	if (rc == FL_OK && t.phase == FL_PHASE_ROLLING_BACK)
		rc = switch_boot(h, "fallback", NULL, err);
	if (rc == FL_OK)
		rc = close_job(h, place, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "close");
}
