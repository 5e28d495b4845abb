/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/job_state.h>

#include <fairlead/base/err.h>

#include <stdint.h>
#include <string.h>

struct row {
	bool final;
	uint32_t successors; /* bit n: state n may follow */
	const char *name;
};

#define BIT(name) (UINT32_C(1) << FL_JOB_##name)
static const struct row rows[FL_JOB_N_STATES] = {
#define STATE(name, final, successors) [FL_JOB_##name] = {(final) != 0, successors, #name},
#include <fairlead/base/job_state.def>
#undef STATE
};

static char names[FL_JOB_N_STATES][24];

__attribute__((constructor)) static void make_names(void)
{
	for (int i = 0; i < FL_JOB_N_STATES; i++) {
		for (size_t k = 0; rows[i].name[k] != '\0' && k < sizeof(names[i]) - 1; k++) {
			char c = rows[i].name[k];
			names[i][k] = c == '_' ? c : (char)(c - 'A' + 'a');
		}
	}
}

const char *fl_job_state_name(enum fl_job_state state)
{
	FL_BUG_ON(state < 0 || state >= FL_JOB_N_STATES);
	return names[state];
}

bool fl_job_state_from_name(const char *name, enum fl_job_state *ret)
{
	for (int i = 0; i < FL_JOB_N_STATES; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret = (enum fl_job_state)i;
			return true;
		}
	}
	return false;
}

bool fl_job_state_final(enum fl_job_state state)
{
	FL_BUG_ON(state < 0 || state >= FL_JOB_N_STATES);
	return rows[state].final;
}

bool fl_job_state_may(enum fl_job_state from, enum fl_job_state to)
{
	FL_BUG_ON(from < 0 || from >= FL_JOB_N_STATES || to < 0 || to >= FL_JOB_N_STATES);
	return (rows[from].successors & (UINT32_C(1) << to)) != 0;
}
