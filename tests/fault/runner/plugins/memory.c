/* SPDX-License-Identifier: Apache-2.0 */
/* Allocates and touches memory without end; reports what it got. */
#include "object.h"

#include <stdlib.h>

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	size_t got = 0, block = (size_t)1 << 20;
	(void)self;
	(void)task;
	(void)offset;
	(void)data;
	(void)len;
	for (char *p; got < (size_t)4 << 30 && (p = malloc(block)) != NULL; got += block)
		memset(p, 1, block);
	return fl_result_fail(result, FL_CLASS_RETRY, "no_memory", "%zu MiB", got >> 20);
}

TEST_PLUGIN("memory");
