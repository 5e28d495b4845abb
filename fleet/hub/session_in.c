/* SPDX-License-Identifier: Apache-2.0 */
/* What a device says. Unknown types are ignored; anything malformed ends the connection (1008). */
#include "hub/session.h"

#include <fairlead/base/log.h>

#include <string.h>

static enum fl_rc on_hello(struct fl_session *s, const void *message, struct fl_err *err)
{
	const struct fl_wire_hello *hello = message;
	if (strcmp(hello->device_id, s->cert.common_name) != 0)
		return fl_fail(err, FL_E_PROTOCOL, 0, "says it is '%s'", hello->device_id);
	enum fl_rc rc = fl_hub_batch(s->hub, err);
	if (rc == FL_OK)
		rc = fl_registry_hello(s->hub->m.registry, hello, err);
	if (rc != FL_OK)
		return rc;
	lws_set_timer_usecs(s->wsi, LWS_SET_TIMER_USEC_CANCEL);
	s->state = FL_SESSION_OPEN;
	s->welcome_due = s->jobs_maybe = true;
	s->root_sent = hello->root_version;
	s->job_sent = 0;
	if (hello->nonce.len == FL_WIRE_NONCE_SIZE) {
		memcpy(s->nonce, hello->nonce.data, sizeof(s->nonce));
		s->nonce_due = true;
	}
	fl_log(FL_LOG_INFO, "'%s' is online, root %llu, job_seq %llu", hello->device_id,
	       (unsigned long long)hello->root_version, (unsigned long long)hello->job_seq);
	return FL_OK;
}

static enum fl_rc on_nonce(struct fl_session *s, const void *message, struct fl_err *err)
{
	(void)err;
	const struct fl_wire_nonce *nonce = message;
	memcpy(s->nonce, nonce->nonce.data, sizeof(s->nonce));
	s->nonce_due = true;
	return FL_OK;
}

static enum fl_rc on_report(struct fl_session *s, const void *message, struct fl_err *err)
{
	const struct fl_wire_report *report = message;
	enum fl_rc rc = fl_jobs_report(s->hub->m.jobs, s->cert.common_name, &s->cert.key, report, err);
	fl_hub_batch_watch(s->hub);
	if (rc == FL_OK && report->report_seq > s->ack_batch)
		s->ack_batch = report->report_seq;
	return rc;
}

static enum fl_rc on_progress(struct fl_session *s, const void *message, struct fl_err *err)
{
	(void)err;
	fl_jobs_set_progress(s->hub->m.jobs, s->cert.common_name, message);
	return FL_OK;
}

typedef enum fl_rc message_fn(struct fl_session *s, const void *message, struct fl_err *err);

/* Messages of the other direction are no news to a fleet: ignored, like unknown ones. */
static const struct {
	message_fn *fn;
	bool before_hello;
} handlers[] = {
	[FL_WIRE_HELLO] = {on_hello, true},
	[FL_WIRE_NONCE] = {on_nonce, false},
	[FL_WIRE_REPORT] = {on_report, false},
	[FL_WIRE_PROGRESS] = {on_progress, false},
};

#define N_HANDLERS (sizeof(handlers) / sizeof(handlers[0]))

union message {
	struct fl_wire_hello hello;
	struct fl_wire_nonce nonce;
	struct fl_wire_report report;
	struct fl_wire_progress progress;
};

static enum fl_rc handle(struct fl_session *s, struct fl_arena *arena, struct fl_err *err)
{
	enum fl_wire_type type;
	union message message;
	enum fl_rc rc = fl_wire_peek(s->rx.data, s->rx.len, &type, err);
	if (rc != FL_OK || (size_t)type >= N_HANDLERS || handlers[type].fn == NULL)
		return rc;
	if (handlers[type].before_hello != (s->state == FL_SESSION_GREETING))
		return fl_fail(err, FL_E_PROTOCOL, 0, "'%s' %s hello", fl_wire_name(type),
			       s->state == FL_SESSION_GREETING ? "before" : "after");
	rc = fl_wire_decode(type, s->rx.data, s->rx.len, arena, &message, err);
	return rc == FL_OK ? handlers[type].fn(s, &message, err) : rc;
}

void fl_session_on_message(struct fl_session *s)
{
	struct fl_err err;
	struct fl_arena arena = FL_ARENA(FL_SESSION_MEMORY);
	enum fl_rc rc = handle(s, &arena, &err);
	fl_arena_free(&arena);
	if (rc == FL_OK) {
		fl_session_wake(s);
		return;
	}
	fl_log_err(FL_LOG_WARNING, &err, "'%s'", s->cert.common_name);
	if (rc == FL_E_PROTOCOL) {
		fl_session_close(s, 1008, "malformed message");
		return;
	}
	/* Our own trouble: nothing of this batch is acknowledged, the device says it again. */
	fl_db_batch_end(s->hub->m.db, rc);
	fl_session_close(s, 1011, "try again");
}
