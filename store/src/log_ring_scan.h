/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of the log ring, in memory. Each begins at a multiple of 8:
 *
 *   0     4     6       8     16    24    32
 *   magic | len | level | seq | utc | sum | text (len bytes), zeroes up to the next multiple of 8
 *
 * Integers are little-endian. The magic holds a control character, which no text has: a line cannot
 * pose as a record when what stood around it is overwritten.
 */
#ifndef FAIRLEAD_STORE_SRC_LOG_RING_SCAN_H
#define FAIRLEAD_STORE_SRC_LOG_RING_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_SIZE	((size_t)256 * 1024)
#define RING_TEXT_MAX	((size_t)1000)
#define RING_RECORD_MAX ((size_t)32 + RING_TEXT_MAX)

struct ring_record {
	uint64_t seq;
	int64_t utc;
	uint64_t level;
	const char *text; /* not terminated */
	size_t text_len;
	size_t offset;
	size_t size; /* of the whole record */
};

/* Cuts the text (not within a UTF-8 character), replaces control characters; returns the record's
 * size. */
size_t ring_encode(uint64_t seq, int64_t utc, unsigned level, const char *text,
		   uint8_t out[RING_RECORD_MAX]);
/* The first intact record at or behind `offset`; false when there is none. */
bool ring_next(const uint8_t *ring, size_t size, size_t offset, struct ring_record *ret);

#endif
