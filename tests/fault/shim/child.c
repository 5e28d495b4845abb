/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include "flshim.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
	uint64_t acked;
	uint64_t fired;
};

uint64_t child_run(child_flow *flow, const void *ctx, const char *plan, const char *dir,
		   const char *log, bool *struck)
{
	int status;
	volatile struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	const pid_t pid = fork();
	if (pid == 0) {
		flshim_plan(plan, dir, log);
		flow(ctx, &shared->acked);
		shared->fired = flshim_counts().fired;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	*struck = WIFSIGNALED(status) || shared->fired > 0;
	const uint64_t acked = shared->acked;
	(void)munmap((void *)(uintptr_t)shared, sizeof(*shared));
	return acked;
}
