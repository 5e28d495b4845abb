/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#define PROC_FILE_MAX ((size_t)16 * 1024)

static uint64_t read_number(const char *path, uint64_t (*parse)(const char *text))
{
	struct fl_err err;
	struct fl_buf text = FL_BUF(PROC_FILE_MAX);
	const uint64_t value = fl_file_read(path, &text, &err) == FL_OK ? parse(fl_buf_str(&text)) : 0;
	fl_buf_free(&text);
	return value;
}

struct fl_vitals fl_vitals_measure(const struct fl_agent *agent)
{
	return (struct fl_vitals){.memory_kib = read_number("/proc/meminfo", fl_vitals_memory_kib),
				  .load_centi = read_number("/proc/loadavg", fl_vitals_load_centi),
				  .round_trip_us = agent->round_trip_us};
}

static enum fl_rc save(struct fl_db_op *op, struct fl_store *store, struct fl_err *err)
{
	const struct fl_vitals *v = &((struct fl_baseline *)op)->saved;
	enum fl_rc rc = fl_store_number_set(store, "before_memory_kib", v->memory_kib, err);
	if (rc == FL_OK)
		rc = fl_store_number_set(store, "before_load_centi", v->load_centi, err);
	return rc == FL_OK ? fl_store_number_set(store, "before_round_trip_us", v->round_trip_us, err) : rc;
}

static void on_saved(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err)
{
	((struct fl_baseline *)op)->saving = false;
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "what a soak compares with");
}

void fl_baseline_take(struct fl_agent *agent)
{
	struct fl_baseline *b = &agent->baseline;
	if (b->saving)
		return;
	b->saving = true;
	b->vitals = b->saved = fl_vitals_measure(agent);
	b->op.work = save;
	b->op.done = on_saved;
	fl_db_submit(&agent->db, &b->op);
}

enum fl_rc fl_baseline_load(struct fl_agent *agent, struct fl_err *err)
{
	struct fl_vitals *v = &agent->baseline.vitals;
	enum fl_rc rc = fl_store_number_get(agent->store, "before_memory_kib", &v->memory_kib, err);
	if (rc == FL_OK)
		rc = fl_store_number_get(agent->store, "before_load_centi", &v->load_centi, err);
	return rc == FL_OK ? fl_store_number_get(agent->store, "before_round_trip_us", &v->round_trip_us, err)
			   : rc;
}
