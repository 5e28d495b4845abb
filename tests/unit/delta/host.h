/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder "delta" in this process, over memory: what a runner gives it, and no byte more. The
 * host aborts where the plugin breaks the contract of fairlead/decoder.h.
 */
#ifndef TEST_DELTA_HOST_H
#define TEST_DELTA_HOST_H

#include <fairlead/base/buf.h>
#include <fairlead/decoder.h>

#define HOST_RUNS 8

struct host_run {
	uint64_t first, n; /* chunks */
};

struct host {
	struct fl_bytes delta, source;
	uint64_t image_size;
	uint64_t memory_bytes;
	struct host_run wanted[HOST_RUNS]; /* none: all */
	size_t n_wanted;
	uint64_t fail_at; /* of the calls that can fail, this one does; 0: none */

	uint8_t *image; /* what was written; of image_size bytes, or NULL */
	uint64_t chunks, source_bytes, input_bytes;
	uint64_t memory_used, memory_peak, calls;
	bool failed; /* a host function has */
	int cls;
	struct fl_result result;
};

/* Decodes; the members behind `image` tell what happened. */
void host_decode(struct host *h);
/* Of a delta that needs no more than allowed, exactly the image comes out. */
bool host_makes(struct host *h, const uint8_t *image);

#endif
