/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames as structs: what agent, helper and runner say to each other (docs/internals/ipc.md).
 *
 *   agent → helper   requests, each answered by one frame of type reply (or the named one) with the same id
 *   helper → agent   events (id 0)
 *   helper → runner  start; runner → helper: ready, keepalive, log, observation, result
 *   runner → agent   (data channel) need, progress, bad; agent → runner: piece, end
 *   handler's runner → decoder's runner  (output channel) need, end; the other way: piece, end
 */
#ifndef FAIRLEAD_IPC_FRAMES_H
#define FAIRLEAD_IPC_FRAMES_H

#include <fairlead/base/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_IPC_PROTO 1

enum fl_frame_type {
	/* agent → helper */
	FL_FRAME_HELLO = 1,    /* struct fl_ipc_hello → hello_reply */
	FL_FRAME_PRESENT,      /* struct fl_ipc_documents + 1 descriptor each → present_reply */
	FL_FRAME_GET_DOCUMENT, /* struct fl_ipc_get_document → documents (1) + descriptor, or reply */
	FL_FRAME_NONCE,	       /* struct fl_ipc_empty → nonce_reply */
	FL_FRAME_HEARTBEAT,    /* struct fl_ipc_documents (1) + descriptor → reply */
	FL_FRAME_STAGE,	       /* struct fl_ipc_stage (+ input and its tree, for a decoder) → reply + the data channel; later the event staged */
	FL_FRAME_STOP,	       /* struct fl_ipc_target → reply once the runner is reaped */
	FL_FRAME_SEAL,	       /* struct fl_ipc_target → reply when done (it may take minutes) */
	FL_FRAME_ACTIVATE,     /* struct fl_ipc_job_ref → reply */
	FL_FRAME_RESTART,      /* struct fl_ipc_job_ref → reply, then the machine goes down */
	FL_FRAME_COMMIT,       /* struct fl_ipc_commit + descriptor → reply */
	FL_FRAME_ROLLBACK,     /* struct fl_ipc_rollback → reply; *restart* follows if the trial slot runs */
	FL_FRAME_CLOSE,	       /* struct fl_ipc_close → reply */
	FL_FRAME_OBSERVE,      /* struct fl_ipc_target (job zero) → observation */
	FL_FRAME_ALIVE,	       /* struct fl_ipc_alive → reply: the agent lives, during a trial */
	/* helper → agent */
	FL_FRAME_REPLY = 32,   /* struct fl_ipc_reply */
	FL_FRAME_HELLO_REPLY,  /* struct fl_ipc_hello_reply */
	FL_FRAME_PRESENT_REPLY, /* struct fl_ipc_present_reply */
	FL_FRAME_NONCE_REPLY,  /* struct fl_ipc_nonce_reply */
	FL_FRAME_DOCUMENTS,    /* struct fl_ipc_documents */
	FL_FRAME_OBSERVATION,  /* struct fl_ipc_observation; also runner → helper */
	FL_FRAME_STAGED,       /* event: struct fl_ipc_staged */
	FL_FRAME_ROTTEN,       /* event: struct fl_ipc_rotten */
	FL_FRAME_PHASE,	       /* event: struct fl_ipc_phase: the helper acted by itself (deadline) */
	/* helper → runner */
	FL_FRAME_START = 64,   /* struct fl_ipc_start + descriptors: see docs/internals/ipc.md */
	/* runner → helper */
	FL_FRAME_READY = 80,   /* struct fl_ipc_ready: the sandbox stands, the plugin is loaded */
	FL_FRAME_KEEPALIVE,    /* struct fl_ipc_empty */
	FL_FRAME_LOG,	       /* struct fl_ipc_log; the helper passes it on to the agent's log */
	FL_FRAME_RESULT,       /* struct fl_ipc_result: the last frame of a runner */
	/* runner → agent, on the data channel */
	FL_FRAME_NEED = 96,    /* struct fl_ipc_need */
	FL_FRAME_PROGRESS,     /* struct fl_ipc_progress */
	FL_FRAME_BAD,	       /* struct fl_ipc_bad: what the decoder made wrong */
	/* agent → runner, on the data channel; decoder's → handler's runner, on the output channel */
	FL_FRAME_PIECE = 112,  /* struct fl_ipc_piece */
	FL_FRAME_END,	       /* struct fl_ipc_reply: no more will come (output channel, either way), and why */
};

struct fl_ipc_empty {
	bool unused; /* a struct needs a member; always false */
};

struct fl_ipc_reply {
	const char *code; /* a code's name, "ok" */
	const char *text;
};

struct fl_ipc_hello {
	uint64_t proto;
	const char *version;
};

struct fl_ipc_open_component {
	const char *name;
	const char *phase; /* idle, staging, sealed, trial, decided, rolling_back */
	const char *slot;  /* the target */
};

struct fl_ipc_open_job {
	struct fl_digest job;
	struct fl_digest release;
	uint64_t job_seq;
	FL_LIST(struct fl_ipc_open_component) components;
};

struct fl_ipc_component {
	const char *name;
	const char *handler;
	const char *slot; /* running */
	const char *version;
	uint64_t release_seq;
	uint64_t security_version;
	uint64_t security_floor;
	struct fl_digest release; /* committed; zero: unknown */
	FL_LIST(struct fl_digest) permits_rollback_to; /* of the committed release */
	const char *observed; /* the handler on a slot that does not run: a code's name; NULL: not asked */
	const char *observed_text;
	bool source; /* what runs is mounted read-only: a decoder may read it */
};

struct fl_ipc_hello_reply {
	uint64_t proto;
	const char *version;
	const char *boot_id;
	const char *boot_failure; /* one line on the last failed boot */
	bool anchor_lost;
	uint64_t root_version, epoch, job_seq, offline_seq, t_min;
	bool trial;		 /* the running slot is on trial */
	bool trial_well;	 /* the agent has told that all is well: the soak's time was added */
	uint64_t trial_left_ms; /* until the helper falls back by itself */
	FL_LIST(struct fl_ipc_open_job) open_jobs;
	FL_LIST(struct fl_ipc_component) components;
	FL_LIST(const char *) protections; /* "seal: advisory", "runner: pid_namespace", … for `status` */
};

struct fl_ipc_signature {
	struct fl_digest keyid;
	struct fl_bytes sig;
};

/* A document without its envelope's text; descriptor i of the frame is document i's payload (sealed memfd). */
struct fl_ipc_document {
	uint64_t type; /* enum fl_doc_type of lib/trust */
	FL_LIST(struct fl_ipc_signature) sigs;
};

struct fl_ipc_documents {
	FL_LIST(struct fl_ipc_document) documents; /* present: [root…] or [job] or [job, release] */
};

struct fl_ipc_present_reply {
	const char *code;
	const char *text;
	struct fl_digest job; /* the job that is open now */
	bool known;	      /* it was open before */
};

struct fl_ipc_get_document {
	struct fl_digest digest; /* of an open job or its release */
};

struct fl_ipc_nonce_reply {
	struct fl_bytes nonce; /* 32 bytes; the newest two are good */
};

struct fl_ipc_stage {
	struct fl_digest job;
	const char *component;
	const char *artifact;
};

struct fl_ipc_target {
	struct fl_digest job;
	const char *component;
};

struct fl_ipc_job_ref {
	struct fl_digest job;
};

struct fl_ipc_commit {
	struct fl_digest job;
	bool heartbeat; /* descriptor 0 is one: `documents` has 1 entry */
	FL_LIST(struct fl_ipc_document) documents;
};

struct fl_ipc_rollback {
	struct fl_digest job;
	const char *reason; /* a code's name */
	const char *text;
};

struct fl_ipc_close {
	struct fl_digest job;
	const char *state; /* the final state */
};

struct fl_ipc_alive {
	struct fl_digest job;
	bool well; /* all that the release demands was seen: the soak may begin */
};

struct fl_ipc_slot {
	const char *name;
	bool running;
	bool trial;
	bool good;	     /* the boot decision's fallback */
	bool withdrawn;
	const char *version; /* of the image in it, where known */
	uint64_t release_seq;
};

struct fl_ipc_observation {
	const char *code;
	const char *text; /* the handler's */
	const char *component;
	const char *phase;
	FL_LIST(struct fl_ipc_slot) slots;
	const char *observed; /* helper → agent: what came of asking the handler; NULL: not asked */
};

struct fl_ipc_staged {
	struct fl_digest job;
	const char *component;
	const char *result; /* "ok", "retry", "permanent", "unsafe", "needs_user" */
	const char *code;
	const char *text;
	bool decoder; /* it is the decoder's: it tells of the artifact, not of the release */
};

struct fl_ipc_phase {
	struct fl_digest job;
	const char *phase;
	const char *code;
	const char *text;
};

/* A slot that does not run, and that the fallback would boot, no longer holds what was sealed. */
struct fl_ipc_rotten {
	const char *component;
	const char *slot;
};

struct fl_ipc_start {
	const char *activity; /* "stage", "observe", "verify", … the name of the handler's call */
	const char *plugin;   /* path of the .so in the root-owned folder */
	const char *component;
	const char *transaction; /* the same for every repetition: the job's digest in hex */
	const char *format;   /* of the artifact */
	uint64_t installed_size;
	struct fl_digest installed_root;
	uint64_t transport_size;
	struct fl_digest transport_root;
	uint64_t frame;
	const char *slot;     /* name of the target slot */
	FL_LIST(const char *) resources; /* names of the descriptors that follow the data channel */
	bool zero_tail;
	const char *user; /* account to become, when root */
	bool require_sandbox;
	bool decoder;	      /* stage: the content comes from a decoder, whose output channel is descriptor 1 */
	uint64_t source_size; /* decode: signed; 0: no source */
	uint64_t mem_max;     /* decode: bytes the plugin may allocate */
	struct fl_bytes params; /* decode: of the format; handed to the plugin as they are */
};

struct fl_ipc_ready {
	FL_LIST(const char *) protections;
	const char *plugin_version;
	FL_LIST(const char *) capabilities; /* "slot", "stream", "random", … as the plugin's hello said */
	uint64_t deadline_ms; /* silence allowed in this activity */
};

struct fl_ipc_log {
	uint64_t level; /* of syslog(3) */
	const char *text;
};

struct fl_ipc_result {
	const char *result; /* class: ok, retry, permanent, unsafe, needs_user */
	const char *code;
	const char *text;
};

enum fl_ipc_object {
	FL_OBJECT_INSTALLED_TREE = 0, /* first, count: pages of the tree object */
	FL_OBJECT_TRANSPORT_TREE = 1, /* pages */
	FL_OBJECT_TRANSPORT = 2,      /* chunks */
	FL_OBJECT_OUTPUT = 3,	      /* chunks of the installed content; on the output channel only */
};

/* Answered by `count` pieces in order, or by end. At most 4 are outstanding. */
struct fl_ipc_need {
	uint64_t object;
	uint64_t first;
	uint64_t count;
};

struct fl_ipc_piece {
	uint64_t object;
	uint64_t index;
	struct fl_bytes data; /* at most 65,536 bytes */
};

struct fl_ipc_progress {
	const char *step;      /* "hashing", "staging" */
	uint64_t done_bytes;   /* of installed_size: right in the target now */
	uint64_t total_bytes;
	uint64_t kept_bytes;   /* found right before anything was fetched */
};

/* Chunks of the installed content that the decoder made wrong and that were not staged. */
struct fl_ipc_bad {
	uint64_t first;
	uint64_t count;
};

#ifdef __cplusplus
}
#endif
#endif
