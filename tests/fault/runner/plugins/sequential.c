/* SPDX-License-Identifier: Apache-2.0 */
/* A target that can only be appended to: its length is what is durable. Refuses holes. */
#include "target.h"

#include <sys/stat.h>

static uint64_t end_of_target(void)
{
	struct stat st;
	return fstat(host->resource(host, "target"), &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int hello(const struct fl_host *h, struct fl_hello *out, struct fl_result *result)
{
	test_hello(h, out, result);
	out->capabilities = FL_CAP_SLOT | FL_CAP_STREAM;
	return FL_CLASS_OK;
}

static int prepare(void *self, const struct fl_task *task, struct fl_plan *plan,
		   struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)result;
	plan->resume_offset = end_of_target();
	return FL_CLASS_OK;
}

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	uint64_t end = end_of_target();
	if (offset > end || (offset < end && end - offset >= FL_HANDLER_CHUNK))
		return fl_result_fail(result, FL_CLASS_PERMANENT, "internal",
				      "chunk at %llu of %llu", (unsigned long long)offset,
				      (unsigned long long)end);
	int cls = test_stage(self, task, offset, data, len, result);
	host->checkpoint(host, offset + len);
	return cls;
}

FL_HANDLER_EXPORT const struct fl_handler fl_handler_plugin = {
	.abi_major = FL_HANDLER_ABI_MAJOR,
	.abi_minor = FL_HANDLER_ABI_MINOR,
	.size = sizeof(struct fl_handler),
	.name = "sequential",
	.version = "1",
	.hello = hello,
	.observe = test_observe,
	.prepare = prepare,
	.stage = stage,
	.flush = test_flush,
};
