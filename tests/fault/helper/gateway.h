/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One gateway in a temporary folder: the real fairlead-helper and fairlead-boot, a fake runner, and this file as the agent and as the
 * machine that boots slots. A request's answer is checked by its code.
 */
#ifndef TEST_GATEWAY_H
#define TEST_GATEWAY_H

#include "paper.h"

#include <fairlead/boot/boot.h>
#include <fairlead/ipc/codec.h>

#include <criterion/criterion.h>
#include <limits.h>
#include <sys/types.h>

struct gateway {
	char dir[64];
	struct paper paper;
	pid_t helper;
	int sock;
	uint32_t id;
	struct fl_arena arena; /* owns the last answers */
	enum fl_frame_type type; /* of the last answer */
	int fd;			 /* of the last answer */
	char text[1024];	 /* of the last answer */
	struct fl_ipc_hello_reply hello;
	struct fl_ipc_staged staged;
	const char *plan_dir; /* below which it counts; NULL: everything */
	const char *observe; /* what the fake runner does when it is asked, from the next start on; NULL: answers */
	const char *plan; /* of flshim (tests/fault/shim), for the next helper that is started; NULL: none */
	uint64_t trial_seq; /* the machine's memory */
	unsigned used;
	uint8_t images[3][200000]; /* 0: the factory's */
};

/* A factory-new gateway: root, keys, slot a with image 0, helper not running. */
void gw_init(struct gateway *g);
void gw_done(struct gateway *g);
char *gw_path(const struct gateway *g, const char *name);
void gw_write(const struct gateway *g, const char *name, const void *data, size_t len);

/* Starts the helper with this fake runner, connects and says hello. */
void gw_start(struct gateway *g, const char *runner);
/* The same; false when the helper ended before it greeted us. */
bool gw_try_start(struct gateway *g, const char *runner);
/* How often the plan of the last helper that had one struck. */
uint64_t gw_fired(const struct gateway *g);
/* A second component, `app`, with slots of its own; before the first start. */
void gw_add_component(struct gateway *g);
/* Appends to its configuration, before it starts. */
void gw_configure(struct gateway *g, const char *more);
/* fairlead-boot fails the next time it is run for this verb. Before the start of the helper. */
void gw_break_verb(struct gateway *g, const char *verb);
/* fairlead-boot is killed at its n-th change of a file, the `call`-th time it is run from now on. */
void gw_break_boot(struct gateway *g, unsigned call, unsigned n);
/* From the next start on, what fairlead-boot is run for is noted; the verbs since the last call, each with a space behind it. */
void gw_count_boot(struct gateway *g);
const char *gw_verbs(struct gateway *g);
/* kill -9 */
void gw_kill(struct gateway *g);
void gw_connect(struct gateway *g);
/* Waits for the helper's own end; its exit status. */
int gw_wait(struct gateway *g);
/* The machine goes down and boots what the decision says; returns the slot's letter. */
char gw_reboot(struct gateway *g, const char *runner);
/* The same without starting the helper; dead: the slot on trial does not boot. */
char gw_boot_only(struct gateway *g, bool dead);
bool gw_restart_asked(const struct gateway *g);
void gw_set_image_info(const struct gateway *g, const char *version, uint64_t seq, uint64_t security);
void gw_decision(const struct gateway *g, struct fl_boot_state *state);
char gw_running(const struct gateway *g);

/* One request; the code of its answer. FL_E_PEER_CLOSED when the helper cut us off. */
enum fl_rc gw_call(struct gateway *g, enum fl_frame_type type, const void *body, const int *fds,
		   size_t n_fds);
/* Raw bytes as a packet. */
void gw_send_raw(struct gateway *g, const void *data, size_t len, const int *fds, size_t n_fds);
/* The next frame, of whatever type, into the arena. FL_E_TIMEOUT after timeout_ms. */
enum fl_rc gw_next(struct gateway *g, uint32_t *id, void **body, int timeout_ms);

enum fl_rc gw_hello(struct gateway *g);
enum fl_rc gw_present(struct gateway *g, const struct paper_doc *docs, size_t n);
enum fl_rc gw_nonce(struct gateway *g, uint8_t nonce[32]);
enum fl_rc gw_heartbeat(struct gateway *g, const struct paper_doc *heartbeat);
enum fl_rc gw_stage(struct gateway *g, const struct fl_digest *job);
/* Waits for the event; its code. */
enum fl_rc gw_staged(struct gateway *g, int timeout_ms);
enum fl_rc gw_target(struct gateway *g, enum fl_frame_type type, const struct fl_digest *job);
enum fl_rc gw_stage_of(struct gateway *g, const struct fl_digest *job, const char *component);
enum fl_rc gw_target_of(struct gateway *g, enum fl_frame_type type, const struct fl_digest *job,
			const char *component);
enum fl_rc gw_job(struct gateway *g, enum fl_frame_type type, const struct fl_digest *job);
/* heartbeat NULL: without. */
enum fl_rc gw_commit(struct gateway *g, const struct fl_digest *job,
		     const struct paper_doc *heartbeat);
enum fl_rc gw_rollback(struct gateway *g, const struct fl_digest *job);
enum fl_rc gw_close(struct gateway *g, const struct fl_digest *job, const char *state);

/* --- steps that a test takes for granted: each asserts --- */

struct update {
	struct paper_doc docs[2]; /* job, release */
	const char *runner;	  /* "write …" of its image */
	char runner_text[128];
};

/* nonce, heartbeat, healed */
void gw_heal(struct gateway *g);
/* Release `image` (1 or 2) with release_seq and security_version, and a job for it. */
void gw_make_update(struct gateway *g, size_t image, uint64_t job_seq, struct update *u,
		    const struct paper_release *more);
/* The same, by an offline job. */
void gw_make_offline(struct gateway *g, size_t image, uint64_t offline_seq, struct update *u,
		     const struct paper_release *more);
void gw_to_open(struct gateway *g, const struct update *u);
void gw_to_staged(struct gateway *g, const struct update *u);
void gw_to_sealed(struct gateway *g, const struct update *u);
void gw_to_trial_set(struct gateway *g, const struct update *u);
/* Restarted: slot b runs on trial. */
void gw_to_trial(struct gateway *g, const struct update *u);
struct paper_doc gw_fresh_heartbeat(struct gateway *g);
/* "staging", or "closed" when the job is not open. */
const char *gw_phase(struct gateway *g, const struct update *u);
const struct fl_ipc_component *gw_component(struct gateway *g);

#endif
