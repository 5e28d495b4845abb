/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept for how long: reports of jobs that are over, and content that no release names. At the start and once a day,
 * a little at a time, on the loop: between a look at who needs a thing and its removal nothing else happens.
 *
 * A publication under way is safe: whatever is asked for, or sent, or named by a new release counts as unused from then on
 * only (blob.h).
 */
#ifndef FLEET_RETENTION_RETENTION_H
#define FLEET_RETENTION_RETENTION_H

#include "releases/releases.h"

#include <uv.h>

struct fl_retention {
	struct fl_db *db;
	struct fl_blob *blob;
	struct fl_releases *releases;
	const struct fl_clock *clock;
	uint64_t reports_s, unused_s; /* 0: for ever */
	uv_timer_t timer;	      /* private */
};

/* retention: filled in, kept until fl_retention_stop. */
void fl_retention_start(struct fl_retention *retention, uv_loop_t *loop);
void fl_retention_stop(struct fl_retention *retention);

/* One turn. *more: there may be more to do at once. */
enum fl_rc fl_retention_turn(struct fl_retention *retention, bool *more, struct fl_err *err) FL_CHECKED;

#endif
