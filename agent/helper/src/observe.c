/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observe: what the handler says about a slot that does not run: the target, or the fallback once the target runs.
 *
 *   after a start, and after a runner that crashed or hung: every component in an open transaction
 *   on the agent's request: any component that nobody is working on
 *
 * It is information and a check, and decides nothing: which slot runs, boots and holds what the release signs the helper
 * finds out by itself. It can only read, has 20 s in all, and gives way to every request.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OBSERVE_MS  20000
#define GREETING_MS 2000

static bool runs(const struct boot_view *view, const struct slot *slot)
{
	return strcmp(slot->name, view->running) == 0;
}

static const struct slot *choose(struct helper *h, const struct component *c,
				 const struct boot_view *view)
{
	const struct fl_anchor_component *known = fl_anchor_find_component(&h->anchor, c->key);
	const struct slot *target = known == NULL ? NULL : component_slot_by_tag(c, known->slot);
	const struct slot *good = component_slot(c, view->good);
	if (target != NULL && !runs(view, target))
		return target;
	if (good != NULL && !runs(view, good))
		return good;
	for (size_t i = 0; i < c->n_slots; i++) {
		if (!runs(view, &c->slots[i]))
			return &c->slots[i];
	}
	return NULL;
}

static enum fl_rc ask(struct helper *h, const struct component *c, struct said *said,
		      struct fl_err *err)
{
	struct boot_view view;
	const struct fl_anchor_component *known = fl_anchor_find_component(&h->anchor, c->key);
	enum fl_rc rc = look(h, &view, err);
	if (rc != FL_OK)
		return rc;
	const struct slot *slot = choose(h, c, &view);
	if (slot == NULL)
		return fl_fail(err, FL_E_SLOT_MISSING, 0, "there is no slot that does not run");
	memcpy(said->slot, slot->name, sizeof(said->slot));
	said->trial = strcmp(slot->name, view.trial) == 0;
	said->good = strcmp(slot->name, view.good) == 0;
	struct runner r = {.kind = CHILD_OBSERVE,
			   .start = {.activity = "observe", .slot = slot->name}};
	if (known != NULL && known->held)
		whole_digest(h, &h->anchor.jobs[known->job].job, &r.job);
	rc = open_target(h, c, slot, O_RDONLY, &r.target, err);
	if (rc != FL_OK)
		return rc;
	rc = start_runner(h, c, &r, err);
	fl_close(&r.target);
	return rc;
}

static void say(struct helper *h, size_t index, const char *code, const char *text)
{
	struct said *said = &h->said[index];
	snprintf(said->code, sizeof(said->code), "%s", code);
	snprintf(said->text, sizeof(said->text), "%s", text);
	fl_log(strcmp(code, "ok") == 0 ? FL_LOG_INFO : FL_LOG_WARNING,
	       "observe '%s' slot '%s': %s%s%s", h->config.components[index].name, said->slot, code,
	       text[0] == '\0' ? "" : ": ", text);
}

void observe(struct helper *h, size_t index)
{
	struct fl_err err = {0};
	struct said *said = &h->said[index];
	struct child *child = activity_of(h, index);
	if (child->kind != CHILD_NONE ||
	    h->locks[index] >= 0) /* somebody works on it, or it is sealed */
		return;
	*said = (struct said){0};
	enum fl_rc rc = ask(h, &h->config.components[index], said, &err);
	if (rc == FL_OK)
		child->until_ms = fl_clock_boot_ms(h->clock) + OBSERVE_MS;
	else
		say(h, index, fl_rc_name(rc), err.msg);
}

void observe_transactions(struct helper *h)
{
	for (size_t i = 0; i < h->config.n_components; i++) {
		const struct fl_anchor_component *known =
			fl_anchor_find_component(&h->anchor, h->config.components[i].key);
		if (known != NULL && known->held && known->phase != FL_PHASE_IDLE)
			observe(h, i);
	}
	h->greet_by_ms = fl_clock_boot_ms(h->clock) + GREETING_MS;
}

bool observing(struct helper *h)
{
	bool any = false;
	for (size_t i = 0; i < h->config.n_components; i++)
		any = any || activity_of(h, i)->kind == CHILD_OBSERVE;
	return any;
}

/* A handler of slots speaks of what is in them; which one runs, is tried or is good is not its to say. */
static const char *contradiction(const struct said *said, const struct fl_ipc_slot *slot)
{
	if (strcmp(slot->name, said->slot) != 0)
		return "it speaks of another slot";
	if (slot->running)
		return "it says that the slot runs, which it does not";
	if (slot->trial && !said->trial)
		return "it says that the slot is on trial, which it is not";
	return slot->good && !said->good ? "it says that the slot is good, which it is not" : NULL;
}

void on_observation(struct helper *h, const struct child *child,
		    const struct fl_ipc_observation *seen)
{
	struct said *said = &h->said[component_of(h, child)];
	const struct fl_ipc_slot *slot = seen->slots.items;
	said->present = seen->slots.n > 0;
	if (!said->present)
		return;
	said->wrong = contradiction(said, slot);
	said->release_seq = slot->release_seq;
	snprintf(said->version, sizeof(said->version), "%s",
		 slot->version == NULL ? "" : slot->version);
}

void observed(struct helper *h, size_t index, const struct outcome *o)
{
	struct said *said = &h->said[index];
	const bool ok = strcmp(o->code, "ok") == 0;
	if (strcmp(o->code, "cancelled") == 0)
		*said = (struct said){0}; /* it gave way: nothing is known */
	else if (ok && said->wrong != NULL)
		say(h, index, "protocol", said->wrong);
	else if (ok && !said->present)
		say(h, index, "slot_missing", "the handler does not find it");
	else
		say(h, index, o->code, o->text);
}
