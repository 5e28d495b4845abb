/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: numbers, signatures, and what reports may do to them. */
#include "fixture.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/verify.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char boot_id[] = "0f0e0d0c-0b0a-4908-8706-050403020100";

static struct fl_job_ref deploy(struct fixture *f, const struct fl_digest *release)
{
	struct fl_err err;
	struct fl_job_ref ref = {"", 0};
	struct fl_job_request request = {
		.actor = "test", .device_id = "gw-1", .intent = "install", .release = *release};
	MUST(fl_jobs_create(&f->jobs, &request, &ref, &err));
	return ref;
}

/* What a device would do with the stored job. */
static enum fl_rc accept(struct fixture *f, uint64_t after, struct fl_arena *arena,
			 struct fl_job *job)
{
	struct fl_err err;
	struct fl_jobs_next next = {.envelope = FL_BUF(FL_ENVELOPE_MAX), .release = FL_BUF(FL_ENVELOPE_MAX)};
	struct fl_device_facts device = {.tenant = "default", .device_id = "gw-1",
					 .identity = fl_key_public(f->device_key)->keyid};
	struct fl_trust_state state = {.root = &f->roots.current, .device = &device, .t_min = NOW};
	struct fl_envelope env;
	enum fl_job_verdict verdict;
	MUST(fl_jobs_find_next(&f->jobs, "gw-1", after, &next, &err));
	cr_assert_neq(next.job_seq, 0);
	MUST(fl_envelope_parse(next.envelope.data, next.envelope.len, FL_DOC_JOB, arena, &env, &err));
	enum fl_rc rc = fl_verify_job(&state, &env, NOW, arena, job, &verdict, &err);
	fl_buf_free(&next.envelope);
	fl_buf_free(&next.release);
	return rc;
}

static void report(struct fixture *f, const struct fl_key *key, uint64_t seq, const char *state,
		   const struct fl_job_ref *job)
{
	struct fl_err err;
	struct fl_report r = {.type = "report", .spec = 1, .device_id = "gw-1", .report_seq = seq,
			      .boot_id = boot_id, .state = state, .utc = NOW, .time_quality = "fleet"};
	if (job != NULL) {
		r.job_id = job->job_id;
		r.job_seq = job->job_seq;
	}
	struct fl_buf text = fixture_report(key, &r);
	struct fl_wire_report message = {.report_seq = seq, .envelope = fl_buf_str(&text)};
	MUST(fl_jobs_report(&f->jobs, "gw-1", fl_key_public(f->device_key), &message, &err));
	fl_buf_free(&text);
}

static void state_of(struct fixture *f, char out[32])
{
	fixture_text(f, "SELECT state FROM jobs ORDER BY job_seq LIMIT 1", out, 32);
}

#define ASSERT_STATE(f, expected)                                                                  \
	do {                                                                                       \
		char state_[32];                                                                   \
		state_of(f, state_);                                                               \
		cr_assert_str_eq(state_, expected);                                                \
	} while (0)

Test(unit_fleet_jobs, what_a_report_does)
{
	cr_assert_eq(fl_jobs_judge(false, 0, 1), FL_JOBS_MOVE);
	cr_assert_eq(fl_jobs_judge(false, 5, 6), FL_JOBS_MOVE);
	cr_assert_eq(fl_jobs_judge(false, 5, 100), FL_JOBS_MOVE);
	cr_assert_eq(fl_jobs_judge(false, 5, 5), FL_JOBS_LATE);
	cr_assert_eq(fl_jobs_judge(false, 5, 4), FL_JOBS_LATE);
	cr_assert_eq(fl_jobs_judge(true, 5, 6), FL_JOBS_OVER);
	cr_assert_eq(fl_jobs_judge(true, 5, 4), FL_JOBS_OVER);
}

Test(unit_fleet_jobs, a_job_is_what_its_device_accepts)
{
	struct fixture f;
	struct fl_arena arena = FL_ARENA((size_t)4 << 20);
	struct fl_job job;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_job_ref first = deploy(&f, &release), second = deploy(&f, &release);
	cr_assert_eq(first.job_seq, 1);
	cr_assert_eq(second.job_seq, 2);
	cr_assert_eq(f.n_events[FL_BUS_JOB_NEW], 2);
	cr_assert_eq(accept(&f, 0, &arena, &job), FL_OK);
	cr_assert_str_eq(job.job_id, first.job_id);
	cr_assert_eq(job.job_seq, 1);
	cr_assert_eq(job.issued, NOW);
	cr_assert_eq(job.expires, NOW + 30 * 86400);
	cr_assert_str_eq(job.urls.items[0], "https://fleet.example:8443");
	cr_assert(fl_digest_equal(&job.release, &release));
	cr_assert_eq(accept(&f, 1, &arena, &job), FL_OK);
	cr_assert_str_eq(job.job_id, second.job_id);
	fl_arena_free(&arena);
	fixture_free(&f);
}

Test(unit_fleet_jobs, an_order_that_fails_takes_no_number)
{
	static const char *const intents[] = {"install"};
	struct fl_err err;
	struct fl_job_ref ref = {"kept", 99};
	struct fixture f;
	fixture_make(&f, intents, 1);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_job_request request = {
		.actor = "test", .device_id = "gw-1", .intent = "rollback", .release = release};
	cr_assert_eq(fl_jobs_create(&f.jobs, &request, &ref, &err), FL_E_SCOPE,
		     "the root doesn't let this key roll back");
	cr_assert_eq(ref.job_seq, 99);
	cr_assert_eq(fixture_number(&f, "SELECT job_seq FROM devices"), 0);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs"), 0);
	cr_assert_eq(f.n_events[FL_BUS_JOB_NEW], 0);
	cr_assert_eq(deploy(&f, &release).job_seq, 1);
	fixture_free(&f);
}

Test(unit_fleet_jobs, orders_are_compared_with_what_the_device_said)
{
	struct fl_err err;
	struct fl_job_ref ref;
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_wire_component runs = {.name = "rootfs", .release_seq = 3};
	struct fl_wire_hello hello = {.device_id = "gw-1", .product = "gw", .class_id = "c1", .hw_rev = 2,
				      .agent_version = "1", .components = {&runs, 1}};
	struct fl_job_request request = {
		.actor = "test", .device_id = "gw-1", .intent = "install", .release = release};
	MUST(fl_registry_hello(&f.registry, &hello, &err));
	cr_assert_eq(fl_jobs_create(&f.jobs, &request, &ref, &err), FL_E_DOWNGRADE);
	runs.release_seq = 1;
	MUST(fl_registry_hello(&f.registry, &hello, &err));
	MUST(fl_jobs_create(&f.jobs, &request, &ref, &err));
	static const struct {
		const char *product, *class_id;
		uint64_t hw_rev;
	} others[] = {{"other", "c1", 2}, {"gw", "c2", 2}, {"gw", "c1", 0}, {"gw", "c1", 4}};
	for (size_t i = 0; i < 4; i++) {
		hello.product = others[i].product;
		hello.class_id = others[i].class_id;
		hello.hw_rev = others[i].hw_rev;
		MUST(fl_registry_hello(&f.registry, &hello, &err));
		request.force = false;
		cr_assert_eq(fl_jobs_create(&f.jobs, &request, &ref, &err), FL_E_INCOMPATIBLE, "%zu", i);
		request.force = true;
		MUST(fl_jobs_create(&f.jobs, &request, &ref, &err));
	}
	fixture_free(&f);
}

Test(unit_fleet_jobs, reports_move_a_job_forward_only)
{
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_job_ref job = deploy(&f, &release);
	ASSERT_STATE(&f, "queued");
	report(&f, f.device_key, 3, "staging", &job);
	ASSERT_STATE(&f, "staging");
	report(&f, f.device_key, 2, "received", &job);
	ASSERT_STATE(&f, "staging");
	report(&f, f.device_key, 3, "staging", &job);
	report(&f, f.device_key, 5, "committed", &job);
	report(&f, f.device_key, 6, "failed", &job);
	ASSERT_STATE(&f, "committed");
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM reports"), 4, "each number once");
	cr_assert_eq(fixture_number(&f, "SELECT report_seq FROM devices"), 6);
	fl_db_batch_end(&f.db, FL_OK);
	fl_jobs_batch_end(&f.jobs, FL_OK);
	cr_assert_eq(f.n_events[FL_BUS_JOB_CHANGED], 1, "one job, told once");
	fixture_free(&f);
}

Test(unit_fleet_jobs, reports_of_other_keys_are_events)
{
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_job_ref job = deploy(&f, &release);
	const struct fl_key *keys[] = {f.dispatch_key, f.release_key, f.root_key};
	for (size_t i = 0; i < 3; i++)
		report(&f, keys[i], i + 1, "committed", &job);
	ASSERT_STATE(&f, "queued");
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM reports"), 0);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM events WHERE code = 'report_invalid'"), 3);
	cr_assert_eq(fixture_number(&f, "SELECT report_seq FROM devices"), 0,
		     "a forged number must not hide later reports");
	fixture_free(&f);
}

Test(unit_fleet_jobs, a_lost_batch_publishes_nothing)
{
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_job_ref job = deploy(&f, &release);
	report(&f, f.device_key, 1, "staging", &job);
	fl_db_batch_end(&f.db, FL_E_IO);
	fl_jobs_batch_end(&f.jobs, FL_E_IO);
	ASSERT_STATE(&f, "queued");
	cr_assert_eq(f.n_events[FL_BUS_JOB_CHANGED], 0);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM reports"), 0);
	report(&f, f.device_key, 1, "staging", &job);
	ASSERT_STATE(&f, "staging");
	fixture_free(&f);
}

Test(unit_fleet_jobs, more_changed_jobs_than_a_batch_notes)
{
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	for (uint64_t i = 1; i <= FL_JOBS_TOUCHED_MAX + 5; i++) {
		struct fl_job_ref job = deploy(&f, &release);
		if (f.db.tx == FL_DB_IDLE && f.jobs.n_touched > 0)
			fl_jobs_batch_end(&f.jobs, FL_OK); /* what the hub does */
		report(&f, f.device_key, i, "staging", &job);
	}
	fl_db_batch_end(&f.db, FL_OK);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs WHERE state = 'staging'"),
		     FL_JOBS_TOUCHED_MAX + 5);
	fixture_free(&f);
}

/* What a device would learn from a heartbeat on this nonce. */
static enum fl_rc beat(struct fixture *f, const uint8_t nonce[32], struct fl_heartbeat *ret)
{
	struct fl_err err;
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	uint8_t asked[32] = {9, 8, 7};
	struct fl_envelope env;
	struct fl_device_facts device = {.tenant = "default", .device_id = "gw-1"};
	struct fl_trust_state state = {.root = &f->roots.current, .device = &device};
	MUST(fl_jobs_heartbeat(&f->jobs, "gw-1", (struct fl_bytes){asked, 32}, &text, &err));
	MUST(fl_envelope_parse(text.data, text.len, FL_DOC_HEARTBEAT, &arena, &env, &err));
	enum fl_rc rc = fl_verify_heartbeat(&state, &env, nonce, &arena, ret, &err);
	fl_buf_free(&text);
	fl_arena_free(&arena); /* callers look at numbers only */
	return rc;
}

Test(unit_fleet_jobs, a_heartbeat_answers_its_nonce)
{
	struct fixture f;
	struct fl_heartbeat said;
	const uint8_t nonce[32] = {9, 8, 7}, other[32] = {9, 8, 6};
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	cr_assert_eq(beat(&f, nonce, &said), FL_OK);
	cr_assert_eq(said.root_version, 1);
	cr_assert_eq(said.utc, NOW);
	cr_assert_eq(beat(&f, other, &said), FL_E_NONCE);
	fixture_free(&f);
}

Test(unit_fleet_jobs, a_device_without_memory_takes_what_waits_and_nothing_that_is_over)
{
	struct fixture f;
	struct fl_heartbeat said;
	const uint8_t nonce[32] = {9, 8, 7};
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0", 2);
	struct fl_job_ref first = deploy(&f, &release), second = deploy(&f, &release);
	cr_assert_eq(beat(&f, nonce, &said), FL_OK);
	cr_assert_eq(said.latest_job_seq, 0, "both wait for its first contact");
	report(&f, f.device_key, 1, "committed", &first);
	cr_assert_eq(beat(&f, nonce, &said), FL_OK);
	cr_assert_eq(said.latest_job_seq, first.job_seq);
	deploy(&f, &release);
	report(&f, f.device_key, 2, "failed", &second);
	cr_assert_eq(beat(&f, nonce, &said), FL_OK);
	cr_assert_eq(said.latest_job_seq, second.job_seq);
	fl_db_batch_end(&f.db, FL_OK);
	fixture_free(&f);
}

Test(unit_fleet_jobs, what_people_see_is_json_whatever_a_device_says)
{
	struct fl_err err;
	struct fixture f;
	struct fl_buf out = FL_BUF((size_t)1 << 20);
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_digest release = fixture_add_release(&f, "2.0 \"<b>\"", 2);
	struct fl_job_ref job = deploy(&f, &release);
	struct fl_report r = {.type = "report", .spec = 1, .device_id = "gw-1", .report_seq = 1,
			      .boot_id = boot_id, .job_id = job.job_id, .state = "failed", .utc = NOW,
			      .text = "a \"quote\" \\ and </script>",
			      .boot_log = "init: gone\nPanic\033\n", .time_quality = "none"};
	struct fl_buf text = fixture_report(f.device_key, &r);
	struct fl_wire_report message = {.report_seq = 1, .envelope = fl_buf_str(&text)};
	MUST(fl_jobs_report(&f.jobs, "gw-1", fl_key_public(f.device_key), &message, &err));
	bool final = false;
	MUST(fl_jobs_show(&f.jobs, job.job_id, true, &out, &final, &err));
	cr_assert(final);
	cr_assert_not_null(strstr(fl_buf_str(&out), "\"text\":\"a \\\"quote\\\" \\\\ and </script>\""));
	cr_assert_not_null(strstr(fl_buf_str(&out), "\"boot_log\":\"init: gone\\nPanic\\u001b\\n\""));
	fl_buf_clear(&out);
	MUST(fl_jobs_show(&f.jobs, job.job_id, false, &out, &final, &err));
	cr_assert_null(strstr(fl_buf_str(&out), "boot_log"), "only with the history");
	cr_assert_eq(fl_jobs_show(&f.jobs, boot_id, false, &out, NULL, &err), FL_E_NOT_FOUND);
	fl_buf_free(&text);
	fl_buf_free(&out);
	fixture_free(&f);
}
