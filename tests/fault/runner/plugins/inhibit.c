/* SPDX-License-Identifier: Apache-2.0 */
/* Must not be interrupted for four seconds, longer than a SIGTERM is patient; then looks whether it
 * is still wanted. */
#include "object.h"

#include <time.h>

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	const struct timespec step = {0, 200000000};
	int seen = 0;
	if (offset != FL_HANDLER_CHUNK)
		return test_stage(self, task, offset, data, len, result);
	host->inhibit(host, 1, "erasing");
	for (unsigned i = 0; i < 20; i++) {
		(void)nanosleep(&step, NULL);
		host->keepalive(host);
		seen += host->cancelled(host) != 0;
	}
	host->inhibit(host, 0, "");
	if (host->cancelled(host))
		return fl_result_fail(result, FL_CLASS_RETRY, "cancelled",
				      "seen %d times while inhibited", seen);
	return test_stage(self, task, offset, data, len, result);
}

TEST_PLUGIN("inhibit");
