/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a run of `window` bytes stands in the source: a hash table with a fixed number of entries,
 * so that memory doesn't grow with the source. Every step-th place is in it; where a bucket is
 * full, the oldest entry goes.
 */
#ifndef FL_DELTA_INDEX_H
#define FL_DELTA_INDEX_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

#define INDEX_WAYS 4u

struct index {
	const uint8_t *data;
	uint64_t windows; /* in data: the places where one begins */
	uint32_t *slots;  /* buckets of INDEX_WAYS: tag, then place / step + 1; 0: free */
	unsigned bucket_bits, place_bits, window;
	uint64_t step;
};

/* Of data[0…len), at most max_entries of it; nothing is in it yet. */
enum fl_rc index_init(struct index *x, const uint8_t *data, uint64_t len, unsigned window,
		      uint64_t max_entries, struct fl_err *err) FL_CHECKED;
/* Adds what begins in data[from…until); in ascending order. */
void index_add(struct index *x, uint64_t from, uint64_t until);
void index_done(struct index *x);
/* Has the bucket of the window at p fetched, so that index_find() needn't wait for it. */
void index_expect(const struct index *x, const uint8_t *p);
/* Places that may hold the window at p; how many. They are to be compared. */
size_t index_find(const struct index *x, const uint8_t *p, uint64_t ret[INDEX_WAYS]);

/* Of any number of bytes from 8. */
uint64_t hash_bytes(const uint8_t *p, unsigned len);

#endif
