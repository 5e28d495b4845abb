/* SPDX-License-Identifier: Apache-2.0 */
/* Never returns from the third chunk, deaf to signals it may block, and busy. */
#include "object.h"

#include <signal.h>

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	static unsigned calls;
	sigset_t all;
	sigfillset(&all);
	while (++calls >= 3)
		sigprocmask(SIG_BLOCK, &all, NULL);
	return test_stage(self, task, offset, data, len, result);
}

TEST_PLUGIN("hang");
