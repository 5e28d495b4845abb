/* SPDX-License-Identifier: Apache-2.0 */
/* An object with one thing wrong, chosen when it is compiled. */
#include "object.h"

int test_undefined_symbol(void);

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
#ifdef BROKEN_UNDEFINED
	if (test_undefined_symbol() != 0)
		return FL_CLASS_RETRY;
#endif
	return test_stage(self, task, offset, data, len, result);
}

#ifdef BROKEN_NO_HELLO
static int refuse(const struct fl_host *h, struct fl_hello *out, struct fl_result *result)
{
	(void)out;
	host = h;
	return fl_result_fail(result, FL_CLASS_PERMANENT, "incompatible", "not on this machine");
}
#endif

#ifdef BROKEN_NO_SYMBOL
#define fl_handler_plugin another_name
FL_HANDLER_EXPORT extern const struct fl_handler another_name;
#endif

FL_HANDLER_EXPORT const struct fl_handler fl_handler_plugin = {
#ifdef BROKEN_ABI_MAJOR
	.abi_major = FL_HANDLER_ABI_MAJOR + 1,
#else
	.abi_major = FL_HANDLER_ABI_MAJOR,
#endif
	.abi_minor = 99,
#ifdef BROKEN_ABI_SIZE
	.size = 24,
#else
	.size = sizeof(struct fl_handler),
#endif
	.name = "broken",
	.version = "1",
#ifdef BROKEN_NO_HELLO
	.hello = refuse,
#else
	.hello = test_hello,
#endif
	.observe = test_observe,
	.prepare = test_prepare,
	.stage = stage,
	.flush = test_flush,
#ifndef BROKEN_NO_CALL
	.read = test_read,
#endif
};
