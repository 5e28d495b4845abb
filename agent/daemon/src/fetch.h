/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one artifact and of its trees, a run of chunks or pages at a time, from the sources (sources.h). Every item is
 * checked against the signed roots before anybody gets it. A source that lies or fails is left for the next one; a cut
 * connection is resumed at the byte it was cut at; pages that the spool has are not fetched. An offline job has one source, its
 * bundle: when that fails there is none for now.
 *
 *   fl_fetch_run ──▶ on_item, on_item, … ──▶ on_run      or, when no source has it for now: on_failed
 */
#ifndef FAIRLEAD_DAEMON_FETCH_H
#define FAIRLEAD_DAEMON_FETCH_H

#include "bundle.h"
#include "bundle_read.h"
#include "http.h"
#include "pages.h"
#include "sources.h"

#include <fairlead/ipc/codec.h>
#include <fairlead/trust/documents.h>

struct fl_agent;
struct fl_fetch;

/* What is fetched, and from where. Everything is kept by the caller. */
struct fl_fetch_what {
	const char *component;
	const struct fl_installed_ref *installed;
	const struct fl_artifact *artifact;
	const char *own_source; /* asked first; NULL: none */
	const char *const *sources; /* of the job, in the order of preference; one or more in all */
	size_t n_sources;
	const struct fl_bundle_file *bundle; /* open; asked instead of all of them; NULL: they are */
};

struct fl_fetch_taker {
	bool (*has_room)(void *ctx); /* for FL_FETCH_ITEMS_MAX items; without it nothing comes until fl_fetch_resume */
	/* fetch->object, fetch->next: which. Anything but FL_OK ends the fetch with it. */
	enum fl_rc (*on_item)(void *ctx, const void *data, size_t len, struct fl_err *err);
	void (*on_run)(void *ctx); /* the run is complete; the next one may be begun here */
	void (*on_failed)(void *ctx, const struct fl_err *why); /* fetch->retry_ms: what the sources asked for */
	/* Bytes came in at that local address; false: no more of them for now, and why. NULL: nobody counts. */
	bool (*on_bytes)(void *ctx, const char *address, size_t len, struct fl_err *err);
};

#define FL_FETCH_ITEMS_MAX (FL_HTTP_RUN_MAX / FL_CHUNK_SIZE + 1) /* that one run of bytes may complete */

struct fl_fetch {
	struct fl_agent *agent;
	struct fl_fetch_what what;
	const struct fl_fetch_taker *taker;
	void *ctx;
	struct fl_pages pages[2]; /* by enum fl_ipc_object */
	struct fl_sources sources;
	uint64_t object, next, end; /* the run at hand; end 0: none */
	struct fl_http_request *http;
	struct fl_bundle_read *read;
	char url[1024];
	uint8_t *chunk;	  /* FL_CHUNK_SIZE, and as much for a page of the spool */
	size_t chunk_len; /* of it that has come */
	size_t resumed_len;   /* of it that the connection before had brought */
	uint64_t right_bytes; /* of whole items, over the present connection */
	uint64_t fetched_bytes; /* in all */
	uint64_t retry_ms;  /* in on_failed; 0: nobody said when */
	uv_timer_t *retry;  /* on the heap: outlives the fetch; of a bundle the deadline of a read */
	struct fl_err failure; /* why the present request was aborted */
	bool taker_failed;     /* it was the taker, no source */
	bool in_data, stopped;
};

/* Free with fl_fetch_close, also after a failure. */
enum fl_rc fl_fetch_open(struct fl_fetch *fetch, struct fl_agent *agent, const struct fl_fetch_what *what,
			 struct fl_err *err) FL_CHECKED;
/* Who gets the items from now on; before the first run, or between two. taker: kept. */
void fl_fetch_hand_to(struct fl_fetch *fetch, const struct fl_fetch_taker *taker, void *ctx);
/* No callback follows. Idempotent, also on a zeroed one. */
void fl_fetch_close(struct fl_fetch *fetch);
/* Begins a run; there is none at hand. */
void fl_fetch_run(struct fl_fetch *fetch, uint64_t object, uint64_t first, uint64_t count);
bool fl_fetch_running(const struct fl_fetch *fetch);
/* There is room again. */
void fl_fetch_resume(struct fl_fetch *fetch);
/* Nothing more is wanted; from a callback, too. No callback follows. */
void fl_fetch_stop(struct fl_fetch *fetch);

/* fetch_items.c: a chunk or a page of an object (enum fl_ipc_object), by its index */
struct fl_pages *fl_fetch_pages(struct fl_fetch *fetch, uint64_t object);
uint64_t fl_fetch_item_offset(struct fl_fetch *fetch, uint64_t object, uint64_t index);
uint32_t fl_fetch_item_len(struct fl_fetch *fetch, uint64_t object, uint64_t index);
uint64_t fl_fetch_item_count(struct fl_fetch *fetch, uint64_t object);

#endif
