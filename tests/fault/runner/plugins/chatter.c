/* SPDX-License-Identifier: Apache-2.0 */
/* Works for longer than its deadline, but shows life: it must be left alone. */
#include "object.h"

#include <time.h>

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	const struct timespec step = {0, 200000000};
	for (unsigned i = 0; offset == 0 && i < 15; i++) {
		(void)nanosleep(&step, NULL);
		host->progress(host, i, 15);
	}
	return test_stage(self, task, offset, data, len, result);
}

TEST_PLUGIN("chatter");
