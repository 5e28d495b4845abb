/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activate and restart: everything is verified once more, the anchor says `trial`, and only then
 * does the boot switch name the sealed slot.
 */
#include "helper.h"

#include <fairlead/base/log.h>

#include <string.h>

struct switch_plan {
	const struct slot *slot; /* the one slot that all components of the job share */
	size_t n;		 /* components */
	bool again;		 /* the anchor says trial already */
};

/* Sealed since this helper's start, and locked since then; or switched already. */
static enum fl_rc check_component(struct helper *h, const struct fl_anchor_component *known,
				  const struct boot_view *view, struct switch_plan *p,
				  struct fl_err *err)
{
	const struct slot *slot;
	const struct component *c = config_component_by_key(&h->config, &known->name);
	if (c == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "the configuration has lost a component");
	enum fl_rc rc = find_target(h, c, view, &slot, err);
	if (rc != FL_OK)
		return rc;
	const bool locked = h->locks[component_index(&h->config, c)] >= 0;
	const bool switched =
		known->phase == FL_PHASE_TRIAL && strcmp(view->trial, slot->name) == 0;
	const bool may = known->phase == FL_PHASE_SEALED || known->phase == FL_PHASE_TRIAL;
	if (!switched && !(may && locked))
		return fl_fail(err, FL_E_PHASE, 0, "'%s' is in phase %s", c->name,
			       fl_phase_name(known->phase));
	if (p->slot != NULL && strcmp(p->slot->name, slot->name) != 0)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "components in different slots");
	p->slot = slot;
	p->n++;
	p->again = p->again || known->phase == FL_PHASE_TRIAL;
	return FL_OK;
}

static enum fl_rc make_plan(struct helper *h, int place, struct switch_plan *p, struct fl_err *err)
{
	struct boot_view view;
	enum fl_rc rc = look(h, &view, err);
	for (size_t i = 0; i < h->anchor.n_components && rc == FL_OK; i++) {
		const struct fl_anchor_component *known = &h->anchor.components[i];
		if (known->held && known->job == place)
			rc = check_component(h, known, &view, p, err);
	}
	if (rc == FL_OK && p->n == 0)
		rc = fl_fail(err, FL_E_NOT_OPEN, 0, "the job holds no component");
	return rc;
}

static enum fl_rc enter_trial(struct helper *h, const struct work *w, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	struct fl_anchor_name boot;
	enum fl_rc rc = host_boot(&h->config, &boot, err);
	for (size_t i = 0; i < next.n_components && rc == FL_OK; i++) {
		const struct fl_anchor_component *known = &next.components[i];
		if (known->held && known->job == w->place)
			rc = fl_anchor_set_phase(&next, w->place, known->name, FL_PHASE_TRIAL, err);
	}
	if (rc == FL_OK) {
		next.jobs[w->place].tries = 0;
		fl_anchor_begin_trial(&next, (uint32_t)w->release.set->health->deadline_s, boot);
		rc = save(h, &next, err);
	}
	return rc;
}

static void release_locks(struct helper *h, int place)
{
	for (size_t i = 0; i < h->config.n_components; i++) {
		const struct fl_anchor_component *known =
			fl_anchor_find_component(&h->anchor, h->config.components[i].key);
		if (known != NULL && known->held && known->job == place)
			release_lock(h, i);
	}
}

/* The root stands in one component of those that switch together. */
static const char *root_hash_of(const struct work *w, char hex[FL_DIGEST_HEX_SIZE])
{
	for (size_t i = 0; i < w->release.components.n; i++) {
		const struct fl_component *c = &w->release.components.items[i];
		if (c->installed == NULL || fl_digest_is_zero(&c->installed->verity_root) ||
		    !job_names(&w->job, c->name))
			continue;
		fl_hex_encode(c->installed->verity_root.b, FL_DIGEST_SIZE, hex);
		return hex;
	}
	return NULL;
}

static enum fl_rc activate(struct helper *h, struct work *w, struct fl_err *err)
{
	char hex[FL_DIGEST_HEX_SIZE];
	struct switch_plan p = {0};
	if (trial_of_another(h, w->place))
		return fl_fail(err, FL_E_COMPONENT_BUSY, 0, "another job is on trial");
	enum fl_rc rc = work_verify(h, w, err);
	if (rc == FL_OK)
		rc = make_plan(h, w->place, &p, err);
	if (rc == FL_OK && !p.again)
		rc = enter_trial(h, w, err);
	if (rc == FL_OK)
		rc = host_write_note(&h->config, FELL_BACK, NULL, err);
	if (rc == FL_OK)
		rc = switch_to(h, p.slot->name, root_hash_of(w, hex), err);
	if (rc == FL_OK)
		release_locks(h, w->place);
	return rc;
}

enum fl_rc on_activate(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_job_ref *ask = rq->body;
	struct work w;
	enum fl_rc rc = work_open(h, &ask->job, &w, err);
	if (rc == FL_OK)
		rc = activate(h, &w, err);
	work_free(&w);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "activate");
}

/* Only on the way to the target, or on the way back from it. */
enum fl_rc on_restart(struct helper *h, struct request *rq, struct fl_err *err)
{
	const struct fl_ipc_job_ref *ask = rq->body;
	struct trial t;
	const int place = fl_anchor_find_job(&h->anchor, &ask->job);
	if (place < 0)
		return fl_fail(err, FL_E_NOT_OPEN, 0, "restart: the job is not open");
	enum fl_rc rc = trial_look_at(h, place, &t, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "restart");
	const bool forward = t.phase == FL_PHASE_TRIAL || t.phase == FL_PHASE_DECIDED;
	if (t.place < 0 || t.runs == forward)
		return fl_fail(err, FL_E_PHASE, 0, "restart: phase %s, and the target %s",
			       fl_phase_name(t.phase), t.runs ? "runs" : "does not run");
	fl_log(FL_LOG_NOTICE, "restart asked for, phase %s", fl_phase_name(t.phase));
	return host_request_restart(&h->config, err);
}
