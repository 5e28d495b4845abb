/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When may a job download, stage, activate? A pure function of (policies, facts, request, now): no clock, no file, no
 * allocation. It is no security boundary: signatures, floors and order are enforced by the helper.
 */
#ifndef FAIRLEAD_POLICY_POLICY_H
#define FAIRLEAD_POLICY_POLICY_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_gate {
	FL_GATE_DOWNLOAD, /* asked before and while bytes are fetched and staged */
	FL_GATE_ACTIVATE, /* asked before sealing and once more before the switch */
	FL_N_GATES
};

enum fl_policy_kind {
	FL_POLICY_ALWAYS,
	FL_POLICY_WINDOW, /* weekly, UTC */
};

struct fl_window {
	uint8_t days;	   /* bit 0 = Monday … bit 6 = Sunday: the days on which it opens */
	uint32_t start_s;  /* of the day, 0…86,399 */
	uint32_t length_s; /* 60…604,800; may run past midnight and over the end of the week */
};

struct fl_policy {
	enum fl_policy_kind kind;
	const char *name; /* "always", "window.night": in the reasons */
	struct fl_window window;
};

struct fl_policy_set {
	const struct fl_policy *gate[FL_N_GATES]; /* NULL: always */
};

struct fl_policy_facts {
	bool time_known;      /* wall time is trusted; windows stay closed without it */
	uint64_t space_bytes; /* free in the store */
	/* byte budgets of the link that would be used; UINT64_MAX: none */
	uint64_t day_left_bytes, deployment_left_bytes;
	uint64_t day_ends_s; /* when the first is new */
	bool metered; /* the link that would be used, and nobody has agreed to more than is planned */
};

struct fl_policy_request {
	enum fl_gate gate;
	uint64_t not_before_s;	/* of the job; 0: none */
	uint64_t expires_s;	/* of the job */
	uint64_t need_bytes;	/* of space in the store */
	uint64_t fetch_bytes;	/* over the network, at most */
	uint64_t fallback_bytes; /* of these: a full artifact's in place of a delta's */
	uint64_t full_bytes;	/* all that this full artifact has */
	uint64_t duration_s;	/* estimate: it must be able to finish before the window closes */
};

enum fl_verdict {
	FL_GO,
	FL_WAIT_UNTIL, /* until_s */
	FL_WAIT_FOR,   /* next */
	FL_REFUSE,
};

#define FL_POLICY_REASONS_MAX 8
#define FL_POLICY_FREE_PERCENT 1 /* of a full artifact, that a metered link may cost in place of a delta without consent */

struct fl_policy_reason {
	const char *rule; /* static, or the policy's name */
	enum fl_verdict verdict;
	char text[96];
};

struct fl_policy_answer {
	enum fl_verdict verdict;
	enum fl_rc code;     /* FL_OK for go */
	uint64_t until_s;    /* seconds since 1970 UTC; 0: not known */
	const char *next;    /* what is waited for: "window", "time", "space", "not_before", "budget", "consent"; "": nothing; static */
	size_t n_reasons;
	struct fl_policy_reason reasons[FL_POLICY_REASONS_MAX]; /* every rule asked, the deciding one last */
};

/* The strictest rule decides. Never fails. */
void fl_policy_decide(const struct fl_policy_set *set, const struct fl_policy_facts *facts,
		      const struct fl_policy_request *request, uint64_t now_s,
		      struct fl_policy_answer *ret);

/* days "mon,wed" or "mon-fri", start "HH:MM", length in minutes; FL_E_CONFIG. */
enum fl_rc fl_window_parse(const char *days, const char *start, uint64_t length_min,
			   struct fl_window *ret, struct fl_err *err) FL_CHECKED;

#define FL_WINDOW_NEVER UINT64_MAX
/*
 * Is it open at now_s, and when does it close (open) or open next (closed)? *change_s is FL_WINDOW_NEVER when it never
 * closes (its occurrences cover the week) or never opens (no day).
 */
bool fl_window_open(const struct fl_window *window, uint64_t now_s, uint64_t *change_s);

#ifdef __cplusplus
}
#endif
#endif
