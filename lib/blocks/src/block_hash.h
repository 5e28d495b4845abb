/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of a block b: b[0]·M^4096 + b[1]·M^4095 + … + b[4095]·M modulo 2^64, of which the index
 * keeps the upper 48 bits. It rolls: that of the block one byte farther takes two multiplications,
 * so that a block is found at any place of a base, not at multiples of its size alone.
 */
#ifndef FL_BLOCKS_BLOCK_HASH_H
#define FL_BLOCKS_BLOCK_HASH_H

#include <fairlead/blocks/index.h>

#define ROLL_M	    UINT64_C(6364136223846793005) /* Knuth's MMIX; odd, 5 modulo 8 */
#define ROLL_M2	    UINT64_C(0x685f98a2018fade9)
#define ROLL_M3	    UINT64_C(0x0b046976f22528f5)
#define ROLL_M4	    UINT64_C(0xfb4d3ae39272be11)
#define ROLL_M_SIZE UINT64_C(0x469c6146fd364001) /* M^4096 */
#define ROLL_SHIFT  16

/* Four terms at once: a multiplication waits for the one before. */
static inline uint64_t roll_start(const uint8_t *b)
{
	uint64_t h = 0;
	for (size_t i = 0; i < FL_BLOCKS_BLOCK_SIZE; i += 4)
		h = h * ROLL_M4 + b[i] * ROLL_M4 + b[i + 1] * ROLL_M3 + b[i + 2] * ROLL_M2 +
		    b[i + 3] * ROLL_M;
	return h;
}

/* From the block that begins with `out` to the one that ends with `in`. */
static inline uint64_t roll_on(uint64_t h, uint8_t out, uint8_t in)
{
	return (h - out * ROLL_M_SIZE + in) * ROLL_M;
}

static inline uint64_t block_hash(const uint8_t *block)
{
	return roll_start(block) >> ROLL_SHIFT;
}

#endif
