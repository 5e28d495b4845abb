/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: every part of it, and who owns whom. One loop, one thread; the thread pool runs the store's operations
 * (db.h) only.
 *
 *   link ── messages ──▶ agent ──▶ jobs ──▶ job (table of states) ──▶ helper, stage, checks
 *    ▲                                          │ every change
 *    └────────────── outbox ◀── signed reports ─┘
 */
#ifndef FAIRLEAD_DAEMON_AGENT_H
#define FAIRLEAD_DAEMON_AGENT_H

#include "checks.h"
#include "config.h"
#include "control.h"
#include "db.h"
#include "enrol.h"
#include "helper.h"
#include "http.h"
#include "identity.h"
#include "jobs.h"
#include "ledger.h"
#include "link.h"
#include "outbox.h"
#include "trust_state.h"
#include "vitals.h"

#include <fairlead/base/clock.h>
#include <fairlead/store/store.h>

#define FL_AGENT_VERSION "0.1.0"

struct fl_agent {
	uv_loop_t loop;
	const struct fl_clock *clock;
	struct fl_config config;
	struct fl_identity identity;
	struct fl_trust trust;
	struct fl_store *store;
	struct fl_log_ring *ring;
	struct fl_db db;
	struct fl_http http;
	struct fl_enrol enrol;
	struct fl_helper helper;
	struct fl_helper_call nonce_call, heartbeat_call, root_call, facts_call;
	struct fl_link link;
	struct fl_jobs jobs;
	struct fl_outbox outbox;
	struct fl_control control;
	struct fl_baseline baseline;
	struct fl_ledger ledger;
	uv_signal_t sigterm, sigint;
	uv_timer_t retry;	/* of the data partition */
	struct fl_err degraded; /* rc FL_OK: not; else why store or identity cannot be opened, and nothing runs */
	bool failed;		/* while running: the process is to end with an error */
	bool time_known;	/* the fleet told the time in this process's life */
	uint64_t fleet_utc;	/* … at fleet_boot_ms */
	uint64_t fleet_boot_ms;
	uint64_t connected_ms;	/* boot time of the present connection */
	uint64_t nonce_sent_ns; /* loop's clock; 0: no answer is awaited */
	uint64_t round_trip_us; /* from the last nonce to its heartbeat; 0: unknown */
	bool running;		/* handles are open */
	bool nonce_asked, hello_wanted, heartbeat_busy, jobs_wait;
	struct fl_arena heartbeat_arena;
	struct fl_envelope heartbeat; /* on its way through the helper */
};

/*
 * Opens everything and starts, or starts degraded while the data partition is not there; what was opened is closed by
 * fl_agent_done whatever this returns.
 */
enum fl_rc fl_agent_start(struct fl_agent *agent, const char *config_path, struct fl_err *err)
	FL_CHECKED;
void fl_agent_done(struct fl_agent *agent);

/* The parts are open: looks for the helper and the fleet. */
void fl_agent_connect(struct fl_agent *agent);

/* Seconds since 1970 UTC: the fleet's signed time carried on by the boot clock, else the system's. */
uint64_t fl_agent_now_s(const struct fl_agent *agent);
/* May windows be kept by it? The fleet told it, or the system's clock is past what is proved to be past. */
bool fl_agent_knows_time(const struct fl_agent *agent);

/* The helper's facts are new: the trust state follows. */
void fl_agent_on_facts(struct fl_agent *agent);

/* From the link. FL_E_PROTOCOL: the connection is closed with 1008. */
enum fl_rc fl_agent_on_message(struct fl_agent *agent, const void *text, size_t len, struct fl_err *err)
	FL_CHECKED;
void fl_agent_on_link_up(struct fl_agent *agent);
void fl_agent_on_link_down(struct fl_agent *agent);
/* nonce: of the helper, for the heartbeat that answers. */
void fl_agent_send_hello(struct fl_agent *agent, struct fl_bytes nonce);

/* The helper gets the root documents that it lacks. */
void fl_agent_tell_roots(struct fl_agent *agent);

/* The anchor is no longer lost: what the helper knows is asked again, and jobs are had sent again. */
void fl_agent_ask_facts(struct fl_agent *agent);

/* Asks the fleet for a heartbeat on a fresh nonce of the helper's; jobs hear of it by fl_jobs_on_heartbeat. */
void fl_agent_ask_heartbeat(struct fl_agent *agent);

#endif
