/* SPDX-License-Identifier: Apache-2.0 */
/* Passes on what link, helper and jobs have to tell each other. */
#include "agent.h"

#include <fairlead/base/log.h>

#include <string.h>

#define MESSAGE_MEMORY_MAX ((size_t)4 * 1024 * 1024)

uint64_t fl_agent_now_s(const struct fl_agent *agent)
{
	if (agent->time_known)
		return agent->fleet_utc + (fl_clock_boot_ms(agent->clock) - agent->fleet_boot_ms) / 1000;
	const int64_t wall = fl_clock_wall_s(agent->clock);
	const uint64_t t_min = agent->trust.state.t_min;
	return wall < 0 || (uint64_t)wall < t_min ? t_min : (uint64_t)wall;
}

bool fl_agent_knows_time(const struct fl_agent *agent)
{
	return agent->time_known ||
	       fl_clock_wall_s(agent->clock) > (int64_t)agent->trust.state.t_min;
}

void fl_agent_on_facts(struct fl_agent *agent)
{
	struct fl_err err = {0};
	for (const struct fl_job_run *run = agent->jobs.first; run != NULL; run = run->next)
		(void)fl_helper_complete(&agent->helper, &run->row.job, &run->row.release);
	if (fl_trust_take_facts(&agent->trust, fl_helper_facts(&agent->helper), &err) != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "facts of the helper");
}

/* ---- roots: the helper gets every step this side has and it lacks, before jobs go on ------------------------- */

static bool send_next_root(struct fl_agent *agent);

static void jobs_go_on(struct fl_agent *agent)
{
	if (agent->jobs_wait)
		fl_jobs_on_helper_up(&agent->jobs);
	agent->jobs_wait = false;
}

static void on_root_presented(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			      struct fl_helper_answer *answer)
{
	struct fl_agent *agent = call->ctx;
	(void)answer;
	if (rc == FL_E_PEER_CLOSED)
		return;
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "root refused by the helper");
	else
		agent->helper.facts.root_version++;
	if (rc != FL_OK || !send_next_root(agent))
		jobs_go_on(agent);
}

static enum fl_rc present_root(struct fl_agent *agent, const struct fl_buf *text, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FL_ENVELOPE_MAX);
	struct fl_envelope env;
	struct fl_ipc_signature sigs[FL_SIGS_MAX];
	struct fl_ipc_document doc;
	enum fl_rc rc = fl_envelope_parse(text->data, text->len, FL_DOC_ROOT, &arena, &env, err);
	if (rc == FL_OK) {
		fl_helper_document(&env, sigs, &doc);
		const struct fl_ipc_documents body = {.documents = {&doc, 1}};
		fl_helper_call_init(&agent->root_call, on_root_presented, agent);
		rc = fl_helper_send(&agent->helper, &agent->root_call, FL_FRAME_PRESENT, &body, &env.payload,
				    1, err);
	}
	fl_arena_free(&arena);
	return rc;
}

/* False: there is none to send. */
static bool send_next_root(struct fl_agent *agent)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&agent->helper);
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_err err = {0};
	if (facts == NULL || facts->root_version >= agent->trust.root.version ||
	    fl_helper_call_open(&agent->root_call))
		return false;
	enum fl_rc rc = fl_trust_root_text(&agent->trust, facts->root_version + 1, &text, &err);
	if (rc == FL_OK)
		rc = present_root(agent, &text, &err);
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "present a root");
	fl_buf_free(&text);
	return rc == FL_OK;
}

void fl_agent_tell_roots(struct fl_agent *agent)
{
	(void)send_next_root(agent);
}

/* ---- heartbeats ----------------------------------------------------------------------------------------- */

static void on_nonce(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		     struct fl_helper_answer *answer)
{
	struct fl_agent *agent = call->ctx;
	agent->nonce_asked = false;
	if (rc != FL_OK) {
		fl_log_err(FL_LOG_WARNING, err, "nonce");
		return;
	}
	if (answer->type != FL_FRAME_NONCE_REPLY)
		return;
	const struct fl_ipc_nonce_reply *reply = answer->body;
	if (agent->hello_wanted) {
		agent->hello_wanted = false;
		fl_agent_send_hello(agent, reply->nonce);
		return;
	}
	const struct fl_wire_nonce nonce = {NULL, reply->nonce};
	if (fl_link_send(&agent->link, FL_WIRE_NONCE, &nonce) == FL_OK)
		agent->nonce_sent_ns = uv_hrtime();
}

void fl_agent_ask_heartbeat(struct fl_agent *agent)
{
	struct fl_err err = {0};
	const struct fl_ipc_empty empty = {false};
	if (!fl_link_up(&agent->link) || agent->nonce_asked)
		return;
	fl_helper_call_init(&agent->nonce_call, on_nonce, agent);
	agent->nonce_asked = fl_helper_send(&agent->helper, &agent->nonce_call, FL_FRAME_NONCE, &empty, NULL,
					    0, &err) == FL_OK;
}

/* The anchor is whole again: jobs are accepted from now on, have them sent again. */
static void on_facts_again(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			   struct fl_helper_answer *answer)
{
	struct fl_agent *agent = call->ctx;
	(void)err;
	(void)answer;
	if (rc != FL_OK)
		return; /* the connection is gone; `up` brings them */
	fl_agent_on_facts(agent);
	fl_link_restart(&agent->link);
}

void fl_agent_ask_facts(struct fl_agent *agent)
{
	struct fl_err err = {0};
	fl_helper_call_init(&agent->facts_call, on_facts_again, agent);
	if (fl_helper_refresh(&agent->helper, &agent->facts_call, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "facts of the helper");
}

static void on_heartbeat_taken(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
			       struct fl_helper_answer *answer)
{
	struct fl_agent *agent = call->ctx;
	(void)answer;
	agent->heartbeat_busy = false;
	if (rc != FL_OK) {
		fl_log_err(FL_LOG_WARNING, err, "heartbeat refused by the helper");
		if (rc != FL_E_PEER_CLOSED)
			fl_outbox_refused(&agent->outbox, err);
		return;
	}
	struct fl_err why = {0};
	struct fl_heartbeat doc;
	if (fl_heartbeat_decode(agent->heartbeat.payload, &agent->heartbeat_arena, &doc, &why) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &why, "heartbeat");
		return;
	}
	agent->time_known = true;
	agent->fleet_utc = doc.utc;
	agent->fleet_boot_ms = fl_clock_boot_ms(agent->clock);
	if (agent->helper.facts.anchor_lost)
		fl_agent_ask_facts(agent);
	fl_jobs_on_heartbeat(&agent->jobs, &agent->heartbeat);
}

/* The helper, who made the nonce, verifies it; nobody reads it before. */
static enum fl_rc take_heartbeat(struct fl_agent *agent, const char *text, struct fl_err *err)
{
	if (agent->heartbeat_busy)
		return FL_OK;
	fl_arena_free(&agent->heartbeat_arena);
	enum fl_rc rc = fl_envelope_parse(text, strlen(text), FL_DOC_HEARTBEAT, &agent->heartbeat_arena,
					  &agent->heartbeat, err);
	if (rc != FL_OK)
		return rc;
	struct fl_ipc_signature sigs[FL_SIGS_MAX];
	struct fl_ipc_document document;
	fl_helper_document(&agent->heartbeat, sigs, &document);
	const struct fl_ipc_documents body = {.documents = {&document, 1}};
	fl_helper_call_init(&agent->heartbeat_call, on_heartbeat_taken, agent);
	rc = fl_helper_send(&agent->helper, &agent->heartbeat_call, FL_FRAME_HEARTBEAT, &body,
			    &agent->heartbeat.payload, 1, err);
	agent->heartbeat_busy = rc == FL_OK;
	return rc == FL_E_PEER_CLOSED ? FL_OK : rc;
}

/* ---- the link ------------------------------------------------------------------------------------------- */

static size_t hello_components(const struct fl_ipc_hello_reply *facts, struct fl_wire_component *out)
{
	size_t n = 0;
	for (; n < facts->components.n && n < FL_CONFIG_COMPONENTS_MAX; n++) {
		const struct fl_ipc_component *c = &facts->components.items[n];
		out[n] = (struct fl_wire_component){c->name,	     c->handler,
						    c->slot,	     c->version,
						    c->release_seq, c->security_version,
						    c->release};
	}
	return n;
}

void fl_agent_send_hello(struct fl_agent *agent, struct fl_bytes nonce)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&agent->helper);
	struct fl_wire_component components[FL_CONFIG_COMPONENTS_MAX];
	if (facts == NULL)
		return;
	struct fl_wire_hello hello = {
		.device_id = agent->config.device_id,
		.agent_version = FL_AGENT_VERSION,
		.boot_id = facts->boot_id,
		.nonce = nonce,
		.root_version = agent->trust.root.version, /* the helper gets what it lacks from here */
		.job_seq = facts->job_seq,
		.report_seq = agent->outbox.acked,
		.product = agent->config.product,
		.class_id = agent->config.class_id,
		.hw_rev = agent->config.hw_rev,
	};
	hello.components.items = components;
	hello.components.n = hello_components(facts, components);
	if (fl_link_send(&agent->link, FL_WIRE_HELLO, &hello) == FL_OK)
		fl_outbox_on_link_up(&agent->outbox);
}

void fl_agent_on_link_up(struct fl_agent *agent)
{
	agent->connected_ms = fl_clock_boot_ms(agent->clock);
	agent->hello_wanted = true;
	fl_log(FL_LOG_NOTICE, "connected to %s", agent->config.fleet_url);
	fl_agent_ask_heartbeat(agent);
}

void fl_agent_on_link_down(struct fl_agent *agent)
{
	agent->hello_wanted = false;
	agent->nonce_sent_ns = 0;
}

static enum fl_rc take_roots(struct fl_agent *agent, const struct fl_wire_roots *roots, struct fl_err *err)
{
	for (size_t i = 0; i < roots->envelopes.n; i++) {
		enum fl_rc rc = fl_trust_take_root(&agent->trust,
						   roots->envelopes.items[i].envelope, err);
		if (rc != FL_OK)
			return rc;
		fl_log(FL_LOG_NOTICE, "root document %llu", (unsigned long long)agent->trust.root.version);
	}
	fl_agent_tell_roots(agent);
	return FL_OK;
}

static void take_welcome(struct fl_agent *agent, const struct fl_wire_welcome *welcome)
{
	agent->link.spread_ms = welcome->reconnect_spread_ms;
	fl_outbox_on_ack(&agent->outbox, welcome->report_seq);
}

static void note_round_trip(struct fl_agent *agent)
{
	if (agent->nonce_sent_ns != 0)
		agent->round_trip_us = (uv_hrtime() - agent->nonce_sent_ns) / 1000;
	agent->nonce_sent_ns = 0;
}

union message {
	struct fl_wire_welcome welcome;
	struct fl_wire_roots roots;
	struct fl_wire_job job;
	struct fl_wire_heartbeat heartbeat;
	struct fl_wire_report_ack ack;
};

/* A document that does not verify is refused and told; only what breaks the protocol ends the connection. */
static void dispatch(struct fl_agent *agent, enum fl_wire_type type, const union message *m)
{
	struct fl_err err = {0};
	enum fl_rc rc = FL_OK;
	switch ((int)type) { /* the others go the other way */
	case FL_WIRE_WELCOME:
		take_welcome(agent, &m->welcome);
		break;
	case FL_WIRE_ROOTS:
		rc = take_roots(agent, &m->roots, &err);
		break;
	case FL_WIRE_JOB:
		fl_jobs_on_message(&agent->jobs, m->job.envelope, m->job.release);
		break;
	case FL_WIRE_HEARTBEAT:
		note_round_trip(agent);
		rc = take_heartbeat(agent, m->heartbeat.envelope, &err);
		break;
	case FL_WIRE_REPORT_ACK:
		fl_outbox_on_ack(&agent->outbox, m->ack.report_seq);
		break;
	default:
		break;
	}
	if (rc != FL_OK) {
		fl_log_err(FL_LOG_WARNING, &err, "message %s", fl_wire_name(type));
		fl_outbox_refused(&agent->outbox, &err);
	}
}

enum fl_rc fl_agent_on_message(struct fl_agent *agent, const void *text, size_t len, struct fl_err *err)
{
	enum fl_wire_type type;
	union message m;
	enum fl_rc rc = fl_wire_peek(text, len, &type, err);
	if (rc != FL_OK || type < FL_WIRE_WELCOME || fl_helper_facts(&agent->helper) == NULL)
		return rc; /* without the helper nothing can be done: the fleet tells it all again */
	struct fl_arena arena = FL_ARENA(MESSAGE_MEMORY_MAX);
	rc = fl_wire_decode(type, text, len, &arena, &m, err);
	if (rc == FL_OK)
		dispatch(agent, type, &m);
	fl_arena_free(&arena);
	return rc;
}

/* ---- the helper ----------------------------------------------------------------------------------------- */

static void go_online(struct fl_agent *agent)
{
	if (!agent->identity.enrolled || fl_helper_facts(&agent->helper) == NULL)
		return;
	fl_link_start(&agent->link);
	fl_link_restart(&agent->link); /* a link from before is greeted again */
}

static void on_helper_up(void *ctx)
{
	struct fl_agent *agent = ctx;
	agent->nonce_asked = agent->heartbeat_busy = false;
	fl_agent_on_facts(agent);
	agent->jobs_wait = true;
	if (!send_next_root(agent))
		jobs_go_on(agent);
	go_online(agent);
}

static void on_helper_down(void *ctx)
{
	struct fl_agent *agent = ctx;
	fl_jobs_on_helper_down(&agent->jobs);
}

static void on_staged(void *ctx, const struct fl_ipc_staged *event)
{
	struct fl_agent *agent = ctx;
	fl_jobs_on_staged(&agent->jobs, event);
}

static void on_phase(void *ctx, const struct fl_ipc_phase *event)
{
	struct fl_agent *agent = ctx;
	fl_jobs_on_phase(&agent->jobs, event);
}

static void on_rotten(void *ctx, const struct fl_ipc_rotten *event)
{
	struct fl_agent *agent = ctx;
	struct fl_err why = {0};
	(void)fl_fail(&why, FL_E_FALLBACK_ROTTEN, 0, "slot '%s' of '%s' no longer holds what was committed",
		      event->slot, event->component);
	fl_log_err(FL_LOG_ERROR, &why, "helper");
	fl_outbox_refused(&agent->outbox, &why);
}

void fl_agent_connect(struct fl_agent *agent)
{
	const struct fl_helper_events events = {on_helper_up, on_helper_down, on_staged,
						on_phase,     on_rotten,      agent};
	fl_helper_init(&agent->helper, &agent->loop, agent->config.helper_socket, &events);
	fl_enrol_start(&agent->enrol, agent, go_online);
}
