/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a job, as design.md, section 2, has them. */
#include <fairlead/base/job_state.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(job_state, words_and_states_are_one_to_one)
{
	for (int i = 0; i < FL_JOB_N_STATES; i++) {
		enum fl_job_state back = FL_JOB_N_STATES;
		const char *name = fl_job_state_name((enum fl_job_state)i);
		cr_assert(fl_job_state_from_name(name, &back));
		cr_assert_eq((int)back, i, "%s", name);
	}
	cr_assert_str_eq(fl_job_state_name(FL_JOB_WAITING_TO_DOWNLOAD), "waiting_to_download");
	cr_assert_str_eq(fl_job_state_name(FL_JOB_WAITING_TO_ACTIVATE), "waiting_to_activate");
}

Test(job_state, unknown_words_change_nothing)
{
	enum fl_job_state state = FL_JOB_STUCK;
	cr_assert_not(fl_job_state_from_name("", &state));
	cr_assert_not(fl_job_state_from_name("Staging", &state));
	cr_assert_not(fl_job_state_from_name("refused", &state));
	cr_assert_eq(state, FL_JOB_STUCK);
}

Test(job_state, six_are_final_and_lead_nowhere)
{
	int n = 0;
	for (int i = 0; i < FL_JOB_N_STATES; i++) {
		bool leads = false;
		for (int k = 0; k < FL_JOB_N_STATES; k++)
			leads |= fl_job_state_may((enum fl_job_state)i, (enum fl_job_state)k);
		cr_assert_eq(leads, !fl_job_state_final((enum fl_job_state)i));
		n += fl_job_state_final((enum fl_job_state)i);
	}
	cr_assert_eq(n, 6);
}

Test(job_state, one_update_goes_from_top_to_bottom)
{
	const enum fl_job_state way[] = {
		FL_JOB_RECEIVED, FL_JOB_VERIFIED,   FL_JOB_WAITING_TO_DOWNLOAD,
		FL_JOB_STAGING,	 FL_JOB_STAGED,	    FL_JOB_WAITING_TO_ACTIVATE,
		FL_JOB_SEALING,	 FL_JOB_ACTIVATING, FL_JOB_RESTARTING,
		FL_JOB_CHECKING, FL_JOB_COMMITTING, FL_JOB_COMMITTED};
	for (size_t i = 1; i < sizeof(way) / sizeof(way[0]); i++)
		cr_assert(fl_job_state_may(way[i - 1], way[i]), "%zu", i);
}

Test(job_state, committing_never_goes_back)
{
	cr_assert_not(fl_job_state_may(FL_JOB_COMMITTING, FL_JOB_ROLLING_BACK));
	cr_assert_not(fl_job_state_may(FL_JOB_COMMITTING, FL_JOB_FAILED));
	cr_assert(fl_job_state_may(FL_JOB_COMMITTING, FL_JOB_STUCK));
}

Test(job_state, cancel_ends_where_sealing_begins)
{
	const enum fl_job_state before[] = {
		FL_JOB_RECEIVED, FL_JOB_VERIFIED, FL_JOB_WAITING_TO_DOWNLOAD,
		FL_JOB_STAGING,	 FL_JOB_STAGED,	  FL_JOB_WAITING_TO_ACTIVATE};
	const enum fl_job_state after[] = {FL_JOB_SEALING,  FL_JOB_ACTIVATING, FL_JOB_RESTARTING,
					   FL_JOB_CHECKING, FL_JOB_COMMITTING, FL_JOB_ROLLING_BACK};
	for (size_t i = 0; i < 6; i++) {
		cr_assert(fl_job_state_may(before[i], FL_JOB_CANCELLED));
		cr_assert_not(fl_job_state_may(after[i], FL_JOB_CANCELLED));
	}
}

Test(job_state, failed_means_nothing_was_activated)
{
	cr_assert(fl_job_state_may(FL_JOB_SEALING, FL_JOB_FAILED));
	cr_assert_not(fl_job_state_may(FL_JOB_ACTIVATING, FL_JOB_FAILED));
	cr_assert_not(fl_job_state_may(FL_JOB_CHECKING, FL_JOB_FAILED));
	cr_assert(fl_job_state_may(FL_JOB_CHECKING, FL_JOB_ROLLING_BACK));
}

Test(job_state, a_number_that_is_no_state_is_a_bug, .signal = SIGABRT)
{
	(void)fl_job_state_name(FL_JOB_N_STATES);
}
