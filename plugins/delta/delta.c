/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder "delta" (docs/internals/delta.md). The image is made from its beginning to its end;
 * what isn't wanted is passed over: nothing is read of the source for it. Memory is fixed before
 * the first byte is unpacked. The source is read by place, the output never; so a wrong byte of the
 * source is one wrong byte of the image.
 */
#include "stream.h"

#include <stdbool.h>
#include <string.h>

#define WINDOW	   16384u /* of the source, for the many short reads */
#define SHORT_READ 2048u
#define PASS_STEP  1048576u

static const struct fl_decoder_host *host;

struct cover {
	uint64_t place;	       /* in the source, of the next byte */
	uint64_t left;	       /* bytes */
	uint64_t same, differ; /* bytes that are left of the present run of either kind */
	bool began;	       /* the first run of equal bytes may be empty */
};

struct delta {
	const struct fl_decode_task *task;
	struct fl_result *result;
	struct stream streams[FL_DELTA_STREAMS];
	uint64_t at; /* in the image */
	uint64_t literals;
	struct cover cover;
	uint8_t *chunk, *window;
	uint64_t window_at;
	uint32_t window_len;
};

/* ---- the header ---- */

struct header {
	uint8_t bytes[FL_DELTA_HEADER_MAX];
	uint32_t len, at;
	bool bad;
};

static uint64_t take(struct header *h)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < FL_DELTA_VARINT_MAX && h->at < h->len; i++) {
		const uint8_t byte = h->bytes[h->at++];
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return v;
	}
	h->bad = true;
	return 0;
}

/* Image and source are those of the task, and every region is of a type that is known. */
static int take_regions(const struct delta *d, struct header *h)
{
	const uint64_t source_size = take(h), image_size = take(h), n = take(h);
	uint64_t sum = 0;
	if (h->bad || n > FL_DELTA_REGIONS_MAX)
		return malformed(d->result, "header", "regions");
	if (source_size != d->task->source_size || image_size != d->task->output_size)
		return malformed(d->result, "header", "of another source or image");
	for (uint64_t i = 0; i < n; i++) {
		if (take(h) != FL_DELTA_REGION_PLAIN)
			return malformed(d->result, "header", "a type of region that isn't known");
		const uint64_t len = take(h);
		if (h->bad || len == 0 || len > image_size - sum)
			return malformed(d->result, "header", "regions");
		sum += len;
	}
	return sum == image_size ? FL_CLASS_OK : malformed(d->result, "header", "regions");
}

static int take_stream(const struct delta *d, struct header *h, struct stream *s)
{
	const uint64_t packing = take(h);
	s->left = take(h);
	s->input_left = take(h);
	if (h->bad || packing > FL_DELTA_PACKING_MAX)
		return malformed(d->result, s->name, "packing");
	if (packing == FL_DELTA_STORED && s->left != s->input_left)
		return malformed(d->result, s->name, "size");
	s->packing = (uint32_t)packing;
	return FL_CLASS_OK;
}

/* One after the other, from the end of the header to the end of the file. */
static int place_streams(struct delta *d, uint64_t at)
{
	uint64_t left = d->task->input_size - at, memory = FL_DELTA_FIXED_BYTES;
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
		struct stream *s = &d->streams[i];
		if (s->input_left > left)
			return malformed(d->result, s->name, "longer than the file");
		s->input_at = d->task->input_size - left;
		left -= s->input_left;
		memory += fl_delta_stream_bytes(s->packing);
	}
	if (left != 0)
		return malformed(d->result, "header", "bytes behind the last stream");
	if (memory > FL_DELTA_MEMORY_MAX || memory > d->task->memory_bytes)
		return fl_result_fail(d->result, FL_CLASS_PERMANENT, "too_large",
				      "needs %llu bytes of memory", (unsigned long long)memory);
	return FL_CLASS_OK;
}

static int read_header(struct delta *d)
{
	static const char *const names[FL_DELTA_STREAMS] = {"moves", "sames", "adds", "differences",
							    "literals"};
	const uint64_t size = d->task->input_size;
	struct header h = {.len = size < FL_DELTA_HEADER_MAX ? (uint32_t)size : FL_DELTA_HEADER_MAX,
			   .at = 5};
	if (h.len < h.at)
		return malformed(d->result, "header", "too short");
	if (host->read_input(host, 0, h.bytes, h.len) != 0)
		return host_failed(d->result);
	if (memcmp(h.bytes, FL_DELTA_MAGIC, 4) != 0 || h.bytes[4] != FL_DELTA_VERSION)
		return malformed(d->result, "header", "no delta of this version");
	int rc = take_regions(d, &h);
	if (rc == FL_CLASS_OK && take(&h) != FL_DELTA_STREAMS)
		rc = malformed(d->result, "header", "number of streams");
	for (size_t i = 0; rc == FL_CLASS_OK && i < FL_DELTA_STREAMS; i++) {
		d->streams[i].name = names[i];
		rc = take_stream(d, &h, &d->streams[i]);
	}
	return rc == FL_CLASS_OK ? place_streams(d, h.at) : rc;
}

static int open_all(struct delta *d)
{
	int rc = FL_CLASS_OK;
	d->chunk = (uint8_t *)host->alloc(host, FL_DECODER_CHUNK);
	if (d->chunk == NULL)
		return no_memory(d->result);
	d->window = (uint8_t *)host->alloc(host, WINDOW);
	if (d->window == NULL)
		return no_memory(d->result);
	for (size_t i = 0; rc == FL_CLASS_OK && i < FL_DELTA_STREAMS; i++) {
		d->streams[i].host = host;
		rc = stream_open(&d->streams[i], d->result);
	}
	return rc;
}

static void close_all(struct delta *d)
{
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++)
		stream_close(&d->streams[i]);
	host->release(host, d->chunk);
	host->release(host, d->window);
}

/* ---- the image ---- */

static int number(struct delta *d, enum fl_delta_stream stream, uint64_t min, uint64_t max,
		  uint64_t *ret)
{
	return stream_number(&d->streams[stream], min, max, ret, d->result);
}

/* Where the next cover begins, from the end of the one before. */
static int next_place(struct delta *d)
{
	const uint64_t before = d->cover.place, size = d->task->source_size;
	uint64_t zigzag = 0;
	const int rc = number(d, FL_DELTA_MOVES, 0, UINT64_MAX, &zigzag);
	const uint64_t distance = (zigzag >> 1) + (zigzag & 1);
	if (rc != FL_CLASS_OK)
		return rc;
	if ((zigzag & 1) != 0 ? distance > before : distance > size - before)
		return malformed(d->result, "moves", "out of the source");
	d->cover.place = (zigzag & 1) != 0 ? before - distance : before + distance;
	if (d->cover.left > size - d->cover.place)
		return malformed(d->result, "moves", "past the end of the source");
	return FL_CLASS_OK;
}

static int next_record(struct delta *d)
{
	const uint64_t left = d->task->output_size - d->at;
	int rc = number(d, FL_DELTA_MOVES, 0, left, &d->literals);
	if (rc == FL_CLASS_OK)
		rc = number(d, FL_DELTA_MOVES, 0, left - d->literals, &d->cover.left);
	if (rc != FL_CLASS_OK)
		return rc;
	if (d->literals == 0 && d->cover.left == 0)
		return malformed(d->result, "moves", "an empty record");
	d->cover.began = false;
	return d->cover.left == 0 ? FL_CLASS_OK : next_place(d);
}

static int read_source(struct delta *d, uint8_t *data, uint32_t len)
{
	const uint64_t place = d->cover.place, size = d->task->source_size;
	if (len > SHORT_READ)
		return host->read_source(host, place, data, len) == 0 ? FL_CLASS_OK
								      : host_failed(d->result);
	if (place < d->window_at || place + len > d->window_at + d->window_len) {
		d->window_at = place & ~(uint64_t)4095;
		const uint64_t left = size - d->window_at;
		d->window_len = left < WINDOW ? (uint32_t)left : WINDOW;
		if (host->read_source(host, d->window_at, d->window, d->window_len) != 0)
			return host_failed(d->result);
	}
	memcpy(data, d->window + (place - d->window_at), len);
	return FL_CLASS_OK;
}

/* Which run is next, once the one before has ended; cover.left is more than 0. */
static int next_run(struct delta *d)
{
	struct cover *c = &d->cover;
	if (c->same > 0 || c->differ > 0)
		return FL_CLASS_OK;
	const uint64_t least = c->began ? 1 : 0;
	int rc = number(d, FL_DELTA_SAMES, least, c->left, &c->same);
	c->began = true;
	if (rc == FL_CLASS_OK && c->same < c->left)
		rc = number(d, FL_DELTA_ADDS, 1, c->left - c->same, &c->differ);
	return rc;
}

/* The next len bytes of the cover, of which data holds those of the source; or NULL. */
static int apply_runs(struct delta *d, uint8_t *data, uint32_t len)
{
	struct cover *c = &d->cover;
	while (len > 0) {
		int rc = next_run(d);
		if (rc != FL_CLASS_OK)
			return rc;
		uint64_t *run = c->same > 0 ? &c->same : &c->differ;
		const uint32_t n = *run < len ? (uint32_t)*run : len;
		struct stream *differences = &d->streams[FL_DELTA_DIFFERENCES];
		if (run == &c->differ)
			rc = data == NULL ? stream_read(differences, NULL, n, d->result)
					  : stream_add(differences, data, n, d->result);
		if (rc != FL_CLASS_OK)
			return rc;
		*run -= n;
		c->left -= n;
		c->place += n;
		data = data == NULL ? NULL : data + n;
		len -= n;
	}
	return FL_CLASS_OK;
}

/* The next len bytes of the image into data; with NULL they are passed over. */
static int make(struct delta *d, uint8_t *data, uint32_t len)
{
	int rc = FL_CLASS_OK;
	while (rc == FL_CLASS_OK && len > 0) {
		if (d->literals == 0 && d->cover.left == 0) {
			rc = next_record(d);
			continue;
		}
		const bool literals = d->literals > 0;
		const uint64_t run = literals ? d->literals : d->cover.left;
		const uint32_t n = run < len ? (uint32_t)run : len;
		if (literals) {
			rc = stream_read(&d->streams[FL_DELTA_LITERALS], data, n, d->result);
			d->literals -= n;
		} else {
			rc = data == NULL ? FL_CLASS_OK : read_source(d, data, n);
			if (rc == FL_CLASS_OK)
				rc = apply_runs(d, data, n);
		}
		d->at += n;
		data = data == NULL ? NULL : data + n;
		len -= n;
	}
	return rc;
}

static int pass_over(struct delta *d, uint64_t until)
{
	int rc = FL_CLASS_OK;
	while (rc == FL_CLASS_OK && d->at < until) {
		const uint64_t left = until - d->at;
		rc = make(d, NULL, left < PASS_STEP ? (uint32_t)left : PASS_STEP);
		host->progress(host, d->at, d->task->output_size);
		if (host->cancelled(host))
			return fl_result_fail(d->result, FL_CLASS_RETRY, "cancelled", "%s",
					      "no longer wanted");
	}
	return rc;
}

static int make_wanted(struct delta *d)
{
	uint64_t offset, len;
	int n;
	while ((n = host->wanted(host, &offset, &len)) > 0) {
		const uint32_t chunk = len < FL_DECODER_CHUNK ? (uint32_t)len : FL_DECODER_CHUNK;
		int rc = pass_over(d, offset);
		if (rc == FL_CLASS_OK)
			rc = make(d, d->chunk, chunk);
		if (rc != FL_CLASS_OK)
			return rc;
		if (host->write_output(host, offset, d->chunk, chunk) != 0)
			return host_failed(d->result);
	}
	return n == 0 ? FL_CLASS_OK : host_failed(d->result);
}

static int hello(const struct fl_decoder_host *h, struct fl_decoder_hello *out,
		 struct fl_result *result)
{
	static const char *const formats[] = {FL_DELTA_FORMAT, NULL};
	(void)result;
	host = h;
	out->memory_min_bytes = FL_DELTA_FIXED_BYTES +
				FL_DELTA_STREAMS * (FL_DELTA_INPUT_BUFFER + FL_DELTA_OUTPUT_BUFFER);
	out->formats = formats;
	return FL_CLASS_OK;
}

static int decode(void *self, const struct fl_decode_task *task, struct fl_result *result)
{
	struct delta d = {.task = task, .result = result};
	(void)self;
	int rc = read_header(&d);
	if (rc == FL_CLASS_OK)
		rc = open_all(&d);
	if (rc == FL_CLASS_OK)
		rc = make_wanted(&d);
	close_all(&d);
	return rc;
}

FL_DECODER_EXPORT const struct fl_decoder fl_decoder_plugin = {
	.abi_major = FL_DECODER_ABI_MAJOR,
	.abi_minor = FL_DECODER_ABI_MINOR,
	.size = sizeof(struct fl_decoder),
	.name = "delta",
	.version = "1",
	.hello = hello,
	.decode = decode,
};
