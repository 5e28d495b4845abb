/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "sum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(jobs, .init = set_up, .fini = tear_down);

static struct fl_arena arena;
static struct fl_store_job *jobs;
static size_t n_jobs, damaged;

static void load(void)
{
	fl_arena_free(&arena);
	arena = FL_ARENA(64 << 20);
	OK(fl_store_jobs(store, &arena, &jobs, &n_jobs, &damaged, &err));
}

static void done(void)
{
	fl_arena_free(&arena);
}

static struct fl_store_job simple(unsigned key, uint64_t seq, enum fl_job_state state)
{
	struct fl_store_job job = {.job_seq = seq, .state = state};
	job.job.b[0] = (uint8_t)key;
	job.job.b[1] = (uint8_t)(key >> 8);
	return job;
}

static void fill(char *text, size_t size, char c)
{
	memset(text, c, size - 1);
	text[size - 1] = '\0';
}

/* Every member at its longest and largest. */
static struct fl_store_job largest(void)
{
	struct fl_store_job job = {.job_seq = INT64_MAX,
				   .state = FL_JOB_WAITING_TO_ACTIVATE,
				   .reason = FL_E_TRIAL_DEADLINE,
				   .until_s = UINT64_MAX,
				   .created_s = INT64_MIN,
				   .updated_s = INT64_MAX,
				   .n_components = FL_STORE_COMPONENTS_MAX,
				   .job_envelope = "{\"payload\":\"aGVsbG8=\"}",
				   .release_envelope = ""};
	memset(&job.job, 0xff, sizeof(job.job));
	memset(&job.release, 0xfe, sizeof(job.release));
	fill(job.job_id, sizeof(job.job_id), 'f');
	fill(job.text, sizeof(job.text), 't');
	fill(job.next, sizeof(job.next), 'n');
	for (size_t i = 0; i < FL_STORE_COMPONENTS_MAX; i++) {
		struct fl_store_component *c = &job.components[i];
		fill(c->name, sizeof(c->name), (char)('a' + i));
		fill(c->slot, sizeof(c->slot), 's');
		fill(c->artifact, sizeof(c->artifact), 'x');
		c->state = FL_JOB_WAITING_TO_DOWNLOAD;
		c->tries = UINT64_MAX - i;
	}
	return job;
}

static void assert_same(const struct fl_store_job *a, const struct fl_store_job *b)
{
	cr_assert(fl_digest_equal(&a->job, &b->job) && fl_digest_equal(&a->release, &b->release));
	cr_assert_str_eq(a->job_id, b->job_id);
	cr_assert_eq(a->job_seq, b->job_seq);
	cr_assert_eq(a->state, b->state);
	cr_assert_eq(a->reason, b->reason);
	cr_assert_str_eq(a->text, b->text);
	cr_assert_eq(a->until_s, b->until_s);
	cr_assert_str_eq(a->next, b->next);
	cr_assert(a->created_s == b->created_s && a->updated_s == b->updated_s);
	cr_assert_eq(a->n_components, b->n_components);
	for (size_t i = 0; i < a->n_components; i++) {
		const struct fl_store_component *x = &a->components[i];
		const struct fl_store_component *y = &b->components[i];
		cr_assert(strcmp(x->name, y->name) == 0 && strcmp(x->slot, y->slot) == 0 &&
			  strcmp(x->artifact, y->artifact) == 0 && x->state == y->state &&
			  x->tries == y->tries);
	}
	cr_assert_str_eq(a->job_envelope, b->job_envelope);
	cr_assert_str_eq(a->release_envelope, b->release_envelope);
}

Test(jobs, an_empty_store_has_none)
{
	load();
	cr_assert_eq(n_jobs, 0);
	cr_assert_eq(damaged, 0);
	done();
}

Test(jobs, every_member_comes_back)
{
	struct fl_store_job job = largest();
	OK(fl_store_job_put(store, &job, &err));
	load();
	cr_assert_eq(n_jobs, 1);
	assert_same(&jobs[0], &job);
	reopen();
	load();
	cr_assert_eq(n_jobs, 1);
	assert_same(&jobs[0], &job);
	done();
}

Test(jobs, every_state_and_reason_comes_back)
{
	for (int s = 0; s < FL_JOB_N_STATES; s++) {
		struct fl_store_job job = simple((unsigned)s, (uint64_t)s, (enum fl_job_state)s);
		job.reason = s % 2 == 0 ? FL_OK : FL_E_COMPONENT_BUSY;
		OK(fl_store_job_put(store, &job, &err));
	}
	load();
	cr_assert_eq(n_jobs, FL_JOB_N_STATES);
	for (int s = 0; s < FL_JOB_N_STATES; s++) {
		cr_assert_eq((int)jobs[s].state, s);
		cr_assert_eq(jobs[s].reason, s % 2 == 0 ? FL_OK : FL_E_COMPONENT_BUSY);
		cr_assert_eq(jobs[s].job_envelope, NULL);
	}
	done();
}

Test(jobs, are_replaced_by_key_and_keep_their_envelopes)
{
	struct fl_store_job job = simple(1, 5, FL_JOB_RECEIVED);
	job.job_envelope = "job 1";
	job.release_envelope = "release 1";
	OK(fl_store_job_put(store, &job, &err));
	job.job_envelope = job.release_envelope = NULL;
	job.state = FL_JOB_VERIFIED;
	OK(fl_store_job_put(store, &job, &err));
	job.release_envelope = "release 2";
	job.state = FL_JOB_STAGING;
	OK(fl_store_job_put(store, &job, &err));
	reopen();
	load();
	cr_assert_eq(n_jobs, 1);
	cr_assert_eq(jobs[0].state, FL_JOB_STAGING);
	cr_assert_str_eq(jobs[0].job_envelope, "job 1");
	cr_assert_str_eq(jobs[0].release_envelope, "release 2");
	done();
}

Test(jobs, come_in_the_order_of_job_seq)
{
	static const uint64_t order[] = {7, 3, 9, 1, 5};
	for (unsigned i = 0; i < 5; i++) {
		struct fl_store_job job = simple(i, order[i], FL_JOB_RECEIVED);
		OK(fl_store_job_put(store, &job, &err));
	}
	load();
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(jobs[i].job_seq, 2 * i + 1);
	done();
}

/* The largest documents of 64 jobs: over 40 MiB, and each its own. */
Test(jobs, large_envelopes)
{
	char *text = malloc(FL_STORE_DOCUMENT_MAX + 2);
	memset(text, 'e', FL_STORE_DOCUMENT_MAX);
	text[FL_STORE_DOCUMENT_MAX] = '\0';
	for (unsigned i = 0; i < 4; i++) {
		struct fl_store_job job = simple(i, i, FL_JOB_RECEIVED);
		text[0] = (char)('A' + i);
		job.job_envelope = job.release_envelope = text;
		OK(fl_store_job_put(store, &job, &err));
	}
	reopen();
	load();
	cr_assert_eq(n_jobs, 4);
	for (unsigned i = 0; i < 4; i++) {
		text[0] = (char)('A' + i);
		cr_assert_str_eq(jobs[i].job_envelope, text);
		cr_assert_str_eq(jobs[i].release_envelope, text);
	}
	struct fl_store_job job = simple(9, 9, FL_JOB_RECEIVED);
	strcat(text, "x");
	job.job_envelope = text;
	cr_assert_eq(fl_store_job_put(store, &job, &err), FL_E_TOO_LARGE);
	free(text);
	done();
}

Test(jobs, the_oldest_final_ones_give_way)
{
	for (unsigned i = 0; i < FL_STORE_JOBS_MAX; i++) {
		struct fl_store_job job =
			simple(i, 100 + i, i % 4 == 2 ? FL_JOB_COMMITTED : FL_JOB_STAGING);
		job.job_envelope = "kept with its job";
		OK(fl_store_job_put(store, &job, &err));
	}
	/* 2, 6 and 10 are the oldest final ones. */
	for (unsigned i = 0; i < 3; i++) {
		struct fl_store_job job = simple(1000 + i, 1000 + i, FL_JOB_RECEIVED);
		OK(fl_store_job_put(store, &job, &err));
	}
	load();
	cr_assert_eq(n_jobs, FL_STORE_JOBS_MAX);
	cr_assert_eq(damaged, 0);
	for (size_t i = 0; i < n_jobs; i++) {
		cr_assert(jobs[i].job_seq != 102 && jobs[i].job_seq != 106 &&
			  jobs[i].job_seq != 110);
		cr_assert_eq(jobs[i].job_envelope == NULL, jobs[i].job_seq >= 1000,
			     "a new job has no envelope of the one it took the place of");
	}
	done();
}

Test(jobs, open_ones_are_never_dropped)
{
	for (unsigned i = 0; i < FL_STORE_JOBS_MAX; i++) {
		struct fl_store_job job = simple(i, i, FL_JOB_STAGING);
		OK(fl_store_job_put(store, &job, &err));
	}
	struct fl_store_job more = simple(999, 999, FL_JOB_RECEIVED);
	cr_assert_eq(fl_store_job_put(store, &more, &err), FL_E_TOO_LARGE);
	more.state = FL_JOB_FAILED;
	cr_assert_eq(fl_store_job_put(store, &more, &err), FL_E_TOO_LARGE,
		     "nor does the new one count as the oldest");
	load();
	cr_assert_eq(n_jobs, FL_STORE_JOBS_MAX);
	/* Those that are there go on. */
	struct fl_store_job first = simple(0, 0, FL_JOB_STAGED);
	OK(fl_store_job_put(store, &first, &err));
	done();
}

Test(jobs, numbers_beyond_sqlite_are_refused)
{
	struct fl_store_job job = simple(1, (uint64_t)INT64_MAX + 1, FL_JOB_RECEIVED);
	cr_assert_eq(fl_store_job_put(store, &job, &err), FL_E_INVALID_ARGUMENT);
}

Test(jobs, what_is_saved_already_is_not_written_again)
{
	struct fl_store_job job = largest();
	OK(fl_store_job_put(store, &job, &err));
	struct fl_buf before = FL_BUF(1 << 20);
	struct fl_buf after = FL_BUF(1 << 20);
	OK(fl_file_read(in_dir("state.db-wal"), &before, &err));
	for (int i = 0; i < 100; i++)
		OK(fl_store_job_put(store, &job, &err));
	OK(fl_file_read(in_dir("state.db-wal"), &after, &err));
	cr_assert(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
	fl_buf_free(&before);
	fl_buf_free(&after);
}

Test(jobs, a_small_arena_is_an_error_and_leaves_the_outputs)
{
	struct fl_store_job job = largest();
	struct fl_store_job *out = &job;
	size_t n = 77;
	struct fl_arena small = FL_ARENA(1000);
	OK(fl_store_job_put(store, &job, &err));
	cr_assert_eq(fl_store_jobs(store, &small, &out, &n, &damaged, &err), FL_E_TOO_LARGE);
	cr_assert(out == &job && n == 77);
	cr_assert_eq(fl_store_jobs(store, &small, &out, &n, &damaged, NULL), FL_E_TOO_LARGE);
	fl_arena_free(&small);
}

/* ---- damage ---- */

static void put_three(void)
{
	for (unsigned i = 1; i <= 3; i++) {
		struct fl_store_job job = simple(i, i, FL_JOB_STAGING);
		job.job_envelope = i == 1 ? "one" : (i == 2 ? "two" : "three");
		job.release_envelope = "release";
		OK(fl_store_job_put(store, &job, &err));
	}
}

static void expect_second_dropped(const char *sql)
{
	put_three();
	tamper(sql, NULL);
	reopen();
	load();
	cr_assert_eq(n_jobs, 2, "%s", sql);
	cr_assert_geq(damaged, 1);
	cr_assert(jobs[0].job_seq == 1 && jobs[1].job_seq == 3);
	load();
	cr_assert_eq(damaged, 0, "it was dropped the first time");
	int64_t rows = 0;
	tamper("SELECT count(*) FROM job", &rows);
	cr_assert_eq(rows, 2);
	reopen();
	done();
}

Test(jobs, a_changed_body_is_dropped)
{
	expect_second_dropped("UPDATE job SET body = CAST(substr(body, 1, 40) || x'00' ||"
			      " substr(body, 42) AS BLOB) WHERE seq = 2");
}

Test(jobs, a_changed_key_is_dropped)
{
	expect_second_dropped("UPDATE job SET key = x'0102' WHERE seq = 2");
}

Test(jobs, a_key_of_another_job_is_dropped)
{
	expect_second_dropped(
		"UPDATE job SET key = (SELECT key FROM job WHERE seq = 1) WHERE seq = 2");
}

Test(jobs, a_changed_sequence_is_dropped)
{
	/* The row lands at another place in the order, and is still the one that goes. */
	put_three();
	tamper("UPDATE job SET seq = 9 WHERE seq = 2", NULL);
	reopen();
	load();
	cr_assert(n_jobs == 2 && jobs[0].job_seq == 1 && jobs[1].job_seq == 3);
	done();
}

Test(jobs, a_row_under_another_number_is_dropped)
{
	expect_second_dropped("UPDATE job SET id = 77777 WHERE seq = 2");
}

Test(jobs, a_row_of_an_impossible_number_does_not_stop_its_job)
{
	put_three();
	tamper("UPDATE job SET id = 9223372036854775807 WHERE seq = 2", NULL);
	reopen();
	struct fl_store_job job = simple(2, 2, FL_JOB_STAGED);
	OK(fl_store_job_put(store, &job, &err));
	load();
	cr_assert_eq(n_jobs, 3);
	cr_assert_eq(damaged, 1);
	cr_assert_eq(jobs[1].state, FL_JOB_STAGED);
	done();
}

Test(jobs, a_damaged_envelope_costs_the_envelope_alone)
{
	put_three();
	tamper("UPDATE document SET text = x'7477ff' WHERE text = CAST('two' AS BLOB)", NULL);
	reopen();
	load();
	cr_assert_eq(n_jobs, 3);
	cr_assert_eq(damaged, 1);
	cr_assert_eq(jobs[1].job_envelope, NULL);
	cr_assert_str_eq(jobs[1].release_envelope, "release");
	/* Put again, it is there again. */
	struct fl_store_job job = jobs[1];
	job.job_envelope = "two";
	OK(fl_store_job_put(store, &job, &err));
	load();
	cr_assert_eq(damaged, 0);
	cr_assert_str_eq(jobs[1].job_envelope, "two");
	done();
}

Test(jobs, an_envelope_of_another_job_is_not_taken)
{
	put_three();
	tamper("UPDATE document SET (key, text, sum) ="
	       " (SELECT key, text, sum FROM document WHERE text = CAST('three' AS BLOB))"
	       " WHERE text = CAST('two' AS BLOB)",
	       NULL);
	reopen();
	load();
	cr_assert_eq(jobs[1].job_envelope, NULL);
	done();
}

/* The same with a checksum that holds: what a page of an earlier time, when another job had that
 * number, brings back. */
Test(jobs, an_envelope_of_an_earlier_job_is_not_taken)
{
	put_three();
	uint8_t key[FL_DIGEST_SIZE] = {0x99};
	char sql[256];
	char hex[2 * FL_DIGEST_SIZE + 1];
	fl_hex_encode(key, sizeof(key), hex);
	uint64_t sum = store_sum_bytes(store_sum_u64(store_sum("document"), 2), key, sizeof(key));
	sum = store_sum_bytes(sum, "one", 3);
	snprintf(sql, sizeof(sql), "UPDATE document SET key = x'%s', sum = %lld WHERE id = 2", hex,
		 (long long)sum);
	tamper(sql, NULL);
	reopen();
	load();
	cr_assert_eq(n_jobs, 3);
	cr_assert_eq(jobs[0].job_envelope, NULL);
	cr_assert_eq(damaged, 1);
	done();
}

/* A job's row is lost, its documents are not: the job that takes its number does not inherit them.
 */
Test(jobs, lost_rows_leave_no_documents_to_others)
{
	put_three();
	tamper("DELETE FROM job WHERE seq = 1", NULL);
	reopen();
	struct fl_store_job job = simple(50, 50, FL_JOB_RECEIVED);
	OK(fl_store_job_put(store, &job, &err));
	load();
	cr_assert_eq(n_jobs, 3);
	cr_assert_eq(damaged, 0);
	cr_assert(jobs[2].job_seq == 50 && jobs[2].job_envelope == NULL);
	done();
}

Test(jobs, more_damaged_rows_than_there_may_be_jobs)
{
	put_three();
	tamper("WITH RECURSIVE c(x) AS (VALUES(10) UNION ALL SELECT x + 1 FROM c WHERE x < 600)"
	       " INSERT INTO job SELECT x, x'00', x, 1, x'00', 0 FROM c",
	       NULL);
	reopen();
	load();
	cr_assert_eq(n_jobs, 3);
	cr_assert_eq(damaged, 591);
	for (int i = 0; i < 3; i++)
		load();
	cr_assert_eq(damaged, 0);
	done();
}

/* A body that another program of this format wrote: right checksum, wrong content. */
Test(jobs, a_body_cut_at_any_byte_is_refused)
{
	struct fl_store_job job = largest();
	OK(fl_store_job_put(store, &job, &err));
	int64_t len = 0;
	tamper("SELECT length(body) FROM job", &len);
	reopen();
	for (int64_t cut = 0; cut < len; cut += 97) {
		char sql[128];
		snprintf(sql, sizeof(sql), "UPDATE job SET body = substr(body, 1, %lld)",
			 (long long)cut);
		OK(fl_store_job_put(store, &job, &err));
		tamper(sql, NULL);
		reopen();
		load();
		cr_assert(n_jobs == 0 && damaged >= 1);
	}
	done();
}
