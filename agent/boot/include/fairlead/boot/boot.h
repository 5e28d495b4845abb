/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What boots next: a fallback that is known to be good, and perhaps a slot on trial. A back end keeps that decision where
 * its boot loader reads it; every verb is idempotent and leaves the old or the new decision at every instant.
 */
#ifndef FAIRLEAD_BOOT_BOOT_H
#define FAIRLEAD_BOOT_BOOT_H

#include <fairlead/base/buf.h>
#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BOOT_SLOTS_MAX 26
#define FL_BOOT_TRIES_MAX 9

struct fl_boot_slot {
	char name[FL_NAME_MAX + 1];
	const char *path;
};

/* The machine as the root-owned configuration describes it, and the slot that runs now ("" when unknown). */
struct fl_boot_host {
	const char *dir; /* of the back end's files */
	char running[FL_NAME_MAX + 1];
	struct fl_boot_slot slots[FL_BOOT_SLOTS_MAX];
	size_t n_slots;
};

struct fl_boot_state {
	uint64_t seq; /* of the decision: one more with every change */
	char good[FL_NAME_MAX + 1];
	char trial[FL_NAME_MAX + 1]; /* "": none */
	unsigned tries;		     /* boots the trial may use */
	char withdrawn[FL_BOOT_SLOTS_MAX][FL_NAME_MAX + 1];
	size_t n_withdrawn;
};

/* One finding of a self-test. */
typedef void fl_boot_report(void *ctx, bool ok, const char *text);

/*
 * A back end. FL_E_NOT_FOUND: no decision was ever made; FL_E_CORRUPT: it is damaged; FL_E_SLOT_MISSING, FL_E_SLOT_RUNNING,
 * FL_E_BOOT_SWITCH: refused.
 */
struct fl_boot_backend {
	const char *name;
	enum fl_rc (*observe)(const struct fl_boot_host *host, struct fl_boot_state *ret,
			      struct fl_err *err);
	/* No entry, order or menu offers the slot any more. Never the running or the good one. */
	enum fl_rc (*withdraw)(const struct fl_boot_host *host, const char *slot,
			       struct fl_err *err);
	enum fl_rc (*trial)(const struct fl_boot_host *host, const char *slot, unsigned tries,
			    struct fl_err *err);
	/* The running slot, on trial until now, is good. */
	enum fl_rc (*good)(const struct fl_boot_host *host, struct fl_err *err);
	/* No trial: the good slot boots next. */
	enum fl_rc (*fallback)(const struct fl_boot_host *host, struct fl_err *err);
	/* The first decision; also over a damaged one. FL_E_EXISTS when there is a valid one with another good slot. */
	enum fl_rc (*init)(const struct fl_boot_host *host, const char *slot, struct fl_err *err);
	/* Reports every check; FL_OK only when all were good. */
	enum fl_rc (*doctor)(const struct fl_boot_host *host, fl_boot_report *report, void *ctx,
			     struct fl_err *err);
};

/* NULL when there is none of that name. */
const struct fl_boot_backend *fl_boot_backend_find(const char *name);

bool fl_boot_is_withdrawn(const struct fl_boot_state *state, const char *slot);
/* NULL when the host has no such slot. */
const struct fl_boot_slot *fl_boot_find_slot(const struct fl_boot_host *host, const char *name);

/* {"running":"a","good":"a","trial":"","withdrawn":["b"]} and a newline. */
enum fl_rc fl_boot_print(const struct fl_boot_host *host, const struct fl_boot_state *state,
			 struct fl_buf *out, struct fl_err *err) FL_CHECKED;

/*
 * The verbs as pure rules on a state, for back ends that can keep one: *state is changed, or untouched on a
 * refusal. *changed: there is something to write.
 */
enum fl_rc fl_boot_rule_withdraw(const struct fl_boot_host *host, struct fl_boot_state *state,
				 const char *slot, bool *changed, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_rule_trial(const struct fl_boot_host *host, struct fl_boot_state *state,
			      const char *slot, unsigned tries, bool *changed, struct fl_err *err)
	FL_CHECKED;
enum fl_rc fl_boot_rule_good(const struct fl_boot_host *host, struct fl_boot_state *state,
			     bool *changed, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_rule_fallback(struct fl_boot_state *state, bool *changed, struct fl_err *err)
	FL_CHECKED;

/* The decision file of the back end sim (docs/internals/sim-boot.md). */
enum fl_rc fl_boot_decision_print(const struct fl_boot_state *state, struct fl_buf *out,
				  struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_decision_parse(const struct fl_buf *text, struct fl_boot_state *ret,
				  struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
