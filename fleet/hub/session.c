/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a device's connection, as libwebsockets tells it. */
#include "hub/session.h"

#include "audit/audit.h"
#include "hub/tls.h"

#include <fairlead/base/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_session(struct fl_session *s)
{
	fl_buf_free(&s->rx);
	fl_buf_free(&s->tx);
	free(s);
}

void fl_session_wake(struct fl_session *s)
{
	lws_callback_on_writable(s->wsi);
}

void fl_session_close(struct fl_session *s, unsigned code, const char *reason)
{
	if (s->state == FL_SESSION_CLOSING)
		return;
	s->state = FL_SESSION_CLOSING;
	s->close_code = code;
	snprintf(s->close_reason, sizeof(s->close_reason), "%s", reason == NULL ? "" : reason);
	lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_OK, FL_SESSION_CLOSE_S);
	lws_callback_on_writable(s->wsi);
}

/* A second connection of one device is worth a line in the audit: it may be a copy of its key. */
static void note_replaced(struct fl_session *old)
{
	struct fl_hub *hub = old->hub;
	struct fl_err err = {0};
	char actor[FL_NAME_MAX + 16];
	snprintf(actor, sizeof(actor), "device:%s", old->cert.common_name);
	struct fl_audit_entry entry = {(uint64_t)fl_clock_wall_s(hub->clock), actor, "device.replaced",
				       old->cert.common_name, "a second connection"};
	enum fl_rc rc = fl_hub_batch(hub, &err);
	if (rc == FL_OK)
		rc = fl_audit_add(hub->m.db, &entry, &err);
	if (rc == FL_OK)
		rc = fl_registry_event(hub->m.registry, old->cert.common_name, "replaced", NULL,
				       "a second connection took its place", &err);
	if (rc != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "audit of '%s'", old->cert.common_name);
}

static void enter(struct fl_session *s)
{
	struct fl_session *old = fl_session_find(s->hub, s->cert.common_name);
	if (old != NULL) {
		note_replaced(old);
		fl_session_remove(s->hub, old);
		fl_session_close(old, 4001, "replaced");
	}
	fl_session_put(s->hub, s);
	lws_set_timer_usecs(s->wsi, FL_SESSION_HELLO_S * LWS_US_PER_SEC);
}

void fl_session_recheck(struct fl_session *s)
{
	struct fl_err err;
	enum fl_rc rc = fl_registry_check(s->hub->m.registry, s->cert.common_name, &s->cert.key.keyid,
					  &err);
	if (rc == FL_OK)
		return;
	fl_log_err(FL_LOG_NOTICE, &err, "connection of '%s'", s->cert.common_name);
	if (rc == FL_E_AUTH)
		fl_session_close(s, 4003, "not accepted");
	else
		fl_session_close(s, 1011, "try again");
}

static int on_established(struct lws *wsi, struct fl_session **slot)
{
	struct fl_hub *hub = fl_hub_of(wsi);
	struct fl_err err;
	struct fl_session *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -1;
	uint64_t now = fl_clock_boot_ms(hub->clock);
	s->hub = hub;
	s->wsi = wsi;
	s->heard_ms = now;
	s->rate = fl_rate_make(FL_SESSION_RATE_PER_S, FL_SESSION_RATE_BURST, now);
	s->rx = FL_BUF(FL_WIRE_MESSAGE_MAX);
	s->tx = FL_BUF(FL_SESSION_TX_MAX);
	if (fl_hub_tls_peer(lws_get_ssl(wsi), &s->cert, &err) != FL_OK) {
		fl_log_err(FL_LOG_WARNING, &err, "a device's certificate");
		free_session(s);
		return -1;
	}
	*slot = s;
	fl_session_recheck(s);
	if (s->state != FL_SESSION_CLOSING)
		enter(s);
	return 0;
}

static void throttle(struct fl_session *s)
{
	if (fl_rate_take(&s->rate, s->heard_ms) || s->state != FL_SESSION_OPEN)
		return;
	lws_rx_flow_control(s->wsi, 0);
	lws_set_timer_usecs(s->wsi, FL_SESSION_THROTTLE_MS * 1000);
}

static int on_receive(struct fl_session *s, const void *data, size_t len)
{
	struct fl_err err;
	s->heard_ms = fl_clock_boot_ms(s->hub->clock);
	if (s->state == FL_SESSION_CLOSING)
		return 0;
	if (lws_frame_is_binary(s->wsi) != 0 || fl_buf_append(&s->rx, data, len, &err) != FL_OK) {
		fl_session_close(s, 1008, "malformed message");
		return 0;
	}
	if (lws_is_final_fragment(s->wsi) == 0)
		return 0;
	fl_session_on_message(s);
	fl_buf_free(&s->rx);
	throttle(s);
	return 0;
}

/*
 * libwebsockets as Debian builds it closes twice on a writeable callback's -1 ("uv repeat test"), and the second time drops
 * the close frame that the first one prepared. A timer's -1 closes once.
 */
static int close_by_timer(struct fl_session *s)
{
	lws_set_timer_usecs(s->wsi, 1);
	return 0;
}

static int send_close(struct fl_session *s)
{
	lws_close_reason(s->wsi, (enum lws_close_status)s->close_code,
			 (unsigned char *)s->close_reason, strlen(s->close_reason));
	return -1;
}

static int on_timer(struct fl_session *s)
{
	if (s->state == FL_SESSION_CLOSING)
		return send_close(s);
	if (s->state == FL_SESSION_GREETING)
		fl_session_close(s, 1008, "no hello");
	else
		lws_rx_flow_control(s->wsi, 1);
	return 0;
}

static int send_part(struct fl_session *s)
{
	size_t done = LWS_PRE + s->tx_sent;
	size_t left = s->tx.len - done;
	size_t len = left < FL_HUB_CHUNK ? left : FL_HUB_CHUNK;
	int mode = lws_write_ws_flags(LWS_WRITE_TEXT, s->tx_sent == 0, len == left);
	if (lws_write(s->wsi, s->tx.data + done, len, (enum lws_write_protocol)mode) < (int)len)
		return -1;
	s->tx_sent += len;
	if (len == left)
		fl_buf_free(&s->tx);
	lws_callback_on_writable(s->wsi);
	return 0;
}

static int on_writeable(struct fl_session *s)
{
	struct fl_err err;
	if (s->tx.len > 0)
		return send_part(s);
	if (s->state == FL_SESSION_CLOSING)
		return close_by_timer(s);
	if (s->state != FL_SESSION_OPEN)
		return 0;
	if (fl_session_next(s, &err) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "message for '%s'", s->cert.common_name);
		fl_session_close(s, 1011, "try again");
		return 0;
	}
	return s->tx.len > 0 ? send_part(s) : 0;
}

static void on_closed(struct fl_session *s)
{
	struct fl_err err;
	struct fl_hub *hub = s->hub;
	bool current = fl_session_find(hub, s->cert.common_name) == s;
	fl_session_remove(hub, s);
	if (current && fl_hub_batch(hub, &err) == FL_OK &&
	    fl_registry_seen(hub->m.registry, s->cert.common_name, &err) != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "'%s' last seen", s->cert.common_name);
	if (current)
		fl_log(FL_LOG_INFO, "'%s' is offline", s->cert.common_name);
	free_session(s);
}

void fl_session_batch_end(struct fl_session *s, enum fl_rc rc)
{
	uint64_t ack = s->ack_batch;
	s->ack_batch = 0;
	if (ack == 0)
		return;
	if (rc != FL_OK) {
		fl_session_close(s, 1011, "try again");
		return;
	}
	if (ack > s->ack_due)
		s->ack_due = ack;
	fl_session_wake(s);
}

static void close_one(struct fl_session *s, void *ctx)
{
	fl_session_close(s, 1012, ctx);
}

void fl_session_close_all(struct fl_hub *hub)
{
	char reason[64];
	snprintf(reason, sizeof(reason), "reconnect_spread_ms=%llu",
		 (unsigned long long)hub->conf.reconnect_spread_ms);
	fl_session_each(hub, close_one, reason);
}

/* The path is the only thing that a device may choose. */
static int on_filter(struct lws *wsi)
{
	char path[32];
	if (lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI) <= 0)
		return -1;
	return strcmp(path, "/device") == 0 ? 0 : -1;
}

int fl_session_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
			size_t len)
{
	struct fl_session **slot = user;
	switch ((int)reason) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return on_filter(wsi);
	case LWS_CALLBACK_ESTABLISHED:
		return on_established(wsi, slot);
	case LWS_CALLBACK_RECEIVE:
		return *slot == NULL ? -1 : on_receive(*slot, in, len);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return *slot == NULL ? -1 : on_writeable(*slot);
	case LWS_CALLBACK_TIMER:
		return slot == NULL || *slot == NULL ? 0 : on_timer(*slot);
	case LWS_CALLBACK_CLOSED:
		if (*slot != NULL)
			on_closed(*slot);
		*slot = NULL;
		return 0;
	default:
		return 0;
	}
}
