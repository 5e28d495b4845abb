/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs as rules: what they change, what they refuse, and that doing them twice is doing them once. */
#include <fairlead/boot/boot.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct fl_boot_host host;
static struct fl_boot_state state;
static bool changed;

static void set_up(void)
{
	memset(&host, 0, sizeof(host));
	memset(&state, 0, sizeof(state));
	for (size_t i = 0; i < 3; i++)
		host.slots[i].name[0] = (char)('a' + i);
	host.n_slots = 3;
	host.running[0] = 'a';
	state.good[0] = 'a';
	state.seq = 7;
	changed = false;
}

TestSuite(boot_rules, .init = set_up);

static enum fl_rc withdraw(const char *slot)
{
	return fl_boot_rule_withdraw(&host, &state, slot, &changed, NULL);
}

static enum fl_rc trial(const char *slot, unsigned tries)
{
	const struct fl_boot_trial t = {slot, tries, NULL};
	return fl_boot_rule_trial(&host, &state, &t, &changed, NULL);
}

static enum fl_rc good(void)
{
	return fl_boot_rule_good(&host, &state, &changed, NULL);
}

static void assert_refused(enum fl_rc rc, enum fl_rc want, const struct fl_boot_state *before)
{
	cr_assert_eq(rc, want);
	cr_assert_eq(memcmp(&state, before, sizeof(state)), 0);
}

Test(boot_rules, neither_the_running_slot_nor_the_fallback_is_withdrawn)
{
	struct fl_boot_state before = state;
	assert_refused(withdraw("a"), FL_E_SLOT_RUNNING, &before);
	assert_refused(withdraw("z"), FL_E_SLOT_MISSING, &before);
	host.running[0] = 'b';
	assert_refused(withdraw("a"), FL_E_BOOT_SWITCH, &before);
	assert_refused(withdraw("b"), FL_E_SLOT_RUNNING, &before);
	host.running[0] = '\0';
	assert_refused(withdraw("b"), FL_E_SLOT_RUNNING, &before);
}

Test(boot_rules, a_withdrawn_slot_is_offered_again_by_its_trial_alone)
{
	cr_assert_eq(withdraw("b"), FL_OK);
	cr_assert(changed && fl_boot_is_withdrawn(&state, "b"));
	cr_assert_eq(withdraw("b"), FL_OK);
	cr_assert_not(changed);
	cr_assert_eq(withdraw("c"), FL_OK);
	cr_assert_eq(state.n_withdrawn, 2);
	cr_assert_eq(trial("b", 1), FL_OK);
	cr_assert(changed && !fl_boot_is_withdrawn(&state, "b") &&
		  fl_boot_is_withdrawn(&state, "c"));
	cr_assert_eq(fl_boot_rule_fallback(&state, &changed, NULL), FL_OK);
	cr_assert(fl_boot_is_withdrawn(&state, "c"));
}

Test(boot_rules, withdrawing_the_slot_on_trial_ends_the_trial)
{
	cr_assert_eq(trial("b", 2), FL_OK);
	cr_assert_eq(withdraw("b"), FL_OK);
	cr_assert_str_eq(state.trial, "");
	cr_assert_eq(state.tries, 0);
}

Test(boot_rules, a_trial_is_for_another_slot_than_the_fallback)
{
	struct fl_boot_state before = state;
	assert_refused(trial("a", 1), FL_E_BOOT_SWITCH, &before);
	assert_refused(trial("z", 1), FL_E_SLOT_MISSING, &before);
	assert_refused(trial("b", 0), FL_E_INVALID_ARGUMENT, &before);
	assert_refused(trial("b", 10), FL_E_INVALID_ARGUMENT, &before);
	cr_assert_eq(trial("b", 2), FL_OK);
	cr_assert(changed);
	cr_assert_eq(trial("b", 2), FL_OK);
	cr_assert_not(changed);
	cr_assert_eq(trial("b", 3), FL_OK);
	cr_assert(changed);
	cr_assert_eq(trial("c", 3), FL_OK);
	cr_assert_str_eq(state.trial, "c");
}

Test(boot_rules, only_the_running_trial_becomes_good)
{
	cr_assert_eq(good(), FL_OK, "the good one is good already");
	cr_assert_not(changed);
	cr_assert_eq(trial("b", 1), FL_OK);
	struct fl_boot_state before = state;
	assert_refused(good(), FL_E_BOOT_SWITCH, &before);
	host.running[0] = 'b';
	cr_assert_eq(good(), FL_OK);
	cr_assert(changed);
	cr_assert_str_eq(state.good, "b");
	cr_assert_str_eq(state.trial, "");
	cr_assert_eq(good(), FL_OK);
	cr_assert_not(changed);
	host.running[0] = 'c';
	before = state;
	assert_refused(good(), FL_E_BOOT_SWITCH, &before);
	host.running[0] = '\0';
	assert_refused(good(), FL_E_BOOT_SWITCH, &before);
}

Test(boot_rules, fallback_ends_a_trial_and_nothing_else)
{
	cr_assert_eq(fl_boot_rule_fallback(&state, &changed, NULL), FL_OK);
	cr_assert_not(changed);
	cr_assert_eq(trial("b", 4), FL_OK);
	cr_assert_eq(fl_boot_rule_fallback(&state, &changed, NULL), FL_OK);
	cr_assert(changed);
	cr_assert_str_eq(state.good, "a");
	cr_assert_str_eq(state.trial, "");
	cr_assert_eq(state.tries, 0);
}

/* From every state of three slots: whatever is called, the fallback stays bootable and the running slot offered. */
Test(boot_rules, no_order_of_verbs_leaves_the_machine_without_a_fallback)
{
	static const char *const names[] = {"a", "b", "c"};
	unsigned rng = 1;
	for (unsigned i = 0; i < 100000; i++) {
		rng = rng * 1103515245 + 12345;
		const char *slot = names[(rng >> 16) % 3];
		switch ((rng >> 20) % 6) {
		case 0:
			(void)!withdraw(slot);
			break;
		case 1:
			(void)!trial(slot, 1 + (rng >> 24) % 3);
			break;
		case 2:
			(void)!good();
			break;
		case 3:
			(void)!fl_boot_rule_fallback(&state, &changed, NULL);
			break;
		default: /* the machine boots */
			host.running[0] = state.trial[0] != '\0' && (rng >> 24) % 2 ? state.trial[0]
										    : state.good[0];
		}
		cr_assert_not(fl_boot_is_withdrawn(&state, state.good));
		cr_assert_neq(state.good[0], '\0');
		cr_assert_str_neq(state.good, state.trial);
		cr_assert(state.trial[0] == '\0' || !fl_boot_is_withdrawn(&state, state.trial));
		cr_assert_eq(state.trial[0] == '\0', state.tries == 0);
	}
}

#define HASH_1 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HASH_2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static enum fl_rc trial_with(const char *slot, const char *hash)
{
	const struct fl_boot_trial t = {slot, 1, hash};
	return fl_boot_rule_trial(&host, &state, &t, &changed, NULL);
}

Test(boot_rules, a_root_hash_belongs_to_its_slot_until_it_is_withdrawn)
{
	cr_assert_eq(trial_with("b", HASH_1), FL_OK);
	cr_assert_eq(trial_with("b", HASH_1), FL_OK);
	cr_assert_not(changed);
	cr_assert_eq(trial_with("b", HASH_2), FL_OK);
	cr_assert(changed);
	cr_assert_str_eq(fl_boot_root_hash(&state, "b"), HASH_2);
	cr_assert_null(fl_boot_root_hash(&state, "a"));
	host.running[0] = 'b';
	cr_assert_eq(good(), FL_OK);
	cr_assert_str_eq(fl_boot_root_hash(&state, "b"), HASH_2, "it is mounted with it");
	cr_assert_eq(trial_with("c", HASH_1), FL_OK);
	cr_assert_eq(withdraw("c"), FL_OK);
	cr_assert_null(fl_boot_root_hash(&state, "c"));
	cr_assert_str_eq(fl_boot_root_hash(&state, "b"), HASH_2);
}

Test(boot_rules, a_root_hash_is_64_lower_case_digits)
{
	struct fl_boot_state before = state;
	assert_refused(trial_with("b", ""), FL_E_INVALID_ARGUMENT, &before);
	assert_refused(trial_with("b", HASH_1 "0"), FL_E_INVALID_ARGUMENT, &before);
	assert_refused(trial_with("b", "X" HASH_1), FL_E_INVALID_ARGUMENT, &before);
}

static enum fl_rc prove(unsigned tries)
{
	return fl_boot_rule_prove(&host, &state, tries, &changed, NULL);
}

Test(boot_rules, prove_is_a_trial_of_the_good_slot_s_content)
{
	cr_assert_eq(prove(2), FL_OK);
	cr_assert(changed && state.tries == 2);
	cr_assert_str_eq(state.trial, FL_BOOT_PROVE);
	cr_assert_str_eq(fl_boot_trial_content(&state), "a");
	cr_assert_eq(prove(2), FL_OK);
	cr_assert_not(changed);
	struct fl_boot_state before = state;
	assert_refused(good(), FL_E_BOOT_SWITCH, &before);
	assert_refused(prove(0), FL_E_INVALID_ARGUMENT, &before);
	cr_assert_eq(fl_boot_rule_fallback(&state, &changed, NULL), FL_OK);
	cr_assert(changed);
	cr_assert_str_eq(fl_boot_trial_content(&state), "");
}

Test(boot_rules, prove_waits_for_a_trial_and_for_the_fallback_to_run)
{
	cr_assert_eq(trial("b", 1), FL_OK);
	struct fl_boot_state before = state;
	assert_refused(prove(1), FL_E_BOOT_SWITCH, &before);
	cr_assert_eq(fl_boot_rule_fallback(&state, &changed, NULL), FL_OK);
	before = state;
	host.running[0] = 'b';
	assert_refused(prove(1), FL_E_BOOT_SWITCH, &before);
	host.running[0] = '\0';
	assert_refused(prove(1), FL_E_BOOT_SWITCH, &before);
}

Test(boot_rules, a_state_that_contradicts_itself_is_none)
{
	cr_assert(fl_boot_state_valid(&state));
	struct fl_boot_state s = state;
	memcpy(s.good, FL_BOOT_PROVE, sizeof(FL_BOOT_PROVE));
	cr_assert_not(fl_boot_state_valid(&s), "prove is no slot");
	s = state;
	s.trial[0] = 'a';
	s.tries = 1;
	cr_assert_not(fl_boot_state_valid(&s), "good and on trial");
	s = state;
	s.n_withdrawn = 2;
	s.withdrawn[0][0] = s.withdrawn[1][0] = 'b';
	cr_assert_not(fl_boot_state_valid(&s), "twice");
	s = state;
	s.n_hashes = 1;
	s.hashes[0].slot[0] = 'b';
	cr_assert_not(fl_boot_state_valid(&s), "no digits");
}

Test(boot_rules, back_ends_are_found_by_name)
{
	cr_assert_not_null(fl_boot_backend_find("sim"));
	cr_assert_null(fl_boot_backend_find("lilo"));
}

Test(boot_rules, observe_prints_one_line_of_json)
{
	struct fl_buf out = FL_BUF(4096);
	cr_assert_eq(withdraw("b"), FL_OK);
	cr_assert_eq(withdraw("c"), FL_OK);
	cr_assert_eq(fl_boot_print(&host, &state, &out, NULL), FL_OK);
	cr_assert_str_eq(fl_buf_str(&out), "{\"running\":\"a\",\"good\":\"a\",\"trial\":\"\","
					   "\"withdrawn\":[\"b\",\"c\"],\"tries\":0,\"used\":0,"
					   "\"proving\":false,\"root_hashes\":[]}\n");
	fl_buf_free(&out);
}
