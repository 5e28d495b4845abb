/* SPDX-License-Identifier: Apache-2.0 */
#include "sum.h"

#include <string.h>

#define OFFSET_BASIS UINT64_C(0xcbf29ce484222325)
#define PRIME	     UINT64_C(0x100000001b3)

static uint64_t add(uint64_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * PRIME;
	return sum;
}

uint64_t store_sum(const char *tag)
{
	return store_sum_bytes(OFFSET_BASIS, tag, strlen(tag));
}

uint64_t store_sum_u64(uint64_t sum, uint64_t value)
{
	uint8_t b[8];
	for (size_t i = 0; i < 8; i++)
		b[i] = (uint8_t)(value >> (8 * i));
	return add(sum, b, sizeof(b));
}

uint64_t store_sum_bytes(uint64_t sum, const void *data, size_t len)
{
	return add(store_sum_u64(sum, len), data, len);
}
