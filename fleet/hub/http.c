/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/http_private.h"

#include "hub/hub_private.h"
#include "hub/tls.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/json.h>

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX	      ((size_t)32 * 1024 * 1024)
#define SWALLOWED_MAX ((uint64_t)2 * 1024 * 1024) /* of a refused body, to keep the connection */

struct fl_http *fl_http_new(struct fl_hub *hub, struct lws *wsi)
{
	struct fl_http *http = calloc(1, sizeof(*http));
	if (http == NULL)
		return NULL;
	http->wsi = wsi;
	http->fd = -1;
	http->body = FL_BUF(0);
	http->out = FL_BUF(OUT_MAX);
	http->begun_ms = http->heard_ms = fl_clock_boot_ms(hub->clock);
	http->prev = hub->exchanges.prev;
	http->next = &hub->exchanges;
	http->prev->next = http;
	hub->exchanges.prev = http;
	return http;
}

void fl_http_gone(struct fl_http *http)
{
	if (http == NULL)
		return;
	if (http->on_gone != NULL)
		http->on_gone(http->owner);
	http->prev->next = http->next;
	http->next->prev = http->prev;
	fl_buf_free(&http->body);
	fl_buf_free(&http->out);
	fl_close(&http->fd);
	free(http);
}

const struct fl_http_request *fl_http_request(const struct fl_http *http)
{
	return &http->request;
}

enum fl_rc fl_http_peer(const struct fl_http *http, char name[FL_NAME_MAX + 1],
			struct fl_pubkey *key, struct fl_err *err)
{
	struct fl_cert_info info;
	enum fl_rc rc = fl_hub_tls_peer(lws_get_ssl(http->wsi), &info, err);
	if (rc != FL_OK)
		return rc;
	memcpy(name, info.common_name, sizeof(info.common_name));
	*key = info.key;
	return FL_OK;
}

void fl_http_set_owner(struct fl_http *http, void *owner, void (*on_gone)(void *owner))
{
	http->owner = owner;
	http->on_gone = on_gone;
}

void *fl_http_owner(const struct fl_http *http)
{
	return http->owner;
}

void fl_http_take_body(struct fl_http *http, size_t max,
		       void (*on_body)(void *ctx, struct fl_http *http, struct fl_bytes body), void *ctx)
{
	FL_BUG_ON(http->state != FL_HTTP_S_HEAD);
	if (http->request.content_length > max) {
		struct fl_err err;
		(void)fl_fail(&err, FL_E_TOO_LARGE, 0, "a body of more than %zu bytes", max);
		fl_http_reply_error(http, &err);
		return;
	}
	http->body.max = max;
	http->on_body = on_body;
	http->body_ctx = ctx;
	http->state = FL_HTTP_S_BODY;
}

void fl_http_stream_body(struct fl_http *http, const struct fl_http_sink *sink, void *ctx)
{
	FL_BUG_ON(http->state != FL_HTTP_S_HEAD);
	http->sink = sink;
	http->body_ctx = ctx;
	http->state = FL_HTTP_S_BODY;
}

void fl_http_feed(struct fl_http *http, const void *data, size_t len)
{
	struct fl_err err;
	enum fl_rc rc;
	http->received += len;
	if (http->state != FL_HTTP_S_BODY)
		return; /* answered already: thrown away */
	if (http->sink == NULL) {
		rc = fl_buf_append(&http->body, data, len, &err);
		if (rc != FL_OK)
			fl_http_reply_error(http, &err);
		return;
	}
	rc = http->sink->on_data(http->body_ctx, data, len, &err);
	if (rc != FL_OK) {
		http->state = FL_HTTP_S_WAIT;
		http->sink->on_end(http->body_ctx, http, &err);
	}
}

void fl_http_body_end(struct fl_http *http)
{
	if (http->state != FL_HTTP_S_BODY)
		return; /* libwebsockets may say it again while an answer is awaited */
	http->state = FL_HTTP_S_WAIT;
	if (http->sink != NULL)
		http->sink->on_end(http->body_ctx, http, NULL);
	else
		http->on_body(http->body_ctx, http,
			      (struct fl_bytes){http->body.data, http->body.len});
}

static void start_reply(struct fl_http *http, const struct fl_http_reply *reply)
{
	FL_BUG_ON(http->state >= FL_HTTP_S_REPLY);
	http->reply = *reply;
	http->reply.etag = http->reply.content_range = NULL;
	if (reply->etag != NULL) {
		snprintf(http->etag, sizeof(http->etag), "\"%s\"", reply->etag);
		http->reply.etag = http->etag;
	}
	if (reply->content_range != NULL) {
		snprintf(http->content_range, sizeof(http->content_range), "%s", reply->content_range);
		http->reply.content_range = http->content_range;
	}
	http->state = FL_HTTP_S_REPLY;
	lws_callback_on_writable(http->wsi);
}

void fl_http_reply(struct fl_http *http, const struct fl_http_reply *reply, struct fl_buf *body)
{
	if (body != NULL) {
		fl_buf_free(&http->out);
		http->out = *body;
		http->out.max = OUT_MAX;
		*body = FL_BUF(body->max);
	}
	start_reply(http, reply);
}

unsigned fl_http_status_of(enum fl_rc rc)
{
	switch ((int)rc) {
	case FL_E_BAD_REQUEST:
	case FL_E_DOC_SYNTAX:
	case FL_E_DOC_FIELD:
	case FL_E_DOC_TYPE:
	case FL_E_ENVELOPE:
	case FL_E_CHUNK_MISMATCH:
	case FL_E_SIZE_MISMATCH:
	case FL_E_TRUNCATED:
	case FL_E_NOT_SUPPORTED:
	case FL_E_INVALID_ARGUMENT:
		return 400;
	case FL_E_AUTH:
		return 401;
	case FL_E_DENIED:
	case FL_E_ENROL_REFUSED:
	case FL_E_SIGNATURE:
	case FL_E_KEY_UNKNOWN:
	case FL_E_KEY_REVOKED:
	case FL_E_SCOPE:
		return 403;
	case FL_E_NOT_FOUND:
		return 404;
	case FL_E_CONFLICT:
	case FL_E_EXISTS:
	case FL_E_INCOMPATIBLE:
	case FL_E_DOWNGRADE:
	case FL_E_ROOT_VERSION:
	case FL_E_EXPIRED:
		return 409;
	case FL_E_TOO_LARGE:
		return 413;
	case FL_E_RATE_LIMITED:
		return 429;
	default:
		return 500;
	}
}

void fl_http_reply_error(struct fl_http *http, const struct fl_err *err)
{
	struct fl_buf body = FL_BUF((size_t)4096);
	struct fl_err ignored;
	enum fl_rc rc = fl_buf_appendf(&body, &ignored, "{\"code\":\"%s\",\"text\":",
				       fl_rc_name(err->rc));
	if (rc == FL_OK)
		rc = fl_json_append_string(&body, err->msg, &ignored);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&body, "}", &ignored);
	if (rc != FL_OK)
		fl_buf_clear(&body);
	uint64_t unread = http->request.content_length - http->received;
	struct fl_http_reply reply = {.status = fl_http_status_of(err->rc),
				      .content_type = "application/json",
				      .close = unread > SWALLOWED_MAX};
	fl_http_reply(http, &reply, &body);
	fl_buf_free(&body);
}

void fl_http_reply_file(struct fl_http *http, const struct fl_http_reply *reply, int fd,
			uint64_t offset, uint64_t len)
{
	http->fd = fd;
	http->offset = offset;
	http->left = len;
	start_reply(http, reply);
}

void fl_http_reply_events(struct fl_http *http)
{
	static const struct fl_http_reply reply = {
		.status = 200, .content_type = "text/event-stream", .close = true};
	http->events = true;
	start_reply(http, &reply);
}

size_t fl_http_unsent(const struct fl_http *http)
{
	return http->out.len - http->out_sent;
}

bool fl_http_push(struct fl_http *http, const void *data, size_t len)
{
	struct fl_err err;
	fl_buf_consume(&http->out, http->out_sent);
	http->out_sent = 0;
	if (fl_buf_append(&http->out, data, len, &err) != FL_OK) {
		http->doomed = true;
		return false;
	}
	lws_callback_on_writable(http->wsi);
	return true;
}

void fl_http_end(struct fl_http *http)
{
	http->ended = true;
	lws_callback_on_writable(http->wsi);
}
