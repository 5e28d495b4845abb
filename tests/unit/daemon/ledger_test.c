/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets over days, clocks that lie, and crashes; the store is a real one, the clock the test's. */
#include "agent.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define DAY UINT64_C(86400)
#define MIB (UINT64_C(1) << 20)

static struct fl_agent agent;
static struct fl_job_run run;
static char dir[64];
static uint64_t now_s;
static bool time_known;
static unsigned saves;

uint64_t fl_agent_now_s(const struct fl_agent *a)
{
	(void)a;
	return now_s;
}

bool fl_agent_knows_time(const struct fl_agent *a)
{
	(void)a;
	return time_known;
}

void fl_db_submit(struct fl_db *db, struct fl_db_op *op)
{
	struct fl_err err = {0};
	saves++;
	const enum fl_rc rc = op->work(op, db->store, &err);
	op->done(op, rc, &err);
}

static void open_store(void)
{
	bool rebuilt = false;
	cr_assert_eq(fl_store_open(dir, &agent.store, &rebuilt, NULL), FL_OK);
	agent.db.store = agent.store;
	run.cost = (struct fl_account){0};
	cr_assert_eq(fl_ledger_load(&agent.ledger, &agent, NULL), FL_OK);
	cr_assert_eq(fl_ledger_load_job(&agent.ledger, &run, NULL), FL_OK);
}

/* The process dies: what was not saved is gone. */
static void crash(void)
{
	fl_store_close(agent.store);
	open_store();
}

static void set_up(void)
{
	strcpy(dir, "/tmp/fl-ledger-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	agent.config.interfaces[0] = (struct fl_config_interface){"wwan0", 10 * MIB, 15 * MIB, true};
	agent.config.interfaces[1] = (struct fl_config_interface){"eth0", 0, 0, false};
	agent.config.n_interfaces = 2;
	now_s = 20000 * DAY + 3600;
	time_known = true;
	run.row.state = FL_JOB_STAGING;
	open_store();
}

static void tear_down(void)
{
	char command[96];
	fl_store_close(agent.store);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(ledger, .init = set_up, .fini = tear_down);

static void spend(uint64_t bytes)
{
	for (; bytes > 0; bytes -= MIB / 4)
		fl_ledger_spend(&agent.ledger, &run, 0, MIB / 4);
}

static struct fl_ledger_left left(void)
{
	return fl_ledger_left(&agent.ledger, &run, 0);
}

Test(ledger, a_day_and_a_deployment_have_budgets_of_their_own)
{
	cr_assert_eq(left().day, 10 * MIB);
	cr_assert_eq(left().day_ends_s, 20001 * DAY);
	spend(9 * MIB);
	cr_assert_eq(left().day, MIB);
	cr_assert_eq(left().deployment, 6 * MIB);
	spend(2 * MIB);
	cr_assert_eq(left().day, 0);
	now_s += DAY;
	cr_assert_eq(left().day, 10 * MIB);
	cr_assert_eq(left().day_ends_s, 20002 * DAY);
	cr_assert_eq(left().deployment, 4 * MIB);
	spend(8 * MIB);
	cr_assert_eq(left().deployment, 0);
}

Test(ledger, no_clock_opens_a_second_budget)
{
	spend(10 * MIB);
	now_s -= 300 * DAY;
	cr_assert_eq(left().day, 0, "back");
	time_known = false;
	now_s += 900 * DAY;
	cr_assert_eq(left().day, 0, "forward, and nobody knows");
	crash();
	cr_assert_eq(left().day, 0);
	time_known = true;
	cr_assert_eq(left().day, 10 * MIB);
}

Test(ledger, a_crash_forgets_less_than_a_mib)
{
	spend(5 * MIB + MIB / 2);
	crash();
	cr_assert_eq(left().day, 5 * MIB);
	cr_assert_eq(left().deployment, 10 * MIB);
	spend(MIB / 2);
	fl_ledger_save(&agent.ledger, &run);
	crash();
	cr_assert_eq(left().day, 4 * MIB + MIB / 2, "told at its end, a download is kept whole");
}

Test(ledger, saving_costs_a_write_per_mib)
{
	saves = 0;
	spend(8 * MIB);
	cr_assert_eq(saves, 16, "of the day and of the deployment");
	fl_ledger_save(&agent.ledger, &run);
	cr_assert_eq(saves, 16);
}

Test(ledger, a_deployment_that_is_over_leaves_nothing)
{
	uint64_t kept = 99;
	spend(3 * MIB);
	fl_ledger_close(&agent.ledger, &run);
	cr_assert_eq(fl_store_number_get(agent.store, run.cost.number, &kept, NULL), FL_OK);
	cr_assert_eq(kept, 0);
	spend(3 * MIB);
	run.row.state = FL_JOB_COMMITTED;
	crash();
	cr_assert_eq(fl_store_number_get(agent.store, run.cost.number, &kept, NULL), FL_OK);
	cr_assert_eq(kept, 0, "also when the end came before the account was closed");
}

Test(ledger, without_a_budget_nothing_is_counted_against)
{
	fl_ledger_spend(&agent.ledger, &run, 1, 100 * MIB);
	cr_assert_eq(fl_ledger_left(&agent.ledger, &run, 1).day, UINT64_MAX);
	cr_assert_eq(fl_ledger_left(&agent.ledger, &run, 1).deployment, UINT64_MAX);
	cr_assert_eq(fl_ledger_left(&agent.ledger, &run, FL_LEDGER_NONE).day, UINT64_MAX);
	fl_ledger_spend(&agent.ledger, &run, FL_LEDGER_NONE, MIB);
	cr_assert_eq(left().day, 10 * MIB);
	cr_assert_eq(left().deployment, 15 * MIB);
}

Test(ledger, an_interface_is_found_by_its_address)
{
	agent.config.interfaces[1].name = "lo";
	cr_assert_eq(fl_ledger_interface(&agent.ledger, "127.0.0.1"), 1);
	cr_assert_eq(fl_ledger_interface(&agent.ledger, "127.0.0.2"), FL_LEDGER_NONE);
	cr_assert_eq(fl_ledger_interface(&agent.ledger, ""), FL_LEDGER_NONE);
	agent.config.n_interfaces = 0;
	cr_assert_eq(fl_ledger_interface(&agent.ledger, "127.0.0.1"), FL_LEDGER_NONE);
}
