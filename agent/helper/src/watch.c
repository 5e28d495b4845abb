/* SPDX-License-Identifier: Apache-2.0 */
/* Children, while they run: what they say, and when they are too silent. That ends their own activity and nothing else. */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define SILENCE_MS     10000 /* when the plugin names no deadline */
#define SILENCE_MAX_MS (UINT64_C(10) * 60 * 1000)

void fault(struct helper *h, struct child *child, enum fl_rc rc, const char *text)
{
	const struct fl_ipc_result result = {"retry", fl_rc_name(rc), text};
	child_end(h, child, &result);
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
	if (child->kind != CHILD_DECODE)
		h->n_protections = 0;
	for (size_t i = 0; child->kind != CHILD_DECODE && i < ready->protections.n; i++)
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
	else if (type == FL_FRAME_OBSERVATION && child->kind == CHILD_OBSERVE)
		on_observation(h, child, &body->observation);
	child->deadline_ms = fl_clock_boot_ms(h->clock) + child->silence_ms;
	if (child->until_ms != 0 && child->until_ms < child->deadline_ms)
		child->deadline_ms = child->until_ms;
	if (type == FL_FRAME_RESULT)
		child_end(h, child, &body->result);
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
	enum fl_rc rc = fl_frame_recv(child->control, &h->child_frame, fds, &n_fds, &err);
	for (size_t i = 0; rc == FL_OK && i < n_fds; i++)
		fl_close(&fds[i]);
	if (rc == FL_OK)
		rc = fl_frame_peek(h->child_frame.data, h->child_frame.len, &type, &id, &err);
	if (rc == FL_OK && (type < FL_FRAME_READY || type > FL_FRAME_RESULT) &&
	    type != FL_FRAME_OBSERVATION)
		rc = fl_fail(&err, FL_E_PROTOCOL, 0, "frame %s", fl_frame_name(type));
	if (rc == FL_OK)
		rc = fl_frame_decode(type, h->child_frame.data, h->child_frame.len, &arena, &body,
				     &err);
	if (rc == FL_OK)
		dispatch(h, child, type, &body);
	else if (rc == FL_E_PEER_CLOSED)
		fault(h, child, FL_E_PLUGIN_CRASHED, "the process ended without a result");
	else if (rc != FL_E_BUSY)
		fault(h, child, FL_E_PLUGIN_CRASHED, err.msg);
	fl_arena_free(&arena);
}

void on_child_silence(struct helper *h, struct child *child)
{
	fault(h, child, FL_E_PLUGIN_HUNG, "no sign of life before its deadline");
}
