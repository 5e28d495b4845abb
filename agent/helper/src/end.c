/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a child. Nobody hears of it, and nothing starts on its component, before the process is reaped and all
 * copies of its control channel are closed: reaping a runner's outer process alone proves nothing after a SIGKILL.
 *
 *   runs ── result, fault, stop: SIGTERM ──▶ ending ── grace over: SIGKILL ──▶ killed ── 5 s ─┐
 *                                              │                                │              ▼
 *   none, told ◀── reaped, and its channel ────┴────────────────────────────────┴───── unkillable,
 *                  has ended                                                             told so
 *
 * A staging and its decoder end together: who is gone first waits for the other, and one event tells of both.
 *
 * The loop never waits for it: a request that needs the end is carried out anew when a child has ended.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define GRACE_MS 3000  /* a runner's outer process kills the inner one 2 s after SIGTERM */
#define STOP_MS	 65000 /* a plugin may inhibit its end for 60 s, and is killed 2 s later */
#define KILL_MS	 5000
#define ALONE_MS 3000  /* for a decoder to end by itself when nobody takes its output any more */

struct child *activity_of(struct helper *h, size_t component)
{
	return &h->children[2 * component];
}

struct child *decoder_of(struct helper *h, size_t component)
{
	return &h->children[2 * component + 1];
}

size_t component_of(const struct helper *h, const struct child *child)
{
	return (size_t)(child - h->children) / 2;
}

static struct child *other_of(struct helper *h, const struct child *child)
{
	return &h->children[(size_t)(child - h->children) ^ 1];
}

void release_lock(struct helper *h, size_t component)
{
	fl_close(&h->locks[component]);
}

static void staged(struct helper *h, const struct child *child, const struct outcome *o)
{
	const char *name = h->config.components[component_of(h, child)].name;
	const char *text = o->text[0] == '\0' ? NULL : o->text;
	const struct fl_ipc_staged event = {child->job,	     name, o->result, o->code, text,
					    child->kind == CHILD_DECODE};
	fl_log(FL_LOG_INFO, "staging '%s' ended: %s, %s%s%s", name, o->result, o->code,
	       text == NULL ? "" : ": ", o->text);
	send_agent(h, FL_FRAME_STAGED, 0, &event, -1);
}

static void tell(struct helper *h, struct child *child, const struct outcome *o)
{
	struct fl_err err = {0};
	if (child->kind == CHILD_STAGE || child->kind == CHILD_DECODE) {
		staged(h, child, o);
		return;
	}
	if (child->kind == CHILD_OBSERVE) {
		observed(h, component_of(h, child), o);
		return;
	}
	enum fl_rc rc = fl_rc_from_name(o->code);
	if (child->kind == CHILD_RECHECK) {
		recheck_finished(h, component_of(h, child), child, rc);
		return;
	}
	if (rc != FL_OK)
		(void)fl_fail(&err, rc, 0, "%s", o->text[0] == '\0' ? o->code : o->text);
	seal_finished(h, component_of(h, child), child, rc, &err);
}

/* Is it told later, with the other one? */
static bool waits(struct helper *h, struct child *child)
{
	struct child *other = other_of(h, child);
	if (activity_of(h, component_of(h, child))->kind != CHILD_STAGE ||
	    child->state == CHILD_UNKILLABLE || other->kind == CHILD_NONE ||
	    other->state == CHILD_WAITS || other->state == CHILD_UNKILLABLE)
		return false;
	if (child->state != CHILD_WAITS && child->kind == CHILD_STAGE && other->state == CHILD_RUNS) {
		other->until_ms = fl_clock_boot_ms(h->clock) + ALONE_MS;
		other->deadline_ms = other->until_ms;
	}
	child->state = CHILD_WAITS;
	child->deadline_ms = UINT64_MAX;
	return true;
}

/* Where no content came the decoder knows why. */
static struct child *speaker(struct child *activity, struct child *decoder)
{
	const char *code = activity->outcome.code;
	const bool starved = strcmp(code, "no_source") == 0 || strcmp(code, "peer_closed") == 0;
	return activity->kind == CHILD_STAGE && decoder->kind == CHILD_DECODE && starved &&
			       strcmp(decoder->outcome.code, "ok") != 0
		       ? decoder
		       : activity;
}

static void let_go(struct helper *h, struct child *child)
{
	if (child->kind == CHILD_SEAL && child->state != CHILD_UNKILLABLE) { /* its lock outlives it */
		h->locks[component_of(h, child)] = child->target;
		child->target = -1;
	}
	fl_close(&child->target);
}

static void ended(struct helper *h, struct child *child)
{
	const size_t index = component_of(h, child);
	struct child *activity = activity_of(h, index);
	struct child *decoder = decoder_of(h, index);
	struct child *other = other_of(h, child);
	if (waits(h, child))
		return;
	let_go(h, child);
	if (activity->kind != CHILD_NONE && activity->state != CHILD_UNKILLABLE &&
	    decoder->state != CHILD_UNKILLABLE) {
		struct child *says = speaker(activity, decoder);
		tell(h, says, &says->outcome);
	}
	const bool died = activity->kind == CHILD_STAGE &&
			  (strcmp(activity->outcome.code, "plugin_crashed") == 0 ||
			   strcmp(activity->outcome.code, "plugin_hung") == 0);
	if (other->state == CHILD_WAITS) {
		let_go(h, other);
		*other = NO_CHILD;
	}
	*child = NO_CHILD;
	h->child_ended = true;
	if (died)
		observe(h, index);
}

static void move(struct helper *h, struct child *child, enum child_state state, uint64_t after_ms)
{
	child->state = state;
	child->deadline_ms = fl_clock_boot_ms(h->clock) + after_ms;
}

static void give_up(struct helper *h, struct child *child)
{
	struct outcome o = {"permanent", "runner_unkillable", ""};
	snprintf(o.text, sizeof(o.text), "process %d", (int)child->pid);
	fl_log(FL_LOG_ERROR, "runner of '%s': %s cannot be killed",
	       h->config.components[component_of(h, child)].name, o.text);
	child->state = CHILD_UNKILLABLE;
	tell(h, child, &o);
	h->child_ended = true;
}

static void begin(struct helper *h, struct child *child, const struct fl_ipc_result *result,
		  uint64_t grace_ms)
{
	if (child->state != CHILD_RUNS)
		return;
	struct outcome *o = &child->outcome;
	snprintf(o->result, sizeof(o->result), "%s", result->result);
	snprintf(o->code, sizeof(o->code), "%s", result->code);
	snprintf(o->text, sizeof(o->text), "%s", result->text == NULL ? "" : result->text);
	(void)kill(child->pid, SIGTERM);
	move(h, child, CHILD_ENDING, grace_ms);
}

void child_end(struct helper *h, struct child *child, const struct fl_ipc_result *result)
{
	begin(h, child, result, GRACE_MS);
}

void on_child_end(struct helper *h, struct child *child)
{
	if (child_gone(child)) {
		ended(h, child);
		return;
	}
	if (child->state == CHILD_ENDING && child->pidfd < 0)
		move(h, child, CHILD_KILLED,
		     KILL_MS); /* no process is left that a signal would reach */
	if (fl_clock_boot_ms(h->clock) < child->deadline_ms)
		return;
	if (child->state == CHILD_ENDING) {
		(void)kill(child->pid, SIGKILL);
		move(h, child, CHILD_KILLED, KILL_MS);
	} else if (child->state == CHILD_KILLED) {
		give_up(h, child);
	}
}

static enum fl_rc stop_one(struct helper *h, struct child *child, struct fl_err *err)
{
	static const struct fl_ipc_result stopped = {"retry", "cancelled", "stopped"};
	if (child->kind == CHILD_NONE)
		return FL_OK;
	if (child->state == CHILD_UNKILLABLE)
		return fl_fail(err, FL_E_RUNNER_UNKILLABLE, 0, "process %d", (int)child->pid);
	begin(h, child, &stopped, child->kind == CHILD_STAGE ? STOP_MS : GRACE_MS);
	h->must_wait = true;
	return fl_fail(err, FL_E_BUSY, 0, "process %d is ending", (int)child->pid);
}

enum fl_rc stop_child(struct helper *h, size_t component, struct fl_err *err)
{
	struct fl_err other = {0};
	const enum fl_rc rc = stop_one(h, activity_of(h, component), err);
	const enum fl_rc decoder = stop_one(h, decoder_of(h, component), &other);
	if (rc == FL_E_RUNNER_UNKILLABLE || decoder == FL_OK)
		return rc;
	*err = other;
	return decoder;
}

enum fl_rc stop_children_of(struct helper *h, int place, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < h->config.n_components; i++) {
		const struct component *c = &h->config.components[i];
		const struct fl_anchor_component *known =
			fl_anchor_find_component(&h->anchor, c->key);
		if (known == NULL || !known->held || known->job != place)
			continue;
		enum fl_rc one = stop_child(h, i, err); /* all at once, not one after the other */
		rc = one == FL_OK || rc == FL_E_RUNNER_UNKILLABLE ? rc : one;
		release_lock(h, i);
	}
	return rc;
}
