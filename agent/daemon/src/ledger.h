/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What downloads have cost: bytes of content per network interface and day (UTC), and per deployment, each against its
 * budget ([interface.NAME]). Kept in the store, a MiB late at most: so much a crash may forget.
 *
 * A day ends only by a clock that is trusted and has gone on; a clock that goes back opens no second budget.
 */
#ifndef FAIRLEAD_DAEMON_LEDGER_H
#define FAIRLEAD_DAEMON_LEDGER_H

#include "config.h"

#define FL_LEDGER_NONE SIZE_MAX /* no interface that is kept account of */

struct fl_agent;
struct fl_job_run;

struct fl_account {
	char number[FL_NAME_MAX + 1]; /* its name in the store */
	uint64_t day;		      /* since 1970; 0: of no day */
	uint64_t bytes;
	uint64_t saved; /* of these */
};

struct fl_ledger {
	struct fl_agent *agent;
	struct fl_account days[FL_CONFIG_INTERFACES_MAX]; /* as [interface.NAME] are configured */
};

/* The budgets' answer before and while bytes come in. */
struct fl_ledger_left {
	uint64_t day, deployment; /* bytes; UINT64_MAX: no budget */
	uint64_t day_ends_s;
};

/* Before the loop runs. */
enum fl_rc fl_ledger_load(struct fl_ledger *ledger, struct fl_agent *agent, struct fl_err *err) FL_CHECKED;
/* The account of a job that was loaded and goes on. */
enum fl_rc fl_ledger_load_job(struct fl_ledger *ledger, struct fl_job_run *run, struct fl_err *err) FL_CHECKED;
/* The index of the interface that has this local address (numeric); FL_LEDGER_NONE. */
size_t fl_ledger_interface(const struct fl_ledger *ledger, const char *address);
/* So many bytes came in for the job over that interface: they count where it has a budget. */
void fl_ledger_spend(struct fl_ledger *ledger, struct fl_job_run *run, size_t interface, uint64_t bytes);
struct fl_ledger_left fl_ledger_left(struct fl_ledger *ledger, const struct fl_job_run *run, size_t interface);
/* What is not saved yet of these and of the job's: at the end of a download. */
void fl_ledger_save(struct fl_ledger *ledger, struct fl_job_run *run);
/* The job is over: its account is closed. */
void fl_ledger_close(struct fl_ledger *ledger, struct fl_job_run *run);

#endif
