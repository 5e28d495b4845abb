/* SPDX-License-Identifier: Apache-2.0 */
#include "wanted.h"

#include <stdlib.h>
#include <string.h>

#define HASH_BITS (64 - ROLL_SHIFT)

void wanted_clear(struct wanted *w)
{
	w->n = 0;
	w->n_open = 0;
}

void wanted_add(struct wanted *w, uint64_t hash)
{
	FL_BUG_ON(w->n == WANTED_MAX);
	if (w->n == 0 || w->hashes[w->n - 1] != hash) /* images have runs of zeros */
		w->hashes[w->n++] = hash;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static uint32_t unique(uint64_t *hashes, uint32_t n)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++)
		if (kept == 0 || hashes[kept - 1] != hashes[i])
			hashes[kept++] = hashes[i];
	return kept;
}

static void fill_tables(struct wanted *w)
{
	memset(w->filter, 0, sizeof(w->filter));
	memset(w->buckets, 0, sizeof(w->buckets));
	for (uint32_t i = 0; i < w->n; i++) {
		const uint64_t bit = w->hashes[i] >> (HASH_BITS - WANTED_FILTER_BITS);
		w->filter[bit / 64] |= UINT64_C(1) << (bit % 64);
		w->buckets[(w->hashes[i] >> (HASH_BITS - WANTED_BUCKET_BITS)) + 1]++;
	}
	for (uint32_t i = 0; i < 1u << WANTED_BUCKET_BITS; i++)
		w->buckets[i + 1] += w->buckets[i];
}

void wanted_sort(struct wanted *w)
{
	qsort(w->hashes, w->n, sizeof(w->hashes[0]), compare);
	w->n = unique(w->hashes, w->n);
	w->n_open = w->n;
	for (uint32_t i = 0; i < w->n; i++)
		w->places[i] = WANTED_NOWHERE;
	fill_tables(w);
}

uint32_t wanted_find(const struct wanted *w, uint64_t hash)
{
	const uint64_t bucket = hash >> (HASH_BITS - WANTED_BUCKET_BITS);
	uint32_t low = w->buckets[bucket];
	const uint32_t end = w->buckets[bucket + 1];
	for (uint32_t high = end; low < high;) {
		const uint32_t middle = low + (high - low) / 2;
		if (w->hashes[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < end && w->hashes[low] == hash ? low : WANTED_MAX;
}

void wanted_found(struct wanted *w, uint32_t i, uint64_t place)
{
	if (w->places[i] != WANTED_NOWHERE)
		return;
	w->places[i] = place;
	w->n_open--;
}
