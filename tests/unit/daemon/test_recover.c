/* SPDX-License-Identifier: Apache-2.0 */
/* Where a job goes on: the whole table of (journal, what the helper says). */
#include "recover_rules.h"

#include <criterion/criterion.h>

static struct fl_ipc_open_component one;
static struct fl_ipc_open_job open_with(const char *phase)
{
	one = (struct fl_ipc_open_component){"rootfs", phase, "b"};
	struct fl_ipc_open_job open = {.job_seq = 7};
	open.components.items = &one;
	open.components.n = 1;
	return open;
}

static struct fl_recover_verdict decide(enum fl_job_state journal, const char *phase, bool trial)
{
	struct fl_ipc_open_job open = open_with(phase);
	const struct fl_recover_facts facts = {.journal = journal, .open = &open, .trial = trial};
	return fl_recover_decide(&facts);
}

Test(recover, a_decided_job_goes_forward_whatever_the_journal_says)
{
	for (int s = FL_JOB_RECEIVED; s <= FL_JOB_ROLLING_BACK; s++)
		cr_assert_eq(decide((enum fl_job_state)s, "decided", false).state, FL_JOB_COMMITTING);
}

Test(recover, a_job_that_rolls_back_goes_on_rolling_back)
{
	for (int s = FL_JOB_RECEIVED; s <= FL_JOB_ROLLING_BACK; s++) {
		const struct fl_recover_verdict v = decide((enum fl_job_state)s, "rolling_back", false);
		cr_assert_eq(v.state, FL_JOB_ROLLING_BACK);
		const bool ran = s == FL_JOB_CHECKING || s == FL_JOB_COMMITTING;
		cr_assert_eq(v.reason, ran ? FL_E_TRIAL_DEADLINE : FL_E_BOOT_FAILED,
			     "a system that was being checked did boot");
	}
}

Test(recover, a_known_reason_is_kept_over_the_boot_failure)
{
	struct fl_ipc_open_job open = open_with("rolling_back");
	const struct fl_recover_facts facts = {.journal = FL_JOB_ROLLING_BACK,
					       .journal_reason = FL_E_CHECK_FAILED,
					       .open = &open,
					       .boot_failure = "slot b: no init"};
	const struct fl_recover_verdict v = fl_recover_decide(&facts);
	cr_assert_eq(v.reason, FL_E_CHECK_FAILED);
	cr_assert_null(v.text);
}

Test(recover, the_boot_failure_is_the_reason_when_none_was_known)
{
	struct fl_ipc_open_job open = open_with("rolling_back");
	const struct fl_recover_facts facts = {
		.journal = FL_JOB_RESTARTING, .open = &open, .boot_failure = "slot b: no init"};
	cr_assert_str_eq(fl_recover_decide(&facts).text, "slot b: no init");
}

Test(recover, a_helper_that_fell_back_by_itself_says_why)
{
	struct fl_ipc_open_job open = open_with("rolling_back");
	struct fl_recover_facts facts = {.journal = FL_JOB_CHECKING,
					 .open = &open,
					 .boot_failure = "trial_silent: the agent was silent"};
	cr_assert_eq(fl_recover_decide(&facts).reason, FL_E_TRIAL_SILENT);
	cr_assert_str_eq(fl_recover_decide(&facts).text, "trial_silent: the agent was silent");
	facts.journal = FL_JOB_RESTARTING;
	facts.boot_failure = "trial_deadline: no commit";
	cr_assert_eq(fl_recover_decide(&facts).reason, FL_E_TRIAL_DEADLINE);
	facts.boot_failure = "trial_silently";
	cr_assert_eq(fl_recover_decide(&facts).reason, FL_E_BOOT_FAILED);
}

Test(recover, on_trial_the_running_slot_decides)
{
	for (int s = FL_JOB_RECEIVED; s <= FL_JOB_COMMITTING; s++) {
		cr_assert_eq(decide((enum fl_job_state)s, "trial", true).state, FL_JOB_CHECKING);
		cr_assert_eq(decide((enum fl_job_state)s, "trial", false).state, FL_JOB_RESTARTING);
	}
}

Test(recover, a_switch_that_the_anchor_does_not_know_did_not_happen)
{
	cr_assert_eq(decide(FL_JOB_ACTIVATING, "sealed", false).state, FL_JOB_WAITING_TO_ACTIVATE);
	cr_assert_eq(decide(FL_JOB_SEALING, "staging", false).state, FL_JOB_WAITING_TO_ACTIVATE);
	cr_assert_eq(decide(FL_JOB_RESTARTING, "staging", false).state, FL_JOB_WAITING_TO_DOWNLOAD);
}

Test(recover, what_was_being_staged_is_hashed_again)
{
	const struct fl_recover_verdict v = decide(FL_JOB_STAGING, "staging", false);
	cr_assert_eq(v.state, FL_JOB_WAITING_TO_DOWNLOAD);
	cr_assert(v.restage);
	cr_assert_not(decide(FL_JOB_WAITING_TO_ACTIVATE, "staging", false).restage);
}

Test(recover, an_accepted_job_is_not_presented_twice)
{
	cr_assert_eq(decide(FL_JOB_RECEIVED, "idle", false).state, FL_JOB_VERIFIED);
	cr_assert_eq(decide(FL_JOB_VERIFIED, "idle", false).state, FL_JOB_VERIFIED);
}

Test(recover, a_job_the_anchor_does_not_know_is_presented_again)
{
	for (int s = FL_JOB_RECEIVED; s < FL_JOB_ACTIVATING; s++) {
		const struct fl_recover_facts facts = {.journal = (enum fl_job_state)s};
		cr_assert_eq(fl_recover_decide(&facts).state, FL_JOB_RECEIVED);
	}
}

Test(recover, a_job_closed_before_its_switch_was_cancelled)
{
	for (int s = FL_JOB_WAITING_TO_DOWNLOAD; s < FL_JOB_ACTIVATING; s++) {
		const struct fl_recover_facts facts = {.journal = (enum fl_job_state)s, .accepted = true};
		cr_assert_eq(fl_recover_decide(&facts).state, FL_JOB_CANCELLED);
	}
	const struct fl_recover_facts facts = {.journal = FL_JOB_RECEIVED, .accepted = true};
	cr_assert_eq(fl_recover_decide(&facts).state, FL_JOB_RECEIVED, "only the anchor may say so");
}

Test(recover, a_closed_job_ended_as_the_anchor_says)
{
	for (int s = FL_JOB_ACTIVATING; s <= FL_JOB_COMMITTING; s++) {
		struct fl_recover_facts facts = {.journal = (enum fl_job_state)s, .committed = true};
		cr_assert_eq(fl_recover_decide(&facts).state, FL_JOB_COMMITTED);
		facts.committed = false;
		cr_assert_eq(fl_recover_decide(&facts).state, FL_JOB_ROLLED_BACK);
	}
}

Test(recover, a_rollback_is_never_told_as_a_commit)
{
	const struct fl_recover_facts facts = {
		.journal = FL_JOB_ROLLING_BACK, .journal_reason = FL_E_CHECK_FAILED, .committed = true};
	const struct fl_recover_verdict v = fl_recover_decide(&facts);
	cr_assert_eq(v.state, FL_JOB_ROLLED_BACK);
	cr_assert_eq(v.reason, FL_E_CHECK_FAILED);
}
