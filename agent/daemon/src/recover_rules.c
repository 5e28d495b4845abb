/* SPDX-License-Identifier: Apache-2.0 */
#include "recover_rules.h"

#include <string.h>

static bool has_phase(const struct fl_ipc_open_job *open, const char *phase)
{
	for (size_t i = 0; i < open->components.n; i++) {
		if (strcmp(open->components.items[i].phase, phase) == 0)
			return true;
	}
	return false;
}

/* The anchor knows of no switch: there was none. */
static struct fl_recover_verdict before_switch(enum fl_job_state journal)
{
	switch ((int)journal) {
	case FL_JOB_RECEIVED:
	case FL_JOB_VERIFIED:
		return (struct fl_recover_verdict){.state = FL_JOB_VERIFIED};
	case FL_JOB_WAITING_TO_ACTIVATE:
	case FL_JOB_SEALING:
	case FL_JOB_ACTIVATING:
		return (struct fl_recover_verdict){.state = FL_JOB_WAITING_TO_ACTIVATE};
	default:
		return (struct fl_recover_verdict){.state = FL_JOB_WAITING_TO_DOWNLOAD, .restage = true};
	}
}

/* "trial_silent: why", as a helper says that fell back by itself. */
static bool says_code(const char *text, enum fl_rc code)
{
	const char *name = fl_rc_name(code);
	return text != NULL && strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == ':';
}

static struct fl_recover_verdict rolling_back(const struct fl_recover_facts *facts,
					      enum fl_job_state state)
{
	struct fl_recover_verdict v = {.state = state, .reason = facts->journal_reason};
	if (v.reason != FL_OK)
		return v;
	v.text = facts->boot_failure;
	v.reason = says_code(v.text, FL_E_TRIAL_SILENT)	    ? FL_E_TRIAL_SILENT
		   : says_code(v.text, FL_E_TRIAL_DEADLINE) ? FL_E_TRIAL_DEADLINE
							    : FL_OK;
	if (v.reason != FL_OK)
		return v;
	const bool ran = facts->journal == FL_JOB_CHECKING || facts->journal == FL_JOB_COMMITTING;
	v.reason = ran ? FL_E_TRIAL_DEADLINE : FL_E_BOOT_FAILED;
	v.text = ran ? "the helper fell back: no commit before the deadline" : facts->boot_failure;
	return v;
}

static struct fl_recover_verdict of_open(const struct fl_recover_facts *facts)
{
	if (has_phase(facts->open, "decided"))
		return (struct fl_recover_verdict){.state = FL_JOB_COMMITTING};
	if (has_phase(facts->open, "rolling_back"))
		return rolling_back(facts, FL_JOB_ROLLING_BACK);
	if (has_phase(facts->open, "trial"))
		return (struct fl_recover_verdict){.state = facts->trial ? FL_JOB_CHECKING
									 : FL_JOB_RESTARTING};
	return before_switch(facts->journal);
}

struct fl_recover_verdict fl_recover_decide(const struct fl_recover_facts *facts)
{
	FL_BUG_ON(fl_job_state_final(facts->journal));
	if (facts->open != NULL)
		return of_open(facts);
	if (facts->journal < FL_JOB_ACTIVATING && facts->journal > FL_JOB_VERIFIED && facts->accepted)
		return (struct fl_recover_verdict){.state = FL_JOB_CANCELLED, .reason = FL_E_CANCELLED};
	if (facts->journal < FL_JOB_ACTIVATING)
		return (struct fl_recover_verdict){.state = FL_JOB_RECEIVED};
	if (facts->committed && facts->journal != FL_JOB_ROLLING_BACK)
		return (struct fl_recover_verdict){.state = FL_JOB_COMMITTED};
	return rolling_back(facts, FL_JOB_ROLLED_BACK);
}
