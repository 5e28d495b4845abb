/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching a whole artifact into the spool. What stands there already, of this job or another one, before or after a crash, is
 * found by its hashes, and only what lacks is fetched; no progress is kept anywhere else.
 */
#ifndef FAIRLEAD_DAEMON_SPOOLING_H
#define FAIRLEAD_DAEMON_SPOOLING_H

#include "fetch.h"

#include <uv.h>

struct fl_spooling_sync; /* a flush under way; it outlives a stop */

struct fl_spooling {
	struct fl_fetch *fetch; /* borrowed; handed over to this */
	void *ctx;
	void (*done)(void *ctx, const struct fl_err *err); /* err->rc FL_OK: every byte was seen to be right */
	void (*progress)(void *ctx, uint64_t done_bytes);
	bool (*on_bytes)(void *ctx, const char *address, size_t len, struct fl_err *err); /* as of the fetch; may be NULL */
	int fd;		  /* of the blob */
	uint64_t next;	  /* all chunks before it are right */
	uint64_t unsynced; /* bytes */
	struct fl_spooling_sync *sync;
	uv_timer_t *turn; /* on the heap; NULL: idle */
};

/* ctx and the functions are set. Done is called once, never from within, or not at all after fl_spooling_stop. */
enum fl_rc fl_spooling_start(struct fl_spooling *spooling, struct fl_fetch *fetch, struct fl_err *err) FL_CHECKED;
/* Idempotent, also on a zeroed one. */
void fl_spooling_stop(struct fl_spooling *spooling);
/* What was spooled, to read: *blob and *tree are owned. */
enum fl_rc fl_spooling_open(const struct fl_fetch *fetch, int *blob, int *tree, struct fl_err *err) FL_CHECKED;

#endif
