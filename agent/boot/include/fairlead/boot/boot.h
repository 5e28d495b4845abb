/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What boots next: a fallback that is known to be good, and perhaps a slot on trial. A back end keeps that decision where
 * its boot loader reads it; the verbs are the same for all: lock, load, rule, store when it changed. Crash contract and
 * formats: docs/internals/boot.md.
 *
 *   verb ──► lock host->dir ──► backend->load ──► pure rule ──► backend->store (old or new at every instant)
 */
#ifndef FAIRLEAD_BOOT_BOOT_H
#define FAIRLEAD_BOOT_BOOT_H

#include <fairlead/base/buf.h>
#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BOOT_SLOTS_MAX 26
#define FL_BOOT_PARTS_MAX 64
#define FL_BOOT_TRIES_MAX 9
/* A trial of no slot: loaders boot the good one as fairlead.slot=prove, count as in any trial, and must come back. */
#define FL_BOOT_PROVE "prove"

struct fl_boot_slot {
	char name[FL_NAME_MAX + 1]; /* a letter */
};

/* What a component has in a slot: all parts of one letter boot together. */
struct fl_boot_part {
	char slot[FL_NAME_MAX + 1];
	const char *component;
	const char *path; /* where it should be when it is not there */
};

/* The machine as the root-owned configuration describes it, and the slot that runs now ("" when unknown). */
struct fl_boot_host {
	const char *dir;     /* [boot] dir, of the back end's files; the lock is on it */
	const char *program; /* [boot] exec: the program of the back end exec; NULL: not set */
	const char *
		loader; /* [boot] loader: the loader's script or configuration, for doctor; NULL: not set */
	char running[FL_NAME_MAX + 1];
	bool proving; /* booted as fairlead.slot=prove; `running` "" then stands for the good slot */
	struct fl_boot_slot slots[FL_BOOT_SLOTS_MAX];
	size_t n_slots;
	struct fl_boot_part parts[FL_BOOT_PARTS_MAX];
	size_t n_parts;
};

struct fl_boot_hash {
	char slot[FL_NAME_MAX + 1];
	char hex[FL_DIGEST_HEX_SIZE]; /* dm-verity root hash, for the kernel as roothash=HEX */
};

struct fl_boot_state {
	uint64_t seq; /* of the decision: one more with every change */
	char good[FL_NAME_MAX + 1];
	char trial[FL_NAME_MAX + 1]; /* "": none; FL_BOOT_PROVE: the good slot under that name */
	unsigned tries;		     /* boots the trial may use */
	unsigned
		used; /* of them, as the loader counted; 0 where only the loader knows. Never stored */
	char withdrawn[FL_BOOT_SLOTS_MAX][FL_NAME_MAX + 1];
	size_t n_withdrawn;
	struct fl_boot_hash hashes[FL_BOOT_SLOTS_MAX]; /* of the slots that have one */
	size_t n_hashes;
};

/* One finding of a self-test. */
typedef void fl_boot_report(void *ctx, bool ok, const char *text);

/*
 * A back end: where the decision is kept and how it reaches the loader. It knows no verbs. Called under the lock, but
 * for load and check by observe and doctor, which take none.
 */
struct fl_boot_backend {
	const char *name;
	bool makes_dir; /* init makes host->dir when it is missing */
	/* FL_E_NOT_FOUND: no decision was ever made; FL_E_CORRUPT: it is damaged. */
	enum fl_rc (*load)(const struct fl_boot_host *host, struct fl_boot_state *ret,
			   struct fl_err *err);
	/*
	 * next takes the place of old (NULL: there was no valid one): at every instant the loader finds the old or the new
	 * one; after FL_OK the new one is durable. A trial in `next` that `old` did not have, or whose seq differs in a way
	 * that the loader counts by, starts with all its tries.
	 */
	enum fl_rc (*store)(const struct fl_boot_host *host, const struct fl_boot_state *old,
			    const struct fl_boot_state *next, struct fl_err *err);
	/* The back end's own findings; state NULL: none valid. false when one of them was a fault. */
	bool (*check)(const struct fl_boot_host *host, const struct fl_boot_state *state,
		      fl_boot_report *report, void *ctx);
};

/* NULL when there is none of that name. */
const struct fl_boot_backend *fl_boot_backend_find(const char *name);

struct fl_boot_trial {
	const char *slot;
	unsigned tries;
	const char *root_hash; /* 64 lower-case hex; NULL: the one it has, if any */
};

/*
 * The verbs. FL_E_SLOT_MISSING, FL_E_SLOT_RUNNING, FL_E_EXISTS, FL_E_BOOT_SWITCH: refused, nothing changed. Each is
 * idempotent: what is so already is not written again.
 */
enum fl_rc fl_boot_observe(const struct fl_boot_backend *b, struct fl_boot_host *host,
			   struct fl_boot_state *ret, struct fl_err *err) FL_CHECKED;
/* No entry, order or menu offers the slot any more. Never the running or the good one. */
enum fl_rc fl_boot_withdraw(const struct fl_boot_backend *b, struct fl_boot_host *host,
			    const char *slot, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_trial(const struct fl_boot_backend *b, struct fl_boot_host *host,
			 const struct fl_boot_trial *trial, struct fl_err *err) FL_CHECKED;
/* The running slot, on trial until now, is good. */
enum fl_rc fl_boot_good(const struct fl_boot_backend *b, struct fl_boot_host *host,
			struct fl_err *err) FL_CHECKED;
/* No trial: the good slot boots next. */
enum fl_rc fl_boot_fallback(const struct fl_boot_backend *b, struct fl_boot_host *host,
			    struct fl_err *err) FL_CHECKED;
/* A trial of FL_BOOT_PROVE: the loader's own way back, tried without an update. */
enum fl_rc fl_boot_prove(const struct fl_boot_backend *b, struct fl_boot_host *host, unsigned tries,
			 struct fl_err *err) FL_CHECKED;
/* The first decision; also over a damaged one. FL_E_EXISTS when there is a valid one with another good slot. */
enum fl_rc fl_boot_init(const struct fl_boot_backend *b, struct fl_boot_host *host,
			const char *slot, struct fl_err *err) FL_CHECKED;
/* Reports every check; FL_OK only when all were good. */
enum fl_rc fl_boot_doctor(const struct fl_boot_backend *b, struct fl_boot_host *host,
			  fl_boot_report *report, void *ctx, struct fl_err *err) FL_CHECKED;

bool fl_boot_is_withdrawn(const struct fl_boot_state *state, const char *slot);
/* NULL when the slot has none. */
const char *fl_boot_root_hash(const struct fl_boot_state *state, const char *slot);
/* NULL when the host has no such slot. */
const struct fl_boot_slot *fl_boot_find_slot(const struct fl_boot_host *host, const char *name);
/* The slot whose content boots on trial: the good one for FL_BOOT_PROVE; "" without a trial. */
const char *fl_boot_trial_content(const struct fl_boot_state *state);

/* What any back end can be held to: names are slots' letters, no contradiction. For states read from outside. */
bool fl_boot_state_valid(const struct fl_boot_state *state);

/* {"running":"a","good":"a","trial":"","withdrawn":["b"],…} and a newline; members are only ever added. */
enum fl_rc fl_boot_print(const struct fl_boot_host *host, const struct fl_boot_state *state,
			 struct fl_buf *out, struct fl_err *err) FL_CHECKED;

/*
 * The rules of the verbs, pure: *state is changed (but for seq), or untouched on a refusal. *changed: there is something
 * to write.
 */
enum fl_rc fl_boot_rule_withdraw(const struct fl_boot_host *host, struct fl_boot_state *state,
				 const char *slot, bool *changed, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_rule_trial(const struct fl_boot_host *host, struct fl_boot_state *state,
			      const struct fl_boot_trial *trial, bool *changed,
			      struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_rule_good(const struct fl_boot_host *host, struct fl_boot_state *state,
			     bool *changed, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_rule_fallback(struct fl_boot_state *state, bool *changed,
				 struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_rule_prove(const struct fl_boot_host *host, struct fl_boot_state *state,
			      unsigned tries, bool *changed, struct fl_err *err) FL_CHECKED;

/* The decision as text with its checksum (docs/internals/boot.md), for back ends that keep a file. */
enum fl_rc fl_boot_decision_print(const struct fl_boot_state *state, struct fl_buf *out,
				  struct fl_err *err) FL_CHECKED;
enum fl_rc fl_boot_decision_parse(const struct fl_buf *text, struct fl_boot_state *ret,
				  struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
