/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs of an image stand, exactly or nearly so, where in its source. */
#ifndef FL_DELTA_MATCH_H
#define FL_DELTA_MATCH_H

#include "index.h"

/* image[image … + len) resembles source[source … + len) */
struct cover {
	uint64_t image, source, len;
};

struct match_options {
	unsigned window;      /* shortest run that is looked for anywhere in the source, ≥ 8 */
	uint64_t max_entries; /* of the index; ≤ 2^26 */
	uint64_t near; /* bytes of the source, before and behind, searched for shorter runs */
	unsigned gain; /* bytes that a new cover must win over the one before */
};

typedef enum fl_rc cover_sink(void *ctx, const struct cover *cover, struct fl_err *err);

struct match_pair {
	const uint8_t *image, *source;
	uint64_t image_len, source_len;
	void (*passed)(void *ctx); /* a little of either was read */
	void *ctx;
};

/* Calls on_cover in the order of the image; covers don't overlap there. */
enum fl_rc match(const struct match_pair *pair, const struct match_options *options,
		 cover_sink *on_cover, void *ctx, struct fl_err *err) FL_CHECKED;

#endif
