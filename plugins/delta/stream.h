/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream of a delta, unpacked as it is read, from its beginning to its end. Functions return an
 * enum fl_class, and fill the result unless that is FL_CLASS_OK.
 */
#ifndef PLUGIN_DELTA_STREAM_H
#define PLUGIN_DELTA_STREAM_H

#include <fairlead/decoder.h>
#include <fairlead/delta/format.h>

#include <lzma.h>

struct stream {
	const struct fl_decoder_host *host;
	const char *name;
	uint32_t packing;
	uint64_t left;			  /* unpacked bytes that were not read yet */
	uint64_t input_at, input_left;	  /* packed bytes that were not fetched yet */
	uint8_t *input, *output;	  /* buffers */
	uint32_t output_at, output_until; /* of the output buffer: what was not read yet */
	lzma_allocator allocator;
	lzma_stream lzma;
};

/* The members up to input_left are set. */
int stream_open(struct stream *s, struct fl_result *result);
void stream_close(struct stream *s);
/* Exactly len bytes into data; with NULL they are passed over. */
int stream_read(struct stream *s, uint8_t *data, uint64_t len, struct fl_result *result);
/* Adds exactly len bytes to data. */
int stream_add(struct stream *s, uint8_t *data, uint64_t len, struct fl_result *result);
/* A number between min and max. */
int stream_number(struct stream *s, uint64_t min, uint64_t max, uint64_t *ret,
		  struct fl_result *result);

/* For any part of a delta: it is malformed. */
int malformed(struct fl_result *result, const char *part, const char *what);
/* A host function has failed, and noted why. */
int host_failed(struct fl_result *result);
int no_memory(struct fl_result *result);

#endif
