/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash contract of the back end sim: at every instant the decision is the old or the new one, whoever kills,
 * cuts or fails what; after a verb has answered it is the new one.
 */
#include <fairlead/boot/boot.h>

#include <criterion/criterion.h>
#include <flshim.h>
#include <ftw.h>
#include <replay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERBS	 9
#define VARIANTS 8

TestSuite(boot_sim, .timeout = 120);

static int remove_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

static void new_dir(char dir[64])
{
	snprintf(dir, 64, "/tmp/fl-boot-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
	(void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static struct fl_boot_host host_of(const char *dir, char running)
{
	struct fl_boot_host host = {.dir = dir, .n_slots = 2};
	host.running[0] = running;
	host.slots[0] = (struct fl_boot_slot){"a", "/nowhere"};
	host.slots[1] = (struct fl_boot_slot){"b", "/nowhere"};
	return host;
}

/* Verb n of an update, a failed one, and another update: each changes something, so seq tells how far it came. */
static enum fl_rc verb(const char *dir, uint64_t n)
{
	const struct fl_boot_backend *sim = fl_boot_backend_find("sim");
	struct fl_boot_host on_a = host_of(dir, 'a');
	struct fl_boot_host on_b = host_of(dir, 'b');
	switch (n) {
	case 1:
		return fl_boot_init(sim, &on_a, "a", NULL);
	case 2:
		return fl_boot_withdraw(sim, &on_a, "b", NULL);
	case 3:
		return fl_boot_trial(sim, &on_a, &(struct fl_boot_trial){"b", 1, NULL}, NULL);
	case 4:
		return fl_boot_fallback(sim, &on_a, NULL);
	case 5:
		return fl_boot_trial(sim, &on_a, &(struct fl_boot_trial){"b", 2, NULL}, NULL);
	case 6:
		return fl_boot_good(sim, &on_b, NULL);
	case 7:
		return fl_boot_withdraw(sim, &on_b, "a", NULL);
	case 8:
		return fl_boot_trial(sim, &on_b, &(struct fl_boot_trial){"a", 1, NULL}, NULL);
	default:
		return fl_boot_good(sim, &on_a, NULL);
	}
}

static void flow(const char *dir, volatile uint64_t *acked)
{
	for (uint64_t n = 1; n <= VERBS; n++) {
		if (verb(dir, n) != FL_OK)
			return;
		*acked = n;
		flshim_mark(n);
	}
}

/* seq is the number of verbs done; each verb has its own decision. */
static bool check(const char *dir, uint64_t acked)
{
	static const char *const goods[] = {"a", "a", "a", "a", "a", "b", "b", "b", "a"};
	static const char *const trials[] = {"", "", "b", "", "b", "", "", "a", ""};
	const struct fl_boot_backend *sim = fl_boot_backend_find("sim");
	struct fl_boot_host host = host_of(dir, 'a');
	struct fl_boot_state s;
	enum fl_rc rc = fl_boot_observe(sim, &host, &s, NULL);
	if (rc == FL_E_NOT_FOUND)
		return acked == 0;
	return rc == FL_OK && (s.seq == acked || s.seq == acked + 1) &&
	       strcmp(s.good, goods[s.seq - 1]) == 0 && strcmp(s.trial, trials[s.seq - 1]) == 0;
}

static uint64_t run(const char *dir, const char *plan, const char *log, bool *fired)
{
	volatile uint64_t *shared =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	if (pid == 0) {
		flshim_plan(plan, dir, log);
		flow(dir, shared);
		shared[1] = flshim_counts().fired;
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	*fired = WIFSIGNALED(status) || shared[1] > 0;
	const uint64_t acked = shared[0];
	munmap((void *)(uintptr_t)shared, 4096);
	return acked;
}

/* What is left can be taken up: the verb that was cut off is done again, and the rest after it. */
static void finish(const char *dir, uint64_t acked)
{
	const struct fl_boot_backend *sim = fl_boot_backend_find("sim");
	struct fl_boot_host host = host_of(dir, 'a');
	struct fl_boot_state s;
	for (uint64_t n = acked + 1; n <= VERBS; n++)
		cr_assert_eq(verb(dir, n), FL_OK, "verb %u again", (unsigned)n);
	cr_assert_eq(fl_boot_observe(sim, &host, &s, NULL), FL_OK);
	cr_assert_eq(s.seq, VERBS, "done once, whatever was repeated");
	cr_assert_str_eq(s.good, "a");
}

static void sweep(const char *how, const char *error)
{
	unsigned struck = 0;
	for (unsigned n = 1; n < 500; n++) {
		char dir[64];
		char plan[32];
		bool fired;
		new_dir(dir);
		snprintf(plan, sizeof(plan), "%s:%u%s", how, n, error);
		const uint64_t acked = run(dir, plan, NULL, &fired);
		cr_assert(check(dir, acked), "%s after verb %u", plan, (unsigned)acked);
		finish(dir, acked);
		remove_dir(dir);
		if (!fired)
			break;
		struck++;
	}
	cr_assert_gt(struck, 30);
}

Test(boot_sim, killed_at_every_change)
{
	sweep("kill", "");
}

Test(boot_sim, torn_at_every_write)
{
	sweep("tear", "");
}

Test(boot_sim, every_change_fails_once)
{
	sweep("fail", ":EIO");
	sweep("fail", ":ENOSPC");
}

static unsigned violations(const char *log, const char *ignore, unsigned *states)
{
	struct replay *replay = replay_new(log, NULL, ignore);
	char dir[64];
	uint64_t mark = 0;
	unsigned bad = 0;
	*states = 0;
	new_dir(dir);
	for (uint64_t call = 0; replay_step(replay, &mark); call++) {
		const unsigned n = replay_pending(replay) ? VARIANTS : 1;
		for (unsigned v = 0; v < n; v++) {
			replay_write(replay, v, call, dir);
			bad += !check(dir, mark);
			++*states;
		}
	}
	replay_free(replay);
	remove_dir(dir);
	return bad;
}

Test(boot_sim, power_off_after_every_change)
{
	char dir[64];
	char log[96];
	bool fired;
	unsigned states;
	new_dir(dir);
	snprintf(log, sizeof(log), "%s.log", dir);
	cr_assert_eq(run(dir, "record", log, &fired), VERBS);
	cr_assert_eq(violations(log, NULL, &states), 0);
	cr_assert_gt(states, 100);
	cr_assert_gt(violations(log, "decision.new", &states), 0, "nobody misses the file's sync");
	cr_assert_gt(violations(log, "", &states), 0, "nobody misses the folder's sync");
	remove_dir(dir);
	(void)unlink(log);
}
