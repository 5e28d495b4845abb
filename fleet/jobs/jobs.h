/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jobs: made and signed here, sent by the hub until a final report is kept, moved by signed reports alone.
 *
 *   queued ──report──▶ received ▶ … ▶ committed | rolled_back | failed | rejected | cancelled | stuck   (job_state.def)
 *
 * `queued` is the only state of the fleet's own: signed and durable, and the device hasn't spoken of it yet.
 */
#ifndef FLEET_JOBS_JOBS_H
#define FLEET_JOBS_JOBS_H

#include "registry/registry.h"
#include "releases/releases.h"

#include <fairlead/trust/key.h>
#include <fairlead/wire/messages.h>

#define FL_JOBS_QUEUED		 "queued"
#define FL_JOBS_TENANT		 "default"
#define FL_JOBS_EXPIRES_S	 ((uint64_t)30 * 86400)
#define FL_JOBS_EXPIRES_MIN_S	 ((uint64_t)60)
#define FL_JOBS_EXPIRES_MAX_S	 ((uint64_t)366 * 86400)
#define FL_JOBS_ID_SIZE		 37
#define FL_JOBS_TOUCHED_MAX	 128
#define FL_JOBS_PROGRESS_SLOTS	 2048
#define FL_JOBS_DOC_MEMORY	 ((size_t)4 * 1024 * 1024)

/* What a device last said on its way, unsigned; a slot per hash of the job's id, the newer job wins. */
struct fl_jobs_progress {
	char job_id[FL_JOBS_ID_SIZE];
	char component[FL_NAME_MAX + 1];
	uint64_t done_bytes, total_bytes, fetched_bytes, rate_bytes_s;
};

struct fl_jobs {
	struct fl_db *db;	      /* kept */
	struct fl_registry *registry; /* kept */
	struct fl_releases *releases; /* kept */
	struct fl_roots *roots;	      /* kept */
	const struct fl_bus *bus;     /* kept */
	const struct fl_clock *clock; /* kept */
	const struct fl_key *dispatch; /* kept */
	const char *base_url;	      /* kept; where this server serves content */
	/* Jobs that the open batch changed: published when it is durable. */
	size_t n_touched;
	char touched[FL_JOBS_TOUCHED_MAX][FL_JOBS_ID_SIZE];
	struct fl_jobs_progress progress[FL_JOBS_PROGRESS_SLOTS];
};

struct fl_job_request {
	const char *actor;
	const char *device_id;
	const char *intent;
	struct fl_digest release; /* zero: the intent needs none */
	struct fl_digest target;  /* cancel: the job document to withdraw */
	const char *target_id;
	const char *artifact; /* preferred, by its id; NULL: the gateway chooses */
	uint64_t expires_s; /* 0: FL_JOBS_EXPIRES_S */
	bool force;	    /* don't compare with what the device said of itself: it decides alone */
};

struct fl_job_ref {
	char job_id[FL_JOBS_ID_SIZE];
	uint64_t job_seq;
};

/* Durable on FL_OK. FL_E_NOT_FOUND, FL_E_BAD_REQUEST, FL_E_INCOMPATIBLE, FL_E_DOWNGRADE, FL_E_SCOPE … */
enum fl_rc fl_jobs_create(struct fl_jobs *jobs, const struct fl_job_request *request,
			  struct fl_job_ref *ret, struct fl_err *err) FL_CHECKED;
/* Makes a job that withdraws another. FL_E_CONFLICT when that one is over. */
enum fl_rc fl_jobs_cancel(struct fl_jobs *jobs, const char *actor, const char *job_id,
			  struct fl_job_ref *ret, struct fl_err *err) FL_CHECKED;

/* The same for a bundle (offline.c): one document for all of its devices, which the fleet sends to none of them. */
struct fl_jobs_offline_request {
	const char *actor;
	FL_LIST(const char *) devices;
	FL_LIST(const char *) components; /* empty: all */
	struct fl_digest release;
	uint64_t expires_s; /* 0: FL_JOBS_EXPIRES_S */
	bool force;
};
struct fl_jobs_offline_ref {
	char job_id[FL_JOBS_ID_SIZE];
	uint64_t offline_seq;
};
/* The envelope's text is appended to out. Durable on FL_OK. The codes of fl_jobs_create; they name the device. */
enum fl_rc fl_jobs_create_offline(struct fl_jobs *jobs, const struct fl_jobs_offline_request *request,
				  struct fl_buf *out, struct fl_jobs_offline_ref *ret,
				  struct fl_err *err) FL_CHECKED;
/*
 * The row of an offline job that a device reports, made when there is none yet: also of one that an operator signed, which only
 * the device has seen. Within the batch. FL_E_NOT_FOUND: too many of those.
 */
enum fl_rc fl_jobs_take_up(struct fl_jobs *jobs, const char *device_id, const struct fl_report *report,
			   char ret_id[FL_JOBS_ID_SIZE], struct fl_err *err) FL_CHECKED;

/* What a job asks before it is made: the device is there, and the release, if any, fits what it said of itself. */
struct fl_jobs_fit {
	struct fl_jobs *jobs;
	struct fl_arena *arena;
	const struct fl_release *release; /* NULL: none */
	struct fl_digest digest;	  /* its */
	bool force;			  /* the device decides alone */
	struct fl_digest identity;	  /* found */
};
enum fl_rc fl_jobs_fit_device(struct fl_jobs_fit *fit, const char *device_id, struct fl_err *err)
	FL_CHECKED;
enum fl_rc fl_jobs_check_expiry(uint64_t expires_s, struct fl_err *err) FL_CHECKED;

/* Signed documents (sign.c): the text of the envelope is appended. */
enum fl_rc fl_jobs_sign(const struct fl_jobs *jobs, const struct fl_job *job, struct fl_buf *out,
			struct fl_digest *digest, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_jobs_heartbeat(const struct fl_jobs *jobs, const char *device_id,
			     struct fl_bytes nonce, struct fl_buf *out, struct fl_err *err) FL_CHECKED;

/* The first undone job of a device above `after`, for the hub; job_seq 0 when there is none. */
struct fl_jobs_next {
	uint64_t job_seq;
	struct fl_buf envelope; /* owned by the caller, cleared first */
	struct fl_buf release;
};
enum fl_rc fl_jobs_find_next(struct fl_jobs *jobs, const char *device_id, uint64_t after,
			     struct fl_jobs_next *ret, struct fl_err *err) FL_CHECKED;

/*
 * A report, within the batch: it may be acknowledged once the batch is durable, also when it was invalid or not news
 * (an event on the device then says so).
 */
enum fl_rc fl_jobs_report(struct fl_jobs *jobs, const char *device_id,
			  const struct fl_pubkey *device_key, const struct fl_wire_report *message,
			  struct fl_err *err) FL_CHECKED;
/* The hub calls it at the end of each batch. */
void fl_jobs_batch_end(struct fl_jobs *jobs, enum fl_rc rc);

void fl_jobs_set_progress(struct fl_jobs *jobs, const char *device_id,
			  const struct fl_wire_progress *message);
/* NULL when nothing is known. */
const struct fl_jobs_progress *fl_jobs_get_progress(const struct fl_jobs *jobs, const char *job_id);

/* What a report does to its job. Pure. */
enum fl_jobs_verdict {
	FL_JOBS_MOVE,
	FL_JOBS_OVER, /* the job is final and stays so */
	FL_JOBS_LATE, /* a newer report was applied before */
};
enum fl_jobs_verdict fl_jobs_judge(bool final, uint64_t applied_seq, uint64_t report_seq);

/* For people (view.c): texts appended as JSON. */
struct fl_jobs_filter {
	const char *device_id; /* NULL: any */
	const char *state;
	const char *after; /* NULL, or the id of the last job of the page before */
	uint64_t limit;
};
enum fl_rc fl_jobs_list(struct fl_jobs *jobs, const struct fl_jobs_filter *filter,
			struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* One job, with history and the log of a failed boot or without. *final tells whether it is over. FL_E_NOT_FOUND. */
enum fl_rc fl_jobs_show(struct fl_jobs *jobs, const char *job_id, bool history, struct fl_buf *out,
			bool *final, struct fl_err *err) FL_CHECKED;

#endif
