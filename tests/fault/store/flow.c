/* SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <flshim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind {
	JOB, /* n: which */
	ADD, /* a report */
	ACK, /* all reports but the last */
	NUMBER,
	REOPEN,
	N_KINDS
};

/* A round of steps: a job starts, moves on with a report each time, and the server acknowledges. */
static const struct round {
	enum kind kind;
	enum fl_job_state state;
} rounds[] = {
	{JOB, FL_JOB_RECEIVED},
	{ADD, 0},
	{NUMBER, 0},
	{JOB, FL_JOB_VERIFIED},
	{JOB, FL_JOB_STAGING},
	{ADD, 0},
	{NUMBER, 0},
	{JOB, FL_JOB_STAGED},
	{ADD, 0},
	{REOPEN, 0},
	{ACK, 0},
	{JOB, FL_JOB_SEALING},
	{JOB, FL_JOB_ACTIVATING},
	{ADD, 0},
	{NUMBER, 0},
	{JOB, FL_JOB_COMMITTED},
};

#define ROUND (sizeof(rounds) / sizeof(rounds[0]))

static size_t ordinal(size_t step, enum kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i <= step; i++)
		n += rounds[i % ROUND].kind == kind ? 1 : 0;
	return n;
}

static void fill_text(char *out, size_t len, size_t seed)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)('a' + (seed * 7 + i * (seed + 3)) % 26);
	out[len] = '\0';
}

/* The job as step `step` saves it; the envelopes come with its first state only. */
static void make_job(size_t step, struct fl_store_job *job, char envelopes[2][4096])
{
	size_t which = step / ROUND;
	memset(job, 0, sizeof(*job));
	memset(job->job.b, (int)(which + 1), FL_DIGEST_SIZE);
	memset(job->release.b, (int)(which + 101), FL_DIGEST_SIZE);
	snprintf(job->job_id, sizeof(job->job_id), "00000000-0000-4000-8000-%012zu", which);
	job->job_seq = 1000 + which;
	job->state = rounds[step % ROUND].state;
	job->reason = step % 2 == 0 ? FL_OK : FL_E_WINDOW;
	snprintf(job->text, sizeof(job->text), "step %zu", step);
	job->updated_s = (int64_t)step;
	job->n_components = 1 + which % 3;
	for (size_t i = 0; i < job->n_components; i++) {
		snprintf(job->components[i].name, sizeof(job->components[i].name), "part%zu", i);
		job->components[i].state = job->state;
		job->components[i].tries = step;
	}
	fill_text(envelopes[0], 1500, which);
	fill_text(envelopes[1], 2600, which + 50);
}

static void make_report(size_t ordinal_of_it, char out[512])
{
	fill_text(out, 300 + ordinal_of_it % 100, ordinal_of_it);
}

/* ---- text of the content ---- */

static void say(struct fl_buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct fl_buf *out, const char *fmt, ...)
{
	char line[8192];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (fl_buf_append_str(out, line, NULL) != FL_OK)
		abort();
}

static void say_job(struct fl_buf *out, const struct fl_store_job *j)
{
	say(out, "job %02x %02x %s seq %llu %s %d '%s' until %llu '%s' %lld %lld", j->job.b[0],
	    j->release.b[31], j->job_id, (unsigned long long)j->job_seq,
	    fl_job_state_name(j->state), j->reason, j->text, (unsigned long long)j->until_s,
	    j->next, (long long)j->created_s, (long long)j->updated_s);
	for (size_t i = 0; i < j->n_components; i++)
		say(out, " %s/%s/%s/%s/%llu", j->components[i].name, j->components[i].slot,
		    j->components[i].artifact, fl_job_state_name(j->components[i].state),
		    (unsigned long long)j->components[i].tries);
	say(out, "\n");
	/* On lines of their own: a damaged one is dropped by itself. */
	if (j->job_envelope != NULL)
		say(out, "envelope of %02x: %s\n", j->job.b[0], j->job_envelope);
	if (j->release_envelope != NULL)
		say(out, "release of %02x: %s\n", j->job.b[0], j->release_envelope);
}

static enum fl_rc dump_jobs(struct fl_store *store, struct fl_buf *out, size_t *damaged,
			    struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(4 << 20);
	struct fl_store_job *jobs = NULL;
	size_t n = 0;
	enum fl_rc rc = fl_store_jobs(store, &arena, &jobs, &n, damaged, err);
	for (size_t i = 0; rc == FL_OK && i < n; i++)
		say_job(out, &jobs[i]);
	fl_arena_free(&arena);
	return rc;
}

enum fl_rc flow_dump(struct fl_store *store, struct fl_buf *out, size_t *damaged,
		     struct fl_err *err)
{
	uint64_t seq = 0;
	uint64_t number = 0;
	enum fl_rc rc = dump_jobs(store, out, damaged, err);
	struct fl_buf envelope = FL_BUF(FL_STORE_REPORT_MAX);
	while (rc == FL_OK) {
		rc = fl_store_outbox_next(store, seq, &seq, &envelope, err);
		if (rc == FL_OK)
			say(out, "report %llu %s\n", (unsigned long long)seq,
			    fl_buf_str(&envelope));
	}
	fl_buf_free(&envelope);
	if (rc == FL_E_NOT_FOUND)
		rc = fl_store_number_get(store, "report_seq", &number, err);
	if (rc == FL_OK)
		say(out, "number %llu\n", (unsigned long long)number);
	return rc;
}

static void expect_jobs(size_t n, struct fl_buf *out)
{
	for (size_t which = 0; which * ROUND < n; which++) {
		size_t last = (which + 1) * ROUND < n ? (which + 1) * ROUND : n;
		struct fl_store_job job;
		char envelopes[2][4096];
		while (rounds[--last % ROUND].kind != JOB)
			;
		make_job(last, &job, envelopes);
		job.job_envelope = envelopes[0];
		job.release_envelope = envelopes[1];
		say_job(out, &job);
	}
}

void flow_expect(size_t n, struct fl_buf *out)
{
	size_t acked = 0;
	size_t added = 0;
	size_t number = 0;
	for (size_t i = 0; i < n; i++) {
		enum kind kind = rounds[i % ROUND].kind;
		added += kind == ADD ? 1 : 0;
		acked = kind == ACK ? added - 1 : acked;
		number = kind == NUMBER ? i : number;
	}
	fl_buf_clear(out);
	expect_jobs(n, out);
	for (size_t r = acked + 1; r <= added; r++) {
		char text[512];
		make_report(r, text);
		say(out, "report %zu %s\n", r, text);
	}
	say(out, "number %zu\n", number);
}

/* ---- running ---- */

static enum fl_rc reopen(const char *dir, struct fl_store **store, struct fl_err *err)
{
	bool rebuilt = false;
	fl_store_close(*store);
	*store = NULL;
	enum fl_rc rc = fl_store_open(dir, store, &rebuilt, err);
	return rc;
}

static enum fl_rc apply(const char *dir, struct fl_store **store, size_t step, struct fl_err *err)
{
	struct fl_store_job job;
	char envelopes[2][4096];
	char report[512];
	if (*store == NULL) {
		enum fl_rc rc = reopen(dir, store, err);
		if (rc != FL_OK)
			return rc;
	}
	switch (rounds[step % ROUND].kind) {
	case JOB:
		make_job(step, &job, envelopes);
		if (step % ROUND == 0) {
			job.job_envelope = envelopes[0];
			job.release_envelope = envelopes[1];
		}
		return fl_store_job_put(*store, &job, err);
	case ADD:
		make_report(ordinal(step, ADD), report);
		return fl_store_outbox_add(*store, ordinal(step, ADD), false, report, err);
	case ACK:
		return fl_store_outbox_ack(*store, ordinal(step, ADD) - 1, err);
	case NUMBER:
		return fl_store_number_set(*store, "report_seq", step, err);
	case REOPEN:
		return reopen(dir, store, err);
	case N_KINDS:
		break;
	}
	abort();
}

void flow_finish(const char *dir, struct fl_store *store, size_t first, size_t last)
{
	struct fl_err err = {0};
	for (size_t i = first; i < last; i++) {
		if (rounds[i % ROUND].kind != REOPEN && apply(dir, &store, i, &err) != FL_OK)
			abort();
	}
}

struct flow_result flow_run(const char *dir, size_t first, size_t last, bool again,
			    volatile size_t *shared)
{
	struct fl_store *store = NULL;
	struct flow_result r = {.acked = first};
	struct fl_err err = {0};
	unsigned tries = 0;
	while (r.acked < last) {
		enum fl_rc rc = apply(dir, &store, r.acked, &err);
		if (rc != FL_OK) {
			r.failures++;
			r.rc = rc;
			if (!again || ++tries == 4)
				break;
			continue;
		}
		tries = 0;
		r.acked++;
		if (shared != NULL)
			*shared = r.acked;
		flshim_mark(r.acked);
	}
	fl_store_close(store);
	return r;
}

static bool takes_a_change(struct fl_store *store, char why[512])
{
	uint64_t value = 0;
	struct fl_err err = {0};
	bool ok = fl_store_number_set(store, "after", 7, &err) == FL_OK &&
		  fl_store_number_get(store, "after", &value, &err) == FL_OK && value == 7;
	if (!ok)
		snprintf(why, 512, "takes no change: %.400s", err.msg);
	return ok;
}

static bool holds(const struct fl_buf *have, size_t steps)
{
	struct fl_buf want = FL_BUF(1 << 20);
	flow_expect(steps, &want);
	bool same = strcmp(fl_buf_str(&want), fl_buf_str(have)) == 0;
	fl_buf_free(&want);
	return same;
}

bool flow_check(const char *dir, size_t acked, size_t *reached, char why[512])
{
	struct fl_store *store = NULL;
	struct fl_buf have = FL_BUF(1 << 20);
	struct fl_err err = {0};
	bool rebuilt = false;
	size_t damaged = 0;
	bool ok = fl_store_open(dir, &store, &rebuilt, &err) == FL_OK &&
		  flow_dump(store, &have, &damaged, &err) == FL_OK;
	if (!ok) {
		snprintf(why, 512, "not readable: %.400s", err.msg);
	} else if (damaged != 0 || (rebuilt && acked > 0)) {
		snprintf(why, 512, "rebuilt %d, %zu rows damaged", rebuilt, damaged);
		ok = false;
	} else if (holds(&have, acked) || holds(&have, acked + 1)) {
		if (reached != NULL)
			*reached = holds(&have, acked) ? acked : acked + 1;
		ok = takes_a_change(store, why);
	} else {
		snprintf(why, 512, "after %zu steps it holds %.400s", acked, fl_buf_str(&have));
		ok = false;
	}
	fl_buf_free(&have);
	fl_store_close(store);
	return ok;
}

#ifdef FL_COVERAGE
void __gcov_dump(void);
#endif

void flow_exit(int status)
{
#ifdef FL_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* ---- directories ---- */

void flow_new_dir(char dir[64])
{
	setenv("FAIRLEAD_LOG", "error", 1);
	fl_log_open("test");
	snprintf(dir, 64, "%s/fl-store-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL)
		abort();
}

static void each_file(const char *dir, void (*act)(const char *path, const char *name, void *ctx),
		      void *ctx)
{
	DIR *d = opendir(dir);
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char path[512];
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			act(path, e->d_name, ctx);
	}
	closedir(d);
}

static void remove_file(const char *path, const char *name, void *ctx)
{
	(void)name;
	(void)ctx;
	(void)unlink(path);
}

void flow_clear_dir(const char *dir, bool also_dir)
{
	each_file(dir, remove_file, NULL);
	if (also_dir)
		(void)rmdir(dir);
}

static void copy_file(const char *path, const char *name, void *to)
{
	char target[512];
	struct fl_buf data = FL_BUF(8 << 20);
	snprintf(target, sizeof(target), "%s/%s", (const char *)to, name);
	if (fl_file_read(path, &data, NULL) != FL_OK ||
	    fl_file_replace(target, data.data, data.len, 0600, NULL) != FL_OK)
		abort();
	fl_buf_free(&data);
}

void flow_damage(const char *dir)
{
	static const char garbage[1024] = "no database";
	char path[128];
	snprintf(path, sizeof(path), "%s/state.db", dir);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, garbage, sizeof(garbage), 0) != (ssize_t)sizeof(garbage))
		abort();
	(void)close(fd);
}

void flow_copy_dir(const char *from, const char *to)
{
	each_file(from, copy_file, (void *)(uintptr_t)to);
}
