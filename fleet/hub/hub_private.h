/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_HUB_HUB_PRIVATE_H
#define FLEET_HUB_HUB_PRIVATE_H

#include "hub/http_private.h"
#include "hub/hub.h"

#include <libwebsockets.h>
#include <uv.h>

#define FL_HUB_BUCKETS	  4096
#define FL_HUB_CHUNK	  ((size_t)32 * 1024) /* written at once */
#define FL_HUB_SWEEP_MS	  500
#define FL_HUB_STOP_MS	  2000	/* for close frames to reach the peers */
#define FL_HUB_BODY_MS	  30000 /* a small body must be there */
#define FL_HUB_SILENCE_MS 20000 /* a large one must go on */
#define FL_HUB_RATE_MIN	  1024	/* bytes a second, of a large body */
#define FL_HUB_STALL_S	  60	/* a peer that takes no bytes */

struct fl_session;

struct fl_hub {
	struct fl_hub_conf conf;
	const struct fl_clock *clock; /* kept */
	struct fl_hub_modules m;
	uv_loop_t *loop; /* kept */
	struct lws_context *lws; /* owned */
	lws_retry_bo_t retry;
	struct fl_http_port device_port;
	const struct fl_http_port *api_port; /* kept */
	struct fl_http exchanges;	     /* ring; only its links are used */
	struct fl_session *buckets[FL_HUB_BUCKETS];
	size_t n_sessions, n_connections;
	struct fl_bus_listener listener;
	uv_timer_t sweep, stop;
	uv_check_t batch_check; /* ends the batch after the input of one round */
	uv_idle_t batch_idle;	/* keeps that round from waiting for input */
	bool stopping;
	uint8_t scratch[LWS_PRE + FL_HUB_CHUNK];
};

struct fl_hub *fl_hub_of(struct lws *wsi);

/* libwebsockets' callbacks */
int fl_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		     size_t len);
int fl_session_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
			size_t len);

/* Closes what is too slow, and exchanges whose peer has gone while we write. */
void fl_http_sweep(struct fl_hub *hub);

/* Serves content on the device port (content.c). */
void fl_content_on_request(void *ctx, struct fl_http *http);

/* Joins the open batch of the database, or opens it and sees that it ends after this round of input. */
enum fl_rc fl_hub_batch(struct fl_hub *hub, struct fl_err *err) FL_CHECKED;
/* Sees that an open batch ends. */
void fl_hub_batch_watch(struct fl_hub *hub);

/* Sessions (session.c, session_index.c) */
struct fl_session *fl_session_find(const struct fl_hub *hub, const char *device_id);
void fl_session_put(struct fl_hub *hub, struct fl_session *session);
void fl_session_remove(struct fl_hub *hub, struct fl_session *session);
void fl_session_each(struct fl_hub *hub, void (*fn)(struct fl_session *session, void *ctx),
		     void *ctx);
/* reason may be NULL. Idempotent: the first code counts. */
void fl_session_close(struct fl_session *session, unsigned code, const char *reason);
/* There may be something to send. */
void fl_session_wake(struct fl_session *session);
/* Is its device still listed? Closes it (4003) when not. */
void fl_session_recheck(struct fl_session *session);
/* The batch ended: acknowledge, or give up. */
void fl_session_batch_end(struct fl_session *session, enum fl_rc rc);
void fl_session_close_all(struct fl_hub *hub);

#endif
