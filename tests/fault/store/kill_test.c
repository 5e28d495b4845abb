/* SPDX-License-Identifier: Apache-2.0 */
/* The process is killed at, or within, every call that changes a file; the store is opened again
 * each time. */
#include "flow.h"

#include <criterion/criterion.h>
#include <flshim.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs the steps in a child under the plan: false when it came to its end unharmed. */
static bool struck(const char *plan, const char *dir, size_t first, size_t last,
		   volatile size_t *acked)
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		flshim_plan(plan, dir, NULL);
		struct flow_result r = flow_run(dir, first, last, false, acked);
		flow_exit(r.acked == last ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0,
		  "%s: status %x", plan, status);
	return WIFSIGNALED(status);
}

static volatile size_t *shared_number(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(p, MAP_FAILED);
	return p;
}

/*
 * After each kill the store is what it was told; after every fourth the rest of the steps is done,
 * and it holds what all of them leave behind.
 */
static void kill_once(const char *plan, size_t steps, bool go_on, volatile size_t *acked, bool *hit)
{
	char dir[64];
	char why[512];
	size_t reached = 0;
	flow_new_dir(dir);
	*acked = 0;
	*hit = struck(plan, dir, 0, steps, acked);
	cr_assert(flow_check(dir, *acked, &reached, why), "%s: %s (%s)", plan, why, dir);
	if (go_on) {
		struct flow_result rest = flow_run(dir, reached, steps, false, NULL);
		cr_assert(rest.acked == steps && flow_check(dir, steps, NULL, why), "%s, then: %s",
			  plan, why);
	}
	flow_clear_dir(dir, true);
}

static unsigned kill_everywhere(const char *kind, size_t steps, unsigned stride)
{
	volatile size_t *acked = shared_number();
	unsigned places = 0;
	bool hit = true;
	for (unsigned n = 1; hit; n += stride, places++) {
		char plan[64];
		snprintf(plan, sizeof(plan), "%s:%u", kind, n);
		kill_once(plan, steps, places % 4 == 0, acked, &hit);
	}
	return places - 1;
}

Test(kill, at_every_change)
{
	unsigned n = kill_everywhere("kill", 48, 1);
	fprintf(stderr, "killed at %u places\n", n);
	cr_assert_gt(n, 250);
}

Test(kill, within_every_write)
{
	unsigned n = kill_everywhere("tear", 48, 2);
	fprintf(stderr, "torn at %u places\n", n);
	cr_assert_gt(n, 250);
}

/* A second kill while the first one's remains are opened and the next step is taken. */
Test(kill, and_again_in_recovery)
{
	volatile size_t *acked = shared_number();
	unsigned n = 0;
	bool hit = true;
	for (unsigned first = 1; hit; first += 61) {
		char dir[64];
		char again[64];
		char plan[64];
		flow_new_dir(dir);
		flow_new_dir(again);
		snprintf(plan, sizeof(plan), "tear:%u", first);
		*acked = 0;
		hit = struck(plan, dir, 0, 32, acked);
		size_t done = *acked;
		for (unsigned second = 1;; second++, n++) {
			char why[512];
			flow_clear_dir(again, false);
			flow_copy_dir(dir, again);
			snprintf(plan, sizeof(plan), "tear:%u", second);
			*acked = done;
			bool more = struck(plan, again, done, done + 1, acked);
			if (!flow_check(again, *acked, NULL, why))
				cr_assert_fail("tear:%u, tear:%u: %s", first, second, why);
			if (!more)
				break;
		}
		flow_clear_dir(dir, true);
		flow_clear_dir(again, true);
	}
	fprintf(stderr, "killed twice at %u places\n", n);
	cr_assert_gt(n, 100);
}
