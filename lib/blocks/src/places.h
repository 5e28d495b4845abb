/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: for each block of the image, in their order, u64be: the number of the base in the upper
 * byte, the place in it below; or NOWHERE.
 */
#ifndef FL_BLOCKS_PLACES_H
#define FL_BLOCKS_PLACES_H

#include "wanted.h"

#define PLACE_SIZE    8u
#define PLACE_AT_BITS 56
#define PLACE_AT_MAX  ((UINT64_C(1) << PLACE_AT_BITS) - 1)
#define NOWHERE	      WANTED_NOWHERE

static inline uint64_t place_of(unsigned base, uint64_t at)
{
	return (uint64_t)base << PLACE_AT_BITS | at;
}

#endif
