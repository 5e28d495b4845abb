/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging one component: the other end of the runner's data channel. The runner asks (need), this side fetches from the
 * sources (sources.h), checks every page and chunk against the signed roots, and hands on (piece). A source that lies or
 * fails is left for the next one; a cut connection is resumed at the byte it was cut at.
 *
 *   idle ──start──▶ asking helper ──data channel──▶ serving ──event staged──▶ idle (done)
 *                                     ▲   │ need
 *                                     └───┘
 */
#ifndef FAIRLEAD_DAEMON_STAGE_H
#define FAIRLEAD_DAEMON_STAGE_H

#include "helper.h"
#include "http.h"
#include "pages.h"
#include "sources.h"

#include <fairlead/trust/documents.h>

struct fl_agent;
struct fl_stage;

#define FL_STAGE_NEEDS_MAX   (4 + 1) /* the runner's, and one whose last piece it has while this side is still busy with it */
#define FL_STAGE_OUT_MAX     (FL_HTTP_RUN_MAX / 65536 + 2) /* pieces that one run of bytes may complete */

enum fl_stage_state {
	FL_STAGE_IDLE,
	FL_STAGE_ASKING,
	FL_STAGE_SERVING,
	FL_STAGE_ENDING, /* told the runner that no more comes; waits for `staged` */
};

struct fl_stage_request {
	const struct fl_digest *job;
	const char *component;
	const struct fl_component *release;
	const struct fl_artifact *artifact;
	const char *own_source; /* asked first; NULL: none */
	const char *const *sources; /* of the job, in the order of preference */
	size_t n_sources;
};

/* rc FL_OK: staged. result: the plugin's class ("ok", "retry", …). */
typedef void fl_stage_done(struct fl_stage *stage, enum fl_rc rc, const char *result,
			   const struct fl_err *err);

struct fl_stage {
	struct fl_agent *agent;
	void *ctx;
	enum fl_stage_state state;
	struct fl_stage_request request;
	fl_stage_done *done;
	void (*on_progress)(struct fl_stage *stage, const struct fl_ipc_progress *progress);
	/* Bytes came in at that local address; false: no more of them for now, and why. NULL: nobody counts. */
	bool (*on_fetched)(struct fl_stage *stage, const char *address, size_t len, struct fl_err *err);
	struct fl_helper_call call;
	int channel;
	uv_poll_t *poll; /* on the heap: outlives a cancel */
	struct fl_buf frame;
	struct fl_buf out[FL_STAGE_OUT_MAX]; /* pieces not sent yet, a ring */
	size_t out_first, n_out;
	struct fl_pages pages[2]; /* by enum fl_ipc_object */
	struct fl_ipc_need needs[FL_STAGE_NEEDS_MAX];
	size_t n_needs;
	/* the need being served */
	uint64_t next, end;
	struct fl_http_request *http;
	char url[1024];
	struct fl_sources sources;
	uint64_t retry_ms;  /* after the end: what the sources asked for, 0: nothing */
	uint8_t *chunk;	    /* FL_CHUNK_SIZE */
	size_t chunk_len; /* of it that has come */
	size_t resumed_len;   /* of it that the connection before had brought */
	uint64_t right_bytes; /* of whole items, over the present connection */
	uv_timer_t *retry;
	struct fl_err failure; /* why the source failed last */
	bool ended;	       /* by this side, for `failure` */
	uint64_t fetched_bytes;
};

/* request, stage: kept until done. Done is called once, or never after fl_stage_cancel or a failed start. */
enum fl_rc fl_stage_start(struct fl_stage *stage, struct fl_agent *agent,
			  const struct fl_stage_request *request, fl_stage_done *done, void *ctx,
			  struct fl_err *err) FL_CHECKED;
/* Idempotent. The helper kills the runner when the data channel's owner asks it to (stop) or its connection ends. */
void fl_stage_cancel(struct fl_stage *stage);
void fl_stage_on_staged(struct fl_stage *stage, const struct fl_ipc_staged *event);

/* stage_items.c: a chunk or a page of an object (enum fl_ipc_object), by its index */
struct fl_pages *fl_stage_pages(struct fl_stage *stage, uint64_t object);
uint64_t fl_stage_item_offset(struct fl_stage *stage, uint64_t object, uint64_t index);
uint32_t fl_stage_item_len(struct fl_stage *stage, uint64_t object, uint64_t index);
uint64_t fl_stage_item_count(struct fl_stage *stage, uint64_t object);

#endif
