/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to fairlead-helper: requests that end exactly once, events, and what the helper said last of itself
 * (docs/internals/ipc.md). A lost connection ends every open request with FL_E_PEER_CLOSED and is made again.
 */
#ifndef FAIRLEAD_DAEMON_HELPER_H
#define FAIRLEAD_DAEMON_HELPER_H

#include <fairlead/base/buf.h>
#include <fairlead/ipc/codec.h>
#include <fairlead/trust/envelope.h>

#include <uv.h>

struct fl_helper;

/* The answer to a call: the struct of its frame type, borrowed for the time of done(). */
struct fl_helper_answer {
	enum fl_frame_type type;
	const void *body;
	int fd; /* -1, or a descriptor that done() takes by setting it to -1 */
};

struct fl_helper_call {
	void (*done)(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		     struct fl_helper_answer *answer);
	void *ctx;
	/* private */
	struct fl_helper_call *next;
	uint32_t id;
	uint64_t deadline_ms;
};

struct fl_helper_events {
	/* Connected and greeted: hello_reply stands in fl_helper_facts(). */
	void (*up)(void *ctx);
	void (*down)(void *ctx);
	void (*staged)(void *ctx, const struct fl_ipc_staged *event);
	void (*phase)(void *ctx, const struct fl_ipc_phase *event);
	void (*rotten)(void *ctx, const struct fl_ipc_rotten *event);
	void *ctx;
};

struct fl_helper {
	uv_loop_t *loop;
	const char *path;
	struct fl_helper_events events;
	int sock;
	bool up;
	uv_poll_t *poll; /* of the present connection; on the heap, for it closes after it */
	uv_timer_t retry;
	uv_timer_t deadlines;
	struct fl_helper_call *calls;
	struct fl_helper_call hello;
	uint32_t last_id;
	struct fl_buf frame;
	struct fl_arena facts_arena;
	struct fl_ipc_hello_reply facts;
};

/* helper, path, events: kept until fl_helper_done. Starts to connect. */
void fl_helper_init(struct fl_helper *helper, uv_loop_t *loop, const char *path,
		    const struct fl_helper_events *events);
void fl_helper_done(struct fl_helper *helper);

/* What the helper said last; NULL while not connected. Valid until the next `up` or refresh. */
const struct fl_ipc_hello_reply *fl_helper_facts(const struct fl_helper *helper);

/*
 * Of a document that it lost the helper tells the first half of the digest, which its anchor has: an open job's is made
 * whole. release: may be NULL. True: it was such a one.
 */
bool fl_helper_complete(struct fl_helper *helper, const struct fl_digest *job,
			const struct fl_digest *release);

/*
 * Sends a request; call: kept until done. docs: its documents (payloads go as sealed memfds), n_docs ≤ 8. When this fails, done is not
 * called. FL_E_PEER_CLOSED when not connected.
 */
enum fl_rc fl_helper_send(struct fl_helper *helper, struct fl_helper_call *call,
			  enum fl_frame_type type, const void *body, const struct fl_bytes *payloads,
			  size_t n_payloads, struct fl_err *err) FL_CHECKED;
/* The same with descriptors, which stay the caller's. */
enum fl_rc fl_helper_send_fds(struct fl_helper *helper, struct fl_helper_call *call,
			      enum fl_frame_type type, const void *body, const int *fds, size_t n_fds,
			      struct fl_err *err) FL_CHECKED;

/* Sets an idle call up. Setting up one that is open is a bug: forget it first. */
void fl_helper_call_init(struct fl_helper_call *call,
			 void (*done)(struct fl_helper_call *, enum fl_rc, const struct fl_err *,
				      struct fl_helper_answer *),
			 void *ctx);
/* Is it sent and not done? Its memory must live until then. */
bool fl_helper_call_open(const struct fl_helper_call *call);

/* Lets go of a call that is open: its answer is dropped, done is not called. Idempotent. */
void fl_helper_forget(struct fl_helper *helper, struct fl_helper_call *call);

/* A document's signatures in the form of a frame; sigs: room for FL_SIGS_MAX, borrowed by *ret. */
void fl_helper_document(const struct fl_envelope *env, struct fl_ipc_signature *sigs,
			struct fl_ipc_document *ret);

/* Asks hello again; `done` gets FL_FRAME_HELLO_REPLY, facts are renewed before it. */
enum fl_rc fl_helper_refresh(struct fl_helper *helper, struct fl_helper_call *call,
			     struct fl_err *err) FL_CHECKED;

#endif
