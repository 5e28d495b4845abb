/* SPDX-License-Identifier: Apache-2.0 */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_DEADLINE_MS (UINT64_C(20) * 1000)
#define VALUE_MAX	136

struct unit {
	char id[VALUE_MAX], active[VALUE_MAX], load[VALUE_MAX], restarts[VALUE_MAX];
	unsigned seen;
};

/* "Key=value" without its line end, to the member of that key; unknown keys are skipped. */
static bool take_line(const char *line, size_t len, struct unit *unit)
{
	const struct {
		const char *key;
		char *into;
	} members[] = {
		{"Id=", unit->id},
		{"ActiveState=", unit->active},
		{"LoadState=", unit->load},
		{"NRestarts=", unit->restarts},
	};
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const size_t key = strlen(members[i].key);
		if (len < key || strncmp(line, members[i].key, key) != 0)
			continue;
		if (len - key >= VALUE_MAX || (unit->seen & 1U << i) != 0)
			return false;
		memcpy(members[i].into, line + key, len - key);
		members[i].into[len - key] = '\0';
		unit->seen |= 1U << i;
	}
	return true;
}

/* Lines up to an empty one or the end; *text then stands behind them. */
static bool read_unit(const char **text, struct unit *unit)
{
	memset(unit, 0, sizeof(*unit));
	while (**text != '\0' && **text != '\n') {
		const size_t len = strcspn(*text, "\n");
		if (!take_line(*text, len, unit))
			return false;
		*text += len + ((*text)[len] == '\n' ? 1 : 0);
	}
	while (**text == '\n')
		(*text)++;
	return unit->id[0] != '\0' && unit->active[0] != '\0';
}

static enum fl_units_state state_of(const struct unit *unit)
{
	if (strcmp(unit->active, "active") == 0)
		return FL_UNITS_ACTIVE;
	const bool gone = strcmp(unit->active, "failed") == 0 ||
			  strcmp(unit->load, "not-found") == 0 || strcmp(unit->load, "masked") == 0;
	return gone ? FL_UNITS_FAILED : FL_UNITS_STARTING;
}

enum fl_rc fl_units_read(const char *output, size_t n, struct fl_units_answer *ret,
			 struct fl_err *err)
{
	struct fl_units_answer answer = {.state = FL_UNITS_ACTIVE};
	struct unit unit;
	for (size_t i = 0; i < n; i++) {
		if (!read_unit(&output, &unit))
			return fl_fail(err, FL_E_PROTOCOL, 0, "systemctl show: unit %zu of %zu",
				       i + 1, n);
		const enum fl_units_state state = state_of(&unit);
		const uint64_t restarts =
			strtoull(unit.restarts, NULL, 10); /* sockets and timers have none */
		if (restarts > answer.restarts)
			answer.restarts = restarts;
		if (state > answer.state) {
			answer.state = state;
			snprintf(answer.worst, sizeof(answer.worst), "%s is %s", unit.id,
				 strcmp(unit.load, "not-found") == 0 ? "not there" : unit.active);
		}
	}
	*ret = answer;
	return FL_OK;
}

static void on_answer(struct fl_program *program, enum fl_rc rc, const struct fl_err *err,
		      const struct fl_buf *output)
{
	struct fl_units *units = program->ctx;
	struct fl_units_answer answer = {0};
	struct fl_err why = *err;
	if (rc == FL_OK)
		rc = fl_units_read(fl_buf_str(output), units->n, &answer, &why);
	units->done(units, rc, &why, &answer);
}

enum fl_rc fl_units_start(struct fl_units *units, uv_loop_t *loop, const char *systemctl,
			  const char *const *names, size_t n, fl_units_done *done, void *ctx,
			  struct fl_err *err)
{
	const char *argv[FL_UNITS_MAX + 5] = {
		systemctl, "show", "--property=Id,ActiveState,LoadState,NRestarts", "--"};
	FL_BUG_ON(n == 0 || n > FL_UNITS_MAX);
	memcpy(&argv[4], names, n * sizeof(names[0]));
	units->n = n;
	units->done = done;
	units->ctx = ctx;
	return fl_program_start(&units->program, loop, (char *const *)(uintptr_t)argv,
				ASK_DEADLINE_MS, on_answer, units, err);
}

void fl_units_cancel(struct fl_units *units)
{
	fl_program_cancel(&units->program);
}
