/* SPDX-License-Identifier: Apache-2.0 */
/* How the machine does: measured now, and before the update, which is what a soak compares with. */
#ifndef FAIRLEAD_DAEMON_VITALS_H
#define FAIRLEAD_DAEMON_VITALS_H

#include "db.h"
#include "soak_rules.h"

struct fl_agent;

/* What was measured before the last switch; it outlives the restart in the store. */
struct fl_baseline {
	struct fl_db_op op;
	bool saving;
	struct fl_vitals vitals, saved;
};

/* Memory, load and the last round trip to the fleet; restarts are not counted here. */
struct fl_vitals fl_vitals_measure(const struct fl_agent *agent);

/* Measures and saves; a measurement that could not be saved is logged, and the soak does without. */
void fl_baseline_take(struct fl_agent *agent);
/* Before the loop runs. */
enum fl_rc fl_baseline_load(struct fl_agent *agent, struct fl_err *err) FL_CHECKED;

#endif
