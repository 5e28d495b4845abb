/* SPDX-License-Identifier: Apache-2.0 */
/* Floods the log with lines full of control characters. */
#include "object.h"

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	static char line[5000];
	memset(line, '\n', sizeof(line) - 1);
	for (unsigned i = 0; i < 1000; i++)
		host->log(host, (enum fl_level)(i % 20), line);
	return test_stage(self, task, offset, data, len, result);
}

TEST_PLUGIN("flood");
