/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

#include <string.h>

int malformed(struct fl_result *result, const char *part, const char *what)
{
	return fl_result_fail(result, FL_CLASS_PERMANENT, "format", "%s: %s", part, what);
}

int host_failed(struct fl_result *result)
{
	return fl_result_fail(result, FL_CLASS_RETRY, "io", "%s", "the host");
}

int no_memory(struct fl_result *result)
{
	return fl_result_fail(result, FL_CLASS_RETRY, "no_memory", "%s", "no memory");
}

/* ---- memory ---- */

static void *lzma_alloc(void *opaque, size_t n, size_t size)
{
	const struct fl_decoder_host *host = (const struct fl_decoder_host *)opaque;
	return size != 0 && n > SIZE_MAX / size ? NULL : host->alloc(host, n * size);
}

static void lzma_release(void *opaque, void *data)
{
	const struct fl_decoder_host *host = (const struct fl_decoder_host *)opaque;
	host->release(host, data);
}

static int open_lzma(struct stream *s, struct fl_result *result)
{
	lzma_options_lzma options;
	memset(&options, 0, sizeof(options));
	options.dict_size = fl_delta_dictionary(s->packing);
	const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
	s->allocator = (lzma_allocator){lzma_alloc, lzma_release, (void *)(uintptr_t)s->host};
	s->lzma = (lzma_stream)LZMA_STREAM_INIT;
	s->lzma.allocator = &s->allocator;
	switch ((unsigned)lzma_raw_decoder(&s->lzma, filters)) {
	case LZMA_OK:
		return FL_CLASS_OK;
	case LZMA_MEM_ERROR:
		return no_memory(result);
	default:
		return malformed(result, s->name, "packing");
	}
}

int stream_open(struct stream *s, struct fl_result *result)
{
	s->input = (uint8_t *)s->host->alloc(s->host, FL_DELTA_INPUT_BUFFER);
	if (s->input == NULL)
		return no_memory(result);
	s->output = (uint8_t *)s->host->alloc(s->host, FL_DELTA_OUTPUT_BUFFER);
	if (s->output == NULL)
		return no_memory(result);
	return s->packing == FL_DELTA_STORED ? FL_CLASS_OK : open_lzma(s, result);
}

void stream_close(struct stream *s)
{
	if (s->host == NULL)
		return;
	lzma_end(&s->lzma);
	s->host->release(s->host, s->input);
	s->host->release(s->host, s->output);
}

/* ---- reading ---- */

static int fetch(struct stream *s, uint8_t *data, uint32_t max, uint32_t *ret,
		 struct fl_result *result)
{
	const uint32_t n = s->input_left < max ? (uint32_t)s->input_left : max;
	if (n > 0 && s->host->read_input(s->host, s->input_at, data, n) != 0)
		return host_failed(result);
	s->input_at += n;
	s->input_left -= n;
	*ret = n;
	return FL_CLASS_OK;
}

/* At least one byte into the output buffer, or the stream is malformed. */
static int unpack(struct stream *s, struct fl_result *result)
{
	lzma_ret r = LZMA_OK;
	s->lzma.next_out = s->output;
	s->lzma.avail_out = FL_DELTA_OUTPUT_BUFFER;
	while (s->lzma.avail_out == FL_DELTA_OUTPUT_BUFFER && r == LZMA_OK) {
		if (s->lzma.avail_in == 0) {
			uint32_t n = 0;
			const int rc = fetch(s, s->input, FL_DELTA_INPUT_BUFFER, &n, result);
			if (rc != FL_CLASS_OK)
				return rc;
			s->lzma.next_in = s->input;
			s->lzma.avail_in = n;
		}
		r = lzma_code(&s->lzma, LZMA_RUN);
	}
	s->output_until = FL_DELTA_OUTPUT_BUFFER - (uint32_t)s->lzma.avail_out;
	if (r == LZMA_MEM_ERROR)
		return no_memory(result);
	if (s->output_until == 0)
		return malformed(result, s->name, "the packed bytes are none");
	return FL_CLASS_OK;
}

static int refill(struct stream *s, struct fl_result *result)
{
	s->output_at = s->output_until = 0;
	if (s->packing != FL_DELTA_STORED)
		return unpack(s, result);
	const int rc = fetch(s, s->output, FL_DELTA_OUTPUT_BUFFER, &s->output_until, result);
	if (rc == FL_CLASS_OK && s->output_until == 0)
		return malformed(result, s->name, "too short");
	return rc;
}

/* The next bytes, at least one and at most max; NULL: *cls tells why not. */
static const uint8_t *next(struct stream *s, uint64_t max, uint32_t *ret_len, int *cls,
			   struct fl_result *result)
{
	*cls = max > s->left			 ? malformed(result, s->name, "ends too early")
	       : s->output_at == s->output_until ? refill(s, result)
						 : FL_CLASS_OK;
	if (*cls != FL_CLASS_OK)
		return NULL;
	const uint8_t *bytes = s->output + s->output_at;
	const uint32_t there = s->output_until - s->output_at;
	*ret_len = max < there ? (uint32_t)max : there;
	s->output_at += *ret_len;
	s->left -= *ret_len;
	return bytes;
}

int stream_read(struct stream *s, uint8_t *data, uint64_t len, struct fl_result *result)
{
	while (len > 0) {
		uint32_t n = 0;
		int cls;
		const uint8_t *bytes = next(s, len, &n, &cls, result);
		if (bytes == NULL)
			return cls;
		if (data != NULL) {
			memcpy(data, bytes, n);
			data += n;
		}
		len -= n;
	}
	return FL_CLASS_OK;
}

int stream_add(struct stream *s, uint8_t *data, uint64_t len, struct fl_result *result)
{
	while (len > 0) {
		uint32_t n = 0;
		int cls;
		const uint8_t *bytes = next(s, len, &n, &cls, result);
		if (bytes == NULL)
			return cls;
		for (uint32_t i = 0; i < n; i++)
			data[i] = (uint8_t)(data[i] + bytes[i]);
		data += n;
		len -= n;
	}
	return FL_CLASS_OK;
}

int stream_number(struct stream *s, uint64_t min, uint64_t max, uint64_t *ret,
		  struct fl_result *result)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < FL_DELTA_VARINT_MAX; i++) {
		uint8_t byte = 0;
		const int rc = stream_read(s, &byte, 1, result);
		if (rc != FL_CLASS_OK)
			return rc;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) != 0)
			continue;
		if (v < min || v > max)
			return malformed(result, s->name, "a number is out of range");
		*ret = v;
		return FL_CLASS_OK;
	}
	return malformed(result, s->name, "a number is too long");
}
