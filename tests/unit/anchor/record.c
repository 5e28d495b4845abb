/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a record: what went in comes out, and any other byte is damage. */
#include <fairlead/anchor/anchor.h>

#include <fairlead/trust/digest.h>

#include <criterion/criterion.h>
#include <string.h>

#define U56_MAX ((UINT64_C(1) << 56) - 1)

static struct fl_anchor full(void)
{
	struct fl_anchor a;
	fl_anchor_init(&a);
	a.root_version = UINT64_MAX;
	memset(&a.root, 0x11, sizeof(a.root));
	a.epoch = 2;
	a.t_min = UINT64_MAX - 1;
	a.job_seq = UINT64_MAX - 2;
	a.offline_seq = 4;
	memset(&a.identity, 0x22, sizeof(a.identity));
	a.deadline_s = 86400;
	a.trial_well = true;
	memset(&a.boot, 0x33, sizeof(a.boot));
	a.trial_start_ms = 123456789;
	for (size_t i = 0; i < FL_ANCHOR_JOBS; i++) {
		struct fl_anchor_job *job = &a.jobs[i];
		memset(&job->job, (int)(0x40 + i), sizeof(job->job));
		memset(&job->release, (int)(0x80 + i), sizeof(job->release));
		job->job_seq = U56_MAX - i;
		job->tries = (uint8_t)(200 + i);
	}
	a.n_components = FL_ANCHOR_COMPONENTS;
	for (size_t i = 0; i < FL_ANCHOR_COMPONENTS; i++) {
		struct fl_anchor_component *c = &a.components[i];
		memset(&c->name, (int)(1 + i), sizeof(c->name));
		c->release_seq = U56_MAX - i;
		c->security_floor = i;
		memset(&c->release, (int)(100 + i), sizeof(c->release));
		c->held = i % 7 != 6;
		c->phase = c->held ? (enum fl_phase)(i % FL_PHASE_COUNT) : FL_PHASE_IDLE;
		c->job = c->held ? (uint8_t)(i % FL_ANCHOR_JOBS) : 0;
		c->slot = (uint16_t)(i * 1000);
	}
	return a;
}

static void assert_same(const struct fl_anchor *x, const struct fl_anchor *y)
{
	uint8_t one[FL_ANCHOR_RECORD];
	uint8_t two[FL_ANCHOR_RECORD];
	cr_assert_eq(fl_anchor_encode(x, 1, one, NULL), FL_OK);
	cr_assert_eq(fl_anchor_encode(y, 1, two, NULL), FL_OK);
	cr_assert_eq(memcmp(one, two, sizeof(one)), 0);
	cr_assert_eq(x->lost, y->lost);
	cr_assert_eq(x->n_components, y->n_components);
	for (size_t i = 0; i < x->n_components; i++) {
		cr_assert_eq(x->components[i].phase, y->components[i].phase);
		cr_assert_eq(x->components[i].held, y->components[i].held);
		cr_assert_eq(x->components[i].job, y->components[i].job);
		cr_assert_eq(x->components[i].slot, y->components[i].slot);
		cr_assert_eq(x->components[i].release_seq, y->components[i].release_seq);
	}
}

Test(anchor_record, the_fullest_anchor_comes_back)
{
	const struct fl_anchor a = full();
	struct fl_anchor back;
	uint64_t seq = 0;
	uint8_t record[FL_ANCHOR_RECORD];
	cr_assert_eq(fl_anchor_encode(&a, UINT64_C(0x0102030405060708), record, NULL), FL_OK);
	cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_OK);
	cr_assert_eq(seq, UINT64_C(0x0102030405060708));
	assert_same(&a, &back);
	cr_assert_eq(back.trial_start_ms, a.trial_start_ms);
	cr_assert_eq(back.jobs[31].tries, a.jobs[31].tries);
	cr_assert_eq(back.deadline_s, a.deadline_s);
	cr_assert_eq(back.trial_well, a.trial_well);
}

Test(anchor_record, the_emptiest_too)
{
	struct fl_anchor a;
	struct fl_anchor back = full();
	uint64_t seq;
	uint8_t record[FL_ANCHOR_RECORD];
	fl_anchor_init(&a);
	for (int lost = 0; lost < 2; lost++) {
		a.lost = lost != 0;
		cr_assert_eq(fl_anchor_encode(&a, 0, record, NULL), FL_OK);
		cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_OK);
		assert_same(&a, &back);
	}
}

Test(anchor_record, every_member_stands_where_the_document_says)
{
	const struct fl_anchor a = full();
	uint8_t r[FL_ANCHOR_RECORD];
	struct fl_digest sum;
	cr_assert_eq(fl_anchor_encode(&a, 0x0a0b, r, NULL), FL_OK);
	cr_assert_eq(memcmp(r, "FLANCHR1", 8), 0);
	cr_assert_eq(r[14] << 8 | r[15], 0x0a0b);
	cr_assert_eq(r[19], 3, "lost, trial well");
	cr_assert_eq(r[20], 0xff, "root version");
	cr_assert(r[28] == 0x11 && r[59] == 0x11, "root");
	cr_assert_eq(r[67], 2, "epoch");
	cr_assert_eq(r[75], 0xfe, "t_min");
	cr_assert_eq(r[83], 0xfd, "job_seq");
	cr_assert_eq(r[91], 4, "offline job_seq");
	cr_assert(r[92] == 0x22 && r[123] == 0x22, "identity");
	cr_assert_eq(r[124] << 24 | r[125] << 16 | r[126] << 8 | r[127], 86400);
	cr_assert(r[128] == 0x40 && r[128 + 16] == 0x80, "first job");
	cr_assert_eq(r[128 + 39], 200, "its tries");
	cr_assert(r[128 + 40] == 0x41, "second job");
	cr_assert_eq(r[1408], 1, "first component");
	cr_assert_eq(r[1408 + 38], 0, "idle, held by job 0");
	cr_assert_eq(r[1408 + 41 + 38], 1 << 5 | 1, "staging, held by job 1");
	cr_assert_eq(r[1408 + 6 * 41 + 38], 7 << 5, "free");
	cr_assert(r[4032] == 0x33 && r[4039] == 0x33, "boot of the trial");
	for (size_t i = 4048; i < 4064; i++)
		cr_assert_eq(r[i], 0);
	cr_assert_eq(fl_sha256(NULL, 0, r, 4064, &sum, NULL), FL_OK);
	cr_assert_eq(memcmp(sum.b, r + 4064, 32), 0);
}

Test(anchor_record, every_flipped_bit_is_damage)
{
	const struct fl_anchor a = full();
	struct fl_anchor back;
	uint64_t seq;
	uint8_t record[FL_ANCHOR_RECORD];
	cr_assert_eq(fl_anchor_encode(&a, 9, record, NULL), FL_OK);
	for (size_t bit = 0; bit < FL_ANCHOR_RECORD * 8; bit++) {
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_E_CORRUPT);
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_OK);
}

static void seal(uint8_t record[FL_ANCHOR_RECORD])
{
	struct fl_digest sum;
	cr_assert_eq(fl_sha256(NULL, 0, record, 4064, &sum, NULL), FL_OK);
	memcpy(record + 4064, sum.b, sizeof(sum.b));
}

/* Right sums over what our own writer would never have written. */
Test(anchor_record, unknown_content_is_damage)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *what;
	} rows[] = {
		{7, '2', "another format"},
		{17, 1, "an unknown flag"},
		{1408 + 38, 6 << 5, "a phase that does not exist"},
		{1408 + 38, 7 << 5 | 3, "free, but with a job"},
		{1408 + 38, 1 << 5 | 31, "held by a job that is not open"},
		{4050, 1, "something behind the end"},
	};
	struct fl_anchor a = full();
	struct fl_anchor back;
	uint64_t seq;
	memset(&a.jobs[31], 0, sizeof(a.jobs[31]));
	a.n_components = 8;
	for (size_t i = 8; i < FL_ANCHOR_COMPONENTS; i++)
		memset(&a.components[i], 0, sizeof(a.components[i]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t record[FL_ANCHOR_RECORD];
		cr_assert_eq(fl_anchor_encode(&a, 9, record, NULL), FL_OK);
		record[rows[i].at] = rows[i].value;
		seal(record);
		cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_E_CORRUPT, "%s",
			     rows[i].what);
	}
}

Test(anchor_record, two_components_of_one_name_and_gaps_are_damage)
{
	struct fl_anchor a = full();
	struct fl_anchor back;
	uint64_t seq;
	uint8_t record[FL_ANCHOR_RECORD];
	a.components[5].name = a.components[3].name;
	cr_assert_eq(fl_anchor_encode(&a, 9, record, NULL), FL_OK);
	cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_E_CORRUPT);
	a = full();
	cr_assert_eq(fl_anchor_encode(&a, 9, record, NULL), FL_OK);
	memset(record + 1408 + 41, 0, 41); /* the second of 64 */
	seal(record);
	cr_assert_eq(fl_anchor_decode(record, &back, &seq, NULL), FL_E_CORRUPT);
}

Test(anchor_record, numbers_that_do_not_fit_are_refused)
{
	uint8_t record[FL_ANCHOR_RECORD] = {1};
	struct fl_anchor a = full();
	a.jobs[0].job_seq = U56_MAX + 1;
	cr_assert_eq(fl_anchor_encode(&a, 1, record, NULL), FL_E_TOO_LARGE);
	a = full();
	a.components[0].release_seq = U56_MAX + 1;
	cr_assert_eq(fl_anchor_encode(&a, 1, record, NULL), FL_E_TOO_LARGE);
	a = full();
	a.components[63].security_floor = U56_MAX + 1;
	cr_assert_eq(fl_anchor_encode(&a, 1, record, NULL), FL_E_TOO_LARGE);
	a = full();
	a.n_components = FL_ANCHOR_COMPONENTS + 1;
	cr_assert_eq(fl_anchor_encode(&a, 1, record, NULL), FL_E_TOO_LARGE);
	cr_assert_eq(record[0], 1, "untouched");
}
