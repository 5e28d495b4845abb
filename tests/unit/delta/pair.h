/* SPDX-License-Identifier: Apache-2.0 */
/* A source and an image with something in common, and the delta between them. */
#ifndef TEST_DELTA_PAIR_H
#define TEST_DELTA_PAIR_H

#include "host.h"

#include <fairlead/base/file.h>
#include <fairlead/delta/create.h>

struct pair {
	uint8_t *source, *image;
	size_t source_len, image_len;
};

struct made {
	struct fl_buf bytes; /* free with fl_buf_free */
	struct fl_delta_made made;
};

/* The image is the source after that many edits: bytes changed, put in, taken out, moved, added to.
 * Owned by *p. */
void pair_edit(struct pair *p, unsigned seed, size_t len, unsigned edits);
void pair_free(struct pair *p);
/* Asserts that it can be made. */
void make_delta(const struct pair *p, struct made *ret);
/* Grants what the delta needs. */
struct host host_for(const struct pair *p, const struct made *m);
int memory_file(const void *data, size_t len);

#endif
