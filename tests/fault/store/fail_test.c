/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call that changes a file fails, once and for good: an error comes back or the change is
 * made, nothing that was acknowledged is lost, and when the fault is gone the store works. And a
 * disk that is really full.
 */
#include "flow.h"

#include <criterion/criterion.h>
#include <flshim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS ((size_t)24)

struct child {
	struct flow_result result;
	struct flshim_counts counts;
	char why[512];
	bool ok;
};

static struct child *shared_child(void)
{
	void *p = mmap(NULL, sizeof(struct child), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(p, MAP_FAILED);
	return p;
}

static void run_child(struct child *c,
		      void (*body)(struct child *c, const char *plan, const char *dir),
		      const char *plan, const char *dir)
{
	int status = 0;
	memset(c, 0, sizeof(*c));
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		body(c, plan, dir);
		flow_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", plan, status);
}

/* ---- once: the same process goes on ---- */

static void once(struct child *c, const char *plan, const char *dir)
{
	flshim_plan(plan, dir, NULL);
	c->result = flow_run(dir, 0, STEPS, true, NULL);
	c->counts = flshim_counts();
	flshim_plan(NULL, NULL, NULL);
	c->ok = c->result.acked == STEPS && flow_check(dir, STEPS, NULL, c->why);
}

static void fail_once_everywhere(const char *kind, const char *error)
{
	struct child *c = shared_child();
	unsigned n = 1;
	unsigned told = 0;
	for (;; n++) {
		char dir[64];
		char plan[64];
		flow_new_dir(dir);
		snprintf(plan, sizeof(plan), "%s:%u%s", kind, n, error);
		run_child(c, once, plan, dir);
		cr_assert(c->ok, "%s: %zu steps, %s: %s", plan, c->result.acked,
			  fl_rc_name(c->result.rc), c->why);
		told += c->result.failures > 0 ? 1 : 0;
		flow_clear_dir(dir, true);
		if (c->counts.fired == 0)
			break;
	}
	fprintf(stderr, "%s%s: once at %u places, %u told to the caller\n", kind, error, n - 1,
		told);
	cr_assert_gt(n, 100);
}

Test(fail, once_with_eio)
{
	fail_once_everywhere("fail", ":EIO");
}

Test(fail, once_with_enospc)
{
	fail_once_everywhere("fail", ":ENOSPC");
}

Test(fail, once_short)
{
	fail_once_everywhere("short", "");
}

Test(fail, once_interrupted)
{
	fail_once_everywhere("fail", ":EINTR");
}

/* ---- for good: the process ends, the next one finds a good disk ---- */

static void for_good(struct child *c, const char *plan, const char *dir)
{
	flshim_plan(plan, dir, NULL);
	c->result = flow_run(dir, 0, STEPS, false, NULL);
	c->counts = flshim_counts();
	c->ok = true;
}

static void fail_for_good_everywhere(const char *error, enum fl_rc want)
{
	struct child *c = shared_child();
	unsigned n = 1;
	for (;; n++) {
		char dir[64];
		char plan[64];
		char why[512];
		size_t reached = 0;
		flow_new_dir(dir);
		snprintf(plan, sizeof(plan), "fail:%u:%s:always", n, error);
		run_child(c, for_good, plan, dir);
		/* SQLite hides why it could not make a file: then FL_E_IO. */
		cr_assert(c->counts.fired == 0 || c->result.acked == STEPS ||
				  c->result.rc == want || c->result.rc == FL_E_IO,
			  "%s: %s", plan, fl_rc_name(c->result.rc));
		cr_assert(flow_check(dir, c->result.acked, &reached, why), "%s: %s", plan, why);
		struct flow_result rest = flow_run(dir, reached, STEPS, false, NULL);
		cr_assert(rest.acked == STEPS && flow_check(dir, STEPS, NULL, why), "%s, then: %s",
			  plan, why);
		flow_clear_dir(dir, true);
		if (c->counts.fired == 0)
			break;
	}
	fprintf(stderr, "%s: for good at %u places\n", error, n - 1);
	cr_assert_gt(n, 100);
}

Test(fail, for_good_with_eio)
{
	fail_for_good_everywhere("EIO", FL_E_IO);
}

Test(fail, for_good_with_enospc)
{
	fail_for_good_everywhere("ENOSPC", FL_E_NO_SPACE);
}

/* ---- reads ---- */

/*
 * A read that fails once: an error or the right answer. At the opening it is tried once more; a
 * database that stays unreadable is set aside.
 */
static void unreadable_once(struct child *c, const char *plan, const char *dir)
{
	flshim_plan(plan, dir, NULL);
	c->ok = flow_check(dir, STEPS, NULL, c->why);
	c->counts = flshim_counts();
	flshim_plan(NULL, NULL, NULL);
	c->ok = c->ok || flow_check(dir, STEPS, NULL, c->why);
}

Test(fail, reading_once)
{
	struct child *c = shared_child();
	char dir[64];
	flow_new_dir(dir);
	cr_assert_eq(flow_run(dir, 0, STEPS, false, NULL).acked, STEPS);
	unsigned n = 1;
	for (;; n++) {
		char plan[64];
		snprintf(plan, sizeof(plan), "read:%u:EIO", n);
		run_child(c, unreadable_once, plan, dir);
		cr_assert(c->ok, "%s: %s", plan, c->why);
		if (c->counts.fired == 0)
			break;
	}
	flow_clear_dir(dir, true);
	cr_assert_gt(n, 20);
}

/*
 * A bad sector wherever one is read: the store opens, and gives out what was put in or has set the
 * database aside. In use it tells of an error.
 */
static void bad_sector(struct child *c, const char *plan, const char *dir)
{
	struct fl_store *store = NULL;
	struct fl_buf have = FL_BUF(1 << 20);
	struct fl_buf want = FL_BUF(1 << 20);
	struct fl_err err = {0};
	bool rebuilt = false;
	size_t damaged = 0;
	flow_expect(STEPS, &want);
	flshim_plan(plan, dir, NULL);
	enum fl_rc rc = fl_store_open(dir, &store, &rebuilt, &err);
	if (rc == FL_OK)
		rc = flow_dump(store, &have, &damaged, &err);
	c->counts = flshim_counts();
	c->ok = rc == FL_OK ? (rebuilt || strcmp(fl_buf_str(&have), fl_buf_str(&want)) == 0)
			    : rc == FL_E_IO && store != NULL;
	c->result.acked = rebuilt;
	snprintf(c->why, sizeof(c->why), "%s, rebuilt %d: %.300s", fl_rc_name(rc), rebuilt,
		 err.msg);
	fl_buf_free(&have);
	fl_buf_free(&want);
	fl_store_close(store);
}

Test(fail, a_bad_sector_anywhere)
{
	struct child *c = shared_child();
	unsigned rebuilt = 0;
	unsigned n = 1;
	for (;; n++) {
		char dir[64];
		char plan[64];
		flow_new_dir(dir);
		cr_assert_eq(flow_run(dir, 0, STEPS, false, NULL).acked, STEPS);
		snprintf(plan, sizeof(plan), "read:%u:EIO:always", n);
		run_child(c, bad_sector, plan, dir);
		cr_assert(c->ok, "%s: %s", plan, c->why);
		rebuilt += (unsigned)c->result.acked;
		flow_clear_dir(dir, true);
		if (c->counts.fired == 0)
			break;
	}
	fprintf(stderr, "a bad sector at %u reads, %u databases set aside\n", n - 1, rebuilt);
	cr_assert_gt(rebuilt, 10);
}

/* ---- the log ring ---- */

static void ring_life(struct child *c, const char *plan, const char *dir)
{
	struct fl_log_ring *ring = NULL;
	struct fl_log_line *lines = NULL;
	struct fl_arena arena = FL_ARENA(4 << 20);
	struct fl_err err = {0};
	size_t n = 0;
	flshim_plan(plan, dir, NULL);
	enum fl_rc rc = fl_log_ring_open(dir, &ring, &err);
	for (unsigned i = 0; rc == FL_OK && i < 3000; i++) {
		char text[128];
		snprintf(text, sizeof(text), "line %u %0*u", i, 60 + (int)(i % 40), i);
		fl_log_ring_append(ring, i, 6, text);
	}
	c->counts = flshim_counts();
	flshim_plan(NULL, NULL, NULL);
	c->ok = rc != FL_OK || fl_log_ring_lines(ring, &arena, &lines, &n, &err) == FL_OK;
	for (size_t i = 0; i < n; i++) {
		unsigned number = 0;
		c->ok = c->ok && sscanf(lines[i].text, "line %u", &number) == 1 &&
			lines[i].utc == (int64_t)number &&
			(i == 0 || lines[i].utc > lines[i - 1].utc);
	}
	c->ok = c->ok && (rc != FL_OK || (n > 1000 && lines[n - 1].utc >= 2998));
	snprintf(c->why, sizeof(c->why), "%zu lines, %.300s", n, err.msg);
	fl_arena_free(&arena);
	fl_log_ring_close(ring);
}

Test(ring, any_failure_costs_a_line_at_most)
{
	struct child *c = shared_child();
	for (unsigned n = 1; n < 3200; n = n < 20 ? n + 1 : n + 97) {
		char dir[64];
		char plan[64];
		flow_new_dir(dir);
		snprintf(plan, sizeof(plan), "fail:%u:%s", n, n % 2 == 0 ? "EIO" : "ENOSPC");
		run_child(c, ring_life, plan, dir);
		cr_assert(c->ok, "%s: %s", plan, c->why);
		snprintf(plan, sizeof(plan), "short:%u", n);
		run_child(c, ring_life, plan, dir);
		cr_assert(c->ok, "%s: %s", plan, c->why);
		snprintf(plan, sizeof(plan), "read:%u:EIO", n);
		run_child(c, ring_life, plan, dir);
		cr_assert(c->ok, "%s: %s", plan, c->why);
		flow_clear_dir(dir, true);
	}
}

/* ---- a full disk ---- */

static bool ballast_stands(const char *dir)
{
	char path[128];
	struct stat st;
	snprintf(path, sizeof(path), "%s/ballast", dir);
	return stat(path, &st) == 0 && st.st_size == 65536;
}

/* A life on a full disk: a job's state, its report, the number, the acknowledgement of the report
 * before. */
static enum fl_rc live_on(struct fl_store *store, uint64_t n, struct fl_err *err)
{
	struct fl_store_job job = {.job_seq = 5000, .state = FL_JOB_WAITING_TO_DOWNLOAD};
	char report[900];
	memset(job.job.b, 0x77, FL_DIGEST_SIZE);
	memset(job.text, 'x', n % 200);
	memset(report, 'r', sizeof(report) - 1);
	report[sizeof(report) - 1] = '\0';
	enum fl_rc rc = fl_store_job_put(store, &job, err);
	if (rc == FL_OK)
		rc = fl_store_outbox_add(store, 1000 + n, n % 5 == 0, report, err);
	if (rc == FL_OK)
		rc = fl_store_number_set(store, "report_seq", n, err);
	return rc == FL_OK ? fl_store_outbox_ack(store, 1000 + n - 1, err) : rc;
}

/* Everything but the ballast is taken by others: the changes above go on being saved, without end.
 */
static void full_disk(struct child *c, const char *plan, const char *dir)
{
	struct fl_store *store = NULL;
	struct fl_err err = {0};
	bool rebuilt = false;
	(void)plan;
	flow_run(dir, 0, STEPS, false, NULL);
	if (!ballast_stands(dir) || fl_store_open(dir, &store, &rebuilt, &err) != FL_OK)
		return;
	flshim_plan("space:0", dir, NULL);
	uint64_t n = 0;
	while (n < 1000 && live_on(store, n + 1, &err) == FL_OK)
		n++;
	snprintf(c->why, sizeof(c->why), "%llu rounds on a full disk: %.300s",
		 (unsigned long long)n, err.msg);
	c->ok = n == 1000 && !ballast_stands(dir);
	/* What makes the database larger is refused, and what does not goes on. */
	char report[900];
	memset(report, 'f', sizeof(report) - 1);
	report[sizeof(report) - 1] = '\0';
	enum fl_rc rc = FL_OK;
	for (uint64_t i = 1; i < 200 && rc == FL_OK; i++)
		rc = fl_store_outbox_add(store, 100000 + i, true, report, &err);
	c->ok = c->ok && rc == FL_E_NO_SPACE && fl_store_number_set(store, "n", 1, &err) == FL_OK &&
		fl_store_outbox_ack(store, 200000, &err) == FL_OK &&
		live_on(store, 300000, &err) == FL_OK;
	/* With room again, the next change brings the ballast back. */
	flshim_plan("space:1000000", dir, NULL);
	c->ok = c->ok && fl_store_number_set(store, "saved", 99, &err) == FL_OK &&
		ballast_stands(dir);
	fl_store_close(store);
}

/* Results until there is no room for one more. */
static void fill_up(struct fl_store *store, uint64_t seq)
{
	char report[900];
	memset(report, 'f', sizeof(report) - 1);
	report[sizeof(report) - 1] = '\0';
	for (uint64_t i = 1; i < 200; i++)
		(void)!fl_store_outbox_add(store, seq + i, true, report, NULL);
}

/*
 * The ballast is used, and what makes the database larger is tried until it is refused; then the
 * agent starts again, and others have taken what was left meanwhile.
 */
static void full_and_restarted(struct child *c, const char *plan, const char *dir)
{
	struct fl_store *store = NULL;
	struct fl_err err = {0};
	bool rebuilt = false;
	flow_run(dir, 0, STEPS, false, NULL);
	if (fl_store_open(dir, &store, &rebuilt, &err) != FL_OK)
		return;
	flshim_plan(plan, dir, NULL);
	uint64_t n = 0;
	while (n < 100 && live_on(store, n + 1, &err) == FL_OK)
		n++;
	for (unsigned round = 1; round <= 5; round++) {
		fill_up(store, round * 100000);
		flshim_plan(plan, dir, NULL);
		fl_store_close(store);
		flshim_plan(plan, dir, NULL);
		/* The database is full of results; the server takes them. */
		if (fl_store_open(dir, &store, &rebuilt, &err) != FL_OK ||
		    fl_store_outbox_ack(store, round * 100000 + 50000, &err) != FL_OK)
			return;
		while (n < (round + 1) * 100 &&
		       live_on(store, round * 100000 + 60000 + n, &err) == FL_OK)
			n++;
	}
	fl_store_close(store);
	snprintf(c->why, sizeof(c->why), "%llu rounds: %.300s", (unsigned long long)n, err.msg);
	c->ok = n == 600;
}

static void expect_room_for_state(const char *plan)
{
	struct child *c = shared_child();
	char dir[64];
	flow_new_dir(dir);
	run_child(c, full_and_restarted, plan, dir);
	cr_assert(c->ok, "%s: %s", plan, c->why);
	flow_clear_dir(dir, true);
}

Test(full_disk, restarts_do_not_lose_the_room_for_state)
{
	expect_room_for_state("space:0");
}

Test(full_disk, nor_without_fallocate)
{
	expect_room_for_state("space:0:noalloc");
}

/* Progress without end and nobody who acknowledges: the newest reports are there, older ones gave
 * way. */
static void full_of_progress(struct child *c, const char *plan, const char *dir)
{
	struct fl_store *store = NULL;
	struct fl_buf text = FL_BUF(FL_STORE_REPORT_MAX);
	struct fl_err err = {0};
	bool rebuilt = false;
	char report[900];
	uint64_t seq = 0;
	(void)plan;
	memset(report, 'p', sizeof(report) - 1);
	report[sizeof(report) - 1] = '\0';
	if (fl_store_open(dir, &store, &rebuilt, &err) != FL_OK)
		return;
	flshim_plan("space:0", dir, NULL);
	uint64_t n = 0;
	while (n < 300 && fl_store_outbox_add(store, n + 1, n == 10, report, &err) == FL_OK)
		n++;
	c->ok = n == 300 && fl_store_outbox_next(store, 0, &seq, &text, &err) == FL_OK &&
		seq == 11 && fl_store_outbox_next(store, 299, &seq, &text, &err) == FL_OK &&
		seq == 300;
	snprintf(c->why, sizeof(c->why), "%llu reports: %.300s", (unsigned long long)n, err.msg);
	fl_buf_free(&text);
	fl_store_close(store);
}

Test(full_disk, new_progress_pushes_out_old)
{
	struct child *c = shared_child();
	char dir[64];
	flow_new_dir(dir);
	run_child(c, full_of_progress, "space", dir);
	cr_assert(c->ok, "%s", c->why);
	flow_clear_dir(dir, true);
}

Test(full_disk, the_ballast_keeps_state_writable)
{
	struct child *c = shared_child();
	char dir[64];
	flow_new_dir(dir);
	run_child(c, full_disk, "space", dir);
	cr_assert(c->ok, "%s", c->why);
	flow_clear_dir(dir, true);
}

/* Reports without end on a full disk: NO_SPACE in the end, and what was acknowledged stands. */
static void overfull(struct child *c, const char *plan, const char *dir)
{
	struct fl_store *store = NULL;
	struct fl_err err = {0};
	bool rebuilt = false;
	char text[4000];
	memset(text, 'r', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (fl_store_open(dir, &store, &rebuilt, &err) != FL_OK)
		return;
	flshim_plan(plan, dir, NULL);
	uint64_t seq = 0;
	while (fl_store_outbox_add(store, seq + 1, true, text, &err) == FL_OK)
		seq++;
	c->result.acked = seq;
	c->ok = err.rc == FL_E_NO_SPACE;
	/* A big one failing leaves room for a small one: the ballast was made again. */
	c->ok = c->ok && fl_store_number_set(store, "small", 1, &err) == FL_OK;
	snprintf(c->why, sizeof(c->why), "%.400s", err.msg);
	fl_store_close(store);
}

Test(full_disk, runs_over_without_loss)
{
	struct child *c = shared_child();
	char dir[64];
	struct fl_store *store = NULL;
	struct fl_buf envelope = FL_BUF(FL_STORE_REPORT_MAX);
	struct fl_err err = {0};
	bool rebuilt = true;
	flow_new_dir(dir);
	run_child(c, overfull, "space:600000", dir);
	cr_assert(c->ok, "%s", c->why);
	cr_assert_gt(c->result.acked, 20);
	cr_assert_eq(fl_store_open(dir, &store, &rebuilt, &err), FL_OK, "%s", err.msg);
	cr_assert_not(rebuilt);
	for (uint64_t seq = 1; seq <= c->result.acked; seq++) {
		uint64_t found = 0;
		cr_assert_eq(fl_store_outbox_next(store, seq - 1, &found, &envelope, &err), FL_OK);
		cr_assert_eq(found, seq);
		cr_assert_eq(envelope.len, 3999);
	}
	fl_buf_free(&envelope);
	fl_store_close(store);
	flow_clear_dir(dir, true);
}

/* Opening on a full disk: nothing is lost, and it opens. */
static void open_full(struct child *c, const char *plan, const char *dir)
{
	flshim_plan(plan, dir, NULL);
	c->ok = flow_check(dir, STEPS, NULL, c->why);
}

Test(full_disk, opens_and_takes_a_change)
{
	struct child *c = shared_child();
	char dir[64];
	flow_new_dir(dir);
	cr_assert_eq(flow_run(dir, 0, STEPS, false, NULL).acked, STEPS);
	run_child(c, open_full, "space:0", dir);
	cr_assert(c->ok, "%s", c->why);
	flow_clear_dir(dir, true);
}
