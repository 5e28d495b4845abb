/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper's memory and its rules (docs/internals/anchor.md). Everything in this header is pure: a struct, and
 * the moves that are allowed on it. A refused move leaves the struct untouched. What is on the medium is
 * file.h's business: change a copy, save it, and act only then.
 *
 *   a component that a job holds:
 *
 *             ┌──(again)──┐
 *             ▼           │
 *   idle ─► staging ─► sealed ─► trial ─► decided ─(commit)─► idle
 *    ▲        │           │        │
 *    │        ▼           ▼        ▼
 *    └─────────(close)────┴── rolling_back
 */
#ifndef FAIRLEAD_ANCHOR_ANCHOR_H
#define FAIRLEAD_ANCHOR_ANCHOR_H

#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_ANCHOR_JOBS	     32
#define FL_ANCHOR_COMPONENTS 64
#define FL_ANCHOR_SLOT_NONE  0 /* no target */

/* A document by the first 16 bytes of its digest; all zero: none. The whole digest is the name of its file. */
struct fl_anchor_id {
	uint8_t b[16];
};

/* A component by the first 8 bytes of the SHA-256 of its name. */
struct fl_anchor_name {
	uint8_t b[8];
};

enum fl_phase {
	FL_PHASE_IDLE,
	FL_PHASE_STAGING,
	FL_PHASE_SEALED,
	FL_PHASE_TRIAL,
	FL_PHASE_DECIDED,
	FL_PHASE_ROLLING_BACK,
};
#define FL_PHASE_COUNT 6

struct fl_anchor_job {
	struct fl_anchor_id job; /* zero: a free place */
	struct fl_anchor_id release;
	uint64_t job_seq; /* of an offline job the highest of the others when it was opened: newer jobs are above it */
	uint8_t tries; /* of the way forward or back, counted by the helper against its budget */
};

struct fl_anchor_component {
	struct fl_anchor_name name;
	uint64_t release_seq;	 /* committed; 0: never */
	uint64_t security_floor; /* never falls */
	struct fl_anchor_id release; /* committed */
	enum fl_phase phase;
	bool held; /* by jobs[job] */
	uint8_t job;
	uint16_t slot; /* target: first two bytes of the SHA-256 of the slot's name, FL_ANCHOR_SLOT_NONE: none */
};

struct fl_anchor {
	bool lost; /* no job is accepted until a heartbeat has ended it */
	uint64_t root_version; /* 0: none but the factory's */
	struct fl_digest root;
	uint64_t epoch;
	uint64_t t_min;
	uint64_t job_seq;	/* highest accepted */
	uint64_t offline_seq;	/* the same for offline jobs, which have a counter of their own */
	struct fl_digest identity; /* of the device key, pinned at first sight; zero: not yet */
	uint32_t deadline_s;	/* of the trial; 0: no trial */
	bool trial_well;	/* the agent has told that all is well; the soak's time was added to the deadline */
	struct fl_anchor_name boot; /* the boot in which the switch was set, then the one that tries the target */
	uint64_t trial_start_ms; /* in that boot, by BOOTTIME */
	struct fl_anchor_job jobs[FL_ANCHOR_JOBS];
	struct fl_anchor_component components[FL_ANCHOR_COMPONENTS];
	size_t n_components;
};

/* What a device without an anchor knows: nothing, and that it has lost it. */
void fl_anchor_init(struct fl_anchor *anchor);

/* "rolling_back" */
const char *fl_phase_name(enum fl_phase phase);
/* Is the move in the table? */
bool fl_phase_may_follow(enum fl_phase from, enum fl_phase to);

struct fl_anchor_id fl_anchor_id(const struct fl_digest *digest);
bool fl_anchor_id_equal(const struct fl_anchor_id *a, const struct fl_anchor_id *b);
bool fl_anchor_id_is_zero(const struct fl_anchor_id *id);

/* The place of an open job, -1 when it is not open. */
int fl_anchor_find_job(const struct fl_anchor *anchor, const struct fl_digest *job);
size_t fl_anchor_count_jobs(const struct fl_anchor *anchor);
/* NULL when there is none of that name. */
struct fl_anchor_component *fl_anchor_find_component(struct fl_anchor *anchor,
						     struct fl_anchor_name name);
/* Finds or adds; FL_E_ANCHOR_FULL. */
enum fl_rc fl_anchor_add_component(struct fl_anchor *anchor, struct fl_anchor_name name,
				   struct fl_anchor_component **ret, struct fl_err *err) FL_CHECKED;

/*
 * A new job: FL_E_ANCHOR_LOST, FL_E_REPLAYED (job_seq not above the highest; also when it is open), FL_E_ANCHOR_FULL. *ret:
 * its place.
 */
enum fl_rc fl_anchor_open_job(struct fl_anchor *anchor, const struct fl_digest *job,
			      const struct fl_digest *release, uint64_t job_seq, int *ret,
			      struct fl_err *err) FL_CHECKED;
/* The same for an offline job, by its own counter. */
enum fl_rc fl_anchor_open_offline(struct fl_anchor *anchor, const struct fl_digest *job,
				  const struct fl_digest *release, uint64_t offline_seq, int *ret,
				  struct fl_err *err) FL_CHECKED;
/* Raises the highest job_seq for a job that is never open (a cancel). Refuses as fl_anchor_open_job does. */
enum fl_rc fl_anchor_pass_job(struct fl_anchor *anchor, uint64_t job_seq, struct fl_err *err)
	FL_CHECKED;
/* The job takes an idle component: FL_E_COMPONENT_BUSY when another job holds it. Repeatable. */
enum fl_rc fl_anchor_hold(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			  struct fl_err *err) FL_CHECKED;
/* A move of one component that the job holds. FL_E_NOT_OPEN, FL_E_PHASE. Never to idle, never into decided. */
enum fl_rc fl_anchor_set_phase(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			       enum fl_phase phase, struct fl_err *err) FL_CHECKED;
/* Would that move be allowed? */
enum fl_rc fl_anchor_may_move(const struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			      enum fl_phase phase, struct fl_err *err) FL_CHECKED;
/* A component of the job that is switched (trial, decided or rolling_back); NULL: none. */
const struct fl_anchor_component *fl_anchor_switched(const struct fl_anchor *anchor, int job);
/* Everything that is sealed is staging again, for what kept the slots as they were is gone. True when something was. */
bool fl_anchor_unseal(struct fl_anchor *anchor);
/* All switched components of the job are rolling back. FL_E_PHASE when one is decided. */
enum fl_rc fl_anchor_roll_back(struct fl_anchor *anchor, int job, struct fl_err *err) FL_CHECKED;
/* Is it a document of an open job, or the root? */
bool fl_anchor_names(const struct fl_anchor *anchor, const struct fl_anchor_id *id);
/* The decision: all components of the job that are on trial become decided; FL_E_PHASE unless all it holds are. */
enum fl_rc fl_anchor_decide(struct fl_anchor *anchor, int job, struct fl_err *err) FL_CHECKED;

struct fl_anchor_facts {
	uint64_t release_seq;
	uint64_t security_floor; /* max of release and root; the anchor's own never falls */
	struct fl_digest release;
};
/* A decided component becomes committed: its facts are taken over, it is idle and free again. */
enum fl_rc fl_anchor_commit(struct fl_anchor *anchor, int job, struct fl_anchor_name name,
			    const struct fl_anchor_facts *facts, struct fl_err *err) FL_CHECKED;
/*
 * Ends a job and frees its components. FL_E_PHASE while one is on trial or decided; after a trial only by
 * way of rolling_back.
 */
enum fl_rc fl_anchor_close_job(struct fl_anchor *anchor, int job, struct fl_err *err) FL_CHECKED;

/* A trial whose switch was never set is none: back to staging, to be sealed again. FL_E_PHASE in another phase. */
enum fl_rc fl_anchor_unswitch(struct fl_anchor *anchor, int job, struct fl_err *err) FL_CHECKED;
/* The switch is about to be set, in this boot (the first 8 bytes of the SHA-256 of its id). */
void fl_anchor_begin_trial(struct fl_anchor *anchor, uint32_t deadline_s, struct fl_anchor_name boot);
/* All is well in the trial, now_ms by the boot clock: from now on it may take add_s. Once; false: it was told before. */
bool fl_anchor_extend_trial(struct fl_anchor *anchor, uint64_t now_ms, uint32_t add_s);
/* The target runs: true when this is the first that is seen of this boot, and the anchor has something to save. */
bool fl_anchor_run_trial(struct fl_anchor *anchor, struct fl_anchor_name boot, uint64_t now_ms);
bool fl_anchor_same_boot(const struct fl_anchor *anchor, struct fl_anchor_name boot);

/* The most advanced phase among the job's components (rolling_back above all). */
enum fl_phase fl_anchor_job_phase(const struct fl_anchor *anchor, int job);

/*
 * The next root: version above the present one, epoch not below. A new epoch sets t_min anew to `issued`,
 * and job numbers start again.
 */
enum fl_rc fl_anchor_set_root(struct fl_anchor *anchor, const struct fl_digest *root,
			      uint64_t version, uint64_t epoch, uint64_t issued,
			      struct fl_err *err) FL_CHECKED;
/* Raises t_min to t, at most to `limit`; never lowers it. */
void fl_anchor_raise_time(struct fl_anchor *anchor, uint64_t t, uint64_t limit);
/* Raises a component's floor; never lowers it. */
void fl_anchor_raise_floor(struct fl_anchor_component *component, uint64_t floor);
/*
 * Ends `lost` by what a heartbeat on an own nonce said. FL_E_ROOT_VERSION while the fleet knows a newer root than
 * this device: the roots come first.
 */
enum fl_rc fl_anchor_heal(struct fl_anchor *anchor, uint64_t latest_job_seq, uint64_t root_version,
			  struct fl_err *err) FL_CHECKED;

/* --- the record: 4 KiB, its bytes in docs/internals/anchor.md --- */

#define FL_ANCHOR_RECORD ((size_t)4096)

/* *anchor as a record of that sequence number. */
enum fl_rc fl_anchor_encode(const struct fl_anchor *anchor, uint64_t seq,
			    uint8_t out[FL_ANCHOR_RECORD], struct fl_err *err) FL_CHECKED;
/* FL_E_CORRUPT unless every byte is as fl_anchor_encode would have written it. */
enum fl_rc fl_anchor_decode(const uint8_t record[FL_ANCHOR_RECORD], struct fl_anchor *ret,
			    uint64_t *ret_seq, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
