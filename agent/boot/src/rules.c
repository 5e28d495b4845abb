/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs as rules on a state: no file, no clock, no loader. */
#include <fairlead/boot/boot.h>

#include <string.h>

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

static int find_hash(const struct fl_boot_state *state, const char *slot)
{
	for (size_t i = 0; i < state->n_hashes; i++) {
		if (strcmp(state->hashes[i].slot, slot) == 0)
			return (int)i;
	}
	return -1;
}

const char *fl_boot_root_hash(const struct fl_boot_state *state, const char *slot)
{
	const int i = find_hash(state, slot);
	return i < 0 ? NULL : state->hashes[i].hex;
}

const struct fl_boot_slot *fl_boot_find_slot(const struct fl_boot_host *host, const char *name)
{
	for (size_t i = 0; i < host->n_slots; i++) {
		if (strcmp(host->slots[i].name, name) == 0)
			return &host->slots[i];
	}
	return NULL;
}

const char *fl_boot_trial_content(const struct fl_boot_state *state)
{
	return strcmp(state->trial, FL_BOOT_PROVE) == 0 ? state->good : state->trial;
}

static void set_name(char to[FL_NAME_MAX + 1], const char *from)
{
	size_t len = strnlen(from, FL_NAME_MAX);
	memset(to, 0, FL_NAME_MAX + 1);
	memcpy(to, from, len);
}

static void start_trial(struct fl_boot_state *state, const char *slot, unsigned tries)
{
	set_name(state->trial, slot);
	state->tries = tries;
	state->used = 0;
}

static void end_trial(struct fl_boot_state *state)
{
	start_trial(state, "", 0);
}

static enum fl_rc need_slot(const struct fl_boot_host *host, const char *slot, struct fl_err *err)
{
	if (fl_boot_find_slot(host, slot) != NULL)
		return FL_OK;
	return fl_fail(err, FL_E_SLOT_MISSING, 0, "the configuration has no slot '%s'", slot);
}

static enum fl_rc need_tries(unsigned tries, struct fl_err *err)
{
	if (tries >= 1 && tries <= FL_BOOT_TRIES_MAX)
		return FL_OK;
	return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "%u tries", tries);
}

/* True when it was withdrawn. */
static bool restore(struct fl_boot_state *state, const char *slot)
{
	int i = find_withdrawn(state, slot);
	if (i < 0)
		return false;
	state->n_withdrawn--;
	memmove(state->withdrawn[i], state->withdrawn[i + 1],
		(state->n_withdrawn - (size_t)i) * sizeof(state->withdrawn[0]));
	memset(state->withdrawn[state->n_withdrawn], 0, sizeof(state->withdrawn[0]));
	return true;
}

static bool drop_hash(struct fl_boot_state *state, const char *slot)
{
	int i = find_hash(state, slot);
	if (i < 0)
		return false;
	state->n_hashes--;
	memmove(&state->hashes[i], &state->hashes[i + 1],
		(state->n_hashes - (size_t)i) * sizeof(state->hashes[0]));
	memset(&state->hashes[state->n_hashes], 0, sizeof(state->hashes[0]));
	return true;
}

/* NULL: it keeps what it has, which a withdrawal took away. True when that is something else than before. */
static bool set_hash(struct fl_boot_state *state, const char *slot, const char *hex)
{
	const char *known = fl_boot_root_hash(state, slot);
	if (hex == NULL)
		return false;
	if (known != NULL && strcmp(known, hex) == 0)
		return false;
	(void)drop_hash(state, slot);
	FL_BUG_ON(state->n_hashes >= FL_BOOT_SLOTS_MAX);
	struct fl_boot_hash *h = &state->hashes[state->n_hashes++];
	set_name(h->slot, slot);
	memcpy(h->hex, hex, sizeof(h->hex));
	return true;
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
	*changed = drop_hash(state, slot);
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

enum fl_rc fl_boot_rule_trial(const struct fl_boot_host *host, struct fl_boot_state *state,
			      const struct fl_boot_trial *trial, bool *changed, struct fl_err *err)
{
	uint8_t hash[FL_DIGEST_SIZE];
	const char *hex = trial->root_hash;
	enum fl_rc rc = need_slot(host, trial->slot, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(state->good, trial->slot) == 0)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "slot '%s' is good already", trial->slot);
	if (hex != NULL && !fl_hex_decode(hex, strlen(hex), hash, sizeof(hash)))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "root hash '%.80s'", hex);
	rc = need_tries(trial->tries, err);
	if (rc != FL_OK)
		return rc;
	const bool hash_changed = set_hash(state, trial->slot, hex);
	const bool restored = restore(state, trial->slot);
	*changed = hash_changed || restored || strcmp(state->trial, trial->slot) != 0 ||
		   state->tries != trial->tries;
	if (*changed)
		start_trial(state, trial->slot, trial->tries);
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

enum fl_rc fl_boot_rule_prove(const struct fl_boot_host *host, struct fl_boot_state *state,
			      unsigned tries, bool *changed, struct fl_err *err)
{
	const bool proving = strcmp(state->trial, FL_BOOT_PROVE) == 0;
	if (state->trial[0] != '\0' && !proving)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "slot '%s' is on trial", state->trial);
	if (strcmp(host->running, state->good) != 0)
		return fl_fail(err, FL_E_BOOT_SWITCH, 0, "slot '%s' runs, the fallback is '%s'",
			       host->running, state->good);
	enum fl_rc rc = need_tries(tries, err);
	if (rc != FL_OK)
		return rc;
	*changed = !proving || state->tries != tries;
	if (*changed)
		start_trial(state, FL_BOOT_PROVE, tries);
	return FL_OK;
}

static bool slot_name_valid(const char *name)
{
	return fl_name_valid(name) && strcmp(name, FL_BOOT_PROVE) != 0;
}

static bool lists_valid(const struct fl_boot_state *s)
{
	uint8_t hash[FL_DIGEST_SIZE];
	for (size_t i = 0; i < s->n_withdrawn; i++) {
		if (!slot_name_valid(s->withdrawn[i]) ||
		    find_withdrawn(s, s->withdrawn[i]) != (int)i)
			return false;
	}
	for (size_t i = 0; i < s->n_hashes; i++) {
		const struct fl_boot_hash *h = &s->hashes[i];
		if (!slot_name_valid(h->slot) || find_hash(s, h->slot) != (int)i ||
		    !fl_hex_decode(h->hex, strlen(h->hex), hash, sizeof(hash)))
			return false;
	}
	return true;
}

bool fl_boot_state_valid(const struct fl_boot_state *s)
{
	const bool on_trial = s->trial[0] != '\0';
	return slot_name_valid(s->good) && (!on_trial || fl_name_valid(s->trial)) &&
	       s->tries <= FL_BOOT_TRIES_MAX && (s->tries > 0) == on_trial &&
	       strcmp(s->good, s->trial) != 0 && s->n_withdrawn <= FL_BOOT_SLOTS_MAX &&
	       s->n_hashes <= FL_BOOT_SLOTS_MAX && lists_valid(s);
}
