/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WebSocket to the fleet (docs/protocol.md, section 1): names are resolved on the loop before libwebsockets sees them, every
 * attempt has its own TLS context, a lost connection is made again after a jittered pause.
 *
 *   off ──start──▶ resolving ──▶ connecting ──▶ up ──┐
 *                      ▲                │            │ lost
 *                      └─── waiting ◀───┴────────────┘
 */
#ifndef FAIRLEAD_DAEMON_LINK_H
#define FAIRLEAD_DAEMON_LINK_H

#include <fairlead/base/buf.h>
#include <fairlead/wire/messages.h>

#include <uv.h>

struct fl_agent;
struct fl_job_run;
struct lws;
struct lws_context;
struct lws_vhost;
struct ssl_ctx_st;

#define FL_LINK_QUEUE_MAX 64

enum fl_link_state { FL_LINK_OFF, FL_LINK_RESOLVING, FL_LINK_CONNECTING, FL_LINK_UP, FL_LINK_WAITING };

struct fl_link {
	struct fl_agent *agent;
	enum fl_link_state state;
	struct lws_context *context;
	struct lws_vhost *vhost; /* of the present attempt */
	unsigned n_vhosts;
	char vhost_name[24];
	struct ssl_ctx_st *tls;
	struct lws *wsi;
	uv_getaddrinfo_t resolve;
	uv_timer_t timer;
	char address[46];
	struct fl_buf in;
	struct fl_buf queue[FL_LINK_QUEUE_MAX]; /* each with LWS_PRE bytes in front */
	size_t queue_first, queue_n;
	bool close_asked;
	unsigned failures;
	uint64_t spread_ms; /* announced by the fleet */
	uint64_t up_ms;
	uint64_t progress_ms;
};

enum fl_rc fl_link_init(struct fl_link *link, struct fl_agent *agent, struct fl_err *err) FL_CHECKED;
void fl_link_done(struct fl_link *link);
/* Connects, now and after every loss; idempotent. */
void fl_link_start(struct fl_link *link);
/* Closes the present connection; it is made again at once. */
void fl_link_restart(struct fl_link *link);
/* Of this side of the connection, numeric; "" while there is none. */
void fl_link_local_address(const struct fl_link *link, char *out, size_t out_size);
bool fl_link_up(const struct fl_link *link);
/* Queues a message; FL_E_BUSY when the queue is full, FL_E_PEER_CLOSED when not up. */
enum fl_rc fl_link_send(struct fl_link *link, enum fl_wire_type type, const void *body);
/* At most one a second. */
void fl_link_send_progress(struct fl_link *link, const struct fl_job_run *run);

#endif
