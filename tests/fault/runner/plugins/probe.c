/* SPDX-License-Identifier: Apache-2.0 */
/* A handler that tries to get out, and reports each attempt as a line of the log. */
#include "attempts.h"
#include "object.h"

#include <pthread.h>

static void *thread(void *arg)
{
	attempt(0, "thread", (char *)arg, 64);
	pthread_exit(NULL); /* needs libgcc_s */
}

static void tell_account(void)
{
	char line[64];
	(void)snprintf(line, sizeof(line), "account %u:%u, %d groups", (unsigned)getuid(),
		       (unsigned)getgid(), getgroups(0, NULL));
	host->log(host, FL_LEVEL_INFO, line);
}

static void probe_thread(void)
{
	char line[64] = "thread OPEN";
	pthread_t id;
	if (pthread_create(&id, NULL, thread, line) == 0)
		(void)pthread_join(id, NULL);
	host->log(host, FL_LEVEL_INFO, line);
}

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	char line[64];
	for (size_t i = 0; offset == 0 && i < N_ATTEMPTS; i++) {
		if (attempts[i].loading_too)
			host->log(host, FL_LEVEL_INFO, loading[i]);
		attempt(i, "working", line, sizeof(line));
		host->log(host, FL_LEVEL_INFO, line);
	}
	if (offset == 0) {
		tell_account();
		probe_thread();
	}
	return test_stage(self, task, offset, data, len, result);
}

TEST_PLUGIN("probe");
