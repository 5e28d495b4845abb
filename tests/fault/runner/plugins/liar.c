/* SPDX-License-Identifier: Apache-2.0 */
/* Says ok to everything and writes nothing. */
#include "object.h"

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)offset;
	(void)data;
	(void)len;
	(void)result;
	return FL_CLASS_OK;
}

TEST_PLUGIN("liar");
