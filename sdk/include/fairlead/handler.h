/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ABI of handlers: how Fairlead puts content on one kind of target (a slot, a container, a
 * microcontroller).
 *
 * A handler is a shared object that exports one symbol, the constant object `fl_handler_plugin`.
 * Every activity runs in a process of its own, fairlead-runner, which loads the object, calls
 * `hello`, makes the calls of that activity and ends. Between two activities nothing is kept but
 * what the target itself holds.
 *
 *   activity    calls, in this order (every one after hello)
 *   enumerate   enumerate
 *   observe     observe
 *   prepare     prepare
 *   stage       prepare, read…, (stage…, flush)…, [zero_tail], flush
 *   any other   the call of that name, once
 *
 * Words used below:
 *
 *   target       inactive storage that this activity may write; never what runs now
 *   chunk        65,536 bytes of content at a multiple of 65,536; the last may be shorter
 *   frame        a run of whole chunks, the unit of flushing; 1 MiB unless the release differs
 *   transaction  the id under which calls are repeated: the same for the whole update
 *
 * Threads. Every call comes from one and the same thread, one at a time; calls may block. Host
 * functions may only be called from that thread, during a call. A plugin may start threads in
 * `hello` or later.
 *
 * Ownership. Every pointer passed to a call is borrowed for that call, except `host`, which stays
 * valid and unchanged until the process ends. Nothing a plugin allocates is freed by the host; the
 * process ends.
 *
 * Repetition. SIGKILL or a power cut may come at any instant, and then the same call comes again
 * with the same transaction, in a new process. Every call must therefore reach the same end when it
 * is begun anew on whatever the cut one left behind. None may rely on a later call to clean up.
 *
 * Silence. A call that neither returns nor calls progress() or keepalive() within its deadline
 * (struct fl_hello) is taken as hung: the process is killed, the target observed, the call repeated
 * within a budget. Call keepalive() only when something has really moved on.
 *
 * Sandbox. No path can be opened, no process started, no socket made, no executable memory mapped:
 * a call that tries gets EPERM or EACCES. What a plugin works on are the descriptors it gets by
 * resource(). Standard error may be written to; it ends in the log.
 *
 * Belief. No result of a plugin decides alone: content is compared with the signed tree by another
 * process after this one is dead.
 *
 * ABI. abi_major, abi_minor and size stay the first three members of struct fl_handler and struct
 * fl_host, and size the first of every other struct that is passed, for ever. Members are only
 * appended; a member exists when `size` covers it. A host takes a plugin of its own major with any
 * minor; a plugin looks at host->size before it uses a member newer than its major's first minor.
 *
 * Changelog
 *   1.0  2026-11-21  first version
 */
#ifndef FAIRLEAD_HANDLER_H
#define FAIRLEAD_HANDLER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_HANDLER_ABI_MAJOR 1
#define FL_HANDLER_ABI_MINOR 0

#define FL_HANDLER_EXPORT __attribute__((visibility("default")))

#define FL_HANDLER_CHUNK 65536u

/* ---- results ---- */

enum fl_class {
	FL_CLASS_OK = 0,
	/* try again later, the same way: no room, a device that is busy */
	FL_CLASS_RETRY = 1,
	/* this release will never do on this target */
	FL_CLASS_PERMANENT = 2,
	/* nobody may touch the device again before a person has looked at it */
	FL_CLASS_UNSAFE = 3,
	/* waits for a person: a button, a plug */
	FL_CLASS_NEEDS_USER = 4,
};

#define FL_RESULT_CODE_MAX 32
#define FL_RESULT_TEXT_MAX 192

/*
 * Why a call did not return FL_CLASS_OK; for `observe`, `prepare`, `verify` and `check` text may
 * also be set with OK.
 *
 * code is a name of docs/codes.md, such as "no_space", "io", "slot_too_small"; anything else is
 * shown as "plugin_failed" (retry), "plugin_refused" (permanent), "plugin_unsafe" or "needs_user".
 *
 * text is one line for a person; what isn't printable ASCII is shown as '?'.
 */
struct fl_result {
	uint32_t size; /* set by the host */
	char code[FL_RESULT_CODE_MAX];
	char text[FL_RESULT_TEXT_MAX];
};

/* ---- what a handler says of itself ---- */

enum fl_capability {
	/* slots that the boot back end switches: no activate, restart, commit, rollback here */
	FL_CAP_SLOT = 1 << 0,
	/* stages while downloading: the transport is never spooled */
	FL_CAP_STREAM = 1 << 1,
	/* chunks in any order, and `read` gives back what stands in the target */
	FL_CAP_RANDOM = 1 << 2,
	/* `rollback` brings the old content back */
	FL_CAP_ROLLBACK = 1 << 3,
	/* `activate` cannot be undone */
	FL_CAP_IRREVERSIBLE = 1 << 4,
	/* no second storage: stage fills the store, activate writes the device */
	FL_CAP_NO_INACTIVE = 1 << 5,
	/* several components behind one handler: `enumerate` tells which */
	FL_CAP_CHILDREN = 1 << 6,
	/* looks at cancelled() and ends early */
	FL_CAP_CANCEL = 1 << 7,
};

/* What proves that the right content stands in the target. */
enum fl_proof {
	/* the host reads the target itself and compares it with the signed tree */
	FL_PROOF_READBACK = 0,
	/* `verify` asks the device for the hash of its image */
	FL_PROOF_DEVICE_HASH = 1,
	/* `verify` asks the engine (container) for the digest */
	FL_PROOF_ENGINE_DIGEST = 2,
};

enum fl_call {
	FL_CALL_HELLO = 0,
	FL_CALL_ENUMERATE,
	FL_CALL_OBSERVE,
	FL_CALL_PREPARE,
	FL_CALL_STAGE, /* also read, flush and zero_tail */
	FL_CALL_VERIFY,
	FL_CALL_ACTIVATE,
	FL_CALL_RESTART,
	FL_CALL_CHECK,
	FL_CALL_COMMIT,
	FL_CALL_ROLLBACK,
	FL_CALL_CLEANUP,
	FL_CALL_ROOM = 16, /* places in deadline_ms: later calls fit in without moving it */
};

/* A resource that the activities in `calls` (bits 1 << enum fl_call) cannot do without. */
struct fl_need {
	const char *name; /* NULL ends the list */
	uint32_t calls;
};

#define FL_DEADLINE_DEFAULT_MS 30000u
#define FL_DEADLINE_MAX_MS     600000u

/* Filled by `hello`; all zero but `size` when it is called. */
struct fl_hello {
	uint32_t size;	       /* set by the host */
	uint32_t capabilities; /* enum fl_capability, or-ed */
	uint32_t proof;	       /* enum fl_proof */
	/* silence allowed, by enum fl_call; 0: the default; at most FL_DEADLINE_MAX_MS */
	uint32_t deadline_ms[FL_CALL_ROOM];
	/* kept until the process ends; NULL: none */
	const struct fl_need *needs;
	/* the first argument of every later call; may be NULL */
	void *self;
};

/* ---- what the host offers ---- */

/* The levels of syslog(3). */
enum fl_level {
	FL_LEVEL_ERROR = 3,
	FL_LEVEL_WARNING = 4,
	FL_LEVEL_NOTICE = 5,
	FL_LEVEL_INFO = 6,
	FL_LEVEL_DEBUG = 7,
};

struct fl_host {
	uint32_t abi_major, abi_minor, size; /* for ever */
	void *ctx;			     /* the host's own */
	/* done of total, in units of the plugin's choice (total > 0). Counts as a sign of life;
	 * cheap, call it often. */
	void (*progress)(const struct fl_host *host, uint64_t done, uint64_t total);
	/* One line, at most 400 bytes are kept; a plugin that floods loses lines, and the log says
	 * so. */
	void (*log)(const struct fl_host *host, enum fl_level level, const char *text);
	/* Something has moved on that progress() cannot express. Cheap. */
	void (*keepalive)(const struct fl_host *host);
	/*
	 * Sequential targets: all content before `offset` is on the medium now and would survive a
	 * power cut. Call it at most every 8 MiB or 10 s. A hint: what `prepare` says next time is
	 * what counts. Signs of progress sent to the fleet show it. Counts as a sign of life.
	 */
	void (*checkpoint)(const struct fl_host *host, uint64_t offset);
	/*
	 * on != 0: from here on an interruption would do harm (an erase is running); why is logged.
	 * A cancel is held back (cancelled() stays 0, nothing is killed) until it is called with on
	 * = 0, for 60 s at most. It cannot hold back a power cut, nor the kill of a plugin that is
	 * silent past its deadline.
	 */
	void (*inhibit)(const struct fl_host *host, int on, const char *why);
	/*
	 * The descriptor granted under that name ("target", …), or -1. It belongs to the host: not
	 * to be closed. Its file offset is shared: use pread and pwrite.
	 */
	int (*resource)(const struct fl_host *host, const char *name);
	/* Not 0 once the activity is no longer wanted. A long call should then return
	 * FL_CLASS_RETRY, "cancelled". */
	int (*cancelled)(const struct fl_host *host);
};

/* ---- one activity ---- */

enum fl_task_flag {
	FL_TASK_ZERO_TAIL = 1 << 0, /* the release wants the rest of the target zeroed */
};

/* What the activity is about; from signed documents and root-owned configuration. */
struct fl_task {
	uint32_t size;		 /* set by the host */
	uint32_t flags;		 /* enum fl_task_flag */
	const char *transaction; /* at most 64 bytes; "" outside an update (observe, enumerate) */
	const char *component;
	const char *slot;	 /* of the target; "" when the component has none */
	uint64_t installed_size; /* bytes of content that must stand in the target at the end */
	/* root of the signed tree over them (docs/formats.md, section 4) */
	uint8_t installed_root[32];
};

enum fl_observed {
	/* the target is there and can be read */
	FL_OBSERVED_PRESENT = 1 << 0,
	/* it runs (never said by a handler with FL_CAP_SLOT: the helper knows) */
	FL_OBSERVED_RUNNING = 1 << 1,
	/* it runs on trial: a restart falls back */
	FL_OBSERVED_TRIAL = 1 << 2,
	/* it would run after a fallback */
	FL_OBSERVED_GOOD = 1 << 3,
};

#define FL_VERSION_MAX 65

/* What is. Read from the device in this very call, never remembered. */
struct fl_observation {
	uint32_t size;		      /* set by the host */
	uint32_t flags;		      /* enum fl_observed */
	uint64_t room;		      /* bytes the target holds at most; 0: unknown */
	uint64_t release_seq;	      /* of the content; 0: unknown */
	char version[FL_VERSION_MAX]; /* of the content; "": unknown */
};

enum fl_restart {
	FL_RESTART_NONE = 0,
	FL_RESTART_COMPONENT = 1,
	FL_RESTART_HOST = 2,
};

/* What would be done. */
struct fl_plan {
	uint32_t size;	  /* set by the host */
	uint32_t restart; /* enum fl_restart: what it takes to run the new content */
	/* bytes the target holds; 0: unknown; the host, too, compares it with installed_size */
	uint64_t room;
	/*
	 * Without FL_CAP_RANDOM: content before it stands in the target, durable and right as far
	 * as the plugin knows; rounded down to a whole chunk by the host.
	 */
	uint64_t resume_offset;
	uint32_t restart_ms; /* how long the restart takes, roughly; 0: unknown */
};

#define FL_COMPONENTS_MAX 16

struct fl_components {
	uint32_t size;			  /* set by the host */
	uint32_t n;			  /* filled by the plugin, at most FL_COMPONENTS_MAX */
	char name[FL_COMPONENTS_MAX][65]; /* [a-z0-9._-]{1,64}, not starting with '.' or '-' */
};

/*
 * The exported object. Every call returns an enum fl_class, and unless that is FL_CLASS_OK fills
 * *result (all zero before). A call that the capabilities do not promise may be NULL; one that is
 * promised and NULL makes the plugin unusable ("plugin_abi").
 */
struct fl_handler {
	/* for ever: FL_HANDLER_ABI_MAJOR, FL_HANDLER_ABI_MINOR, sizeof(struct fl_handler) */
	uint32_t abi_major, abi_minor, size;
	const char *name;    /* "rootfs" */
	const char *version; /* of the plugin, for people */

	/* Required. Who are you? No side effects, no resources touched. `host` may be kept. */
	int (*hello)(const struct fl_host *host, struct fl_hello *hello, struct fl_result *result);
	/* With FL_CAP_CHILDREN. The components behind this handler. No side effects. */
	int (*enumerate)(void *self, struct fl_components *components, struct fl_result *result);
	/* Required. The truth about one component. No side effects, and possible in any state of
	 * the target. */
	int (*observe)(void *self, const struct fl_task *task, struct fl_observation *observation,
		       struct fl_result *result);
	/* Required. Is the target fit for this content (permanent, "slot_too_small", if not)? No
	 * side effects. */
	int (*prepare)(void *self, const struct fl_task *task, struct fl_plan *plan,
		       struct fl_result *result);
	/*
	 * Required. Write len bytes at offset of the target: one chunk, verified against the signed
	 * tree. With FL_CAP_RANDOM in ascending order with holes (what is right already is left
	 * out), and the same chunk may come again; else without holes, from the plan's
	 * resume_offset. Need not be durable on return.
	 */
	int (*stage)(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		     uint32_t len, struct fl_result *result);
	/*
	 * Required. Make what was staged between offset and offset + len durable: on FL_CLASS_OK it
	 * survives a power cut. Called once per frame; no byte of the next frame is staged before
	 * it has returned. With offset 0 and len = installed_size once at the end, also when
	 * nothing was staged: an earlier process may have been killed between stage and flush.
	 */
	int (*flush)(void *self, const struct fl_task *task, uint64_t offset, uint64_t len,
		     struct fl_result *result);
	/*
	 * With FL_CAP_RANDOM. Read len bytes (one chunk) at offset of the target, as a later reader
	 * would see them. May not be cached by the plugin. A place that cannot be read:
	 * FL_CLASS_RETRY, "io"; the chunk then counts as wrong and is written anew, which heals the
	 * place or fails. Any other failure ends the activity.
	 */
	int (*read)(void *self, const struct fl_task *task, uint64_t offset, void *data,
		    uint32_t len, struct fl_result *result);
	/* Only called with FL_TASK_ZERO_TAIL: zero the target from offset to its end, durable on
	 * return. */
	int (*zero_tail)(void *self, const struct fl_task *task, uint64_t offset,
			 struct fl_result *result);
	/* Unless proof is FL_PROOF_READBACK. The device's or the engine's proof of what is staged.
	 * No side effects. */
	int (*verify)(void *self, const struct fl_task *task, struct fl_result *result);
	/* The switch to what is staged: old or new at every instant, a trial, never good. Without
	 * FL_CAP_SLOT. */
	int (*activate)(void *self, const struct fl_task *task, struct fl_result *result);
	/* Restart the component. Without FL_CAP_SLOT; NULL when activate alone is enough. */
	int (*restart)(void *self, const struct fl_task *task, struct fl_result *result);
	/* Does the right version run, and well? NULL: nothing to say. No side effects. */
	int (*check)(void *self, const struct fl_task *task, struct fl_result *result);
	/* Make the trial good. Never called before the decision is recorded; then until it
	 * succeeds. Without FL_CAP_SLOT. */
	int (*commit)(void *self, const struct fl_task *task, struct fl_result *result);
	/* With FL_CAP_ROLLBACK. Back to what ran before; legal until commit, after a cut activate
	 * too. */
	int (*rollback)(void *self, const struct fl_task *task, struct fl_result *result);
	/* Remove what the transaction left beside the running content (temporary files, an old
	 * image). NULL: nothing. */
	int (*cleanup)(void *self, const struct fl_task *task, struct fl_result *result);
};

/* The size of the first version: a smaller object is no handler. */
#define FL_HANDLER_SIZE_1_0 (offsetof(struct fl_handler, cleanup) + sizeof(void (*)(void)))

FL_HANDLER_EXPORT extern const struct fl_handler fl_handler_plugin;

/* Fills *result and returns cls: `return fl_result_fail(result, FL_CLASS_RETRY, "io", "erase: %s",
 * why);` */
__attribute__((format(printf, 4, 5))) static inline int fl_result_fail(struct fl_result *result,
								       enum fl_class cls,
								       const char *code,
								       const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)snprintf(result->code, sizeof(result->code), "%s", code);
	(void)vsnprintf(result->text, sizeof(result->text), fmt, ap);
	va_end(ap);
	return (int)cls;
}

#ifdef __cplusplus
}
#endif
#endif
