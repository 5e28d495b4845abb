/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children, while they live: what they say, when they are too silent, and their end. A child is reaped before anybody
 * hears of its end, and what it says ends its own activity and nothing else.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define SILENCE_MS     10000 /* when the plugin names no deadline */
#define SILENCE_MAX_MS (UINT64_C(10) * 60 * 1000)

void release_lock(struct helper *h, size_t component)
{
	fl_close(&h->locks[component]);
}

static void staged(struct helper *h, size_t index, const struct fl_digest *job,
		   const struct fl_ipc_result *result)
{
	const struct component *c = &h->config.components[index];
	const struct fl_ipc_staged event = {*job, c->name, result->result, result->code,
					    result->text};
	fl_log(FL_LOG_INFO, "staging '%s' ended: %s, %s%s%s", c->name, result->result, result->code,
	       result->text == NULL ? "" : ": ", result->text == NULL ? "" : result->text);
	send_agent(h, FL_FRAME_STAGED, 0, &event, -1);
}

/* Kills, reaps, forgets; who waits for a seal is told. */
static enum fl_rc end_child(struct helper *h, size_t component, struct fl_err *err)
{
	struct child *child = &h->children[component];
	if (child->kind == CHILD_NONE)
		return FL_OK;
	if (!child_kill(child->pid)) {
		child->unkillable = true;
		return fl_fail(err, FL_E_RUNNER_UNKILLABLE, 0, "process %d", (int)child->pid);
	}
	if (child->asked) {
		struct fl_err why;
		enum fl_rc rc = fl_fail(&why, FL_E_CANCELLED, 0, "stopped");
		send_reply(h, child->reply_id, rc, &why, -1);
	}
	fl_close(&child->control);
	fl_close(&child->target);
	*child = (struct child){.kind = CHILD_NONE, .control = -1, .target = -1};
	return FL_OK;
}

enum fl_rc stop_child(struct helper *h, size_t component, struct fl_err *err)
{
	static const struct fl_ipc_result stopped = {"retry", "cancelled", "stopped"};
	const struct child ended = h->children[component];
	enum fl_rc rc = end_child(h, component, err);
	if (rc == FL_OK && ended.kind == CHILD_STAGE)
		staged(h, component, &ended.job, &stopped);
	return rc;
}

enum fl_rc stop_children_of(struct helper *h, int place, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < h->config.n_components && rc == FL_OK; i++) {
		const struct component *c = &h->config.components[i];
		const struct fl_anchor_component *known =
			fl_anchor_find_component(&h->anchor, c->key);
		if (known == NULL || !known->held || known->job != place)
			continue;
		rc = stop_child(h, i, err);
		release_lock(h, i);
	}
	return rc;
}

/* The child has ended its activity, or we end it; it is reaped before anybody hears of it. */
static void finish(struct helper *h, struct child *child, const struct fl_ipc_result *result)
{
	struct fl_err err = {0};
	const struct child ended = *child;
	const size_t index = (size_t)(child - h->children);
	struct fl_ipc_result final = *result;
	if (ended.kind == CHILD_SEAL) { /* its lock outlives it */
		h->locks[index] = child->target;
		child->target = -1;
		child->asked = false;
	}
	if (end_child(h, index, &err) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "runner of '%s'", h->config.components[index].name);
		fl_close(&child->control);
		final = (struct fl_ipc_result){"permanent", fl_rc_name(err.rc), err.msg};
	}
	if (ended.kind == CHILD_STAGE) {
		staged(h, index, &ended.job, &final);
		return;
	}
	enum fl_rc rc = fl_rc_from_name(final.code);
	if (rc != FL_OK)
		(void)fl_fail(&err, rc, 0, "%s", final.text == NULL ? final.code : final.text);
	seal_finished(h, index, &ended, rc, &err);
}

static void fault(struct helper *h, struct child *child, enum fl_rc rc, const char *text)
{
	const struct fl_ipc_result result = {"retry", fl_rc_name(rc), text};
	finish(h, child, &result);
}

static void note_protection(struct helper *h, const char *name)
{
	char text[sizeof(h->protections[0])];
	snprintf(text, sizeof(text), "runner: %.60s", name);
	for (size_t i = 0; i < h->n_protections; i++) {
		if (strcmp(h->protections[i], text) == 0)
			return;
	}
	if (h->n_protections < PROTECTIONS_MAX)
		memcpy(h->protections[h->n_protections++], text, sizeof(text));
}

static void on_ready(struct helper *h, struct child *child, const struct fl_ipc_ready *ready)
{
	h->n_protections = 0;
	for (size_t i = 0; i < ready->protections.n; i++)
		note_protection(h, ready->protections.items[i]);
	child->silence_ms = ready->deadline_ms == 0 ? SILENCE_MS : ready->deadline_ms;
	if (child->silence_ms > SILENCE_MAX_MS)
		child->silence_ms = SILENCE_MAX_MS;
}

static void on_log(const struct child *child, const struct fl_ipc_log *line)
{
	fl_log(line->level < FL_LOG_ERROR ? FL_LOG_ERROR : (enum fl_log_level)line->level,
	       "runner %d: %s", (int)child->pid, line->text);
}

union from_child {
	struct fl_ipc_ready ready;
	struct fl_ipc_log log;
	struct fl_ipc_result result;
	struct fl_ipc_observation observation;
	struct fl_ipc_empty empty;
};

static void dispatch(struct helper *h, struct child *child, enum fl_frame_type type,
		     const union from_child *body)
{
	if (type == FL_FRAME_READY)
		on_ready(h, child, &body->ready);
	else if (type == FL_FRAME_LOG)
		on_log(child, &body->log);
	child->deadline_ms = fl_clock_boot_ms(h->clock) + child->silence_ms;
	if (type == FL_FRAME_RESULT)
		finish(h, child, &body->result);
}

void on_child_frame(struct helper *h, struct child *child)
{
	struct fl_err err = {0};
	struct fl_arena arena = FL_ARENA((size_t)256 * 1024);
	union from_child body;
	enum fl_frame_type type;
	uint32_t id;
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds = 0;
	enum fl_rc rc = fl_frame_recv(child->control, &h->frame, fds, &n_fds, &err);
	for (size_t i = 0; rc == FL_OK && i < n_fds; i++)
		fl_close(&fds[i]);
	if (rc == FL_OK)
		rc = fl_frame_peek(h->frame.data, h->frame.len, &type, &id, &err);
	if (rc == FL_OK && (type < FL_FRAME_READY || type > FL_FRAME_RESULT) &&
	    type != FL_FRAME_OBSERVATION)
		rc = fl_fail(&err, FL_E_PROTOCOL, 0, "frame %s", fl_frame_name(type));
	if (rc == FL_OK)
		rc = fl_frame_decode(type, h->frame.data, h->frame.len, &arena, &body, &err);
	if (rc == FL_OK)
		dispatch(h, child, type, &body);
	else if (rc == FL_E_PEER_CLOSED)
		fault(h, child, FL_E_PLUGIN_CRASHED, "the process ended without a result");
	else if (rc != FL_E_BUSY)
		fault(h, child, FL_E_PLUGIN_CRASHED, err.msg);
	fl_arena_free(&arena);
}

void on_child_deadline(struct helper *h, struct child *child)
{
	fault(h, child, FL_E_PLUGIN_HUNG, "no sign of life before its deadline");
}
