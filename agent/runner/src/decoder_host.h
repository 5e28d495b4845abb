/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decoder sees of the host: its input, source and output, memory within its limit, and the
 * control channel. The first function that fails leaves its reason; after that all fail.
 */
#ifndef FL_RUNNER_DECODER_HOST_H
#define FL_RUNNER_DECODER_HOST_H

#include "control.h"
#include "outlet.h"
#include "spooled.h"

#include <fairlead/decoder.h>

struct decoder_source {
	int fd; /* borrowed; -1: none */
	uint64_t size;
	uint64_t n_unreadable, first_unreadable; /* reads that the medium refused */
};

struct decoder_host {
	struct fl_decoder_host face; /* what the plugin sees; ctx is this struct */
	struct control *control;     /* borrowed */
	struct spooled input;
	struct decoder_source source;
	struct outlet outlet;
	uint64_t memory_max, memory_used;
	uint64_t input_end;	     /* of what was read; reading on from there is a sign of life */
	struct fl_err failure;	     /* of the first host function that failed */
	bool failed, refused_memory; /* refused: told once in the log */
};

/* Fills face; the rest is the caller's to set. */
void decoder_host_init(struct decoder_host *host, struct control *control, uint64_t memory_max);
void decoder_host_done(struct decoder_host *host);

#endif
