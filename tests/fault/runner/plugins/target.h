/* SPDX-License-Identifier: Apache-2.0 */
/* What the test plugins share: a handler of a file, whose calls each of them replaces by worse
 * ones. */
#ifndef TEST_PLUGIN_TARGET_H
#define TEST_PLUGIN_TARGET_H

#include <fairlead/handler.h>

#include <string.h>
#include <unistd.h>

static const struct fl_host *host;

static inline int test_hello(const struct fl_host *h, struct fl_hello *out,
			     struct fl_result *result)
{
	(void)result;
	host = h;
	out->capabilities = FL_CAP_SLOT | FL_CAP_RANDOM;
	out->deadline_ms[FL_CALL_STAGE] = 1500;
	return FL_CLASS_OK;
}

static inline int test_observe(void *self, const struct fl_task *task, struct fl_observation *out,
			       struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)result;
	out->flags = FL_OBSERVED_PRESENT;
	return FL_CLASS_OK;
}

static inline int test_prepare(void *self, const struct fl_task *task, struct fl_plan *plan,
			       struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)result;
	plan->room = (uint64_t)lseek(host->resource(host, "target"), 0, SEEK_END);
	return FL_CLASS_OK;
}

static inline int test_stage(void *self, const struct fl_task *task, uint64_t offset,
			     const void *data, uint32_t len, struct fl_result *result)
{
	(void)self;
	(void)task;
	if (pwrite(host->resource(host, "target"), data, len, (off_t)offset) != (ssize_t)len)
		return fl_result_fail(result, FL_CLASS_RETRY, "io", "write");
	return FL_CLASS_OK;
}

static inline int test_flush(void *self, const struct fl_task *task, uint64_t offset, uint64_t len,
			     struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)offset;
	(void)len;
	(void)result;
	return FL_CLASS_OK;
}

static inline int test_read(void *self, const struct fl_task *task, uint64_t offset, void *data,
			    uint32_t len, struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)result;
	memset(data, 0, len);
	(void)!pread(host->resource(host, "target"), data, len, (off_t)offset);
	return FL_CLASS_OK;
}

#endif
