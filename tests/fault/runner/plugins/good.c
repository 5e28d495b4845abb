/* SPDX-License-Identifier: Apache-2.0 */
/* A handler that does what it must, and logs the order of its calls: "stage OFFSET LEN", "flush
 * OFFSET LEN". */
#include "target.h"

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	char line[64];
	(void)snprintf(line, sizeof(line), "stage %llu %u", (unsigned long long)offset, len);
	host->log(host, FL_LEVEL_INFO, line);
	return test_stage(self, task, offset, data, len, result);
}

static int flush(void *self, const struct fl_task *task, uint64_t offset, uint64_t len,
		 struct fl_result *result)
{
	char line[64];
	(void)snprintf(line, sizeof(line), "flush %llu %llu", (unsigned long long)offset,
		       (unsigned long long)len);
	host->log(host, FL_LEVEL_INFO, line);
	return test_flush(self, task, offset, len, result);
}

static int hello(const struct fl_host *h, struct fl_hello *out, struct fl_result *result)
{
	test_hello(h, out, result);
	out->capabilities = FL_CAP_RANDOM | FL_CAP_ROLLBACK | FL_CAP_CHILDREN;
	out->self = (void *)"self";
	return FL_CLASS_OK;
}

static int enumerate(void *self, struct fl_components *components, struct fl_result *result)
{
	(void)self;
	(void)result;
	components->n = 2;
	strcpy(components->name[0], "meter");
	strcpy(components->name[1], "display");
	return FL_CLASS_OK;
}

static int activate(void *self, const struct fl_task *task, struct fl_result *result)
{
	if (strcmp((const char *)self, "self") != 0 || strcmp(task->slot, "b") != 0)
		return fl_result_fail(result, FL_CLASS_PERMANENT, "internal", "arguments");
	return FL_CLASS_OK;
}

static int commit(void *self, const struct fl_task *task, struct fl_result *result)
{
	(void)self;
	(void)task;
	return fl_result_fail(result, FL_CLASS_NEEDS_USER, "no such code", "press the\nbutton");
}

static int rollback(void *self, const struct fl_task *task, struct fl_result *result)
{
	(void)self;
	(void)task;
	return fl_result_fail(result, FL_CLASS_UNSAFE, "io", "the device smokes");
}

static int check(void *self, const struct fl_task *task, struct fl_result *result)
{
	(void)self;
	(void)task;
	(void)result;
	return 4711;
}

static int cleanup(void *self, const struct fl_task *task, struct fl_result *result)
{
	(void)self;
	(void)task;
	return fl_result_fail(result, FL_CLASS_RETRY, "no_space", "none left");
}

static int verify(void *self, const struct fl_task *task, struct fl_result *result)
{
	(void)self;
	(void)task;
	memset(result->code, 'x', sizeof(result->code)); /* no zero byte anywhere */
	memset(result->text, 'y', sizeof(result->text));
	return FL_CLASS_PERMANENT;
}

FL_HANDLER_EXPORT const struct fl_handler fl_handler_plugin = {
	.abi_major = FL_HANDLER_ABI_MAJOR,
	.abi_minor = FL_HANDLER_ABI_MINOR,
	.size = sizeof(struct fl_handler),
	.name = "good",
	.version = "1.2.3",
	.hello = hello,
	.enumerate = enumerate,
	.observe = test_observe,
	.prepare = test_prepare,
	.stage = stage,
	.flush = flush,
	.read = test_read,
	.verify = verify,
	.activate = activate,
	.check = check,
	.commit = commit,
	.rollback = rollback,
	.cleanup = cleanup,
};
