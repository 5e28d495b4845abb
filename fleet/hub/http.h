/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.1 exchange, without libwebsockets in sight. A port's on_request is called with the head; it (or whoever it
 * hands the exchange to) either answers, or takes the body and answers later. Exactly one answer per exchange.
 *
 *   HEAD ──take_body / stream_body──▶ BODY ──all there──▶ WAIT ──reply──▶ REPLY ──written──▶ (next request)
 *     └───────────────────reply at any time (the rest of the body is thrown away)──▲
 *
 * When the peer goes away first, on_gone is called instead of whatever was awaited, and the exchange is freed after
 * it: nobody may touch it again.
 */
#ifndef FLEET_HUB_HTTP_H
#define FLEET_HUB_HTTP_H

#include <fairlead/base/buf.h>
#include <fairlead/base/encode.h>
#include <fairlead/trust/key.h>

enum fl_http_method {
	FL_HTTP_GET = 1,
	FL_HTTP_HEAD = 2,
	FL_HTTP_POST = 4,
	FL_HTTP_PUT = 8,
	FL_HTTP_DELETE = 16,
	FL_HTTP_OTHER = 32,
};

#define FL_HTTP_PATH_MAX  512
#define FL_HTTP_VALUE_MAX 256

struct fl_http_request {
	enum fl_http_method method;
	char path[FL_HTTP_PATH_MAX];
	char query[FL_HTTP_PATH_MAX];
	char authorization[FL_HTTP_VALUE_MAX];
	char range[FL_HTTP_VALUE_MAX];
	char if_range[FL_HTTP_VALUE_MAX];
	char if_none_match[FL_HTTP_VALUE_MAX];
	char size[32]; /* X-Fairlead-Size */
	bool has_body;
	uint64_t content_length;
};

struct fl_http; /* an exchange */

struct fl_http_port {
	void (*on_request)(void *ctx, struct fl_http *http);
	void *ctx;
};

/* Where a body goes that is taken while it arrives. */
struct fl_http_sink {
	enum fl_rc (*on_data)(void *ctx, const void *data, size_t len, struct fl_err *err);
	/* err NULL: all of it is there. Otherwise on_data failed; whoever gets this answers. */
	void (*on_end)(void *ctx, struct fl_http *http, const struct fl_err *err);
};

const struct fl_http_request *fl_http_request(const struct fl_http *http);
/* Name and key of the peer's certificate. FL_E_TLS. */
enum fl_rc fl_http_peer(const struct fl_http *http, char name[FL_NAME_MAX + 1],
			struct fl_pubkey *key, struct fl_err *err) FL_CHECKED;
/* What is of use to the exchange's owner; on_gone may be NULL. */
void fl_http_set_owner(struct fl_http *http, void *owner, void (*on_gone)(void *owner));
void *fl_http_owner(const struct fl_http *http);

/* The whole body, at most max bytes (413 otherwise); on_body borrows it for the call. */
void fl_http_take_body(struct fl_http *http, size_t max,
		       void (*on_body)(void *ctx, struct fl_http *http, struct fl_bytes body), void *ctx);
void fl_http_stream_body(struct fl_http *http, const struct fl_http_sink *sink, void *ctx);

struct fl_http_reply {
	unsigned status;
	const char *content_type; /* NULL: none */
	const char *etag;	  /* without quotes; NULL: none */
	const char *content_range;
	bool accept_ranges;
	bool close; /* say so, and end the connection */
};

/* Body taken (buf is emptied). */
void fl_http_reply(struct fl_http *http, const struct fl_http_reply *reply, struct fl_buf *body);
/* {"code":…,"text":…} with the status that belongs to the code. */
void fl_http_reply_error(struct fl_http *http, const struct fl_err *err);
/* len bytes of fd (taken) from offset; HEAD sends none. */
void fl_http_reply_file(struct fl_http *http, const struct fl_http_reply *reply, int fd,
			uint64_t offset, uint64_t len);
/* A stream of server-sent events: push as often as you like, then end. */
void fl_http_reply_events(struct fl_http *http);
/* Appended behind what was not sent yet; false when the peer is too slow (it is then cut off). */
bool fl_http_push(struct fl_http *http, const void *data, size_t len);
/* Bytes that were pushed and not yet taken by the peer. */
size_t fl_http_unsent(const struct fl_http *http);
void fl_http_end(struct fl_http *http);

/* 404 for not_found, 409 for conflict, …: the status of docs/protocol.md for a code. */
unsigned fl_http_status_of(enum fl_rc rc);

#endif
