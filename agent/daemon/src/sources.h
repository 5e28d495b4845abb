/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the places that have the same bytes is asked next? Pure. The one in use is kept until it fails; then the next in
 * the order of preference follows, but the one that is free soonest where some asked for patience, and one that lied only
 * when all others are gone, too.
 */
#ifndef FAIRLEAD_DAEMON_SOURCES_H
#define FAIRLEAD_DAEMON_SOURCES_H

#include <fairlead/base/encode.h>

#include <stddef.h>
#include <stdint.h>

#define FL_SOURCES_MAX	     17 /* 16 of the job, and the gateway's own */
#define FL_SOURCES_ROUNDS    3	/* over all of them without a byte that was right; then it is enough for now */
#define FL_SOURCES_PATIENCE_MS 10000 /* a runner is not kept waiting for longer */
#define FL_SOURCES_WAIT_MAX_S  3600  /* nobody may ask for more */
#define FL_SOURCES_GOT_ON_BYTES 4096

struct fl_source {
	const char *base;
	bool own; /* of the gateway's configuration: may be plain HTTP, and does not learn who asks */
	uint64_t free_ms; /* asked for patience until then; monotonic */
	bool lied;	  /* sent a chunk that is not the signed one */
};

struct fl_sources {
	struct fl_source of[FL_SOURCES_MAX];
	size_t n;
	size_t used;	   /* the one in use */
	unsigned failures; /* in a row, without a right byte between them */
};

struct fl_sources_failure {
	enum fl_rc rc;
	uint64_t came;		/* bytes over this connection that need not come again */
	uint64_t retry_after_s; /* what it asked for, 0: nothing */
};

/* Of fl_sources_failed. */
struct fl_sources_next {
	bool spent;	  /* none for now: try all again in wait_ms */
	uint64_t wait_ms; /* 0: at once; with `spent`: nobody said when */
};

/* Of the object ("blobs", "trees") with that root, as docs/formats.md says; a URL that is too long is cut. */
void fl_source_url(const struct fl_source *source, const char *kind, const struct fl_digest *root,
		   char *out, size_t out_size);
/* Past FL_SOURCES_MAX they are not asked. base: kept. */
void fl_sources_add(struct fl_sources *sources, const char *base, bool own);
/* The one in use sent something right. */
void fl_sources_good(struct fl_sources *sources);
/*
 * The one in use failed: chooses another one. A connection that got on and was cut is no failure of it: it goes on at once, but
 * only right bytes (fl_sources_good) make up for the failures before.
 */
struct fl_sources_next fl_sources_failed(struct fl_sources *sources,
					 const struct fl_sources_failure *failure, uint64_t now_ms);

#endif
