/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging one component: the other end of the runner's data channel. The runner asks (need), this side fetches (fetch.h) and
 * hands on (piece). What a decoder reads is fetched whole before (spooling.h), and handed over with the request.
 *
 *   idle ──▶ spooling ──▶ asking helper ──data channel──▶ serving ──event staged──▶ idle (done)
 *       └── zstd-frames ──▶  ▲                            ▲   │ need
 *                                                         └───┘
 */
#ifndef FAIRLEAD_DAEMON_STAGE_H
#define FAIRLEAD_DAEMON_STAGE_H

#include "fetch.h"
#include "helper.h"
#include "spooling.h"

struct fl_agent;
struct fl_stage;

#define FL_STAGE_NEEDS_MAX   (4 + 1) /* the runner's, and one whose last piece it has while this side is still busy with it */
#define FL_STAGE_OUT_MAX     (FL_FETCH_ITEMS_MAX + 1)

enum fl_stage_state {
	FL_STAGE_IDLE,
	FL_STAGE_SPOOLING,
	FL_STAGE_ASKING,
	FL_STAGE_SERVING,
	FL_STAGE_ENDING, /* told the runner that no more comes; waits for `staged` */
};

struct fl_stage_request {
	const struct fl_digest *job;
	const struct fl_component *release;
	struct fl_fetch_what what;
};

/* How it ended. */
struct fl_staged {
	struct fl_err why;  /* rc FL_OK: staged */
	const char *result; /* the class: "ok", "retry", … */
	bool decoder;	    /* it tells of the artifact and its decoder, not of the release */
	uint64_t bad_bytes; /* about; of the full artifact, where it has what a decoder made wrong */
};

typedef void fl_stage_done(struct fl_stage *stage, const struct fl_staged *staged);

struct fl_stage {
	struct fl_agent *agent;
	void *ctx;
	enum fl_stage_state state;
	struct fl_stage_request request;
	fl_stage_done *done;
	void (*on_progress)(struct fl_stage *stage, const struct fl_ipc_progress *progress);
	/* As of a fetch's taker; NULL: nobody counts. */
	bool (*on_fetched)(struct fl_stage *stage, const char *address, size_t len, struct fl_err *err);
	struct fl_fetch fetch;
	struct fl_spooling spooling;
	struct fl_helper_call call;
	int channel;
	uv_poll_t *poll; /* on the heap: outlives a cancel */
	struct fl_buf frame;
	struct fl_buf out[FL_STAGE_OUT_MAX]; /* pieces not sent yet, a ring */
	size_t out_first, n_out;
	struct fl_ipc_need needs[FL_STAGE_NEEDS_MAX]; /* the first is at hand */
	size_t n_needs;
	uint64_t retry_ms;     /* after the end: what the sources asked for, 0: nothing */
	struct fl_err failure; /* why this side has ended it */
	bool ended;	       /* by this side, for `failure` */
	uint64_t bad_frames, bad_until; /* counted, and up to which chunk */
	uint64_t fetched_bytes;
};

/* request, stage: kept until done. Done is called once, or never after fl_stage_cancel or a failed start. */
enum fl_rc fl_stage_start(struct fl_stage *stage, struct fl_agent *agent,
			  const struct fl_stage_request *request, fl_stage_done *done, void *ctx,
			  struct fl_err *err) FL_CHECKED;
/* Idempotent. The helper kills the runner when the data channel's owner asks it to (stop) or its connection ends. */
void fl_stage_cancel(struct fl_stage *stage);
void fl_stage_on_staged(struct fl_stage *stage, const struct fl_ipc_staged *event);

#endif
