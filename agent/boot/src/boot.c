/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs as rules on a state, and the back ends there are. */
#include <fairlead/boot/boot.h>

#include "sim.h"

#include <string.h>

const struct fl_boot_backend *fl_boot_backend_find(const char *name)
{
	static const struct fl_boot_backend *const backends[] = {&fl_boot_sim};
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	}
	return NULL;
}

static int find_withdrawn(const struct fl_boot_state *state, const char *slot)
{
	for (size_t i = 0; i < state->n_withdrawn; i++) {
		if (strcmp(state->withdrawn[i], slot) == 0)
			return (int)i;
	}
	return -1;
}

bool fl_boot_is_withdrawn(const struct fl_boot_state *state, const char *slot)
{
	return find_withdrawn(state, slot) >= 0;
}

const struct fl_boot_slot *fl_boot_find_slot(const struct fl_boot_host *host, const char *name)
{
	for (size_t i = 0; i < host->n_slots; i++) {
		if (strcmp(host->slots[i].name, name) == 0)
			return &host->slots[i];
	}
	return NULL;
}

static void set_name(char to[FL_NAME_MAX + 1], const char *from)
{
	size_t len = strnlen(from, FL_NAME_MAX);
	memset(to, 0, FL_NAME_MAX + 1);
	memcpy(to, from, len);
}

static void end_trial(struct fl_boot_state *state)
{
	set_name(state->trial, "");
	state->tries = 0;
}

static enum fl_rc need_slot(const struct fl_boot_host *host, const char *slot, struct fl_err *err)
{
	if (fl_boot_find_slot(host, slot) != NULL)
		return FL_OK;
	return fl_fail(err, FL_E_SLOT_MISSING, 0, "the configuration has no slot '%s'", slot);
}

enum fl_rc fl_boot_rule_withdraw(const struct fl_boot_host *host, struct fl_boot_state *state,
				 const char *slot, bool *changed, struct fl_err *err)
{
	enum fl_rc rc = need_slot(host, slot, err);
	if (rc != FL_OK)
		return rc;
	if (host->running[0] == '\0')
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "it is not known which slot runs");
	if (strcmp(host->running, slot) == 0)
		return fl_fail(err, FL_E_SLOT_RUNNING, 0, "slot '%s' runs", slot);
	if (strcmp(state->good, slot) == 0)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "slot '%s' is the fallback", slot);
	*changed = false;
	if (strcmp(state->trial, slot) == 0) {
		end_trial(state);
		*changed = true;
	}
	if (!fl_boot_is_withdrawn(state, slot)) {
		FL_BUG_ON(state->n_withdrawn >= FL_BOOT_SLOTS_MAX);
		set_name(state->withdrawn[state->n_withdrawn++], slot);
		*changed = true;
	}
	return FL_OK;
}

static bool restore(struct fl_boot_state *state, const char *slot)
{
	int i = find_withdrawn(state, slot);
	if (i < 0)
		return false;
	state->n_withdrawn--;
	memmove(state->withdrawn[i], state->withdrawn[i + 1],
		(state->n_withdrawn - (size_t)i) * sizeof(state->withdrawn[0]));
	return true;
}

enum fl_rc fl_boot_rule_trial(const struct fl_boot_host *host, struct fl_boot_state *state,
			      const char *slot, unsigned tries, bool *changed, struct fl_err *err)
{
	enum fl_rc rc = need_slot(host, slot, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(state->good, slot) == 0)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "slot '%s' is good already", slot);
	if (tries < 1 || tries > FL_BOOT_TRIES_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "%u tries", tries);
	*changed = restore(state, slot) || strcmp(state->trial, slot) != 0 || state->tries != tries;
	set_name(state->trial, slot);
	state->tries = tries;
	return FL_OK;
}

enum fl_rc fl_boot_rule_good(const struct fl_boot_host *host, struct fl_boot_state *state,
			     bool *changed, struct fl_err *err)
{
	const bool on_trial = state->trial[0] != '\0';
	if (on_trial ? strcmp(host->running, state->trial) != 0
		     : strcmp(host->running, state->good) != 0)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "slot '%s' runs, on trial is '%s'",
			       host->running, state->trial);
	*changed = on_trial;
	if (on_trial)
		set_name(state->good, host->running);
	end_trial(state);
	return FL_OK;
}

enum fl_rc fl_boot_rule_fallback(struct fl_boot_state *state, bool *changed, struct fl_err *err)
{
	(void)err;
	*changed = state->trial[0] != '\0';
	end_trial(state);
	return FL_OK;
}

enum fl_rc fl_boot_print(const struct fl_boot_host *host, const struct fl_boot_state *state,
			 struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = fl_buf_appendf(out, err, "{\"running\":\"%s\",\"good\":\"%s\",\"trial\":\"%s\","
						 "\"withdrawn\":[",
				       host->running, state->good, state->trial);
	for (size_t i = 0; i < state->n_withdrawn && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "%s\"%s\"", i == 0 ? "" : ",", state->withdrawn[i]);
	return rc == FL_OK ? fl_buf_append_str(out, "]}\n", err) : rc;
}
