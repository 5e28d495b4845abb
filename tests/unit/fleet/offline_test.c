/* SPDX-License-Identifier: Apache-2.0 */
/* Offline jobs in the fleet: what is signed for a bundle, and how a device's reports find their job. */
#include "fixture.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/verify.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char boot_id[] = "0f0e0d0c-0b0a-4908-8706-050403020100";
static const char foreign_id[] = "11111111-2222-4333-8444-555555555555";

static struct fixture f;
static struct fl_digest release;
static const char *names[] = {"gw-1", "gw-2"};

static void set_up(void)
{
	static const char *const intents[] = {"install", "cancel", "install_offline"};
	struct fl_err err;
	fixture_make(&f, intents, 3);
	fixture_add_device(&f);
	char identity[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(&fl_key_public(f.dispatch_key)->keyid, identity);
	MUST(fl_db_run(&f.db,
		       "INSERT INTO devices (device_id, identity, revoked, created, job_seq, report_seq)"
		       " VALUES ('gw-2', $1, 0, 0, 0, 0)",
		       FL_DB_PARAMS(fl_db_str(identity)), &err));
	release = fixture_add_release(&f, "2.0", 2);
}

static void tear_down(void)
{
	fixture_free(&f);
}

TestSuite(unit_fleet_offline, .init = set_up, .fini = tear_down);

static enum fl_rc create(size_t n_devices, struct fl_buf *out, struct fl_jobs_offline_ref *ref,
			 struct fl_err *err)
{
	const struct fl_jobs_offline_request request = {
		.actor = "test", .devices = {names, n_devices}, .release = release};
	return fl_jobs_create_offline(&f.jobs, &request, out, ref, err);
}

static struct fl_jobs_offline_ref make(size_t n_devices)
{
	struct fl_err err;
	struct fl_jobs_offline_ref ref;
	struct fl_buf out = FL_BUF(FL_ENVELOPE_MAX);
	MUST(create(n_devices, &out, &ref, &err));
	fl_buf_free(&out);
	return ref;
}

static void report(uint64_t seq, const char *state, const char *job_id, uint64_t offline_seq)
{
	struct fl_err err;
	const struct fl_report r = {.type = "report", .spec = 1, .device_id = "gw-1",
				    .report_seq = seq, .boot_id = boot_id, .state = state,
				    .utc = NOW, .time_quality = "none", .job_id = job_id,
				    .offline_seq = offline_seq};
	struct fl_buf text = fixture_report(f.device_key, &r);
	const struct fl_wire_report message = {.report_seq = seq, .envelope = fl_buf_str(&text)};
	MUST(fl_jobs_report(&f.jobs, "gw-1", fl_key_public(f.device_key), &message, &err));
	fl_buf_free(&text);
}

static void is_text(const char *sql, const char *want)
{
	char text[128];
	fixture_text(&f, sql, text, sizeof(text));
	cr_assert_str_eq(text, want, "%s", sql);
}

Test(unit_fleet_offline, what_is_signed_is_what_both_devices_take)
{
	struct fl_err err;
	struct fl_arena arena = FL_ARENA((size_t)4 << 20);
	struct fl_buf out = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_jobs_offline_ref ref;
	struct fl_envelope env;
	struct fl_job job;
	enum fl_job_verdict verdict;
	const struct fl_key *keys[] = {f.device_key, f.dispatch_key};
	MUST(create(2, &out, &ref, &err));
	MUST(fl_envelope_parse(out.data, out.len, FL_DOC_JOB, &arena, &env, &err));
	for (size_t i = 0; i < 2; i++) {
		const struct fl_device_facts device = {.tenant = "default", .device_id = names[i],
						       .identity = fl_key_public(keys[i])->keyid};
		const struct fl_trust_state state = {.root = &f.roots.current, .device = &device,
						     .t_min = NOW, .offline_seq = NOW - 1};
		MUST(fl_verify_job(&state, &env, NOW, &arena, &job, &verdict, &err));
	}
	cr_assert_eq(ref.offline_seq, NOW, "it counts by the time");
	cr_assert_eq(job.offline_seq, NOW);
	cr_assert_str_eq(job.job_id, ref.job_id);
	cr_assert_eq(job.expires, NOW + 30 * 86400);
	cr_assert(fl_digest_equal(&job.release, &release));
	cr_assert_eq(make(1).offline_seq, NOW + 1);
	cr_assert_eq(make(1).offline_seq, NOW + 2);
	f.now_s = NOW + 100;
	cr_assert_eq(make(1).offline_seq, NOW + 100);
	f.now_s = NOW - 100; /* the clock was set back */
	cr_assert_eq(make(1).offline_seq, NOW + 101);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM audit WHERE action = 'job.create_offline'"),
		     5);
	is_text("SELECT substr(detail, 73) FROM audit WHERE action = 'job.create_offline' LIMIT 1",
		"2 devices: gw-1 gw-2");
	fl_buf_free(&out);
	fl_arena_free(&arena);
}

Test(unit_fleet_offline, what_is_refused_takes_no_number_and_names_the_device)
{
	struct fl_err err;
	struct fl_buf out = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_jobs_offline_ref ref;
	struct fl_jobs_offline_request request = {
		.actor = "test", .devices = {names, 0}, .release = release};
	cr_assert_eq(fl_jobs_create_offline(&f.jobs, &request, &out, &ref, &err), FL_E_BAD_REQUEST);
	request.devices.n = 2;
	request.expires_s = 1;
	cr_assert_eq(fl_jobs_create_offline(&f.jobs, &request, &out, &ref, &err), FL_E_BAD_REQUEST);
	request.expires_s = 0;
	request.release.b[0] ^= 1;
	cr_assert_eq(fl_jobs_create_offline(&f.jobs, &request, &out, &ref, &err), FL_E_NOT_FOUND);
	request.release = release;
	static const char *const wrong[] = {"no-such"};
	request.components.items = wrong;
	request.components.n = 1;
	cr_assert_eq(fl_jobs_create_offline(&f.jobs, &request, &out, &ref, &err), FL_E_BAD_REQUEST);
	request.components.n = 0;
	MUST(fl_db_run(&f.db, "UPDATE devices SET revoked = 1 WHERE device_id = 'gw-2'", NULL, 0, &err));
	cr_assert_eq(fl_jobs_create_offline(&f.jobs, &request, &out, &ref, &err), FL_E_CONFLICT);
	cr_assert_not_null(strstr(err.msg, "gw-2"));
	static const char *twice[] = {"gw-1", "gw-1"};
	request.devices.items = twice;
	cr_assert_eq(fl_jobs_create_offline(&f.jobs, &request, &out, &ref, &err), FL_E_DOC_FIELD);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM offline_jobs"), 0);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM audit WHERE action = 'job.create_offline'"),
		     0);
	fl_buf_free(&out);
}

Test(unit_fleet_offline, a_key_that_may_not_sign_it_is_told_at_once)
{
	struct fixture other;
	struct fl_err err;
	struct fl_buf out = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_jobs_offline_ref ref;
	fixture_make(&other, NULL, 0);
	fixture_add_device(&other);
	const struct fl_digest own = fixture_add_release(&other, "2.0", 2);
	const struct fl_jobs_offline_request request = {
		.actor = "test", .devices = {names, 1}, .release = own};
	cr_assert_eq(fl_jobs_create_offline(&other.jobs, &request, &out, &ref, &err), FL_E_SCOPE);
	cr_assert_eq(fixture_number(&other, "SELECT count(*) FROM offline_jobs"), 0);
	fl_buf_free(&out);
	fixture_free(&other);
}

Test(unit_fleet_offline, it_is_sent_to_nobody_and_taken_up_when_it_is_reported)
{
	struct fl_err err;
	struct fl_jobs_next next = {.envelope = FL_BUF(FL_ENVELOPE_MAX), .release = FL_BUF(FL_ENVELOPE_MAX)};
	const struct fl_jobs_offline_ref ref = make(2);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs"), 0);
	report(1, "received", ref.job_id, ref.offline_seq);
	report(2, "staging", ref.job_id, ref.offline_seq);
	MUST(fl_jobs_find_next(&f.jobs, "gw-1", 0, &next, &err));
	cr_assert_eq(next.job_seq, 0, "open, and still not sent");
	report(3, "committed", ref.job_id, ref.offline_seq);
	report(4, "failed", ref.job_id, ref.offline_seq);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs"), 1);
	is_text("SELECT job_id FROM jobs", ref.job_id);
	is_text("SELECT state FROM jobs", "committed");
	is_text("SELECT intent FROM jobs", "install_offline");
	is_text("SELECT version FROM jobs", "2.0");
	is_text("SELECT device_id FROM jobs", "gw-1");
	cr_assert_eq(fixture_number(&f, "SELECT offline_seq FROM jobs"), ref.offline_seq);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM events WHERE kind = 'report'"), 0);
	fl_db_batch_end(&f.db, FL_OK);
	fl_buf_free(&next.envelope);
	fl_buf_free(&next.release);
}

Test(unit_fleet_offline, a_job_of_a_second_device_has_an_id_of_its_own)
{
	struct fl_err err;
	const struct fl_jobs_offline_ref ref = make(2);
	char id[FL_JOBS_ID_SIZE], again[FL_JOBS_ID_SIZE];
	report(1, "committed", ref.job_id, ref.offline_seq);
	const struct fl_report second = {.job_id = ref.job_id, .offline_seq = ref.offline_seq};
	MUST(fl_jobs_take_up(&f.jobs, "gw-2", &second, id, &err));
	cr_assert_str_neq(id, ref.job_id);
	MUST(fl_jobs_take_up(&f.jobs, "gw-2", &second, again, &err));
	cr_assert_str_eq(id, again, "taken up once");
	is_text("SELECT state FROM jobs WHERE device_id = 'gw-2'", "queued");
	is_text("SELECT state FROM jobs WHERE device_id = 'gw-1'", "committed");
	fl_db_batch_end(&f.db, FL_OK);
}

/* An operator's: nobody here has seen it, and it may bear any id, also that of a job of the fleet. */
Test(unit_fleet_offline, a_job_that_was_signed_elsewhere_shows_in_the_history)
{
	struct fl_err err;
	struct fl_job_ref own, cancel;
	const struct fl_job_request request = {
		.actor = "test", .device_id = "gw-1", .intent = "install", .release = release};
	MUST(fl_jobs_create(&f.jobs, &request, &own, &err));
	report(1, "staging", foreign_id, 77);
	report(2, "rolled_back", foreign_id, 77);
	report(3, "committed", own.job_id, 78);
	is_text("SELECT state FROM jobs WHERE offline_seq = 77", "rolled_back");
	is_text("SELECT state FROM jobs WHERE offline_seq = 78", "committed");
	is_text("SELECT state FROM jobs WHERE offline_seq IS NULL", "queued");
	is_text("SELECT coalesce(release, 'none') FROM jobs WHERE offline_seq = 77", "none");
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs"), 3);
	fl_db_batch_end(&f.db, FL_OK);
	report(4, "staging", "99999999-2222-4333-8444-555555555555", 79);
	fl_db_batch_end(&f.db, FL_OK);
	char id[FL_JOBS_ID_SIZE];
	fixture_text(&f, "SELECT job_id FROM jobs WHERE offline_seq = 79", id, sizeof(id));
	cr_assert_eq(fl_jobs_cancel(&f.jobs, "test", id, &cancel, &err), FL_E_CONFLICT);
	cr_assert_not_null(strstr(err.msg, "signed elsewhere"));
}

Test(unit_fleet_offline, one_that_was_signed_here_can_be_cancelled)
{
	struct fl_err err;
	struct fl_job_ref cancel;
	const struct fl_jobs_offline_ref ref = make(1);
	report(1, "waiting_to_activate", ref.job_id, ref.offline_seq);
	fl_db_batch_end(&f.db, FL_OK);
	MUST(fl_jobs_cancel(&f.jobs, "test", ref.job_id, &cancel, &err));
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs WHERE intent = 'cancel'"), 1);
}

Test(unit_fleet_offline, a_device_cannot_fill_the_table_with_jobs_of_its_own)
{
	char id[FL_JOBS_ID_SIZE];
	for (uint64_t i = 1; i <= 210; i++) {
		snprintf(id, sizeof(id), "11111111-2222-4333-8444-%012llu", (unsigned long long)i);
		report(i, "failed", id, i);
		fl_db_batch_end(&f.db, FL_OK);
		fl_jobs_batch_end(&f.jobs, FL_OK);
	}
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM jobs"), 200);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM events WHERE code = 'not_found'"), 10);
}

/* Numbers of offline jobs are none of the others': a device that lost its memory must not skip what waits. */
Test(unit_fleet_offline, the_heartbeat_counts_other_jobs_only)
{
	struct fl_err err;
	struct fl_job_ref own;
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_envelope env;
	struct fl_heartbeat beat;
	uint8_t nonce[32] = {1};
	const struct fl_job_request request = {
		.actor = "test", .device_id = "gw-1", .intent = "install", .release = release};
	MUST(fl_jobs_create(&f.jobs, &request, &own, &err));
	report(1, "committed", foreign_id, 77);
	MUST(fl_jobs_heartbeat(&f.jobs, "gw-1", (struct fl_bytes){nonce, 32}, &text, &err));
	MUST(fl_envelope_parse(text.data, text.len, FL_DOC_HEARTBEAT, &arena, &env, &err));
	MUST(fl_heartbeat_decode(env.payload, &arena, &beat, &err));
	cr_assert_eq(beat.latest_job_seq, 0);
	fl_db_batch_end(&f.db, FL_OK);
	fl_buf_free(&text);
	fl_arena_free(&arena);
}

Test(unit_fleet_offline, progress_finds_it)
{
	const struct fl_jobs_offline_ref ref = make(1);
	report(1, "staging", foreign_id, 77);
	report(2, "staging", ref.job_id, ref.offline_seq);
	fl_db_batch_end(&f.db, FL_OK);
	char id[FL_JOBS_ID_SIZE];
	fixture_text(&f, "SELECT job_id FROM jobs WHERE offline_seq = 77", id, sizeof(id));
	fl_jobs_set_progress(&f.jobs, "gw-1",
			     &(struct fl_wire_progress){.job_id = foreign_id, .done_bytes = 5});
	cr_assert_not_null(fl_jobs_get_progress(&f.jobs, id));
	cr_assert_eq(fl_jobs_get_progress(&f.jobs, id)->done_bytes, 5);
	fl_jobs_set_progress(&f.jobs, "gw-2",
			     &(struct fl_wire_progress){.job_id = ref.job_id, .done_bytes = 6});
	cr_assert_null(fl_jobs_get_progress(&f.jobs, ref.job_id), "another device's");
}
