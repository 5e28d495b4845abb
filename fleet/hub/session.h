/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device's connection. Nothing is queued: what is due stands as a number or a flag, and the next message is made when the
 * socket takes it, in this order:
 *
 *   (close) → welcome → roots after `root_sent` → heartbeat on the newest nonce → report_ack → jobs after `job_sent`
 *
 *   CHECKING ──listed──▶ GREETING ──hello──▶ OPEN ──close──▶ CLOSING
 *      └──not listed (4003)───┴──────silence, nonsense (1008)─────▲
 */
#ifndef FLEET_HUB_SESSION_H
#define FLEET_HUB_SESSION_H

#include "hub/hub_private.h"

#include <fairlead/trust/pki.h>

#define FL_SESSION_HELLO_S     20
#define FL_SESSION_CLOSE_S     5 /* for the peer to answer a close */
#define FL_SESSION_RATE_PER_S  50.0 /* messages */
#define FL_SESSION_RATE_BURST  200.0
#define FL_SESSION_THROTTLE_MS 250
#define FL_SESSION_MEMORY      ((size_t)4 * 1024 * 1024) /* one message, decoded */

enum fl_session_state { FL_SESSION_GREETING, FL_SESSION_OPEN, FL_SESSION_CLOSING };

struct fl_session {
	struct fl_hub *hub;
	struct lws *wsi; /* borrowed: it frees us before it goes */
	struct fl_session *next_in_bucket;
	struct fl_cert_info cert; /* name and key of the device */
	enum fl_session_state state;
	struct fl_rate rate;
	uint64_t heard_ms;
	unsigned close_code;
	char close_reason[64];
	struct fl_buf rx; /* owned: one message being put together */

	bool welcome_due;
	bool nonce_due;
	uint8_t nonce[FL_WIRE_NONCE_SIZE];
	uint64_t root_sent; /* version */
	uint64_t job_sent;  /* job_seq */
	bool jobs_maybe;    /* there may be a job above job_sent */
	uint64_t ack_batch; /* report_seq in the open batch */
	uint64_t ack_due;   /* durable, to be acknowledged */

	struct fl_buf tx; /* owned: the message on its way, behind LWS_PRE bytes */
	size_t tx_sent;
};

#define FL_SESSION_TX_MAX (LWS_PRE + FL_WIRE_MESSAGE_MAX)

/* What a message does (session_in.c). Ends the session by itself where it must. */
void fl_session_on_message(struct fl_session *s);
/* Writes the next message, whole, into s->tx (session_out.c); leaves it empty when nothing is due. */
enum fl_rc fl_session_next(struct fl_session *s, struct fl_err *err) FL_CHECKED;

#endif
