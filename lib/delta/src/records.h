/* SPDX-License-Identifier: Apache-2.0 */
/* Covers → the unpacked bytes of the streams (fairlead/delta/format.h), each in a file. */
#ifndef FL_DELTA_RECORDS_H
#define FL_DELTA_RECORDS_H

#include "match.h"

#include <fairlead/delta/format.h>

#define PENDING_MAX ((size_t)1 << 16)

struct spool {
	int fd;
	uint64_t size; /* pending bytes included */
	size_t pending;
	uint8_t *buffer;
};

struct records {
	struct spool spools[FL_DELTA_STREAMS];
	const uint8_t *image, *source;
	uint64_t image_at, source_at; /* the ends of the last cover */
	unsigned same_min;	      /* shorter runs of equal bytes stay among the differences */
};

/* The files have no name and stand in dir. */
enum fl_rc records_init(struct records *r, const char *dir, struct fl_err *err) FL_CHECKED;
void records_done(struct records *r);
/* Forgets what was written. */
void records_begin(struct records *r, const struct match_pair *pair, unsigned same_min);
enum fl_rc records_add(struct records *r, const struct cover *cover, struct fl_err *err) FL_CHECKED;
/* The rest of the image, as literals; all is in the files then. */
enum fl_rc records_finish(struct records *r, uint64_t image_len, struct fl_err *err) FL_CHECKED;

#endif
