/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes off after every call that changes a file, and what was not synced is there, is not
 * there, or is there in sectors of 512 bytes. The mutants show that the harness sees a missing
 * barrier: each leaves one kind of sync out.
 */
#include "flow.h"

#include <criterion/criterion.h>
#include <flshim.h>
#include <replay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS	 ((size_t)40)
#define VARIANTS 8

static void in_child(void (*body)(const char *dir, const char *log, size_t first, size_t last),
		     const char *dir, const char *log, size_t first, size_t last)
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		body(dir, log, first, last);
		flow_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

static void record(const char *dir, const char *log, size_t first, size_t last)
{
	flshim_plan("record", dir, log);
	flshim_mark(first);
	if (flow_run(dir, first, last, false, NULL).acked != last)
		abort();
}

struct result {
	unsigned calls;
	unsigned states;
	unsigned violations;
	char first[640]; /* what the first violation was */
};

struct replay_plan {
	const char *log;
	const char *initial;
	const char *ignore;
	unsigned variants;
	unsigned stride; /* looks at every stride-th call */
};

static void try_state(struct replay *replay, const struct replay_plan *plan, unsigned variant,
		      uint64_t mark, const char *dir, struct result *r)
{
	char why[512];
	replay_write(replay, variant, r->calls, dir);
	r->states++;
	if (flow_check(dir, mark, NULL, why))
		return;
	if (r->violations++ == 0)
		snprintf(r->first, sizeof(r->first), "%s: call %u, variant %u, %u steps: %s",
			 plan->ignore == NULL ? "" : plan->ignore, r->calls, variant,
			 (unsigned)mark, why);
}

static struct result replay_all(struct replay_plan plan)
{
	struct result r = {0};
	struct replay *replay = replay_new(plan.log, plan.initial, plan.ignore);
	char dir[64];
	uint64_t mark = 0;
	flow_new_dir(dir);
	while (replay_step(replay, &mark)) {
		r.calls++;
		unsigned n = replay_pending(replay) ? plan.variants : 1;
		for (unsigned v = 0; v < n && r.calls % plan.stride == 0; v++)
			try_state(replay, &plan, v, mark, dir, &r);
	}
	replay_free(replay);
	flow_clear_dir(dir, true);
	return r;
}

static void record_flow(char log[96], size_t steps)
{
	char dir[64];
	flow_new_dir(dir);
	snprintf(log, 96, "%s.log", dir);
	in_child(record, dir, log, 0, steps);
	flow_clear_dir(dir, true);
}

Test(power, off_after_every_call)
{
	char log[96];
	record_flow(log, STEPS);
	struct result r = replay_all((struct replay_plan){log, NULL, NULL, VARIANTS, 1});
	unlink(log);
	fprintf(stderr, "power off: %u calls, %u states, %u violations\n", r.calls, r.states,
		r.violations);
	cr_assert_eq(r.violations, 0, "%s", r.first);
	cr_assert_gt(r.states, 1500);
}

static void expect_killed(const char *log, const char *ignore, const char *name)
{
	struct result r = replay_all((struct replay_plan){log, NULL, ignore, 4, 3});
	fprintf(stderr, "without %s: %u states, %u violations\n", name, r.states, r.violations);
	cr_assert_gt(r.violations, 0, "nobody misses %s", name);
}

Test(power, a_missing_barrier_is_seen)
{
	char log[96];
	record_flow(log, STEPS);
	expect_killed(log, "*", "any sync");
	expect_killed(log, "state.db-wal", "the log's sync");
	expect_killed(log, "state.db", "the database's sync");
	expect_killed(log, "", "the directory's sync");
	unlink(log);
}

/* Off again while the first cut's remains are opened and the next step is taken. */
static unsigned cut_again(const char *first_state, uint64_t mark, struct result *total)
{
	char work[64];
	char log[96];
	flow_new_dir(work);
	snprintf(log, sizeof(log), "%s.log", work);
	flow_copy_dir(first_state, work);
	size_t reached = 0;
	char why[512];
	char probe[64];
	flow_new_dir(probe);
	flow_copy_dir(first_state, probe);
	cr_assert(flow_check(probe, mark, &reached, why), "%s", why);
	in_child(record, work, log, reached, reached + 1);
	struct result r = replay_all((struct replay_plan){log, first_state, NULL, 4, 1});
	total->states += r.states;
	total->violations += r.violations;
	if (total->first[0] == '\0')
		memcpy(total->first, r.first, sizeof(r.first));
	unlink(log);
	flow_clear_dir(work, true);
	flow_clear_dir(probe, true);
	return r.states;
}

Test(power, off_again_in_recovery)
{
	char log[96];
	char dir[64];
	struct result total = {0};
	uint64_t mark = 0;
	unsigned calls = 0;
	record_flow(log, STEPS);
	struct replay *replay = replay_new(log, NULL, NULL);
	flow_new_dir(dir);
	while (replay_step(replay, &mark)) {
		if (++calls % 29 != 0)
			continue;
		for (unsigned v = 1; v < 4; v++) {
			replay_write(replay, v, calls, dir);
			cut_again(dir, mark, &total);
		}
	}
	replay_free(replay);
	unlink(log);
	flow_clear_dir(dir, true);
	fprintf(stderr, "power off twice: %u states, %u violations\n", total.states,
		total.violations);
	cr_assert_eq(total.violations, 0, "%s", total.first);
	cr_assert_gt(total.states, 500);
}

/* A damaged database is set aside and a new one begun while the power goes off: what is saved
 * afterwards stays. */
Test(power, off_while_a_database_is_set_aside)
{
	char log[96];
	char dir[64];
	char damaged[64];
	flow_new_dir(dir);
	flow_new_dir(damaged);
	cr_assert_eq(flow_run(damaged, 0, STEPS, false, NULL).acked, STEPS);
	flow_damage(damaged);
	flow_copy_dir(damaged, dir);
	snprintf(log, sizeof(log), "%s.log", dir);
	in_child(record, dir, log, 0, 4);
	struct result r = replay_all((struct replay_plan){log, damaged, NULL, VARIANTS, 1});
	unlink(log);
	flow_clear_dir(dir, true);
	flow_clear_dir(damaged, true);
	fprintf(stderr, "set aside: %u calls, %u states, %u violations\n", r.calls, r.states,
		r.violations);
	cr_assert_eq(r.violations, 0, "%s", r.first);
}
