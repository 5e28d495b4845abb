/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashes that are looked for, and where one was found first. Filled, then sorted, then asked at
 * every byte of a base: a filter of bits says no at once in nineteen of twenty cases, the others
 * search the few that share their first 16 bits; many when who made the index meant harm, and still
 * only their logarithm.
 */
#ifndef FL_BLOCKS_WANTED_H
#define FL_BLOCKS_WANTED_H

#include "block_hash.h"

#define WANTED_MAX	   131072u
#define WANTED_FILTER_BITS 21
#define WANTED_BUCKET_BITS 16
#define WANTED_NOWHERE	   UINT64_MAX

struct wanted {
	uint32_t n, n_open; /* open: not found yet; both valid once sorted */
	uint64_t filter[(1u << WANTED_FILTER_BITS) / 64];
	uint32_t buckets[(1u << WANTED_BUCKET_BITS) + 1];
	uint64_t hashes[WANTED_MAX];
	uint64_t places[WANTED_MAX];
};

void wanted_clear(struct wanted *w);
/* n < WANTED_MAX */
void wanted_add(struct wanted *w, uint64_t hash);
/* Once, after all were added. */
void wanted_sort(struct wanted *w);
/* Its number, or WANTED_MAX. */
uint32_t wanted_find(const struct wanted *w, uint64_t hash);
/* The first place counts. */
void wanted_found(struct wanted *w, uint32_t i, uint64_t place);

/* rolled: a hash before its lower bits are cut off. */
static inline bool wanted_maybe(const struct wanted *w, uint64_t rolled)
{
	const uint64_t bit = rolled >> (64 - WANTED_FILTER_BITS);
	return (w->filter[bit / 64] >> (bit % 64) & 1) != 0;
}

#endif
