/* SPDX-License-Identifier: Apache-2.0 */
/* The rules: every move from every phase, every refusal, and what never goes back under any order of calls. */
#include <fairlead/anchor/anchor.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct fl_anchor a;
static struct fl_anchor before;

static struct fl_digest digest_of(unsigned n)
{
	struct fl_digest d;
	memset(&d, 0xab, sizeof(d));
	memcpy(d.b, &n, sizeof(n));
	return d;
}

static struct fl_anchor_name name_of(unsigned n)
{
	struct fl_anchor_name name;
	memset(&name, 0xcd, sizeof(name));
	memcpy(name.b, &n, sizeof(n));
	return name;
}

static bool untouched(void)
{
	return memcmp(&a, &before, sizeof(a)) == 0;
}

static void set_up(void)
{
	memset(&a, 0x55, sizeof(a));
	fl_anchor_init(&a);
	a.lost = false;
	before = a;
}

TestSuite(anchor_rules, .init = set_up);

static int open_job(unsigned n)
{
	const struct fl_digest job = digest_of(n);
	const struct fl_digest release = digest_of(1000 + n);
	int place = -1;
	cr_assert_eq(fl_anchor_open_job(&a, &job, &release, n, &place, NULL), FL_OK);
	before = a;
	return place;
}

static struct fl_anchor_component *add(unsigned n)
{
	struct fl_anchor_component *c;
	cr_assert_eq(fl_anchor_add_component(&a, name_of(n), &c, NULL), FL_OK);
	before = a;
	return c;
}

/* The table of docs/internals/anchor.md, row by row: from; to idle, staging, sealed, trial, decided, rolling_back. */
static const char *const table[FL_PHASE_COUNT] = {
	" x    ", /* idle */
	"xxx   ", /* staging */
	"xxxx  ", /* sealed */
	"   xxx", /* trial */
	"x   x ", /* decided */
	"x    x", /* rolling_back */
};

Test(anchor_rules, the_table_is_the_documented_one)
{
	static const char *const names[] = {"idle",  "staging", "sealed",
					    "trial", "decided", "rolling_back"};
	for (unsigned from = 0; from < FL_PHASE_COUNT; from++) {
		cr_assert_str_eq(fl_phase_name((enum fl_phase)from), names[from]);
		for (unsigned to = 0; to < FL_PHASE_COUNT; to++)
			cr_assert_eq(fl_phase_may_follow((enum fl_phase)from, (enum fl_phase)to),
				     table[from][to] == 'x', "%s to %s", names[from], names[to]);
	}
	cr_assert_str_eq(fl_phase_name((enum fl_phase)6), "unknown");
	cr_assert_not(fl_phase_may_follow((enum fl_phase)6, FL_PHASE_IDLE));
	cr_assert_not(fl_phase_may_follow(FL_PHASE_IDLE, (enum fl_phase)6));
	cr_assert_not(fl_phase_may_follow((enum fl_phase)-1, FL_PHASE_IDLE));
}

Test(anchor_rules, set_phase_makes_every_allowed_move_and_no_other)
{
	const int job = open_job(1);
	struct fl_anchor_component *c = add(1);
	cr_assert_eq(fl_anchor_hold(&a, job, c->name, NULL), FL_OK);
	for (unsigned from = 0; from < FL_PHASE_COUNT; from++) {
		for (unsigned to = 0; to < FL_PHASE_COUNT + 1; to++) {
			c->phase = (enum fl_phase)from;
			before = a;
			enum fl_rc rc =
				fl_anchor_set_phase(&a, job, c->name, (enum fl_phase)to, NULL);
			/* To idle only by commit or close, into decided only by the decision. */
			bool may = to < FL_PHASE_COUNT && table[from][to] == 'x' && to != FL_PHASE_IDLE &&
				   to != FL_PHASE_DECIDED;
			cr_assert_eq(rc, may ? FL_OK : FL_E_PHASE, "from %u to %u", from, to);
			cr_assert_eq((unsigned)c->phase, may ? to : from);
			cr_assert(may || untouched());
		}
	}
}

Test(anchor_rules, only_the_holder_moves_a_component)
{
	const int first = open_job(1);
	const int second = open_job(2);
	struct fl_anchor_component *c = add(1);
	cr_assert_eq(fl_anchor_set_phase(&a, first, c->name, FL_PHASE_STAGING, NULL), FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_hold(&a, first, c->name, NULL), FL_OK);
	cr_assert_eq(fl_anchor_hold(&a, first, c->name, NULL), FL_OK, "repeatable");
	before = a;
	cr_assert_eq(fl_anchor_hold(&a, second, c->name, NULL), FL_E_COMPONENT_BUSY);
	cr_assert_eq(fl_anchor_set_phase(&a, second, c->name, FL_PHASE_STAGING, NULL),
		     FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_hold(&a, 5, c->name, NULL), FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_hold(&a, -1, c->name, NULL), FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_hold(&a, FL_ANCHOR_JOBS, c->name, NULL), FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_hold(&a, first, name_of(9), NULL), FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_set_phase(&a, 5, c->name, FL_PHASE_STAGING, NULL), FL_E_NOT_OPEN);
	cr_assert_eq(fl_anchor_set_phase(&a, first, name_of(9), FL_PHASE_STAGING, NULL),
		     FL_E_NOT_OPEN);
	cr_assert(untouched());
}

Test(anchor_rules, a_job_opens_once_and_only_above_every_number_before)
{
	const struct fl_digest job = digest_of(5);
	const struct fl_digest release = digest_of(6);
	int place = 77;
	open_job(5);
	cr_assert_eq(fl_anchor_open_job(&a, &job, &release, 5, &place, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_open_job(&a, &release, &release, 5, &place, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_open_job(&a, &release, &release, 4, &place, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_open_job(&a, &job, &release, 6, &place, NULL), FL_E_REPLAYED,
		     "an open one is not opened twice, whatever its number");
	cr_assert(untouched());
	cr_assert_eq(place, 77);
	cr_assert_eq(fl_anchor_open_job(&a, &release, &release, UINT64_C(1) << 50, &place, NULL),
		     FL_OK);
	cr_assert_eq(a.job_seq, UINT64_C(1) << 50);
	cr_assert_eq(fl_anchor_find_job(&a, &release), place);
	cr_assert_eq(fl_anchor_find_job(&a, &job), 0);
	cr_assert_eq(fl_anchor_count_jobs(&a), 2);
}

Test(anchor_rules, offline_jobs_have_a_counter_of_their_own)
{
	const struct fl_digest first = digest_of(70), second = digest_of(71), third = digest_of(72);
	int place = 77;
	open_job(5);
	cr_assert_eq(fl_anchor_open_offline(&a, &first, &third, 3, &place, NULL), FL_OK);
	cr_assert(a.job_seq == 5 && a.offline_seq == 3);
	cr_assert_eq(a.jobs[place].job_seq, 5, "newer than every job before, older than the next");
	cr_assert_eq(fl_anchor_find_job(&a, &first), place);
	before = a;
	cr_assert_eq(fl_anchor_open_offline(&a, &first, &third, 4, &place, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_open_offline(&a, &second, &third, 3, &place, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_open_offline(&a, &second, &third, 2, &place, NULL), FL_E_REPLAYED);
	cr_assert(untouched());
	cr_assert_eq(fl_anchor_close_job(&a, place, NULL), FL_OK);
	before = a;
	cr_assert_eq(fl_anchor_open_offline(&a, &first, &third, 3, &place, NULL), FL_E_REPLAYED,
		     "closed, and closed it stays");
	cr_assert(untouched());
	cr_assert_eq(fl_anchor_open_offline(&a, &second, &third, UINT64_C(1) << 31, &place, NULL),
		     FL_OK);
	cr_assert_eq(fl_anchor_open_job(&a, &third, &third, 6, &place, NULL), FL_OK);
	cr_assert(a.job_seq == 6 && a.offline_seq == UINT64_C(1) << 31);
}

Test(anchor_rules, a_lost_anchor_opens_nothing)
{
	const struct fl_digest job = digest_of(5);
	int place;
	fl_anchor_init(&a);
	cr_assert(a.lost);
	before = a;
	cr_assert_eq(fl_anchor_open_job(&a, &job, &job, 5, &place, NULL), FL_E_ANCHOR_LOST);
	cr_assert_eq(fl_anchor_open_offline(&a, &job, &job, 5, &place, NULL), FL_E_ANCHOR_LOST);
	cr_assert_eq(fl_anchor_pass_job(&a, 5, NULL), FL_E_ANCHOR_LOST);
	cr_assert_eq(fl_anchor_heal(&a, 4, 1, NULL), FL_E_ROOT_VERSION, "the roots come first");
	cr_assert(untouched());
	a.root_version = 1;
	cr_assert_eq(fl_anchor_heal(&a, 4, 1, NULL), FL_OK);
	cr_assert_eq(a.job_seq, 4);
	cr_assert_eq(fl_anchor_open_job(&a, &job, &job, 4, &place, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_open_job(&a, &job, &job, 5, &place, NULL), FL_OK);
	cr_assert_eq(fl_anchor_heal(&a, 1, 0, NULL), FL_OK, "repeatable, and it lowers nothing");
	cr_assert_eq(a.job_seq, 5);
}

Test(anchor_rules, it_is_full_at_32_jobs_and_64_components)
{
	const struct fl_digest job = digest_of(99);
	struct fl_anchor_component *c;
	int place;
	for (unsigned i = 1; i <= FL_ANCHOR_JOBS; i++)
		open_job(i);
	cr_assert_eq(fl_anchor_open_job(&a, &job, &job, 99, &place, NULL), FL_E_ANCHOR_FULL);
	cr_assert(untouched());
	for (unsigned i = 1; i <= FL_ANCHOR_COMPONENTS; i++)
		add(i);
	cr_assert_eq(fl_anchor_add_component(&a, name_of(99), &c, NULL), FL_E_ANCHOR_FULL);
	cr_assert(untouched());
	cr_assert_eq(fl_anchor_add_component(&a, name_of(64), &c, NULL), FL_OK, "known already");
	cr_assert_eq(fl_anchor_close_job(&a, 7, NULL), FL_OK);
	cr_assert_eq(fl_anchor_open_job(&a, &job, &job, 99, &place, NULL), FL_OK);
	cr_assert_eq(place, 7);
}

Test(anchor_rules, a_passed_job_uses_up_its_number)
{
	open_job(5);
	cr_assert_eq(fl_anchor_pass_job(&a, 5, NULL), FL_E_REPLAYED);
	cr_assert_eq(fl_anchor_pass_job(&a, 8, NULL), FL_OK);
	cr_assert_eq(a.job_seq, 8);
	cr_assert_eq(fl_anchor_count_jobs(&a), 1);
}

/* A job with three components in these phases. */
static int job_in(enum fl_phase p1, enum fl_phase p2, enum fl_phase p3)
{
	const enum fl_phase phases[] = {p1, p2, p3};
	const int job = open_job(1);
	for (unsigned i = 0; i < 3; i++) {
		struct fl_anchor_component *c = add(i + 1);
		cr_assert_eq(fl_anchor_hold(&a, job, c->name, NULL), FL_OK);
		c->phase = phases[i];
	}
	before = a;
	return job;
}

Test(anchor_rules, the_decision_takes_all_or_none)
{
	for (unsigned odd = 0; odd < FL_PHASE_COUNT; odd++) {
		set_up();
		const int job = job_in(FL_PHASE_TRIAL, (enum fl_phase)odd, FL_PHASE_TRIAL);
		fl_anchor_begin_trial(&a, 600, name_of(3));
		before = a;
		const bool may = odd == FL_PHASE_TRIAL || odd == FL_PHASE_DECIDED;
		cr_assert_eq(fl_anchor_decide(&a, job, NULL), may ? FL_OK : FL_E_PHASE, "%u", odd);
		cr_assert(may || untouched());
		for (unsigned i = 0; may && i < 3; i++)
			cr_assert_eq(a.components[i].phase, FL_PHASE_DECIDED);
		cr_assert_eq(a.deadline_s, may ? 0 : 600, "a decision ends the deadline");
	}
	set_up();
	cr_assert_eq(fl_anchor_decide(&a, open_job(1), NULL), FL_E_NOT_OPEN, "it holds nothing");
	cr_assert_eq(fl_anchor_decide(&a, 9, NULL), FL_E_NOT_OPEN);
}

Test(anchor_rules, a_commit_needs_the_decision_and_never_lowers_a_floor)
{
	struct fl_anchor_facts facts = {.release_seq = 7, .security_floor = 3, .release = digest_of(42)};
	for (unsigned phase = 0; phase < FL_PHASE_COUNT; phase++) {
		set_up();
		const int job = job_in((enum fl_phase)phase, FL_PHASE_TRIAL, FL_PHASE_TRIAL);
		a.components[0].security_floor = 5;
		a.components[0].slot = 0x1234;
		before = a;
		enum fl_rc rc = fl_anchor_commit(&a, job, name_of(1), &facts, NULL);
		cr_assert_eq(rc, phase == FL_PHASE_DECIDED ? FL_OK : FL_E_PHASE);
		if (rc != FL_OK) {
			cr_assert(untouched());
			continue;
		}
		const struct fl_anchor_component *c = &a.components[0];
		const struct fl_anchor_id id = fl_anchor_id(&facts.release);
		cr_assert_eq(c->release_seq, 7);
		cr_assert_eq(c->security_floor, 5);
		cr_assert(fl_anchor_id_equal(&c->release, &id));
		cr_assert_not(c->held);
		cr_assert_eq(c->phase, FL_PHASE_IDLE);
		cr_assert_eq(c->slot, FL_ANCHOR_SLOT_NONE);
		cr_assert_eq(fl_anchor_commit(&a, job, name_of(1), &facts, NULL), FL_E_NOT_OPEN);
	}
	facts.security_floor = 9;
	a.components[1].phase = FL_PHASE_DECIDED;
	cr_assert_eq(fl_anchor_commit(&a, 0, name_of(2), &facts, NULL), FL_OK);
	cr_assert_eq(a.components[1].security_floor, 9);
}

Test(anchor_rules, a_job_closes_in_every_phase_but_trial_and_decided)
{
	for (unsigned phase = 0; phase < FL_PHASE_COUNT; phase++) {
		set_up();
		const int job = job_in(FL_PHASE_IDLE, (enum fl_phase)phase, FL_PHASE_SEALED);
		fl_anchor_begin_trial(&a, 600, name_of(3));
		before = a;
		const bool may = phase != FL_PHASE_TRIAL && phase != FL_PHASE_DECIDED;
		cr_assert_eq(fl_anchor_close_job(&a, job, NULL), may ? FL_OK : FL_E_PHASE);
		if (!may) {
			cr_assert(untouched());
			continue;
		}
		cr_assert_eq(fl_anchor_count_jobs(&a), 0);
		for (unsigned i = 0; i < 3; i++)
			cr_assert(!a.components[i].held && a.components[i].phase == FL_PHASE_IDLE);
		cr_assert_eq(a.deadline_s, phase == FL_PHASE_ROLLING_BACK ? 0 : 600,
			     "only the end of a trial ends its deadline");
		cr_assert_eq(fl_anchor_close_job(&a, job, NULL), FL_E_NOT_OPEN);
	}
}

Test(anchor_rules, closing_a_job_leaves_the_others_alone)
{
	const int first = job_in(FL_PHASE_STAGING, FL_PHASE_STAGING, FL_PHASE_STAGING);
	const int second = open_job(2);
	struct fl_anchor_component *c = add(9);
	cr_assert_eq(fl_anchor_hold(&a, second, c->name, NULL), FL_OK);
	c->phase = FL_PHASE_TRIAL;
	cr_assert_eq(fl_anchor_close_job(&a, first, NULL), FL_OK);
	cr_assert(c->held && c->phase == FL_PHASE_TRIAL);
	cr_assert_eq(fl_anchor_job_phase(&a, second), FL_PHASE_TRIAL);
	cr_assert_eq(fl_anchor_job_phase(&a, first), FL_PHASE_IDLE);
}

Test(anchor_rules, the_phase_of_a_job_is_its_most_advanced_and_rolling_back_prevails)
{
	int job = job_in(FL_PHASE_STAGING, FL_PHASE_SEALED, FL_PHASE_IDLE);
	cr_assert_eq(fl_anchor_job_phase(&a, job), FL_PHASE_SEALED);
	set_up();
	job = job_in(FL_PHASE_TRIAL, FL_PHASE_ROLLING_BACK, FL_PHASE_DECIDED);
	cr_assert_eq(fl_anchor_job_phase(&a, job), FL_PHASE_ROLLING_BACK);
}

Test(anchor_rules, roots_only_go_forward_and_a_new_epoch_starts_anew)
{
	const struct fl_digest root = digest_of(1);
	cr_assert_eq(fl_anchor_set_root(&a, &root, 2, 3, 1000, NULL), FL_OK);
	cr_assert_eq(a.t_min, 1000);
	open_job(40);
	a.offline_seq = 41;
	fl_anchor_raise_time(&a, 5000, 9000);
	before = a;
	cr_assert_eq(fl_anchor_set_root(&a, &root, 2, 3, 9999, NULL), FL_E_ROOT_VERSION);
	cr_assert_eq(fl_anchor_set_root(&a, &root, 1, 3, 9999, NULL), FL_E_ROOT_VERSION);
	cr_assert_eq(fl_anchor_set_root(&a, &root, 3, 2, 9999, NULL), FL_E_ROOT_VERSION);
	cr_assert(untouched());
	cr_assert_eq(fl_anchor_set_root(&a, &root, 3, 3, 4000, NULL), FL_OK);
	cr_assert_eq(a.t_min, 5000, "an older root does not lower the time");
	cr_assert(a.job_seq == 40 && a.offline_seq == 41);
	cr_assert_eq(fl_anchor_set_root(&a, &root, 4, 4, 4100, NULL), FL_OK);
	cr_assert_eq(a.t_min, 4100, "a new epoch sets it anew");
	cr_assert(a.job_seq == 0 && a.offline_seq == 0);
	cr_assert_eq(a.epoch, 4);
}

Test(anchor_rules, time_rises_up_to_its_limit)
{
	fl_anchor_raise_time(&a, 100, 1000);
	fl_anchor_raise_time(&a, 50, 1000);
	cr_assert_eq(a.t_min, 100);
	fl_anchor_raise_time(&a, UINT64_MAX, 1000);
	cr_assert_eq(a.t_min, 1000);
	fl_anchor_raise_time(&a, UINT64_MAX, 900);
	cr_assert_eq(a.t_min, 1000);
}

Test(anchor_rules, a_trial_starts_once_per_boot)
{
	fl_anchor_begin_trial(&a, 600, name_of(1));
	cr_assert(fl_anchor_same_boot(&a, name_of(1)));
	cr_assert(fl_anchor_run_trial(&a, name_of(2), 5000), "the boot that tries it");
	cr_assert_eq(a.trial_start_ms, 5000);
	cr_assert_not(fl_anchor_run_trial(&a, name_of(2), 9000), "a restarted helper does not begin anew");
	cr_assert_eq(a.trial_start_ms, 5000);
	cr_assert(fl_anchor_run_trial(&a, name_of(3), 0), "another boot, another try");
	cr_assert_eq(a.trial_start_ms, 1, "0 stands for not yet");
	cr_assert_eq(a.deadline_s, 600);
}

Test(anchor_rules, a_trial_is_extended_once_when_all_is_well)
{
	cr_assert_not(fl_anchor_extend_trial(&a, 5000, 100), "there is none");
	fl_anchor_begin_trial(&a, 600, name_of(1));
	cr_assert_not(fl_anchor_extend_trial(&a, 5000, 100), "it does not run yet");
	cr_assert(fl_anchor_run_trial(&a, name_of(2), 5000));
	cr_assert(fl_anchor_extend_trial(&a, 25999, 7200 + 600));
	cr_assert_eq(a.deadline_s, 20 + 7800);
	cr_assert_not(fl_anchor_extend_trial(&a, 90000, 7800), "told again");
	cr_assert_eq(a.deadline_s, 20 + 7800);
	cr_assert(fl_anchor_run_trial(&a, name_of(3), 100));
	cr_assert_not(a.trial_well, "another boot has to show it anew");
	cr_assert(fl_anchor_extend_trial(&a, 0, 60), "a clock that went back");
	cr_assert_eq(a.deadline_s, 60);
	fl_anchor_begin_trial(&a, 600, name_of(4));
	cr_assert_not(a.trial_well);
}

Test(anchor_rules, a_trial_without_a_switch_goes_back_to_staging)
{
	for (unsigned phase = 0; phase < FL_PHASE_COUNT; phase++) {
		set_up();
		const int job = job_in((enum fl_phase)phase, FL_PHASE_IDLE, FL_PHASE_IDLE);
		fl_anchor_begin_trial(&a, 600, name_of(3));
		before = a;
		const bool may = phase == FL_PHASE_TRIAL;
		cr_assert_eq(fl_anchor_unswitch(&a, job, NULL), may ? FL_OK : FL_E_PHASE);
		cr_assert(may ? a.components[0].phase == FL_PHASE_STAGING && a.deadline_s == 0
			      : untouched());
	}
	cr_assert_eq(fl_anchor_unswitch(&a, 9, NULL), FL_E_PHASE);
}

/* --- any order of calls --- */

Test(anchor_rules, what_may_move_is_told_without_moving_it)
{
	const int job = job_in(FL_PHASE_STAGING, FL_PHASE_SEALED, FL_PHASE_IDLE);
	before = a;
	cr_assert_eq(fl_anchor_may_move(&a, job, a.components[0].name, FL_PHASE_SEALED, NULL), FL_OK);
	cr_assert_eq(fl_anchor_may_move(&a, job, a.components[2].name, FL_PHASE_SEALED, NULL), FL_E_PHASE);
	cr_assert_eq(fl_anchor_may_move(&a, job + 1, a.components[0].name, FL_PHASE_SEALED, NULL),
		     FL_E_NOT_OPEN);
	cr_assert(untouched());
}

Test(anchor_rules, a_switched_component_is_found)
{
	const int job = job_in(FL_PHASE_IDLE, FL_PHASE_SEALED, FL_PHASE_STAGING);
	cr_assert_null(fl_anchor_switched(&a, job));
	static const enum fl_phase switched[] = {FL_PHASE_TRIAL, FL_PHASE_DECIDED, FL_PHASE_ROLLING_BACK};
	for (size_t i = 0; i < 3; i++) {
		a.components[1].phase = switched[i];
		cr_assert_eq(fl_anchor_switched(&a, job), &a.components[1]);
		cr_assert_null(fl_anchor_switched(&a, job + 1));
	}
}

Test(anchor_rules, a_lost_lock_unseals_and_touches_nothing_else)
{
	(void)job_in(FL_PHASE_SEALED, FL_PHASE_TRIAL, FL_PHASE_SEALED);
	before = a;
	cr_assert(fl_anchor_unseal(&a));
	before.components[0].phase = before.components[2].phase = FL_PHASE_STAGING;
	cr_assert(untouched());
	cr_assert_not(fl_anchor_unseal(&a));
}

Test(anchor_rules, a_job_rolls_back_whole_and_never_after_its_decision)
{
	const int job = job_in(FL_PHASE_TRIAL, FL_PHASE_ROLLING_BACK, FL_PHASE_TRIAL);
	cr_assert_eq(fl_anchor_roll_back(&a, job, NULL), FL_OK);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(a.components[i].phase, FL_PHASE_ROLLING_BACK);
	a.components[0].phase = FL_PHASE_TRIAL;
	a.components[2].phase = FL_PHASE_DECIDED;
	before = a;
	cr_assert_eq(fl_anchor_roll_back(&a, job, NULL), FL_E_PHASE);
	cr_assert(untouched(), "all or none");
}

Test(anchor_rules, it_names_the_documents_of_open_jobs_and_the_root)
{
	const int job = open_job(7);
	struct fl_digest d = digest_of(7);
	struct fl_anchor_id id = fl_anchor_id(&d);
	cr_assert(fl_anchor_names(&a, &id));
	d = digest_of(1007);
	id = fl_anchor_id(&d);
	cr_assert(fl_anchor_names(&a, &id));
	d = digest_of(8);
	id = fl_anchor_id(&d);
	cr_assert_not(fl_anchor_names(&a, &id));
	a.root = d;
	cr_assert(fl_anchor_names(&a, &id));
	cr_assert_eq(fl_anchor_close_job(&a, job, NULL), FL_OK);
	d = digest_of(7);
	id = fl_anchor_id(&d);
	cr_assert_not(fl_anchor_names(&a, &id));
}

static uint64_t rng = 1;

static unsigned pick(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(rng >> 33) % n;
}

static enum fl_rc random_step(void)
{
	const struct fl_digest digest = digest_of(pick(40) + 1);
	const struct fl_anchor_name name = name_of(pick(6) + 1);
	const int job = (int)pick(FL_ANCHOR_JOBS + 2) - 1;
	const struct fl_anchor_facts facts = {pick(50), pick(50), digest};
	struct fl_anchor_component *c;
	int place;
	switch (pick(11)) {
	case 0:
		return fl_anchor_open_job(&a, &digest, &digest, a.job_seq + pick(3), &place, NULL);
	case 1:
		return fl_anchor_add_component(&a, name, &c, NULL);
	case 2:
		return fl_anchor_hold(&a, job, name, NULL);
	case 3:
	case 4:
	case 5:
		return fl_anchor_set_phase(&a, job, name, (enum fl_phase)pick(7), NULL);
	case 6:
		return fl_anchor_decide(&a, job, NULL);
	case 7:
		return fl_anchor_commit(&a, job, name, &facts, NULL);
	case 8:
		return fl_anchor_close_job(&a, job, NULL);
	case 9:
		return fl_anchor_set_root(&a, &digest, a.root_version + pick(2), a.epoch, pick(99), NULL);
	default:
		fl_anchor_raise_time(&a, pick(1000), pick(1000));
		return FL_OK;
	}
}

static void assert_invariants(void)
{
	cr_assert_geq(a.t_min, before.t_min);
	cr_assert_geq(a.job_seq, before.job_seq);
	cr_assert_geq(a.root_version, before.root_version);
	for (size_t i = 0; i < before.n_components; i++) {
		const struct fl_anchor_component *now = &a.components[i];
		const struct fl_anchor_component *was = &before.components[i];
		cr_assert_geq(now->security_floor, was->security_floor);
		cr_assert(now->held || now->phase == FL_PHASE_IDLE);
		cr_assert(!now->held || !fl_anchor_id_is_zero(&a.jobs[now->job].job));
		cr_assert(now->release_seq == was->release_seq || was->phase == FL_PHASE_DECIDED,
			  "facts change by a commit alone");
		cr_assert(now->phase == was->phase || fl_phase_may_follow(was->phase, now->phase));
	}
}

Test(anchor_rules, nothing_that_must_not_go_back_does)
{
	uint8_t record[FL_ANCHOR_RECORD];
	uint8_t again[FL_ANCHOR_RECORD];
	struct fl_anchor read;
	uint64_t seq;
	unsigned done = 0;
	for (unsigned i = 0; i < 200000; i++) {
		before = a;
		if (random_step() != FL_OK) {
			cr_assert(untouched());
			continue;
		}
		done++;
		assert_invariants();
		if (i % 100 != 0)
			continue;
		cr_assert_eq(fl_anchor_encode(&a, i, record, NULL), FL_OK);
		cr_assert_eq(fl_anchor_decode(record, &read, &seq, NULL), FL_OK);
		cr_assert_eq(fl_anchor_encode(&read, seq, again, NULL), FL_OK);
		cr_assert_eq(memcmp(record, again, sizeof(record)), 0);
	}
	cr_assert_gt(done, 20000);
}
