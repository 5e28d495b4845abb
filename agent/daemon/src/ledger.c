/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/log.h>

#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S	      UINT64_C(86400)
#define SAVE_EVERY    ((uint64_t)1 << 20)
#define KIB	      UINT64_C(1024)
#define DAY_SHIFT     40 /* of an account's number: the day above, KiB below */
#define KIB_MASK      ((UINT64_C(1) << DAY_SHIFT) - 1)

/* ---- accounts --------------------------------------------------------------------------------------------- */

struct save {
	struct fl_db_op op;
	char number[FL_NAME_MAX + 1];
	uint64_t value;
};

static enum fl_rc save_work(struct fl_db_op *op, struct fl_store *store, struct fl_err *err)
{
	const struct save *s = (struct save *)op;
	return fl_store_number_set(store, s->number, s->value, err);
}

static void on_saved(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err)
{
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "bytes spent");
	free(op);
}

static void submit(struct fl_ledger *ledger, struct fl_account *account)
{
	if (account->saved == account->bytes)
		return;
	struct save *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return; /* the next MiB tries again */
	const uint64_t kib = (account->bytes + KIB - 1) / KIB;
	account->saved = account->bytes;
	s->value = account->day << DAY_SHIFT | (kib < KIB_MASK ? kib : KIB_MASK);
	memcpy(s->number, account->number, sizeof(s->number));
	s->op.work = save_work;
	s->op.done = on_saved;
	fl_db_submit(&ledger->agent->db, &s->op);
}

static enum fl_rc load(struct fl_store *store, struct fl_account *account, struct fl_err *err)
{
	uint64_t value = 0;
	enum fl_rc rc = fl_store_number_get(store, account->number, &value, err);
	account->day = value >> DAY_SHIFT;
	account->bytes = account->saved = (value & KIB_MASK) * KIB;
	return rc;
}

static void spend(struct fl_ledger *ledger, struct fl_account *account, uint64_t bytes)
{
	account->bytes += bytes;
	if (account->bytes - account->saved >= SAVE_EVERY)
		submit(ledger, account);
}

/* A new day begins with nothing spent. */
static struct fl_account *today(struct fl_ledger *ledger, size_t interface)
{
	const struct fl_agent *agent = ledger->agent;
	struct fl_account *account = &ledger->days[interface];
	const uint64_t day = fl_agent_now_s(agent) / DAY_S;
	if (fl_agent_knows_time(agent) && day > account->day) {
		account->day = day;
		account->bytes = account->saved = 0;
	}
	return account;
}

static bool has_account(const struct fl_ledger *ledger, size_t interface)
{
	return interface < ledger->agent->config.n_interfaces;
}

/* ---- for the others ----------------------------------------------------------------------------------------- */

enum fl_rc fl_ledger_load(struct fl_ledger *ledger, struct fl_agent *agent, struct fl_err *err)
{
	const struct fl_config *config = &agent->config;
	enum fl_rc rc = FL_OK;
	*ledger = (struct fl_ledger){.agent = agent};
	for (size_t i = 0; rc == FL_OK && i < config->n_interfaces; i++) {
		struct fl_account *account = &ledger->days[i];
		snprintf(account->number, sizeof(account->number), "spent.%s", config->interfaces[i].name);
		rc = load(agent->store, account, err);
	}
	return rc;
}

static void name_account(struct fl_job_run *run)
{
	char hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(run->row.job.b, sizeof(run->row.job.b), hex);
	snprintf(run->cost.number, sizeof(run->cost.number), "spent.job.%.16s", hex);
}

enum fl_rc fl_ledger_load_job(struct fl_ledger *ledger, struct fl_job_run *run, struct fl_err *err)
{
	name_account(run);
	enum fl_rc rc = load(ledger->agent->store, &run->cost, err);
	if (rc == FL_OK && fl_job_state_final(run->row.state) && run->cost.bytes > 0)
		rc = fl_store_number_set(ledger->agent->store, run->cost.number, 0, err);
	return rc;
}

static bool is_interface(const struct ifaddrs *one, const char *name, const char *address)
{
	char text[NI_MAXHOST];
	if (one->ifa_addr == NULL || strcmp(one->ifa_name, name) != 0)
		return false;
	const bool six = one->ifa_addr->sa_family == AF_INET6;
	if (!six && one->ifa_addr->sa_family != AF_INET)
		return false;
	const socklen_t len = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	return getnameinfo(one->ifa_addr, len, text, sizeof(text), NULL, 0, NI_NUMERICHOST) == 0 &&
	       strcmp(text, address) == 0;
}

size_t fl_ledger_interface(const struct fl_ledger *ledger, const char *address)
{
	const struct fl_config *config = &ledger->agent->config;
	struct ifaddrs *all = NULL;
	size_t found = FL_LEDGER_NONE;
	if (config->n_interfaces == 0 || getifaddrs(&all) != 0)
		return FL_LEDGER_NONE;
	for (size_t i = 0; i < config->n_interfaces && found == FL_LEDGER_NONE; i++) {
		for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
			if (is_interface(one, config->interfaces[i].name, address))
				found = i;
		}
	}
	freeifaddrs(all);
	return found;
}

void fl_ledger_spend(struct fl_ledger *ledger, struct fl_job_run *run, size_t interface, uint64_t bytes)
{
	if (!has_account(ledger, interface))
		return;
	const struct fl_config_interface *budget = &ledger->agent->config.interfaces[interface];
	if (budget->day_budget > 0)
		spend(ledger, today(ledger, interface), bytes);
	if (budget->deployment_budget == 0)
		return;
	if (run->cost.number[0] == '\0')
		name_account(run);
	spend(ledger, &run->cost, bytes);
}

static uint64_t left_of(uint64_t budget, uint64_t spent)
{
	if (budget == 0)
		return UINT64_MAX;
	return budget > spent ? budget - spent : 0;
}

struct fl_ledger_left fl_ledger_left(struct fl_ledger *ledger, const struct fl_job_run *run, size_t interface)
{
	if (!has_account(ledger, interface))
		return (struct fl_ledger_left){UINT64_MAX, UINT64_MAX, 0};
	const struct fl_config_interface *budget = &ledger->agent->config.interfaces[interface];
	const struct fl_account *day = today(ledger, interface);
	return (struct fl_ledger_left){.day = left_of(budget->day_budget, day->bytes),
				       .deployment = left_of(budget->deployment_budget, run->cost.bytes),
				       .day_ends_s = (day->day + 1) * DAY_S};
}

void fl_ledger_save(struct fl_ledger *ledger, struct fl_job_run *run)
{
	for (size_t i = 0; i < ledger->agent->config.n_interfaces; i++)
		submit(ledger, &ledger->days[i]);
	submit(ledger, &run->cost);
}

void fl_ledger_close(struct fl_ledger *ledger, struct fl_job_run *run)
{
	run->cost.bytes = 0;
	submit(ledger, &run->cost);
}
