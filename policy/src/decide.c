/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every rule is asked and gives a finding; the strictest finding is the answer:
 *
 *   refuse  >  wait for a fact  >  wait until a time (the latest)  >  go
 *
 * Of equally strict ones the first asked decides. A new rule is one function and one row in
 * `rules`.
 */
#include "window.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct question {
	const struct fl_policy *policy; /* of the gate; never NULL */
	const struct fl_policy_facts *facts;
	const struct fl_policy_request *request;
	uint64_t now_s;
};

struct finding {
	enum fl_verdict verdict;
	enum fl_rc code;
	uint64_t until_s;
	const char *next;
	struct fl_policy_reason reason; /* its verdict is set by note() */
};

/* "2026-11-28 02:00 UTC": Gregorian, from days since 1970-01-01, counted in years that begin in
 * March. */
struct date_text {
	char text[40];
};

static struct date_text date(uint64_t t)
{
	uint64_t z = t / 86400 + 719468;
	uint64_t era = z / 146097;
	uint64_t doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t mp = (5 * doy + 2) / 153;
	uint64_t month = mp < 10 ? mp + 3 : mp - 9;
	uint64_t year = era * 400 + yoe + (month <= 2 ? 1 : 0);
	struct date_text d;
	snprintf(d.text, sizeof(d.text), "%04" PRIu64 "-%02" PRIu64 "-%02" PRIu64 " %02u:%02u UTC",
		 year, month, doy - (153 * mp + 2) / 5 + 1, (unsigned)(t / 3600 % 24),
		 (unsigned)(t / 60 % 60));
	return d;
}

#define SAY(f, ...) snprintf((f)->reason.text, sizeof((f)->reason.text), __VA_ARGS__)

static void wait_for(struct finding *f, enum fl_rc code, const char *next)
{
	f->verdict = FL_WAIT_FOR;
	f->code = code;
	f->next = next;
}

static void wait_until(struct finding *f, uint64_t until_s, const char *next)
{
	wait_for(f, FL_E_WINDOW, next);
	f->verdict = FL_WAIT_UNTIL;
	f->until_s = until_s;
}

static void ask_expiry(const struct question *q, struct finding *f)
{
	f->reason.rule = "expires";
	if (!q->facts->time_known) {
		/* A wrong clock must not kill a good job; the helper has its own lower bound of
		 * time. */
		SAY(f, "not asked: the time is not known");
	} else if (q->now_s >= q->request->expires_s) {
		f->verdict = FL_REFUSE;
		f->code = FL_E_EXPIRED;
		SAY(f, "the job expired %s", date(q->request->expires_s).text);
	} else {
		SAY(f, "the job expires %s", date(q->request->expires_s).text);
	}
}

static void ask_not_before(const struct question *q, struct finding *f)
{
	uint64_t t = q->request->not_before_s;
	f->reason.rule = "not_before";
	if (t == 0) {
		SAY(f, "the job sets none");
	} else if (!q->facts->time_known) {
		wait_for(f, FL_E_TIME_UNTRUSTED, "time");
		SAY(f, "not before %s, and the time is not known", date(t).text);
	} else if (q->now_s < t) {
		wait_until(f, t, "not_before");
		SAY(f, "not before %s", date(t).text);
	} else {
		SAY(f, "since %s", date(t).text);
	}
}

/* The window is asked for the moment from which the job may run: now or its not_before. */
static void ask_window(const struct question *q, struct finding *f)
{
	const struct fl_policy_request *r = q->request;
	if (!q->facts->time_known) {
		wait_for(f, FL_E_TIME_UNTRUSTED, "time");
		SAY(f, "closed: the time is not known");
		return;
	}
	uint64_t from = q->now_s > r->not_before_s ? q->now_s : r->not_before_s;
	uint64_t fits = window_fits_from(&q->policy->window, from, r->duration_s);
	if (fits == FL_WINDOW_NEVER) {
		wait_for(f, FL_E_WINDOW, "window");
		SAY(f, "never open for the %" PRIu64 " s that the job may take", r->duration_s);
	} else if (fits > q->now_s) {
		wait_until(f, fits, "window");
		SAY(f, "open for %" PRIu64 " s from %s%s", r->duration_s, date(fits).text,
		    fits >= r->expires_s ? ", after the job's end" : "");
	} else {
		SAY(f, "open for the next %" PRIu64 " s at least", r->duration_s);
	}
}

static void ask_policy(const struct question *q, struct finding *f)
{
	f->reason.rule = q->policy->name;
	if (q->policy->kind == FL_POLICY_WINDOW)
		ask_window(q, f);
	else
		SAY(f, "open at any time");
}

static void ask_space(const struct question *q, struct finding *f)
{
	uint64_t need = q->request->need_bytes;
	uint64_t have = q->facts->space_bytes;
	f->reason.rule = "space";
	if (need > have) {
		wait_for(f, FL_E_NO_SPACE, "space");
		SAY(f, "needs %" PRIu64 " bytes, %" PRIu64 " are free", need, have);
	} else {
		SAY(f, "needs %" PRIu64 " of %" PRIu64 " free bytes", need, have);
	}
}

/* The day's may be spent to the last byte, for what came in is kept; the deployment's is not begun when it may not do. */
static void ask_budget(const struct question *q, struct finding *f)
{
	const uint64_t need = q->request->fetch_bytes;
	const uint64_t day = q->facts->day_left_bytes;
	const uint64_t deployment = q->facts->deployment_left_bytes;
	f->reason.rule = "budget";
	if (q->request->gate != FL_GATE_DOWNLOAD) {
		SAY(f, "not asked: nothing is fetched");
	} else if (day == UINT64_MAX && deployment == UINT64_MAX) {
		SAY(f, "may fetch %" PRIu64 " bytes, and none is set", need);
	} else if (need > deployment) {
		wait_for(f, FL_E_BYTE_BUDGET, "consent");
		SAY(f, "may fetch %" PRIu64 " bytes, %" PRIu64 " are allowed", need, deployment);
	} else if (day == 0 && !q->facts->time_known) {
		wait_for(f, FL_E_TIME_UNTRUSTED, "time");
		SAY(f, "the day's is spent, and the time is not known");
	} else if (day == 0) {
		wait_until(f, q->facts->day_ends_s, "budget");
		f->code = FL_E_BYTE_BUDGET;
		SAY(f, "the day's is spent until %s", date(q->facts->day_ends_s).text);
	} else {
		SAY(f, "may fetch %" PRIu64 " bytes, within what is left", need);
	}
}

/* The delta was what somebody has reckoned with. */
static void ask_fallback(const struct question *q, struct finding *f)
{
	const uint64_t need = q->request->fallback_bytes;
	const uint64_t free_bytes = q->request->full_bytes / 100 * FL_POLICY_FREE_PERCENT;
	f->reason.rule = "fallback";
	if (need == 0) {
		SAY(f, "nothing is taken in place of a delta");
	} else if (!q->facts->metered) {
		SAY(f, "up to %" PRIu64 " bytes in place of a delta, and the link is not metered", need);
	} else if (need <= free_bytes) {
		SAY(f, "%" PRIu64 " bytes in place of a delta, %" PRIu64 " are free", need, free_bytes);
	} else {
		wait_for(f, FL_E_CONSENT, "consent");
		SAY(f, "%" PRIu64 " bytes in place of a delta, and the link is metered", need);
	}
}

typedef void rule_fn(const struct question *q, struct finding *f);
static rule_fn *const rules[] = {ask_expiry, ask_not_before, ask_policy,
				 ask_space,  ask_budget,     ask_fallback};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))
_Static_assert(N_RULES <= FL_POLICY_REASONS_MAX, "every rule has room for its reason");

static bool stricter(const struct finding *a, const struct finding *b)
{
	static const int strictness[] = {
		[FL_GO] = 0, [FL_WAIT_UNTIL] = 1, [FL_WAIT_FOR] = 2, [FL_REFUSE] = 3};
	if (a->verdict != b->verdict)
		return strictness[a->verdict] > strictness[b->verdict];
	return a->until_s > b->until_s;
}

void fl_policy_decide(const struct fl_policy_set *set, const struct fl_policy_facts *facts,
		      const struct fl_policy_request *request, uint64_t now_s,
		      struct fl_policy_answer *ret)
{
	static const struct fl_policy always = {FL_POLICY_ALWAYS, "always", {0, 0, 0}};
	FL_BUG_ON((unsigned)request->gate >= FL_N_GATES);
	const struct fl_policy *policy = set->gate[request->gate];
	struct question q = {policy == NULL ? &always : policy, facts, request, now_s};
	struct finding found[N_RULES];
	memset(found, 0, sizeof(found));
	size_t decides = 0;
	for (size_t i = 0; i < N_RULES; i++) {
		found[i].next = "";
		rules[i](&q, &found[i]);
		found[i].reason.verdict = found[i].verdict;
		if (stricter(&found[i], &found[decides]))
			decides = i;
	}
	*ret = (struct fl_policy_answer){.verdict = found[decides].verdict,
					 .code = found[decides].code,
					 .until_s = found[decides].until_s,
					 .next = found[decides].next};
	for (size_t i = 0; i < N_RULES; i++) {
		if (i != decides)
			ret->reasons[ret->n_reasons++] = found[i].reason;
	}
	ret->reasons[ret->n_reasons++] = found[decides].reason;
}
