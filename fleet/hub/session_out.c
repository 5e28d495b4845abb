/* SPDX-License-Identifier: Apache-2.0 */
/* What a device is sent: one row per duty, the first that is due makes the next message. */
#include "hub/session.h"

#include <string.h>

static enum fl_rc encode(struct fl_session *s, enum fl_wire_type type, const void *message,
			 struct fl_err *err)
{
	static const uint8_t room[LWS_PRE] = {0};
	fl_buf_clear(&s->tx);
	s->tx_sent = 0;
	enum fl_rc rc = fl_buf_append(&s->tx, room, sizeof(room), err);
	return rc == FL_OK ? fl_wire_encode(type, message, &s->tx, err) : rc;
}

static bool welcome_due(const struct fl_session *s)
{
	return s->welcome_due;
}

static enum fl_rc kept_report(void *ctx, const struct fl_device *device, struct fl_err *err)
{
	(void)err;
	*(uint64_t *)ctx = device->report_seq;
	return FL_OK;
}

static enum fl_rc welcome(struct fl_session *s, struct fl_err *err)
{
	struct fl_wire_welcome message = {
		.reconnect_spread_ms = s->hub->conf.reconnect_spread_ms,
		.ping_s = s->hub->conf.ping_s,
		.utc = (uint64_t)fl_clock_wall_s(s->hub->clock),
	};
	s->welcome_due = false;
	enum fl_rc rc = fl_registry_get(s->hub->m.registry, s->cert.common_name, kept_report,
					&message.report_seq, err);
	return rc == FL_OK ? encode(s, FL_WIRE_WELCOME, &message, err) : rc;
}

static bool roots_due(const struct fl_session *s)
{
	return s->root_sent < s->hub->m.roots->current.version;
}

static enum fl_rc roots(struct fl_session *s, struct fl_err *err)
{
	struct fl_buf texts[FL_WIRE_ROOTS_MAX];
	struct fl_wire_envelope list[FL_WIRE_ROOTS_MAX];
	enum fl_rc rc = FL_OK;
	size_t n = 0;
	while (n < FL_WIRE_ROOTS_MAX && roots_due(s) && rc == FL_OK) {
		texts[n] = FL_BUF((size_t)96 * 1024);
		rc = fl_roots_get(s->hub->m.roots, s->root_sent + 1, &texts[n], err);
		list[n].envelope = fl_buf_str(&texts[n]);
		n++;
		s->root_sent++; /* also over a version from before this fleet's first */
		if (rc == FL_E_NOT_FOUND) {
			fl_buf_free(&texts[--n]);
			rc = FL_OK;
		}
	}
	struct fl_wire_roots message = {.envelopes = {list, n}};
	if (rc == FL_OK && n > 0)
		rc = encode(s, FL_WIRE_ROOTS, &message, err);
	while (n > 0)
		fl_buf_free(&texts[--n]);
	return rc;
}

static bool heartbeat_due(const struct fl_session *s)
{
	return s->nonce_due;
}

static enum fl_rc heartbeat(struct fl_session *s, struct fl_err *err)
{
	struct fl_buf text = FL_BUF((size_t)96 * 1024);
	struct fl_bytes nonce = {s->nonce, sizeof(s->nonce)};
	s->nonce_due = false;
	enum fl_rc rc = fl_jobs_heartbeat(s->hub->m.jobs, s->cert.common_name, nonce, &text, err);
	struct fl_wire_heartbeat message = {.envelope = fl_buf_str(&text)};
	if (rc == FL_OK)
		rc = encode(s, FL_WIRE_HEARTBEAT, &message, err);
	fl_buf_free(&text);
	return rc;
}

static bool ack_due(const struct fl_session *s)
{
	return s->ack_due != 0;
}

static enum fl_rc ack(struct fl_session *s, struct fl_err *err)
{
	struct fl_wire_report_ack message = {.report_seq = s->ack_due};
	s->ack_due = 0;
	return encode(s, FL_WIRE_REPORT_ACK, &message, err);
}

static bool jobs_due(const struct fl_session *s)
{
	return s->jobs_maybe;
}

static enum fl_rc job(struct fl_session *s, struct fl_err *err)
{
	struct fl_jobs_next next = {.envelope = FL_BUF(FL_ENVELOPE_MAX),
				    .release = FL_BUF(FL_ENVELOPE_MAX)};
	enum fl_rc rc = fl_jobs_find_next(s->hub->m.jobs, s->cert.common_name, s->job_sent, &next, err);
	if (rc == FL_OK && next.job_seq == 0)
		s->jobs_maybe = false;
	if (rc == FL_OK && next.job_seq != 0) {
		struct fl_wire_job message = {
			.envelope = fl_buf_str(&next.envelope),
			.release = next.release.len == 0 ? NULL : fl_buf_str(&next.release)};
		s->job_sent = next.job_seq;
		rc = encode(s, FL_WIRE_JOB, &message, err);
	}
	fl_buf_free(&next.envelope);
	fl_buf_free(&next.release);
	return rc;
}

static const struct duty {
	bool (*due)(const struct fl_session *s);
	enum fl_rc (*make)(struct fl_session *s, struct fl_err *err); /* may find that nothing was due */
} duties[] = {
	{welcome_due, welcome}, {roots_due, roots}, {heartbeat_due, heartbeat},
	{ack_due, ack},		{jobs_due, job},
};

enum fl_rc fl_session_next(struct fl_session *s, struct fl_err *err)
{
	fl_buf_clear(&s->tx);
	for (size_t i = 0; i < sizeof(duties) / sizeof(duties[0]) && s->tx.len == 0; i++) {
		if (!duties[i].due(s))
			continue;
		enum fl_rc rc = duties[i].make(s, err);
		if (rc != FL_OK)
			return rc;
	}
	return FL_OK;
}
