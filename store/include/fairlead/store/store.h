/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's memory: journal of jobs, outbox of reports, facts, and the ring of log lines; SQLite (settings and
 * their cost: docs/internals/store.md). It is a cache that may be lost or lie: envelopes are verified again when loaded, rows carry a
 * checksum, a damaged database is set aside and a new one begun. Every call that changes something is durable on return.
 * One thread at a time.
 */
#ifndef FAIRLEAD_STORE_STORE_H
#define FAIRLEAD_STORE_STORE_H

#include <fairlead/base/encode.h>
#include <fairlead/base/job_state.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_store;

/*
 * Opens dir/state.db, making dir and database when missing. *rebuilt: what was known is lost: the old one was damaged, unreadable or
 * of a newer format, and stands beside the new one as state.db.corrupt (one is kept), or the file was there and empty.
 * FL_E_BUSY: another process has it open. *ret: returned owned, free with fl_store_close.
 *
 * Of every call below: FL_E_NO_SPACE and FL_E_IO change nothing and may be tried again (after a crash such a change
 * may be found made); after FL_E_CORRUPT the store must be closed and opened, which sets the database aside.
 */
enum fl_rc fl_store_open(const char *dir, struct fl_store **ret, bool *rebuilt, struct fl_err *err)
	FL_CHECKED;
void fl_store_close(struct fl_store *store);

#define FL_STORE_JOBS_MAX	64 /* the oldest final ones are dropped */
#define FL_STORE_COMPONENTS_MAX 16
#define FL_STORE_DOCUMENT_MAX	((size_t)360 * 1024) /* a job's or a release's envelope */
#define FL_STORE_REPORT_MAX	((size_t)64 * 1024)
#define FL_STORE_OUTBOX_MAX	1000
#define FL_STORE_NUMBERS_MAX	64

struct fl_store_component {
	char name[FL_NAME_MAX + 1];
	char slot[FL_NAME_MAX + 1];
	char artifact[FL_NAME_MAX + 1];
	enum fl_job_state state;
	uint64_t tries; /* of the present state */
};

struct fl_store_job {
	struct fl_digest job; /* the key */
	struct fl_digest release;
	char job_id[37];
	uint64_t job_seq;
	enum fl_job_state state;
	enum fl_rc reason;
	char text[FL_ERR_MSG_MAX];
	uint64_t until_s;
	char next[32];
	int64_t created_s, updated_s;
	size_t n_components;
	struct fl_store_component components[FL_STORE_COMPONENTS_MAX];
	/* Envelopes' texts. Put: borrowed, NULL keeps what is stored. Loaded: owned by the arena. */
	const char *job_envelope;
	const char *release_envelope;
};

/*
 * Inserts or replaces, in one transaction; writes nothing when nothing differs. FL_E_TOO_LARGE: an envelope over the
 * limit, or a new job while FL_STORE_JOBS_MAX are not final.
 */
enum fl_rc fl_store_job_put(struct fl_store *store, const struct fl_store_job *job,
			    struct fl_err *err) FL_CHECKED;
/*
 * All jobs, ascending job_seq; rows whose checksum fails are dropped and counted in *damaged. An envelope that is damaged
 * or was never put is NULL, the first kind is counted too.
 */
enum fl_rc fl_store_jobs(struct fl_store *store, struct fl_arena *arena,
			 struct fl_store_job **ret, size_t *n, size_t *damaged, struct fl_err *err)
	FL_CHECKED;

/*
 * A report, to be sent until it is acknowledged; a number that is there is replaced. At most FL_STORE_OUTBOX_MAX: then
 * the oldest that is not final is dropped (it may be this one), and the oldest when all are. On a full disk up to four
 * of the oldest that are not final give way to it.
 */
enum fl_rc fl_store_outbox_add(struct fl_store *store, uint64_t report_seq, bool final,
			       const char *envelope, struct fl_err *err) FL_CHECKED;
/* The first undamaged report with a number above `after` (envelope cleared first); FL_E_NOT_FOUND when there is none. */
enum fl_rc fl_store_outbox_next(struct fl_store *store, uint64_t after, uint64_t *report_seq,
				struct fl_buf *envelope, struct fl_err *err) FL_CHECKED;
/* Drops all reports up to report_seq. */
enum fl_rc fl_store_outbox_ack(struct fl_store *store, uint64_t report_seq, struct fl_err *err)
	FL_CHECKED;

/* Numbers by name ("report_seq", "report_acked"), at most FL_STORE_NUMBERS_MAX that are not 0; 0 when never set, or damaged. */
enum fl_rc fl_store_number_get(struct fl_store *store, const char *name, uint64_t *ret,
			       struct fl_err *err) FL_CHECKED;
enum fl_rc fl_store_number_set(struct fl_store *store, const char *name, uint64_t value,
			       struct fl_err *err) FL_CHECKED;

/*
 * The log ring: dir/log.ring, 256 KiB in place, survives restarts, written without fsync. Lines are cut at 1,000 bytes.
 */
struct fl_log_ring;

struct fl_log_line {
	int64_t utc;
	uint64_t level; /* of syslog(3) */
	const char *text;
};

enum fl_rc fl_log_ring_open(const char *dir, struct fl_log_ring **ret, struct fl_err *err) FL_CHECKED;
void fl_log_ring_close(struct fl_log_ring *ring);
/* Any thread. Errors are swallowed: a full disk must not stop the log's callers. */
void fl_log_ring_append(struct fl_log_ring *ring, int64_t utc, unsigned level, const char *text);
/* All lines, oldest first, owned by the arena. */
enum fl_rc fl_log_ring_lines(struct fl_log_ring *ring, struct fl_arena *arena,
			     struct fl_log_line **ret, size_t *n, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
