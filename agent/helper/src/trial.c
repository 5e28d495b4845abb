/* SPDX-License-Identifier: Apache-2.0 */
/* A switched job: what the machine shows of it, its way back, its way forward, and its deadline. */
#include "helper.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define EXPIRE_RETRY_MS 10000

enum fl_rc look(struct helper *h, struct boot_view *ret, struct fl_err *err)
{
	enum fl_rc rc = h->seen ? FL_OK : boot_observe(&h->config, &h->view, err);
	h->seen = rc == FL_OK;
	if (rc == FL_OK)
		*ret = h->view;
	return rc;
}

enum fl_rc switch_boot(struct helper *h, const char *verb, const char *slot, struct fl_err *err)
{
	h->seen = false;
	return boot_run(&h->config, verb, slot, NULL, err);
}

enum fl_rc switch_to(struct helper *h, const char *slot, const char *root_hash, struct fl_err *err)
{
	h->seen = false;
	return boot_run(&h->config, "trial", slot, root_hash, err);
}

static const struct slot *target_of(const struct helper *h, const struct fl_anchor_component *known)
{
	const struct component *c = config_component_by_key(&h->config, &known->name);
	return c == NULL ? NULL : component_slot_by_tag(c, known->slot);
}

enum fl_rc trial_look_at(struct helper *h, int place, struct trial *ret, struct fl_err *err)
{
	struct trial t = {.place = -1, .phase = fl_anchor_job_phase(&h->anchor, place)};
	const struct fl_anchor_component *known = fl_anchor_switched(&h->anchor, place);
	enum fl_rc rc = known == NULL ? FL_OK : look(h, &t.view, err);
	if (rc != FL_OK)
		return rc;
	if (known != NULL) {
		t.place = place;
		t.slot = target_of(h, known);
		t.runs = t.slot != NULL && strcmp(t.slot->name, t.view.running) == 0;
	}
	*ret = t;
	return FL_OK;
}

enum fl_rc trial_look(struct helper *h, struct trial *ret, struct fl_err *err)
{
	int place = 0;
	while (place < FL_ANCHOR_JOBS && fl_anchor_switched(&h->anchor, place) == NULL)
		place++;
	return trial_look_at(h, place, ret, err);
}

bool trial_of_another(const struct helper *h, int place)
{
	for (int other = 0; other < FL_ANCHOR_JOBS; other++) {
		if (other != place && fl_anchor_switched(&h->anchor, other) != NULL)
			return true;
	}
	return false;
}

bool trial_is_running(struct helper *h, int *place)
{
	char running[FL_NAME_MAX + 1];
	host_running(&h->config, running);
	for (*place = 0; *place < FL_ANCHOR_JOBS; (*place)++) {
		const struct fl_anchor_component *known = fl_anchor_switched(&h->anchor, *place);
		const struct slot *slot = known == NULL ? NULL : target_of(h, known);
		if (slot != NULL && strcmp(slot->name, running) == 0)
			return true;
	}
	return false;
}

uint64_t trial_left_ms(const struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	const uint64_t end = h->anchor.trial_start_ms + (uint64_t)h->anchor.deadline_s * 1000;
	return h->anchor.trial_start_ms == 0 || now >= end ? 0 : end - now;
}

/* --- back --- */

static enum fl_rc enter_rolling_back(struct helper *h, int place, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	enum fl_rc rc = fl_anchor_roll_back(&next, place, err);
	if (rc == FL_OK && fl_anchor_job_phase(&h->anchor, place) != FL_PHASE_ROLLING_BACK) {
		next.jobs[place].tries = 0;
		rc = save(h, &next, err);
	}
	return rc;
}

enum fl_rc trial_roll_back(struct helper *h, int place, struct trial *t, struct fl_err *err)
{
	enum fl_rc rc = enter_rolling_back(h, place, err);
	if (rc != FL_OK)
		return rc;
	rc = switch_boot(h, "fallback", NULL, err);
	if (rc != FL_OK && t->runs)
		fl_log_err(FL_LOG_ERROR, err, "fallback");
	/* The trial's tries are used up: a restart leads back whatever fallback said. */
	return t->runs ? trial_restart(h, place, err) : rc;
}

enum fl_rc trial_restart(struct helper *h, int place, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	if (next.jobs[place].tries >= RESTART_BUDGET)
		return fl_fail(err, FL_E_BUDGET, 0, "%d restarts did not help", RESTART_BUDGET);
	next.jobs[place].tries++;
	enum fl_rc rc = save(h, &next, err);
	return rc == FL_OK ? host_request_restart(&h->config, err) : rc;
}

/* Something is amiss and the target still runs: the way down is tried until the machine goes. */
void trial_expire(struct helper *h, enum fl_rc reason, const char *text)
{
	struct fl_err err = {0};
	struct trial t;
	char note[256];
	enum fl_rc rc = trial_look(h, &t, &err);
	h->expire_again_ms = fl_clock_boot_ms(h->clock) + EXPIRE_RETRY_MS;
	if (rc == FL_OK && (t.place < 0 || t.phase == FL_PHASE_DECIDED || !t.runs)) {
		h->trial_ended = true;
		return;
	}
	fl_log(FL_LOG_ERROR, "%s", text);
	snprintf(note, sizeof(note), "%s: %s\n", fl_rc_name(reason), text);
	if (host_write_note(&h->config, FELL_BACK, note, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "note why");
	if (rc == FL_OK)
		rc = trial_roll_back(h, t.place, &t, &err);
	if (rc == FL_OK) {
		send_phase(h, t.place, FL_PHASE_ROLLING_BACK, reason, text);
		return;
	}
	fl_log_err(FL_LOG_ERROR, &err, "fall back at the deadline");
	if (host_request_restart(&h->config, &err) != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "restart");
}

/* --- forward: nothing from here on may depend on a document that could be lost --- */

static uint64_t root_floor(const struct helper *h, const char *component)
{
	uint64_t floor = 0;
	for (size_t i = 0; i < h->root.floors.n; i++) {
		const struct fl_floor *f = &h->root.floors.items[i];
		if (strcmp(f->product, h->config.device.product) == 0 &&
		    strcmp(f->component, component) == 0 && f->min_security_version > floor)
			floor = f->min_security_version;
	}
	return floor;
}

/* By the release; by the running image's own word when the release's document is lost. */
static void new_facts(struct helper *h, const struct work *w, const struct component *c,
		      struct fl_arena *arena, struct fl_anchor_facts *ret)
{
	struct fl_err err;
	struct fl_image_info info;
	const struct fl_component *signed_by =
		w == NULL ? NULL : fl_release_component(&w->release, c->name);
	if (signed_by != NULL) {
		ret->release_seq = signed_by->release_seq;
		ret->security_floor = signed_by->security_version;
	} else if (host_image_info(&h->config, arena, &info, &err) == FL_OK &&
		   strcmp(info.component, c->name) == 0) {
		ret->release_seq = info.release_seq;
		ret->security_floor = info.security_version;
	}
	const uint64_t floor = root_floor(h, c->name);
	if (floor > ret->security_floor)
		ret->security_floor = floor;
}

/* The floor rises with this commit: no other slot of the component may boot again. */
static enum fl_rc withdraw_others(struct helper *h, const struct component *c,
				  const struct trial *t, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < c->n_slots && rc == FL_OK; i++) {
		if (strcmp(c->slots[i].name, t->view.running) != 0)
			rc = switch_boot(h, "withdraw", c->slots[i].name, err);
	}
	return rc;
}

static enum fl_rc commit_components(struct helper *h, int place, const struct work *w,
				    const struct trial *t, struct fl_err *err)
{
	struct fl_anchor next = h->anchor;
	struct fl_arena arena = FL_ARENA((size_t)64 * 1024);
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < h->anchor.n_components && rc == FL_OK; i++) {
		const struct fl_anchor_component *known = &h->anchor.components[i];
		const struct component *c = config_component_by_key(&h->config, &known->name);
		struct fl_anchor_facts facts = {.release_seq = known->release_seq,
						.security_floor = known->security_floor};
		if (!known->held || known->job != place)
			continue;
		if (c != NULL)
			new_facts(h, w, c, &arena, &facts);
		memcpy(facts.release.b, h->anchor.jobs[place].release.b,
		       sizeof(struct fl_anchor_id));
		if (c != NULL && facts.security_floor > known->security_floor)
			rc = withdraw_others(h, c, t, err);
		if (rc == FL_OK)
			rc = fl_anchor_commit(&next, place, known->name, &facts, err);
	}
	if (rc == FL_OK && w != NULL)
		fl_anchor_raise_time(&next, w->release.created, h->root.expires);
	if (rc == FL_OK)
		rc = fl_anchor_close_job(&next, place, err);
	fl_arena_free(&arena);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

enum fl_rc trial_finish(struct helper *h, int place, struct fl_err *err)
{
	struct fl_err why;
	struct fl_digest digest;
	struct trial t;
	struct work w = {0};
	struct fl_envelope env;
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	bool whole = fl_anchor_fetch(h->file, &h->anchor.jobs[place].job, &arena, &env, &digest,
				     &why) == FL_OK &&
		     work_open(h, &digest, &w, &why) == FL_OK;
	fl_arena_free(&arena);
	enum fl_rc rc = trial_look_at(h, place, &t, err);
	if (rc == FL_OK && !t.runs)
		rc = fl_fail(err, FL_E_BOOT_SWITCH, 0, "decided, but the target does not run");
	if (rc == FL_OK)
		rc = switch_boot(h, "good", NULL, err);
	if (rc == FL_OK)
		rc = commit_components(h, place, whole ? &w : NULL, &t, err);
	if (rc == FL_OK)
		fl_log(FL_LOG_NOTICE, "committed: slot '%s' is good", t.view.running);
	work_free(&w);
	return rc;
}
