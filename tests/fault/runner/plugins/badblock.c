/* SPDX-License-Identifier: Apache-2.0 */
/* The second chunk cannot be read until it was written; any read past the fifth chunk finds no
 * device at all. */
#include "target.h"

#define BAD (4 * FL_HANDLER_CHUNK)

static int healed;

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	healed = healed || offset == BAD;
	return test_stage(self, task, offset, data, len, result);
}

static int read_chunk(void *self, const struct fl_task *task, uint64_t offset, void *data,
		      uint32_t len, struct fl_result *result)
{
	if (offset == BAD && task->installed_size == BAD + FL_HANDLER_CHUNK && !healed)
		return fl_result_fail(result, FL_CLASS_RETRY, "io", "bad block");
	if (offset == BAD && !healed)
		return fl_result_fail(result, FL_CLASS_UNSAFE, "io", "no device");
	return test_read(self, task, offset, data, len, result);
}

FL_HANDLER_EXPORT const struct fl_handler fl_handler_plugin = {
	.abi_major = FL_HANDLER_ABI_MAJOR,
	.abi_minor = FL_HANDLER_ABI_MINOR,
	.size = sizeof(struct fl_handler),
	.name = "badblock",
	.version = "1",
	.hello = test_hello,
	.observe = test_observe,
	.prepare = test_prepare,
	.stage = stage,
	.flush = test_flush,
	.read = read_chunk,
};
