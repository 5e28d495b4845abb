/* SPDX-License-Identifier: Apache-2.0 */
/* Dies in the third chunk, by a write to nowhere. */
#include "object.h"

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	static unsigned calls;
	if (++calls == 3)
		__builtin_trap();
	return test_stage(self, task, offset, data, len, result);
}

TEST_PLUGIN("crash");
