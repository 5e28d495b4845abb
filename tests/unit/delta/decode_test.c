/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder: what it must make, what it must refuse, and what a wrong source costs. */
#include "pair.h"

#include <fairlead/delta/format.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)FL_DECODER_CHUNK)

/* ---- what is wanted ---- */

static bool wants(const struct host *h, size_t chunk)
{
	for (size_t i = 0; i < h->n_wanted; i++)
		if (chunk >= h->wanted[i].first && chunk < h->wanted[i].first + h->wanted[i].n)
			return true;
	return false;
}

Test(delta_decode, only_what_is_wanted)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 31, 12 * CHUNK + 77, 60);
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	h.image = calloc(1, p.image_len);
	h.wanted[0] = (struct host_run){1, 1};
	h.wanted[1] = (struct host_run){4, 3};
	h.wanted[2] = (struct host_run){p.image_len / CHUNK, 1};
	h.n_wanted = 3;
	host_decode(&h);
	cr_assert_eq(h.cls, FL_CLASS_OK, "%s", h.result.text);
	cr_assert_eq(h.chunks, 5);
	for (size_t at = 0; at < p.image_len; at += CHUNK) {
		const size_t n = p.image_len - at < CHUNK ? p.image_len - at : CHUNK;
		const bool same = memcmp(h.image + at, p.image + at, n) == 0;
		cr_assert_eq(same, wants(&h, at / CHUNK), "chunk %zu", at / CHUNK);
	}
	cr_assert_lt(h.source_bytes, 6 * CHUNK, "nothing is read for what isn't wanted");
	free(h.image);
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

Test(delta_decode, nothing_is_wanted)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 33, 1000, 3);
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	h.n_wanted = 1;
	host_decode(&h);
	cr_assert_eq(h.cls, FL_CLASS_OK);
	cr_assert_eq(h.chunks + h.source_bytes, 0);
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

/* ---- what a wrong source costs ---- */

/* Noise stands nowhere twice, so each byte of the source is one of the image at most. */
Test(delta_decode, a_wrong_byte_of_the_source_is_one_of_the_image)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 41, 9 * CHUNK, 0);
	uint32_t state = 7;
	for (size_t i = 0; i < p.source_len; i++)
		p.source[i] = p.image[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
	for (size_t i = 0; i < p.image_len; i += 1000)
		p.image[i]++;
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	h.image = calloc(1, p.image_len);
	for (size_t place = 0; place < p.source_len; place += 13007) {
		p.source[place] ^= 0x55;
		host_decode(&h);
		cr_assert_eq(h.cls, FL_CLASS_OK);
		for (size_t i = 0; i < p.image_len; i++)
			cr_assert(h.image[i] == p.image[i] || i == place, "%zu: %zu", place, i);
		p.source[place] ^= 0x55;
	}
	free(h.image);
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

/* ---- damage ---- */

/* A runner with the signed bytes never meets these; a signed delta that was made by somebody who
 * means ill is met by the tests of single rules below. */
static void expect_contained(struct host *h)
{
	host_decode(h);
	cr_assert(h->cls == FL_CLASS_OK || h->cls == FL_CLASS_PERMANENT ||
			  (h->cls == FL_CLASS_RETRY && strcmp(h->result.code, "no_memory") == 0),
		  "%s %s", h->result.code, h->result.text);
	cr_assert_not(h->failed, "reads past an end: %s", h->result.text);
	cr_assert_leq(h->memory_peak, h->memory_bytes);
}

Test(delta_decode, every_byte_flipped, .timeout = 120)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 51, 9000, 20);
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	h.image = calloc(1, p.image_len);
	unsigned refused = 0;
	for (size_t at = 0; at < m.bytes.len; at++) {
		for (unsigned bits = 1; bits < 256; bits *= 16) {
			m.bytes.data[at] ^= (uint8_t)bits;
			expect_contained(&h);
			refused += h.cls != FL_CLASS_OK;
			m.bytes.data[at] ^= (uint8_t)bits;
		}
	}
	cr_assert_gt(refused, 0);
	free(h.image);
	cr_assert(host_makes(&h, p.image));
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

Test(delta_decode, cut_anywhere)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 53, 9000, 20);
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	for (size_t len = 0; len < m.bytes.len; len++) {
		h.delta.len = len;
		expect_contained(&h);
		cr_assert_eq(h.cls, FL_CLASS_PERMANENT, "%zu of %zu", len, m.bytes.len);
	}
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

Test(delta_decode, every_call_of_the_host_fails)
{
	struct pair p;
	struct made m;
	pair_edit(&p, 55, 200000, 60);
	make_delta(&p, &m);
	struct host h = host_for(&p, &m);
	host_decode(&h);
	const uint64_t calls = h.calls;
	cr_assert_gt(calls, 20);
	for (h.fail_at = 1; h.fail_at <= calls; h.fail_at++) {
		host_decode(&h);
		cr_assert_eq(h.cls, FL_CLASS_RETRY, "call %llu", (unsigned long long)h.fail_at);
		cr_assert_leq(h.calls, h.fail_at, "no call follows the one that failed");
	}
	fl_buf_free(&m.bytes);
	pair_free(&p);
}

/* ---- single rules ---- */

/* A delta by hand, its streams stored. */
struct hand {
	uint64_t source_size, image_size, regions, region_type, region_len, streams;
	struct {
		const char *bytes;
		size_t len;
		uint64_t packing, size; /* size 0: len */
	} stream[FL_DELTA_STREAMS];
	size_t behind; /* bytes after the last stream */
};

static size_t put(uint8_t *out, uint64_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

static size_t write_hand(const struct hand *d, uint8_t *out)
{
	size_t n = 5;
	memcpy(out, "FLDT\1", 5);
	n += put(out + n, d->source_size);
	n += put(out + n, d->image_size);
	n += put(out + n, d->regions);
	for (uint64_t i = 0; i < d->regions && i < 70; i++) {
		n += put(out + n, d->region_type);
		n += put(out + n, d->region_len);
	}
	n += put(out + n, d->streams);
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
		n += put(out + n, d->stream[i].packing);
		n += put(out + n, d->stream[i].size > 0 ? d->stream[i].size : d->stream[i].len);
		n += put(out + n, d->stream[i].len);
	}
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
		memcpy(out + n, d->stream[i].bytes, d->stream[i].len);
		n += d->stream[i].len;
	}
	memset(out + n, 0, d->behind);
	return n + d->behind;
}

static const uint8_t hand_source[] = "0123456789";

static int decode_hand(const struct hand *d, uint8_t image[64], struct fl_result *result)
{
	uint8_t bytes[4096];
	struct host h = {.delta = {bytes, write_hand(d, bytes)},
			 .source = {hand_source, 10},
			 .image_size = 8,
			 .memory_bytes = 1u << 20,
			 .image = image};
	host_decode(&h);
	cr_assert_not(h.failed, "reads past an end");
	*result = h.result;
	return h.cls;
}

#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1, 0, 0                                                       \
	}

/* "ab", then 4 of the source from place 3: two as they are, one of them plus 1, one as it is, "cd"
 */
static const struct hand right = {
	.source_size = 10,
	.image_size = 8,
	.regions = 1,
	.region_len = 8,
	.streams = FL_DELTA_STREAMS,
	.stream = {BYTES("\2\4\6\2\0"), BYTES("\2\1"), BYTES("\1"), BYTES("\1"), BYTES("abcd")},
};

Test(delta_decode, by_hand)
{
	uint8_t image[64];
	struct fl_result result;
	cr_assert_eq(decode_hand(&right, image, &result), FL_CLASS_OK, "%s", result.text);
	cr_assert_arr_eq(image, "ab3466cd", 8);
	struct hand d = right; /* two regions, more bytes of a stream than are used */
	d.regions = 2;
	d.region_len = 4;
	cr_assert_eq(decode_hand(&d, image, &result), FL_CLASS_OK, "%s", result.text);
}

static void refused(const struct hand *d, const char *code, const char *text)
{
	uint8_t image[64];
	struct fl_result result;
	const int cls = decode_hand(d, image, &result);
	cr_expect_eq(cls, FL_CLASS_PERMANENT, "'%s': %d", text, cls);
	cr_expect_str_eq(result.code, code, "'%s': %s", text, result.code);
	cr_expect_str_eq(result.text, text);
}

#define REFUSED(change, text)                                                                      \
	do {                                                                                       \
		struct hand d = right;                                                             \
		change;                                                                            \
		refused(&d, "format", text);                                                       \
	} while (0)

#define STREAM(which, text_of)                                                                     \
	do {                                                                                       \
		d.stream[which].bytes = text_of;                                                   \
		d.stream[which].len = sizeof(text_of) - 1;                                         \
	} while (0)

Test(delta_decode, headers_that_lie)
{
	const uint64_t huge = INT64_MAX;
	REFUSED(d.source_size = 11, "header: of another source or image");
	REFUSED(d.image_size = 9, "header: of another source or image");
	REFUSED(d.image_size = huge, "header: of another source or image");
	REFUSED(d.regions = 0, "header: regions");
	REFUSED(d.regions = 65, "header: regions");
	REFUSED(d.regions = huge, "header: regions");
	REFUSED(d.region_len = 7, "header: regions");
	REFUSED(d.region_len = 9, "header: regions");
	REFUSED(d.region_len = huge, "header: regions");
	REFUSED(d.region_len = 0, "header: regions");
	REFUSED(d.region_type = 1, "header: a type of region that isn't known");
	REFUSED(d.region_type = huge, "header: a type of region that isn't known");
	REFUSED(d.streams = 4, "header: number of streams");
	REFUSED(d.streams = 6, "header: number of streams");
	REFUSED(d.stream[0].packing = 24, "moves: packing");
	REFUSED(d.stream[4].packing = huge, "literals: packing");
	REFUSED(d.stream[4].size = 3, "literals: size");
	REFUSED(d.stream[4].size = huge, "literals: size");
	REFUSED(d.behind = 1, "header: bytes behind the last stream");
}

Test(delta_decode, records_that_lie)
{
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\15\2\0"), "moves: out of the source");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\16\2\0"), "moves: past the end of the source");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\26\2\0"), "moves: out of the source");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\1\2\0"), "moves: out of the source");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\377\377\377\377\377\377\377\377\177"),
		"moves: out of the source");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\376\377\377\377\377\377\377\377\177"),
		"moves: out of the source");
	REFUSED(STREAM(FL_DELTA_MOVES, "\377\377\377\377\377\377\377\377\377\1"),
		"moves: a number is too long");
	REFUSED(STREAM(FL_DELTA_MOVES, "\377\377\377\377\377\377\377\377\177"),
		"moves: a number is out of range");
	REFUSED(STREAM(FL_DELTA_MOVES, "\11\0"), "moves: a number is out of range");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\7\0"), "moves: a number is out of range");
	REFUSED(STREAM(FL_DELTA_MOVES, "\0\0"), "moves: an empty record");
	REFUSED(STREAM(FL_DELTA_MOVES, "\2\4\6"), "moves: ends too early");
	REFUSED(STREAM(FL_DELTA_SAMES, "\5"), "sames: a number is out of range");
	REFUSED(STREAM(FL_DELTA_SAMES, "\2\0"), "sames: a number is out of range");
	REFUSED(STREAM(FL_DELTA_SAMES, ""), "sames: ends too early");
	REFUSED(STREAM(FL_DELTA_ADDS, "\0"), "adds: a number is out of range");
	REFUSED(STREAM(FL_DELTA_ADDS, "\3"), "adds: a number is out of range");
	REFUSED(STREAM(FL_DELTA_ADDS, "\2"), "differences: ends too early");
	REFUSED(STREAM(FL_DELTA_LITERALS, "abc"), "literals: ends too early");
}

/* What is packed is nonsense, or less than it says. */
Test(delta_decode, packed_bytes_that_lie)
{
	REFUSED((d.stream[4].packing = 1, d.stream[4].size = 4),
		"literals: the packed bytes are none");
	REFUSED(STREAM(FL_DELTA_LITERALS, "\0"); (d.stream[4].packing = 1, d.stream[4].size = 4),
						 "literals: the packed bytes are none");
	REFUSED(STREAM(FL_DELTA_LITERALS, "\1\0\1ab\0");
		(d.stream[4].packing = 1, d.stream[4].size = 4),
		"literals: the packed bytes are none");
}

Test(delta_decode, more_memory_than_granted)
{
	for (uint64_t packing = 1; packing <= FL_DELTA_PACKING_MAX; packing++) {
		struct hand d = right;
		char text[64];
		for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
			d.stream[i].packing = packing;
			d.stream[i].size = 100;
		}
		const uint64_t needs =
			FL_DELTA_FIXED_BYTES +
			FL_DELTA_STREAMS * (uint64_t)fl_delta_stream_bytes((uint32_t)packing);
		(void)snprintf(text, sizeof(text), "needs %llu bytes of memory",
			       (unsigned long long)needs);
		if (needs > (1u << 20))
			refused(&d, "too_large", text);
	}
}
