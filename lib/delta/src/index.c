/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define AHEAD 16u /* windows */

static uint64_t load(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

uint64_t hash_bytes(const uint8_t *p, unsigned len)
{
	const uint64_t k = 0x9e3779b97f4a7c15;
	uint64_t h = load(p + len - 8) * k;
	for (unsigned i = 0; i + 8 < len; i += 8)
		h = ((h ^ h >> 29) + load(p + i)) * k;
	return (h ^ h >> 32) * k;
}

/* All the same byte: there are too many of these to be worth a place. */
static bool is_constant(const uint8_t *p, unsigned len)
{
	return p[0] == p[1] && memcmp(p, p + 1, len - 1) == 0;
}

static uint32_t *bucket_of(const struct index *x, uint64_t hash)
{
	return x->slots + (hash >> (64 - x->bucket_bits)) * INDEX_WAYS;
}

static uint32_t tag_of(const struct index *x, uint64_t hash)
{
	return (uint32_t)(hash >> 16) << x->place_bits;
}

static void insert(struct index *x, uint64_t place)
{
	const uint8_t *p = x->data + place;
	if (is_constant(p, x->window))
		return;
	const uint64_t hash = hash_bytes(p, x->window);
	uint32_t *bucket = bucket_of(x, hash);
	memmove(bucket + 1, bucket, (INDEX_WAYS - 1) * sizeof(*bucket));
	bucket[0] = tag_of(x, hash) | (uint32_t)(place / x->step + 1);
}

static unsigned bits_of(uint64_t n)
{
	return n == 0 ? 0 : 64 - (unsigned)__builtin_clzll(n);
}

enum fl_rc index_init(struct index *x, const uint8_t *data, uint64_t len, unsigned window,
		      uint64_t max_entries, struct fl_err *err)
{
	*x = (struct index){.data = data, .window = window, .step = 1};
	x->windows = len < window ? 0 : len - window + 1;
	while (x->windows / x->step >= max_entries)
		x->step *= 2;
	x->place_bits = bits_of(x->windows / x->step + 1);
	x->bucket_bits = bits_of(x->windows / x->step / INDEX_WAYS | 1);
	const size_t size = ((size_t)1 << x->bucket_bits) * INDEX_WAYS * sizeof(*x->slots);
	x->slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (x->slots == MAP_FAILED) {
		x->slots = NULL;
		return fl_fail(err, FL_E_NO_MEMORY, 0, "index of %zu bytes", size);
	}
	(void)madvise(x->slots, size, MADV_HUGEPAGE);
	return FL_OK;
}

void index_add(struct index *x, uint64_t from, uint64_t until)
{
	if (until > x->windows)
		until = x->windows;
	for (uint64_t at = (from + x->step - 1) / x->step * x->step; at < until; at += x->step) {
		const uint64_t ahead = at + AHEAD * x->step;
		if (ahead < x->windows)
			index_expect(x, x->data + ahead);
		insert(x, at);
	}
}

void index_done(struct index *x)
{
	if (x->slots != NULL)
		(void)munmap(x->slots,
			     ((size_t)1 << x->bucket_bits) * INDEX_WAYS * sizeof(*x->slots));
	x->slots = NULL;
}

void index_expect(const struct index *x, const uint8_t *p)
{
	__builtin_prefetch(bucket_of(x, hash_bytes(p, x->window)));
}

size_t index_find(const struct index *x, const uint8_t *p, uint64_t ret[INDEX_WAYS])
{
	const uint64_t hash = hash_bytes(p, x->window);
	const uint32_t *bucket = bucket_of(x, hash), tag = tag_of(x, hash);
	const uint32_t mask = x->place_bits == 32 ? UINT32_MAX : (1u << x->place_bits) - 1;
	size_t n = 0;
	for (size_t i = 0; i < INDEX_WAYS; i++) {
		const uint32_t slot = bucket[i];
		if ((slot & mask) != 0 && (slot & ~mask) == (tag & ~mask))
			ret[n++] = ((slot & mask) - 1) * x->step;
	}
	return n;
}
