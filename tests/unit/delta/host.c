/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_HEAD  ((size_t)16)
#define PIECE_EXTRA 32u

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			(void)fprintf(stderr, "host: %s\n", #cond);                                \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static struct host *host_of(const struct fl_decoder_host *face)
{
	return face->ctx;
}

/* Every function fails once one did. */
static bool goes_on(struct host *h)
{
	h->failed = h->failed || ++h->calls == h->fail_at;
	return !h->failed;
}

static int copy_from(struct host *h, const struct fl_bytes *bytes, uint64_t offset, void *data,
		     uint32_t len)
{
	if (!goes_on(h))
		return -1;
	if (offset > bytes->len || len > bytes->len - offset) {
		h->failed = true;
		return -1;
	}
	memcpy(data, bytes->data + offset, len);
	return 0;
}

static int read_input(const struct fl_decoder_host *face, uint64_t offset, void *data, uint32_t len)
{
	struct host *h = host_of(face);
	h->input_bytes += len;
	return copy_from(h, &h->delta, offset, data, len);
}

static int read_source(const struct fl_decoder_host *face, uint64_t offset, void *data,
		       uint32_t len)
{
	struct host *h = host_of(face);
	h->source_bytes += len;
	return copy_from(h, &h->source, offset, data, len);
}

/* The run that holds the n-th wanted chunk, from there on; false: no more. */
static bool nth_wanted(const struct host *h, uint64_t n, struct host_run *ret)
{
	const uint64_t chunks = (h->image_size + FL_DECODER_CHUNK - 1) / FL_DECODER_CHUNK;
	const struct host_run all = {0, chunks};
	const struct host_run *runs = h->n_wanted > 0 ? h->wanted : &all;
	for (size_t i = 0; i < (h->n_wanted > 0 ? h->n_wanted : 1); i++) {
		if (n < runs[i].n) {
			*ret = (struct host_run){runs[i].first + n, runs[i].n - n};
			return true;
		}
		n -= runs[i].n;
	}
	return false;
}

static uint64_t end_of(const struct host *h, uint64_t chunk)
{
	const uint64_t end = chunk * FL_DECODER_CHUNK;
	return end < h->image_size ? end : h->image_size;
}

static int wanted(const struct fl_decoder_host *face, uint64_t *offset, uint64_t *len)
{
	struct host *h = host_of(face);
	struct host_run run;
	if (!goes_on(h))
		return -1;
	if (!nth_wanted(h, h->chunks, &run))
		return 0;
	*offset = run.first * FL_DECODER_CHUNK;
	*len = end_of(h, run.first + run.n) - *offset;
	return 1;
}

static int write_output(const struct fl_decoder_host *face, uint64_t offset, const void *data,
			uint32_t len)
{
	struct host *h = host_of(face);
	struct host_run run;
	if (!goes_on(h))
		return -1;
	MUST(nth_wanted(h, h->chunks, &run));
	MUST(offset == run.first * FL_DECODER_CHUNK);
	MUST(offset + len == end_of(h, run.first + 1));
	if (h->image != NULL)
		memcpy(h->image + offset, data, len);
	h->chunks++;
	return 0;
}

static void *give(const struct fl_decoder_host *face, size_t size)
{
	struct host *h = host_of(face);
	if (++h->calls == h->fail_at || size == 0 || size > h->memory_bytes ||
	    h->memory_used + size + PIECE_EXTRA > h->memory_bytes)
		return NULL;
	uint8_t *piece = malloc(PIECE_HEAD + size);
	MUST(piece != NULL);
	memcpy(piece, &size, sizeof(size));
	h->memory_used += size + PIECE_EXTRA;
	if (h->memory_used > h->memory_peak)
		h->memory_peak = h->memory_used;
	return piece + PIECE_HEAD;
}

static void take_back(const struct fl_decoder_host *face, void *data)
{
	struct host *h = host_of(face);
	size_t size;
	if (data == NULL)
		return;
	uint8_t *piece = (uint8_t *)data - PIECE_HEAD;
	memcpy(&size, piece, sizeof(size));
	h->memory_used -= size + PIECE_EXTRA;
	free(piece);
}

static void progress(const struct fl_decoder_host *face, uint64_t done, uint64_t total)
{
	(void)face;
	MUST(done <= total && total > 0);
}

static int cancelled(const struct fl_decoder_host *face)
{
	(void)face;
	return 0;
}

void host_decode(struct host *h)
{
	const struct fl_decoder_host face = {.abi_major = FL_DECODER_ABI_MAJOR,
					     .abi_minor = FL_DECODER_ABI_MINOR,
					     .size = sizeof(struct fl_decoder_host),
					     .ctx = h,
					     .read_input = read_input,
					     .read_source = read_source,
					     .wanted = wanted,
					     .write_output = write_output,
					     .alloc = give,
					     .release = take_back,
					     .progress = progress,
					     .cancelled = cancelled};
	const struct fl_decode_task task = {.size = sizeof(task),
					    .format = "delta",
					    .input_size = h->delta.len,
					    .source_size = h->source.len,
					    .output_size = h->image_size,
					    .memory_bytes = h->memory_bytes};
	struct fl_decoder_hello hello = {.size = sizeof(hello)};
	h->result = (struct fl_result){0};
	MUST(fl_decoder_plugin.hello(&face, &hello, &h->result) == FL_CLASS_OK);
	MUST(strcmp(hello.formats[0], "delta") == 0 && hello.formats[1] == NULL);
	h->chunks = h->calls = h->memory_used = h->memory_peak = 0;
	h->source_bytes = h->input_bytes = 0;
	h->failed = false;
	h->cls = fl_decoder_plugin.decode(hello.self, &task, &h->result);
	MUST(h->memory_used == 0);
	MUST((h->cls == FL_CLASS_OK) == (h->result.code[0] == '\0'));
}

bool host_makes(struct host *h, const uint8_t *image)
{
	h->image = calloc(1, (size_t)h->image_size);
	host_decode(h);
	const bool same =
		h->cls == FL_CLASS_OK && memcmp(h->image, image, (size_t)h->image_size) == 0;
	free(h->image);
	h->image = NULL;
	return same;
}
