/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairlead-helper: verifies by itself, remembers in its anchor, and only then acts.
 *
 * One loop, one agent at a time. Every request is a function of its own that answers with a code; what takes long
 * (a runner, reading a slot back) is a child process that the loop watches. The order of every act is the same:
 * change a copy of the anchor, save it, act. A crash at any point is healed by recover.c, which believes what the
 * machine shows first, then the anchor, and nothing else.
 */
#ifndef FAIRLEAD_HELPER_HELPER_H
#define FAIRLEAD_HELPER_HELPER_H

#include "children.h"
#include "config.h"
#include "host.h"

#include <fairlead/anchor/file.h>
#include <fairlead/base/clock.h>
#include <fairlead/ipc/codec.h>

#define NONCE_SIZE	 32
#define NONCES		 2
#define PROTECTIONS_MAX	 32
#define RESTART_BUDGET	 3 /* restarts the helper asks for by itself, per job and way */

/* A job as its documents say, read and verified anew for every request. */
struct work {
	struct fl_arena arena;
	int place; /* in the anchor */
	struct fl_digest job_digest;
	struct fl_job job;
	struct fl_digest release_digest;
	struct fl_envelope release_env;
	struct fl_release release;
};

struct request {
	enum fl_frame_type type;
	uint32_t id;
	struct fl_arena arena;
	void *body; /* the struct of its type */
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds;
	bool answered; /* or will be, by an event */
	bool asked;    /* the handler, for this request */
	int reply_fd;  /* sent with the plain reply; -1: none */
};

/* What a handler said about a slot, and what the machine showed of it when it was asked. */
struct said {
	char code[41]; /* "": it was not asked, or gave way */
	char text[257];
	char slot[2];
	bool trial, good; /* by the machine */
	bool present;
	const char *wrong; /* static; NULL: nothing contradicts the machine */
	char version[129];
	uint64_t release_seq;
};

struct helper {
	struct config config;
	const struct fl_clock *clock;
	struct fl_anchor_file *file;
	struct fl_anchor anchor; /* as saved last, but for t_min */
	struct fl_arena root_arena;
	struct fl_root root;
	uint8_t nonces[NONCES][NONCE_SIZE];
	size_t n_nonces; /* made since the start */
	uint64_t fleet_s, fleet_at_ms; /* time of the last heartbeat, and when it came; 0: none */
	struct child children[2 * FL_ANCHOR_COMPONENTS]; /* of component i: activity at 2i, decoder at 2i + 1 */
	int locks[FL_ANCHOR_COMPONENTS]; /* sealed targets, held until the switch; -1: none */
	char protections[PROTECTIONS_MAX][72]; /* as runners reported */
	size_t n_protections;
	int listener, agent; /* sockets */
	bool greeted;
	struct request request;	/* received and not answered yet; its frame stands in `frame` */
	uint64_t request_ms;	/* boot time of its receipt */
	bool pending;		/* there is one */
	bool must_wait;		/* for the end of a child: it is carried out anew then */
	bool child_ended;	/* since the last look */
	uint64_t greet_by_ms;	/* boot time at which hello waits for no handler any more */
	struct said said[FL_ANCHOR_COMPONENTS]; /* by the component with that index */
	struct fl_buf frame, child_frame; /* for receiving */
	struct boot_view view; /* as observed last */
	bool seen;	       /* in this turn of the loop, and nothing was switched since */
	bool trial_ended;    /* the deadline has nothing left to do */
	uint64_t heard_ms;   /* boot time of the agent's last word in a trial, or of our start; its requests stop this clock */
	int watchdog;	     /* armed; -1: not */
	bool watchdog_tried; /* to arm it, in this trial */
	uint64_t feed_ms;    /* boot time of its next feed */
	uint64_t recheck_ms; /* boot time of the next round; 0: not set yet */
	size_t recheck_place; /* where the round goes on */
	char rotten[FL_ANCHOR_COMPONENTS]; /* letter of a slot that no longer holds what was sealed; 0: none */
	uint64_t expire_again_ms;  /* boot time of its next try, after one */
	uint64_t recover_again_ms; /* boot time of the next try of what recovery could not do; 0: all done */
};

/* --- trust.c --- */

/* Everything the rules of trust want to know, in the arena. */
enum fl_rc trust_state(struct helper *h, struct fl_arena *arena, const struct fl_digest *open_job,
		       struct fl_trust_state *ret, struct fl_err *err) FL_CHECKED;
/* The factory's root or the anchor's, whichever is newer. */
enum fl_rc trust_load_root(struct helper *h, struct fl_err *err) FL_CHECKED;
/* Verified next root: kept, saved, in force. */
enum fl_rc trust_next_root(struct helper *h, const struct fl_envelope *env, struct fl_err *err)
	FL_CHECKED;
/* Pins the device key at first sight; the anchor is changed, not saved. */
void trust_pin_identity(struct helper *h, struct fl_anchor *next);
/* Seconds since 1970 as the fleet told, 0: unknown; and the lower bound. */
uint64_t trust_now(const struct helper *h);
uint64_t trust_t_min(const struct helper *h);
/* What is known of the committed component; info: of the running system, NULL when on trial or unknown. */
struct committed {
	uint64_t release_seq, security_floor;
	struct fl_digest release; /* zero: unknown */
	FL_LIST(struct fl_digest) permits_rollback_to;
};
void trust_committed(struct helper *h, const struct component *c,
		     const struct fl_image_info *info, struct fl_arena *arena,
		     struct committed *ret);
/* The running system's image-info, if the boot switch calls its slot good; false: on trial, or there is none. */
bool trust_good_image(struct helper *h, struct fl_arena *arena, struct fl_image_info *ret);

/* --- documents.c --- */

/* Saves the anchor; h->anchor is *next only when that succeeded. */
enum fl_rc save(struct helper *h, const struct fl_anchor *next, struct fl_err *err) FL_CHECKED;
/* Document i of a request: its sealed memfd read once. */
enum fl_rc receive_document(const struct fl_ipc_document *doc, int fd, struct fl_arena *arena,
			    struct fl_envelope *ret, struct fl_err *err) FL_CHECKED;
/* FL_E_NOT_OPEN, FL_E_NOT_FOUND; job and release are decoded, not verified. Free with work_free, also on failure. */
enum fl_rc work_open(struct helper *h, const struct fl_digest *job, struct work *w,
		     struct fl_err *err) FL_CHECKED;
/* Signatures, revocation, floors: all of it again. */
enum fl_rc work_verify(struct helper *h, struct work *w, struct fl_err *err) FL_CHECKED;
void work_free(struct work *w);
/* The whole digest of a job or release; of a lost document the part that the anchor holds. */
void whole_digest(struct helper *h, const struct fl_anchor_id *id, struct fl_digest *ret);
bool job_names(const struct fl_job *job, const char *component);
enum fl_rc verify_heartbeat(struct helper *h, const struct fl_envelope *env,
			    struct fl_heartbeat *ret, struct fl_arena *arena, struct fl_err *err)
	FL_CHECKED;

/*
 * `fairleadctl anchor reset`: a person with root's rights says that no fleet will end the loss of the anchor; what the machine shows is all
 * that keeps old jobs out then. The note counts for this loss only.
 */
#define RESET "reset"
enum fl_rc heal_by_hand(struct helper *h, struct fl_err *err) FL_CHECKED;

/* --- requests: each answers with its code --- */

typedef enum fl_rc handler(struct helper *h, struct request *rq, struct fl_err *err);
handler on_hello, on_present, on_get_document, on_nonce, on_heartbeat, on_stage, on_stop, on_seal,
	on_activate, on_restart, on_commit, on_rollback, on_close, on_observe, on_alive;

/* --- server.c --- */

enum fl_rc server_open(struct helper *h, struct fl_err *err) FL_CHECKED;
/* Until a signal. */
enum fl_rc server_run(struct helper *h, struct fl_err *err) FL_CHECKED;
/* A frame to the agent; without an agent, or when it does not read, it is dropped and so is the connection. */
void send_agent(struct helper *h, enum fl_frame_type type, uint32_t id, const void *body, int fd);
void send_reply(struct helper *h, uint32_t id, enum fl_rc rc, const struct fl_err *err, int fd);
void send_phase(struct helper *h, int place, enum fl_phase phase, enum fl_rc code, const char *text);

/* --- watch.c, end.c, seal.c: what children report, and their end --- */

void on_child_frame(struct helper *h, struct child *child);
struct child *activity_of(struct helper *h, size_t component);
struct child *decoder_of(struct helper *h, size_t component);
size_t component_of(const struct helper *h, const struct child *child);
/* Its end, with class retry and this code. */
void fault(struct helper *h, struct child *child, enum fl_rc rc, const char *text);
void on_child_silence(struct helper *h, struct child *child);
/* Begins the end; the result is told when nothing is left of the child. Does nothing when the end has begun. */
void child_end(struct helper *h, struct child *child, const struct fl_ipc_result *result);
/* Looks how far the end of a child is; at its deadline, or when its descriptors show something. */
void on_child_end(struct helper *h, struct child *child);
/*
 * FL_OK: the component has no child. Otherwise the end of what it has begins, and FL_E_BUSY with h->must_wait has the request carried out
 * anew when it has ended: nothing may have been done yet that cannot be done twice. FL_E_RUNNER_UNKILLABLE.
 */
enum fl_rc stop_child(struct helper *h, size_t component, struct fl_err *err) FL_CHECKED;
enum fl_rc stop_children_of(struct helper *h, int place, struct fl_err *err) FL_CHECKED;
enum fl_rc give_up_seal(struct helper *h, const struct fl_digest *job, const struct component *c,
			struct fl_err *err) FL_CHECKED;
/* The child that compares a target with what->content; *target is its own from then on. */
enum fl_rc seal_check_start(struct helper *h, const struct component *c, const struct child *what,
			    int *target, struct fl_err *err) FL_CHECKED;
void seal_finished(struct helper *h, size_t index, const struct child *child, enum fl_rc rc,
		   const struct fl_err *err);

/* --- runner.c --- */

struct runner {
	enum child_kind kind;
	struct fl_digest job;	   /* zero: no transaction */
	const char *plugin;	   /* name of a decoder; NULL: the component's handler */
	int fds[4];		   /* its ends of channels, then what stands in `names`; borrowed */
	size_t n_fds;
	const char *names[3];
	size_t n_names;
	int target;		   /* taken, -1 afterwards, once there is a child; granted as "target" */
	struct fl_ipc_start start; /* what the activity needs; the rest is filled in */
};
/* Channels first. */
void runner_channel(struct runner *r, int fd);
void runner_grant(struct runner *r, const char *name, int fd);
/* The component has no such child. After a failure it may have one that is ending. */
enum fl_rc start_runner(struct helper *h, const struct component *c, struct runner *r,
			struct fl_err *err) FL_CHECKED;

/* --- observe.c --- */

/* Asks the handler, unless somebody works on the component; the answer, or why there is none, will stand in h->said. */
void observe(struct helper *h, size_t index);
void observe_transactions(struct helper *h);
bool observing(struct helper *h);
void on_observation(struct helper *h, const struct child *child,
		    const struct fl_ipc_observation *seen);
void observed(struct helper *h, size_t index, const struct outcome *o);

/* --- target.c --- */

/* The descriptor of a target, locked against others; flags: O_RDWR or O_RDONLY. Never the running slot. */
enum fl_rc open_target(struct helper *h, const struct component *c, const struct slot *slot,
		       int flags, int *ret, struct fl_err *err) FL_CHECKED;
/* The target the anchor remembers for the component; FL_E_SLOT_RUNNING when it runs meanwhile. */
enum fl_rc find_target(struct helper *h, const struct component *c, const struct boot_view *view,
		       const struct slot **ret, struct fl_err *err) FL_CHECKED;
/* The slot that runs, for a decoder to read; FL_E_NOT_SUPPORTED when it may change meanwhile. */
enum fl_rc open_source(struct helper *h, const struct component *c, int *ret, struct fl_err *err)
	FL_CHECKED;
void release_lock(struct helper *h, size_t component);

/* --- recheck.c --- */

/* Every turn of the loop: a round begins or goes on when it is due and nothing else is to do. */
void recheck(struct helper *h);
/* Until recheck() has something to do; UINT64_MAX: a child's end or never. */
uint64_t recheck_left_ms(struct helper *h);
/* A seal has succeeded: what was compared is kept for later. */
void recheck_note(struct helper *h, size_t index, const struct child *child);
void recheck_finished(struct helper *h, size_t index, const struct child *child, enum fl_rc rc);
/* What is rotten, to an agent that has just come. */
void recheck_tell(struct helper *h);

/* --- guard.c --- */

/* Every turn of the loop: deadline, silence, hardware watchdog. */
void guard(struct helper *h);
/* Until guard() has something to do; UINT64_MAX: never. */
uint64_t guard_left_ms(const struct helper *h);

/* --- trial.c --- */

/* What the machine shows: fairlead-boot is asked once in a turn of the loop, and again after every switch. */
enum fl_rc look(struct helper *h, struct boot_view *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc switch_boot(struct helper *h, const char *verb, const char *slot, struct fl_err *err)
	FL_CHECKED;
/* The slot boots next, once; root_hash: of dm-verity, in hex, or NULL. */
enum fl_rc switch_to(struct helper *h, const char *slot, const char *root_hash, struct fl_err *err)
	FL_CHECKED;

/* The trial as the machine shows it. */
struct trial {
	int place;	       /* of the job with a switched component; -1: none */
	enum fl_phase phase;   /* trial, decided or rolling_back */
	const struct slot *slot; /* its target; NULL when the configuration has lost it */
	bool runs;	       /* the target is the running slot */
	struct boot_view view;
};
enum fl_rc trial_look(struct helper *h, struct trial *ret, struct fl_err *err) FL_CHECKED;
/* The same for one job; place -1 when the job has no switched component. */
enum fl_rc trial_look_at(struct helper *h, int place, struct trial *ret, struct fl_err *err)
	FL_CHECKED;
uint64_t trial_left_ms(const struct helper *h);
/* Is a component of another job switched? There is one boot switch and one deadline. */
bool trial_of_another(const struct helper *h, int place);
/* Is a job in phase trial whose target runs? Reads only the host's file. */
bool trial_is_running(struct helper *h, int *place);
/* Phase rolling_back, fallback; a restart when the target runs. */
enum fl_rc trial_roll_back(struct helper *h, int place, struct trial *t, struct fl_err *err)
	FL_CHECKED;
/* From the decision on: good, floors, closed. Repeatable. */
enum fl_rc trial_finish(struct helper *h, int place, struct fl_err *err) FL_CHECKED;
/* Back, by ourselves, and this is why; the note FELL_BACK tells it to the agent of the old system. */
#define FELL_BACK "fell-back"
void trial_expire(struct helper *h, enum fl_rc reason, const char *text);
/* One more restart for the job, within its budget. */
enum fl_rc trial_restart(struct helper *h, int place, struct fl_err *err) FL_CHECKED;

/* --- report.c --- */

/* "seal: advisory", "runner: seccomp", …: what is in force and what is not. */
size_t list_protections(const struct helper *h, const char **names, size_t max);

/* --- recover.c --- */

/* After any start, and again at recover_again_ms: the machine first, then the anchor. */
enum fl_rc recover(struct helper *h, struct fl_err *err) FL_CHECKED;
void recover_again(struct helper *h);

/* --- prove.c --- */

/* After any start: a `fairlead-boot prove` is carried on, or its end is told. */
enum fl_rc prove(struct helper *h, struct fl_err *err) FL_CHECKED;

/* --- seal_check.c: the re-exec'd child --- */
int seal_check_main(int argc, char **argv);

#endif
