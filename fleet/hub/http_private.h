/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange's inside, shared by http.c (what users call) and http_lws.c (what libwebsockets calls). */
#ifndef FLEET_HUB_HTTP_PRIVATE_H
#define FLEET_HUB_HTTP_PRIVATE_H

#include "hub/http.h"

struct lws;
struct fl_hub;

enum fl_http_state {
	FL_HTTP_S_HEAD,	 /* the port is being asked */
	FL_HTTP_S_BODY,	 /* the body arrives */
	FL_HTTP_S_WAIT,	 /* all is there; somebody works on the answer */
	FL_HTTP_S_REPLY, /* the answer's head is to be written */
	FL_HTTP_S_SEND,	 /* its body is on the way */
	FL_HTTP_S_CLOSE, /* all is written; the connection ends when it is flushed */
};

struct fl_http {
	struct fl_http *next, *prev; /* ring of all exchanges of the hub, for its sweep */
	struct lws *wsi;	     /* borrowed: frees us before it goes */
	enum fl_http_state state;
	uint64_t begun_ms, heard_ms; /* boot time: of the request; of the last bytes of its body */
	struct fl_http_request request;
	void *owner;
	void (*on_gone)(void *owner);

	/* the body */
	uint64_t received;
	size_t body_max;
	struct fl_buf body; /* owned */
	void (*on_body)(void *ctx, struct fl_http *http, struct fl_bytes body);
	const struct fl_http_sink *sink;
	void *body_ctx;

	/* the answer */
	struct fl_http_reply reply;
	char etag[FL_DIGEST_HEX_SIZE + 2];
	char content_range[96];
	struct fl_buf out; /* owned */
	size_t out_sent;
	int fd; /* owned, or -1 */
	uint64_t offset, left;
	bool events, ended;
	bool doomed;	 /* the next sweep ends it */
	bool must_close; /* whatever the answer says */
};

/* A new exchange in the hub's ring; its head is to be filled in. NULL without memory. */
struct fl_http *fl_http_new(struct fl_hub *hub, struct lws *wsi);
/* Tells the owner; frees. */
void fl_http_gone(struct fl_http *http);
/* Has the body been asked for, and by whom? Called per piece, and at the end. */
void fl_http_feed(struct fl_http *http, const void *data, size_t len);
void fl_http_body_end(struct fl_http *http);

#endif
