/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder that does what it must. */
#include "patch.h"

static int write_chunk(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	(void)p;
	return host->write_output(host, offset, data, len);
}

static int decode(void *self, const struct fl_decode_task *task, struct fl_result *result)
{
	(void)self;
	return patch_decode(task, write_chunk, result);
}

TEST_DECODER("patch");
