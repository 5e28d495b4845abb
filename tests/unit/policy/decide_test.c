/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/policy/policy.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOUR UINT64_C(3600)
#define DAY  (24 * HOUR)
#define MON  UINT64_C(1767571200) /* 2026-01-05 00:00 UTC, a Monday */

/* Saturday 02:00 to 04:00 */
static const struct fl_policy night = {
	FL_POLICY_WINDOW, "window.night", {1 << 5, 2 * 3600, 2 * 3600}};
static const struct fl_policy always = {FL_POLICY_ALWAYS, "always", {0, 0, 0}};
static const struct fl_policy_set night_set = {{&always, &night}};
static const struct fl_policy_facts good_facts = {true, 1000, UINT64_MAX, UINT64_MAX, 0, false};

#define SAT2 (MON + 5 * DAY + 2 * HOUR)

static struct fl_policy_request request(void)
{
	return (struct fl_policy_request){.gate = FL_GATE_ACTIVATE, .expires_s = MON + 365 * DAY};
}

static struct fl_policy_answer ask(struct fl_policy_facts facts, struct fl_policy_request r,
				   uint64_t now)
{
	struct fl_policy_answer a;
	memset(&a, 0xa5, sizeof(a));
	fl_policy_decide(&night_set, &facts, &r, now, &a);
	cr_assert_geq(a.n_reasons, 1);
	cr_assert_eq(a.reasons[a.n_reasons - 1].verdict, a.verdict, "the deciding one is last");
	cr_assert_eq(a.verdict == FL_GO, a.code == FL_OK);
	cr_assert_eq(a.verdict == FL_WAIT_UNTIL, a.until_s != 0);
	for (size_t i = 0; i < a.n_reasons; i++)
		cr_assert(a.reasons[i].rule != NULL && a.reasons[i].text[0] != '\0');
	return a;
}

static const char *decided_by(const struct fl_policy_answer *a)
{
	return a->reasons[a->n_reasons - 1].rule;
}

Test(decide, each_gate_has_its_own_policy)
{
	struct fl_policy_request r = request();
	r.gate = FL_GATE_DOWNLOAD;
	struct fl_policy_answer a = ask(good_facts, r, MON);
	cr_assert_eq(a.verdict, FL_GO);
	cr_assert_str_eq(a.next, "");
	a = ask(good_facts, request(), MON);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
}

Test(decide, a_missing_policy_is_always)
{
	const struct fl_policy_set none = {{NULL, NULL}};
	struct fl_policy_request r = request();
	struct fl_policy_answer a;
	fl_policy_decide(&none, &good_facts, &r, MON, &a);
	cr_assert_eq(a.verdict, FL_GO);
}

Test(decide, closed_window_waits_until_it_opens)
{
	struct fl_policy_answer a = ask(good_facts, request(), MON);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
	cr_assert_eq(a.code, FL_E_WINDOW);
	cr_assert_eq(a.until_s, SAT2);
	cr_assert_str_eq(a.next, "window");
	cr_assert_str_eq(decided_by(&a), "window.night");
	cr_assert_neq(strstr(a.reasons[a.n_reasons - 1].text, "2026-01-10 02:00 UTC"), NULL, "%s",
		      a.reasons[a.n_reasons - 1].text);
	cr_assert_eq(ask(good_facts, request(), SAT2 - 1).verdict, FL_WAIT_UNTIL);
	cr_assert_eq(ask(good_facts, request(), SAT2).verdict, FL_GO);
	cr_assert_eq(ask(good_facts, request(), SAT2 + 2 * HOUR - 1).verdict, FL_GO);
	a = ask(good_facts, request(), SAT2 + 2 * HOUR);
	cr_assert_eq(a.until_s, SAT2 + 7 * DAY);
}

Test(decide, it_must_be_able_to_finish_before_the_window_closes)
{
	struct fl_policy_request r = request();
	r.duration_s = HOUR;
	cr_assert_eq(ask(good_facts, r, SAT2 + HOUR).verdict, FL_GO);
	struct fl_policy_answer a = ask(good_facts, r, SAT2 + HOUR + 1);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
	cr_assert_eq(a.until_s, SAT2 + 7 * DAY);
	r.duration_s = 2 * HOUR;
	cr_assert_eq(ask(good_facts, r, SAT2).verdict, FL_GO);
	r.duration_s = 2 * HOUR + 1;
	a = ask(good_facts, r, SAT2);
	cr_assert_eq(a.verdict, FL_WAIT_FOR, "no stretch is long enough");
	cr_assert_eq(a.code, FL_E_WINDOW);
	cr_assert_str_eq(a.next, "window");
}

/* Of two windows' worth of stretches only the longer one will do: Monday 1 h, and Tuesday to
 * Wednesday touching. */
Test(decide, a_stretch_that_is_too_short_is_passed_over)
{
	const struct fl_policy p = {FL_POLICY_WINDOW, "window.x", {1 << 1 | 1 << 2, 0, 86400}};
	const struct fl_policy_set set = {{&p, &p}};
	struct fl_policy_request r = request();
	struct fl_policy_answer a;
	r.duration_s = 36 * HOUR; /* fits from Tuesday 00:00 until Wednesday 24:00 only */
	fl_policy_decide(&set, &good_facts, &r, MON + 2 * DAY, &a);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
	cr_assert_eq(a.until_s, MON + 8 * DAY);
	fl_policy_decide(&set, &good_facts, &r, MON + DAY + 12 * HOUR, &a);
	cr_assert_eq(a.verdict, FL_GO);
}

Test(decide, unknown_time_keeps_windows_closed_and_nothing_else)
{
	struct fl_policy_facts facts = good_facts;
	facts.time_known = false;
	struct fl_policy_answer a = ask(facts, request(), SAT2);
	cr_assert_eq(a.verdict, FL_WAIT_FOR);
	cr_assert_eq(a.code, FL_E_TIME_UNTRUSTED);
	cr_assert_str_eq(a.next, "time");
	struct fl_policy_request r = request();
	r.gate = FL_GATE_DOWNLOAD;
	cr_assert_eq(ask(facts, r, 0).verdict, FL_GO);
	r.not_before_s = MON;
	a = ask(facts, r, SAT2);
	cr_assert_eq(a.verdict, FL_WAIT_FOR,
		     "1970 or 2099: not_before is not decided by a bad clock");
	cr_assert_str_eq(a.next, "time");
	r.not_before_s = 0;
	cr_assert_eq(ask(facts, r, MON + 1000 * DAY).verdict, FL_GO, "nor is the job's end");
}

Test(decide, not_before)
{
	struct fl_policy_request r = request();
	r.gate = FL_GATE_DOWNLOAD;
	r.not_before_s = MON + 100;
	struct fl_policy_answer a = ask(good_facts, r, MON + 99);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
	cr_assert_eq(a.until_s, MON + 100);
	cr_assert_str_eq(a.next, "not_before");
	cr_assert_eq(ask(good_facts, r, MON + 100).verdict, FL_GO);
}

/* Open now, but closed again when the job may start: the window after not_before counts. */
Test(decide, the_window_is_asked_at_not_before)
{
	struct fl_policy_request r = request();
	r.not_before_s = SAT2 + DAY;
	struct fl_policy_answer a = ask(good_facts, r, SAT2);
	cr_assert_eq(a.until_s, SAT2 + 7 * DAY);
	cr_assert_str_eq(a.next, "window");
	r.not_before_s = SAT2 + HOUR;
	a = ask(good_facts, r, MON);
	cr_assert_eq(a.until_s, SAT2 + HOUR);
	cr_assert_str_eq(a.next, "not_before",
			 "both wait for that second; the first rule asked decides");
}

Test(decide, expired_is_refused_whatever_else)
{
	struct fl_policy_request r = request();
	r.expires_s = SAT2;
	r.need_bytes = 5000;
	r.not_before_s = SAT2 + DAY;
	struct fl_policy_answer a = ask(good_facts, r, SAT2);
	cr_assert_eq(a.verdict, FL_REFUSE);
	cr_assert_eq(a.code, FL_E_EXPIRED);
	cr_assert_str_eq(decided_by(&a), "expires");
	cr_assert_neq(ask(good_facts, r, SAT2 - 1).verdict, FL_REFUSE);
}

Test(decide, lacking_space_is_waited_for_and_goes_before_a_window)
{
	struct fl_policy_request r = request();
	r.need_bytes = 1001;
	struct fl_policy_answer a = ask(good_facts, r, MON);
	cr_assert_eq(a.verdict, FL_WAIT_FOR);
	cr_assert_eq(a.code, FL_E_NO_SPACE);
	cr_assert_str_eq(a.next, "space");
	cr_assert_eq(a.n_reasons, 6, "the closed window is named too");
	r.need_bytes = 1000;
	cr_assert_eq(ask(good_facts, r, SAT2).verdict, FL_GO);
}

Test(decide, a_window_after_the_end_of_the_job_says_so)
{
	struct fl_policy_request r = request();
	r.expires_s = MON + DAY;
	struct fl_policy_answer a = ask(good_facts, r, MON);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
	cr_assert_neq(strstr(a.reasons[a.n_reasons - 1].text, "after the job's end"), NULL);
}

/* Days that touch are one window that never closes: any duration fits; without days none does. */
Test(decide, windows_that_never_close_or_never_open)
{
	const struct fl_policy whole = {FL_POLICY_WINDOW, "window.whole", {0x7f, 0, 86400}};
	const struct fl_policy none = {FL_POLICY_WINDOW, "window.none", {0, 0, 86400}};
	const struct fl_policy_set set = {{&whole, &none}};
	struct fl_policy_request r = request();
	struct fl_policy_answer a;
	r.duration_s = 1000 * DAY;
	r.gate = FL_GATE_DOWNLOAD;
	fl_policy_decide(&set, &good_facts, &r, MON + 5, &a);
	cr_assert_eq(a.verdict, FL_GO);
	r.gate = FL_GATE_ACTIVATE;
	fl_policy_decide(&set, &good_facts, &r, MON + 5, &a);
	cr_assert_eq(a.verdict, FL_WAIT_FOR);
	cr_assert_str_eq(a.next, "window");
}

Test(decide, a_gate_that_does_not_exist_is_a_bug, .signal = SIGABRT)
{
	struct fl_policy_request r = request();
	struct fl_policy_answer a;
	r.gate = FL_N_GATES;
	fl_policy_decide(&night_set, &good_facts, &r, MON, &a);
}

/* The longest texts fit, whatever the numbers. */
Test(decide, extreme_numbers)
{
	const struct fl_policy_facts facts = {.time_known = true};
	const uint64_t extremes[] = {0, 1, MON, UINT64_MAX - 1, UINT64_MAX};
	for (size_t i = 0; i < 5 * 5 * 5 * 5; i++) {
		struct fl_policy_request r = {.gate = i % 2 == 0 ? FL_GATE_ACTIVATE : FL_GATE_DOWNLOAD,
					      .not_before_s = extremes[i % 5],
					      .expires_s = extremes[i / 5 % 5],
					      .need_bytes = UINT64_MAX,
					      .fetch_bytes = extremes[i / 25 % 5],
					      .duration_s = extremes[i / 25 % 5]};
		struct fl_policy_answer a;
		fl_policy_decide(&night_set, &facts, &r, extremes[i / 125], &a);
		cr_assert_neq(a.verdict, FL_GO);
		for (size_t k = 0; k < a.n_reasons; k++)
			cr_assert_lt(strlen(a.reasons[k].text), sizeof(a.reasons[k].text) - 1);
	}
}

/* Every minute of two years of a job with a window, a duration and a not_before: it goes only where
 * it may. */
Test(decide, never_outside_the_window_and_no_window_missed)
{
	struct fl_policy_request r = request();
	r.expires_s = UINT64_MAX;
	r.duration_s = 30 * 60;
	r.not_before_s = MON + 40 * DAY;
	unsigned openings = 0;
	bool was_open = false;
	for (uint64_t t = MON; t < MON + 728 * DAY; t += 60) {
		struct fl_policy_answer a;
		fl_policy_decide(&night_set, &good_facts, &r, t, &a);
		uint64_t second = (t - MON) % (7 * DAY);
		bool may = t >= r.not_before_s && second >= 5 * DAY + 2 * HOUR &&
			   second + r.duration_s <= 5 * DAY + 4 * HOUR;
		if ((a.verdict == FL_GO) != may)
			cr_assert_fail("minute %llu", (unsigned long long)t);
		openings += may && !was_open ? 1 : 0;
		was_open = may;
	}
	cr_assert_eq(openings, 104 - 5, "the first five Saturdays lie before not_before");
}

/* Every day of 500 years, centuries and leap days included: as the C library writes it. */
Test(decide, a_full_artifact_in_place_of_a_delta)
{
	struct fl_policy_facts facts = good_facts;
	struct fl_policy_request r = request();
	r.gate = FL_GATE_DOWNLOAD;
	r.full_bytes = 10000;
	r.fallback_bytes = 101;
	cr_assert_eq(ask(facts, r, MON).verdict, FL_GO, "the link is not metered");
	facts.metered = true;
	const struct fl_policy_answer a = ask(facts, r, MON);
	cr_assert_eq(a.verdict, FL_WAIT_FOR);
	cr_assert_eq(a.code, FL_E_CONSENT);
	cr_assert_str_eq(a.next, "consent");
	cr_assert_str_eq(decided_by(&a), "fallback");
	r.fallback_bytes = 100;
	cr_assert_eq(ask(facts, r, MON).verdict, FL_GO, "a hundredth is free");
	r.fallback_bytes = 0;
	cr_assert_eq(ask(facts, r, MON).verdict, FL_GO);
	r.fallback_bytes = r.full_bytes;
	r.gate = FL_GATE_ACTIVATE;
	r.fallback_bytes = 0;
	cr_assert_eq(ask(facts, r, SAT2).verdict, FL_GO, "nothing is fetched then");
}

Test(decide, dates_in_reasons)
{
	struct fl_policy_request r = request();
	r.gate = FL_GATE_DOWNLOAD;
	for (uint64_t day = 1; day < 182622; day++) {
		struct fl_policy_answer a;
		char want[64];
		time_t t = (time_t)(day * DAY + 7261);
		struct tm tm;
		r.not_before_s = (uint64_t)t;
		fl_policy_decide(&night_set, &good_facts, &r, 0, &a);
		strftime(want, sizeof(want), "not before %Y-%m-%d %H:%M UTC", gmtime_r(&t, &tm));
		cr_assert_str_eq(a.reasons[a.n_reasons - 1].text, want);
	}
}

static struct fl_policy_answer ask_budgets(uint64_t day, uint64_t deployment, uint64_t need, bool time_known)
{
	struct fl_policy_facts facts = good_facts;
	struct fl_policy_request r = request();
	r.gate = FL_GATE_DOWNLOAD;
	r.fetch_bytes = need;
	facts.time_known = time_known;
	facts.day_left_bytes = day;
	facts.deployment_left_bytes = deployment;
	facts.day_ends_s = MON + DAY;
	return ask(facts, r, MON);
}

Test(decide, a_day_s_bytes_are_spent_to_the_last_one)
{
	cr_assert_eq(ask_budgets(1, UINT64_MAX, 1000, true).verdict, FL_GO);
	const struct fl_policy_answer a = ask_budgets(0, UINT64_MAX, 1000, true);
	cr_assert_eq(a.verdict, FL_WAIT_UNTIL);
	cr_assert_eq(a.code, FL_E_BYTE_BUDGET);
	cr_assert_eq(a.until_s, MON + DAY);
	cr_assert_str_eq(a.next, "budget");
	cr_assert_str_eq(ask_budgets(0, UINT64_MAX, 1000, false).next, "time");
}

Test(decide, a_deployment_that_may_cost_more_is_not_begun)
{
	cr_assert_eq(ask_budgets(UINT64_MAX, 1000, 1000, true).verdict, FL_GO);
	const struct fl_policy_answer a = ask_budgets(UINT64_MAX, 999, 1000, true);
	cr_assert_eq(a.verdict, FL_WAIT_FOR);
	cr_assert_str_eq(a.next, "consent");
	cr_assert_str_eq(ask_budgets(0, 999, 1000, true).next, "consent", "the stricter one");
}

Test(decide, budgets_are_of_downloads_alone)
{
	struct fl_policy_facts facts = good_facts;
	struct fl_policy_request r = request();
	r.fetch_bytes = 1000;
	facts.day_left_bytes = facts.deployment_left_bytes = 0;
	cr_assert_eq(ask(facts, r, SAT2).verdict, FL_GO);
}
