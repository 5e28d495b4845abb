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

void release_lock(struct helper *h, size_t component)
{
	fl_close(&h->locks[component]);
}

static void staged(struct helper *h, const struct child *child, const struct outcome *o)
{
	const char *name = h->config.components[child - h->children].name;
	const char *text = o->text[0] == '\0' ? NULL : o->text;
	const struct fl_ipc_staged event = {child->job, name, o->result, o->code, text};
	fl_log(FL_LOG_INFO, "staging '%s' ended: %s, %s%s%s", name, o->result, o->code,
	       text == NULL ? "" : ": ", o->text);
	send_agent(h, FL_FRAME_STAGED, 0, &event, -1);
}

static void tell(struct helper *h, struct child *child, const struct outcome *o)
{
	struct fl_err err = {0};
	if (child->kind == CHILD_STAGE) {
		staged(h, child, o);
		return;
	}
	if (child->kind == CHILD_OBSERVE) {
		observed(h, (size_t)(child - h->children), o);
		return;
	}
	enum fl_rc rc = fl_rc_from_name(o->code);
	if (child->kind == CHILD_RECHECK) {
		recheck_finished(h, (size_t)(child - h->children), child, rc);
		return;
	}
	if (rc != FL_OK)
		(void)fl_fail(&err, rc, 0, "%s", o->text[0] == '\0' ? o->code : o->text);
	seal_finished(h, (size_t)(child - h->children), child, rc, &err);
}

static void ended(struct helper *h, struct child *child)
{
	struct child was = *child;
	const size_t index = (size_t)(child - h->children);
	if (was.kind == CHILD_SEAL && was.state != CHILD_UNKILLABLE) /* its lock outlives it */
		h->locks[index] = was.target;
	else
		fl_close(&child->target);
	if (was.state != CHILD_UNKILLABLE)
		tell(h, child, &was.outcome);
	*child = NO_CHILD;
	h->child_ended = true;
	if (was.kind == CHILD_STAGE && (strcmp(was.outcome.code, "plugin_crashed") == 0 ||
					strcmp(was.outcome.code, "plugin_hung") == 0))
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
	       h->config.components[child - h->children].name, o.text);
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

enum fl_rc stop_child(struct helper *h, size_t component, struct fl_err *err)
{
	static const struct fl_ipc_result stopped = {"retry", "cancelled", "stopped"};
	struct child *child = &h->children[component];
	if (child->kind == CHILD_NONE)
		return FL_OK;
	if (child->state == CHILD_UNKILLABLE)
		return fl_fail(err, FL_E_RUNNER_UNKILLABLE, 0, "process %d", (int)child->pid);
	begin(h, child, &stopped, child->kind == CHILD_STAGE ? STOP_MS : GRACE_MS);
	h->must_wait = true;
	return fl_fail(err, FL_E_BUSY, 0, "process %d is ending", (int)child->pid);
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
