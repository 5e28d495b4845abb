/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder "delta". Input: a delta. Source and image are as long as its header says (within
 * limits), so that the decoder gets past it.
 */
#include "host.h"

#include <stdlib.h>

#define SOURCE_MAX ((uint64_t)1 << 20)
#define IMAGE_MAX  ((uint64_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t take(const uint8_t *data, size_t size, size_t *at, uint64_t max)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < 9 && *at < size; i++) {
		v |= (uint64_t)(data[*at] & 0x7f) << (7 * i);
		if ((data[(*at)++] & 0x80) == 0)
			break;
	}
	return v < max ? v : max;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 5;
	const uint64_t source_size = take(data, size, &at, SOURCE_MAX);
	const uint64_t image_size = take(data, size, &at, IMAGE_MAX);
	uint8_t *source = malloc((size_t)source_size + 1);
	if (source == NULL)
		return 0;
	for (size_t i = 0; i < source_size; i++)
		source[i] = (uint8_t)(i * 31 >> 3);
	struct host h = {.delta = {data, size},
			 .source = {source, (size_t)source_size},
			 .image_size = image_size,
			 .memory_bytes = 12u << 20};
	host_decode(&h);
	if (h.failed || h.memory_peak > h.memory_bytes)
		abort(); /* it read past an end, or took more than it may */
	if (h.cls == FL_CLASS_OK && h.chunks != (image_size + 65535) / 65536)
		abort();
	free(source);
	return 0;
}
