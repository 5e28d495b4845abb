/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes off, or the process is killed, or a call fails, at every change of a file: an
 * acknowledged save is there afterwards with its document, an unacknowledged one is there whole or
 * not at all. The mutants show that each barrier is needed.
 */
#include <fairlead/anchor/file.h>

#include <fairlead/trust/digest.h>

#include <child.h>
#include <criterion/criterion.h>
#include <flshim.h>
#include <replay.h>
#include <scratch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAVES	 12
#define VARIANTS 8

TestSuite(anchor_cut, .timeout = 120);

static struct fl_envelope document(uint64_t n, char text[32])
{
	struct fl_envelope env = {.type = FL_DOC_ROOT, .n_sigs = 1};
	int len = snprintf(text, 32, "document %llu", (unsigned long long)n);
	env.payload = (struct fl_bytes){(const uint8_t *)text, (size_t)len};
	return env;
}

static bool save(struct fl_anchor_file *file, struct fl_anchor *a, uint64_t n)
{
	char text[32];
	struct fl_anchor next = *a;
	const struct fl_envelope env = document(n, text);
	next.job_seq = n;
	if (fl_sha256(NULL, 0, env.payload.data, env.payload.len, &next.root, NULL) != FL_OK ||
	    fl_anchor_keep(file, &env, NULL) != FL_OK || fl_anchor_save(file, &next, NULL) != FL_OK)
		return false;
	*a = next;
	return true;
}

/* Saves 1 … SAVES; *acked: the last one that was reported as durable. */
static void flow(const void *dir, volatile uint64_t *acked)
{
	struct fl_anchor_file *file;
	struct fl_anchor a;
	enum fl_anchor_found found;
	if (fl_anchor_open(dir, &file, &a, &found, NULL) != FL_OK)
		return;
	for (uint64_t n = 1; n <= SAVES; n++) {
		if (save(file, &a, n)) {
			*acked = n;
			flshim_mark(n);
		}
	}
	fl_anchor_close(file);
}

/* Is what stands in dir what may stand there after save `acked` was reported? */
static bool check(const char *dir, uint64_t acked, uint64_t *ret)
{
	char text[32];
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_anchor_file *file;
	struct fl_anchor a;
	struct fl_envelope env;
	enum fl_anchor_found found;
	if (fl_anchor_open(dir, &file, &a, &found, NULL) != FL_OK)
		return false;
	bool ok = a.job_seq == acked || a.job_seq == acked + 1;
	ok = ok && (found == FL_ANCHOR_LOST) == (a.job_seq == 0);
	if (ok && a.job_seq > 0) {
		const struct fl_anchor_id id = fl_anchor_id(&a.root);
		const struct fl_envelope want = document(a.job_seq, text);
		ok = fl_anchor_fetch(file, &id, &arena, &env, NULL, NULL) == FL_OK &&
		     env.payload.len == want.payload.len &&
		     memcmp(env.payload.data, want.payload.data, want.payload.len) == 0;
	}
	*ret = a.job_seq;
	fl_anchor_close(file);
	fl_arena_free(&arena);
	return ok;
}

static void sweep(const char *how, const char *error, unsigned least)
{
	unsigned struck = 0;
	for (unsigned n = 1; n < 2000; n++) {
		char dir[SCRATCH_MAX];
		char plan[32];
		bool fired;
		uint64_t is;
		scratch_make(dir);
		snprintf(plan, sizeof(plan), "%s:%u%s", how, n, error);
		const uint64_t acked = child_run(flow, dir, plan, dir, NULL, &fired);
		cr_assert(check(dir, acked, &is), "%s: %u acknowledged, %u there", plan,
			  (unsigned)acked, (unsigned)is);
		scratch_remove(dir);
		if (!fired)
			break;
		struck++;
	}
	cr_assert_gt(struck, least);
}

Test(anchor_cut, killed_at_every_change)
{
	sweep("kill", "", 60);
}

Test(anchor_cut, torn_at_every_write)
{
	sweep("tear", "", 60);
}

Test(anchor_cut, every_change_fails_once)
{
	sweep("fail", ":EIO", 60);
	sweep("fail", ":ENOSPC", 60);
}

struct result {
	unsigned states, violations;
};

static struct result replay_all(const char *log, const char *ignore)
{
	struct result r = {0, 0};
	struct replay *replay = replay_new(log, NULL, ignore);
	char dir[SCRATCH_MAX];
	uint64_t mark = 0;
	uint64_t is;
	scratch_make(dir);
	for (uint64_t call = 0; replay_step(replay, &mark); call++) {
		const unsigned n = replay_pending(replay) ? VARIANTS : 1;
		for (unsigned v = 0; v < n; v++) {
			replay_write(replay, v, call, dir);
			r.states++;
			r.violations += !check(dir, mark, &is);
		}
	}
	replay_free(replay);
	scratch_remove(dir);
	return r;
}

Test(anchor_cut, power_off_after_every_change)
{
	char dir[SCRATCH_MAX];
	char log[96];
	bool fired;
	scratch_make(dir);
	snprintf(log, sizeof(log), "%s.log", dir);
	cr_assert_eq(child_run(flow, dir, "record", dir, log, &fired), SAVES);
	const struct result good = replay_all(log, NULL);
	const struct result no_sync = replay_all(log, "*");
	const struct result no_record = replay_all(log, "anchor");
	const struct result no_names = replay_all(log, "");
	scratch_remove(dir);
	(void)unlink(log);
	cr_assert_gt(good.states, 200);
	cr_assert_eq(good.violations, 0, "%u of %u states", good.violations, good.states);
	cr_assert_gt(no_sync.violations, 0, "nobody misses any sync");
	cr_assert_gt(no_record.violations, 0, "nobody misses the record's sync");
	cr_assert_gt(no_names.violations, 0, "nobody misses the folder's sync");
}
