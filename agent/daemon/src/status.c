/* SPDX-License-Identifier: Apache-2.0 */
/* What fairleadctl shows: status, jobs, log, why (docs/protocol.md, section 5). */
#include "agent.h"

#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_MEMORY_MAX ((size_t)2 * 1024 * 1024)
#define LOG_LINES_MAX  2000 /* the newest; the strict lexer of the other end takes 20,000 tokens */
#define RELEASE_MEMORY_MAX ((size_t)4 * 1024 * 1024)
#define WORD_MAX       64
#define TEXT_MAX       512

/* ---- the objects ---------------------------------------------------------------------------------------- */

struct component_view {
	const char *name, *state, *slot, *version;
	uint64_t release_seq, security_version, done_bytes, total_bytes;
};

static const struct fl_field component_fields[] = {
	FL_REQ(struct component_view, name, STR, WORD_MAX, NULL, "component"),
	FL_OPT(struct component_view, state, STR, WORD_MAX, NULL, "in this job"),
	FL_OPT(struct component_view, slot, STR, WORD_MAX, NULL, "running slot"),
	FL_OPT(struct component_view, version, STR, TEXT_MAX, NULL, "running"),
	FL_OPT(struct component_view, release_seq, U64, FL_U53_MAX, NULL, "running"),
	FL_OPT(struct component_view, security_version, U64, FL_U53_MAX, NULL, "running"),
	FL_OPT(struct component_view, done_bytes, U64, FL_U53_MAX, NULL, "right in the target"),
	FL_OPT(struct component_view, total_bytes, U64, FL_U53_MAX, NULL, "of the image"),
};
static const struct fl_schema component_schema =
	FL_SCHEMA("component", struct component_view, component_fields, "");

struct job_view {
	const char *job_id;
	uint64_t job_seq, offline_seq;
	const char *state, *reason, *text, *next, *intent, *version;
	uint64_t until;
	struct fl_digest release;
	uint64_t fetched_bytes, rate_bytes_s;
	uint64_t created, updated;
	FL_LIST(struct component_view) components;
};

static const struct fl_field job_fields[] = {
	FL_REQ(struct job_view, job_id, STR, WORD_MAX, NULL, "UUID"),
	FL_REQ(struct job_view, job_seq, U64, FL_U53_MAX, NULL, "number; of an offline job that of the job before it"),
	FL_OPT(struct job_view, offline_seq, U64, FL_U53_MAX, NULL, "number of its bundle"),
	FL_REQ(struct job_view, state, STR, WORD_MAX, NULL, "state"),
	FL_OPT(struct job_view, reason, STR, WORD_MAX, NULL, "code"),
	FL_OPT(struct job_view, text, STR, TEXT_MAX, NULL, "for people"),
	FL_OPT(struct job_view, until, U64, FL_U53_MAX, NULL, "waits until"),
	FL_OPT(struct job_view, next, STR, WORD_MAX, NULL, "waits for"),
	FL_OPT(struct job_view, intent, STR, WORD_MAX, NULL, "install, …"),
	FL_OPT(struct job_view, release, DIGEST, 0, NULL, "pinned"),
	FL_OPT(struct job_view, version, STR, TEXT_MAX, NULL, "of the release"),
	FL_OPT(struct job_view, fetched_bytes, U64, FL_U53_MAX, NULL, "over the network"),
	FL_OPT(struct job_view, rate_bytes_s, U64, FL_U53_MAX, NULL, "now"),
	FL_OPT(struct job_view, created, U64, FL_U53_MAX, NULL, "UTC"),
	FL_OPT(struct job_view, updated, U64, FL_U53_MAX, NULL, "UTC"),
	FL_REQ(struct job_view, components, LIST, FL_STORE_COMPONENTS_MAX, &component_schema, "of the job"),
};
static const struct fl_schema job_schema = FL_SCHEMA("job", struct job_view, job_fields, "");

struct jobs_view {
	FL_LIST(struct job_view) jobs;
};

static const struct fl_field jobs_fields[] = {
	FL_REQ(struct jobs_view, jobs, LIST, FL_STORE_JOBS_MAX, &job_schema, "ascending job_seq"),
};
static const struct fl_schema jobs_schema = FL_SCHEMA("jobs", struct jobs_view, jobs_fields, "");

struct fleet_view {
	bool connected, enrolled;
	const char *url;
	uint64_t since_s;
};

static const struct fl_field fleet_fields[] = {
	FL_REQ(struct fleet_view, connected, BOOL, 0, NULL, "now"),
	FL_REQ(struct fleet_view, enrolled, BOOL, 0, NULL, "has a certificate"),
	FL_REQ(struct fleet_view, url, STR, TEXT_MAX, NULL, "of the fleet"),
	FL_OPT(struct fleet_view, since_s, U64, FL_U53_MAX, NULL, "seconds connected"),
};
static const struct fl_schema fleet_schema = FL_SCHEMA("fleet", struct fleet_view, fleet_fields, "");

struct helper_view {
	bool connected, anchor_lost, trial;
	uint64_t root_version, job_seq, offline_seq;
};

static const struct fl_field helper_fields[] = {
	FL_REQ(struct helper_view, connected, BOOL, 0, NULL, "now"),
	FL_REQ(struct helper_view, anchor_lost, BOOL, 0, NULL, "no job is accepted"),
	FL_REQ(struct helper_view, trial, BOOL, 0, NULL, "the running slot is on trial"),
	FL_REQ(struct helper_view, root_version, U64, FL_U53_MAX, NULL, "root document"),
	FL_REQ(struct helper_view, job_seq, U64, FL_U53_MAX, NULL, "highest accepted"),
	FL_REQ(struct helper_view, offline_seq, U64, FL_U53_MAX, NULL, "the same of bundles"),
};
static const struct fl_schema helper_schema = FL_SCHEMA("helper", struct helper_view, helper_fields, "");

struct status_view {
	const char *device_id, *product, *version, *degraded, *running_slot, *boot_id, *boot_failure;
	uint64_t pid;
	const struct fleet_view *fleet;
	const struct helper_view *helper;
	FL_LIST(struct component_view) components;
	FL_LIST(const char *) protections;
	const struct job_view *job;
};

static const struct fl_field status_fields[] = {
	FL_REQ(struct status_view, device_id, STR, WORD_MAX, NULL, "name"),
	FL_REQ(struct status_view, product, STR, WORD_MAX, NULL, "product"),
	FL_REQ(struct status_view, version, STR, WORD_MAX, NULL, "of the agent"),
	FL_OPT(struct status_view, degraded, STR, TEXT_MAX, NULL, "why nothing can be done"),
	FL_REQ(struct status_view, pid, U64, FL_U53_MAX, NULL, "of the agent"),
	FL_REQ(struct status_view, fleet, OBJECT, 0, &fleet_schema, "connection"),
	FL_REQ(struct status_view, helper, OBJECT, 0, &helper_schema, "connection"),
	FL_OPT(struct status_view, running_slot, STR, WORD_MAX, NULL, "slot"),
	FL_OPT(struct status_view, boot_id, STR, WORD_MAX, NULL, "this boot"),
	FL_OPT(struct status_view, boot_failure, STR, TEXT_MAX, NULL, "the last failed boot"),
	FL_REQ(struct status_view, components, LIST, FL_CONFIG_COMPONENTS_MAX, &component_schema, "running"),
	FL_REQ(struct status_view, protections, STRINGS, 64, NULL, "in force"),
	FL_OPT(struct status_view, job, OBJECT, 0, &job_schema, "the present one"),
};
static const struct fl_schema status_schema = FL_SCHEMA("status", struct status_view, status_fields, "");

struct line_view {
	uint64_t utc, level;
	const char *text;
};

static const struct fl_field line_fields[] = {
	FL_REQ(struct line_view, utc, U64, FL_U53_MAX, NULL, "seconds since 1970"),
	FL_REQ(struct line_view, level, U64, 7, NULL, "of syslog"),
	FL_REQ(struct line_view, text, STR, 1024, NULL, "line"),
};
static const struct fl_schema line_schema = FL_SCHEMA("line", struct line_view, line_fields, "");

struct log_view {
	FL_LIST(struct line_view) lines;
};

static const struct fl_field log_fields[] = {
	FL_REQ(struct log_view, lines, LIST, LOG_LINES_MAX, &line_schema, "oldest first"),
};
static const struct fl_schema log_schema = FL_SCHEMA("log", struct log_view, log_fields, "");

struct rule_view {
	const char *rule, *verdict, *text;
};

static const struct fl_field rule_fields[] = {
	FL_REQ(struct rule_view, rule, STR, WORD_MAX, NULL, "who was asked"),
	FL_REQ(struct rule_view, verdict, STR, WORD_MAX, NULL, "go, wait_until, wait_for, refuse"),
	FL_REQ(struct rule_view, text, STR, TEXT_MAX, NULL, "its answer"),
};
static const struct fl_schema rule_schema = FL_SCHEMA("rule", struct rule_view, rule_fields, "");

struct why_view {
	const char *answer, *code, *next, *job_id;
	uint64_t until;
	FL_LIST(struct rule_view) chain;
};

static const struct fl_field why_fields[] = {
	FL_REQ(struct why_view, answer, STR, TEXT_MAX, NULL, "in words"),
	FL_REQ(struct why_view, code, STR, WORD_MAX, NULL, "reason code"),
	FL_OPT(struct why_view, job_id, STR, WORD_MAX, NULL, "the job it is about"),
	FL_OPT(struct why_view, until, U64, FL_U53_MAX, NULL, "UTC"),
	FL_OPT(struct why_view, next, STR, WORD_MAX, NULL, "what is waited for"),
	FL_REQ(struct why_view, chain, LIST, FL_POLICY_REASONS_MAX + 2, &rule_schema, "every rule asked"),
};
static const struct fl_schema why_schema = FL_SCHEMA("why", struct why_view, why_fields, "");

/* ---- the verbs ------------------------------------------------------------------------------------------ */

static const char *text_or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

/* What a view of a job borrows. */
struct job_parts {
	struct component_view components[FL_STORE_COMPONENTS_MAX];
	char version[TEXT_MAX];
};

/*
 * The release of a job that had ended before this start isn't verified again: it may have been revoked since. It is the one
 * that the job pinned, by its digest; that is enough to tell its version.
 */
static void version_of_old(const struct fl_job_run *run, char version[TEXT_MAX])
{
	struct fl_arena arena = FL_ARENA(RELEASE_MEMORY_MAX);
	struct fl_envelope env;
	struct fl_digest digest;
	struct fl_release release;
	const char *text = run->release_text;
	version[0] = '\0';
	if (text != NULL &&
	    fl_envelope_parse(text, strlen(text), FL_DOC_RELEASE, &arena, &env, NULL) == FL_OK &&
	    fl_envelope_digest(&env, &digest, NULL) == FL_OK && fl_digest_equal(&digest, &run->row.release) &&
	    fl_release_decode(env.payload, &arena, &release, NULL) == FL_OK)
		snprintf(version, TEXT_MAX, "%s", release.version);
	fl_arena_free(&arena);
}

static struct job_view view_job(const struct fl_job_run *run, struct job_parts *parts)
{
	const struct fl_store_job *row = &run->row;
	struct component_view *views = parts->components;
	if (run->has_release)
		snprintf(parts->version, sizeof(parts->version), "%s", run->release.version);
	else
		version_of_old(run, parts->version);
	const bool active = !fl_job_state_final(row->state);
	struct job_view v = {
		.job_id = row->job_id,
		.job_seq = row->job_seq,
		.offline_seq = run->offline_seq,
		.state = fl_job_state_name(row->state),
		.reason = row->reason == FL_OK ? NULL : fl_rc_name(row->reason),
		.text = text_or_null(row->text),
		.next = text_or_null(row->next),
		.until = row->until_s,
		.intent = run->job.intent,
		.release = row->release,
		.version = text_or_null(parts->version),
		.fetched_bytes = active ? run->fetched_bytes : 0,
		.rate_bytes_s = row->state == FL_JOB_STAGING ? run->rate_bytes_s : 0,
		.created = (uint64_t)row->created_s,
		.updated = (uint64_t)row->updated_s,
	};
	for (size_t i = 0; i < row->n_components; i++) {
		const bool present = active && i == run->step_index;
		views[i] = (struct component_view){
			.name = row->components[i].name,
			.state = fl_job_state_name(row->components[i].state),
			.done_bytes = present ? run->done_bytes : 0,
			.total_bytes = present ? run->total_bytes : 0,
		};
	}
	v.components.items = views;
	v.components.n = row->n_components;
	return v;
}

static size_t view_running(const struct fl_ipc_hello_reply *facts, struct component_view *views)
{
	size_t n = 0;
	for (size_t i = 0; facts != NULL && i < facts->components.n && n < FL_CONFIG_COMPONENTS_MAX; i++) {
		const struct fl_ipc_component *c = &facts->components.items[i];
		views[n++] = (struct component_view){.name = c->name,
						     .slot = c->slot,
						     .version = c->version,
						     .release_seq = c->release_seq,
						     .security_version = c->security_version};
	}
	return n;
}

static enum fl_rc answer_status(struct fl_agent *agent, struct fl_buf *out, struct fl_err *err)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&agent->helper);
	const struct fl_job_run *run = fl_jobs_current(&agent->jobs);
	struct component_view running[FL_CONFIG_COMPONENTS_MAX];
	struct job_parts parts;
	const bool up = fl_link_up(&agent->link);
	const struct fleet_view fleet = {
		.connected = up,
		.enrolled = agent->identity.enrolled,
		.url = agent->config.fleet_url,
		.since_s = up ? (fl_clock_boot_ms(agent->clock) - agent->connected_ms) / 1000 : 0,
	};
	struct helper_view helper = {.connected = facts != NULL};
	struct job_view job;
	struct status_view v = {.device_id = agent->config.device_id,
				.product = agent->config.product,
				.version = FL_AGENT_VERSION,
				.degraded = text_or_null(agent->degraded.msg),
				.pid = (uint64_t)getpid(),
				.fleet = &fleet,
				.helper = &helper};
	if (facts != NULL) {
		helper.anchor_lost = facts->anchor_lost;
		helper.trial = facts->trial;
		helper.root_version = facts->root_version;
		helper.job_seq = facts->job_seq;
		helper.offline_seq = facts->offline_seq;
		v.boot_id = facts->boot_id;
		v.boot_failure = facts->boot_failure;
		v.protections.items = facts->protections.items;
		v.protections.n = facts->protections.n;
	}
	v.components.items = running;
	v.components.n = view_running(facts, running);
	v.running_slot = v.components.n > 0 ? running[0].slot : NULL;
	if (run != NULL) {
		job = view_job(run, &parts);
		v.job = &job;
	}
	return fl_json_encode(&status_schema, &v, out, err);
}

static enum fl_rc answer_jobs(struct fl_agent *agent, struct fl_buf *out, struct fl_err *err)
{
	static struct job_view views[FL_STORE_JOBS_MAX];
	static struct job_parts parts[FL_STORE_JOBS_MAX];
	struct jobs_view v = {.jobs = {views, 0}};
	for (const struct fl_job_run *r = agent->jobs.first; r != NULL && v.jobs.n < FL_STORE_JOBS_MAX;
	     r = r->next) {
		views[v.jobs.n] = view_job(r, &parts[v.jobs.n]);
		v.jobs.n++;
	}
	return fl_json_encode(&jobs_schema, &v, out, err);
}

static enum fl_rc answer_log(struct fl_agent *agent, struct fl_buf *out, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(LOG_MEMORY_MAX);
	struct fl_log_line *lines = NULL;
	size_t n = 0;
	enum fl_rc rc = agent->ring == NULL ? FL_OK : fl_log_ring_lines(agent->ring, &arena, &lines, &n, err);
	struct line_view *views = rc == FL_OK ? fl_arena_alloc(&arena, (n + 1) * sizeof(*views), err) : NULL;
	if (rc == FL_OK && views == NULL)
		rc = err->rc;
	const size_t skip = n > LOG_LINES_MAX ? n - LOG_LINES_MAX : 0;
	for (size_t i = skip; views != NULL && i < n; i++)
		views[i - skip] = (struct line_view){lines[i].utc < 0 ? 0 : (uint64_t)lines[i].utc,
						     lines[i].level > 7 ? 7 : lines[i].level,
						     lines[i].text};
	const struct log_view v = {.lines = {views, n - skip}};
	if (rc == FL_OK)
		rc = fl_json_encode(&log_schema, &v, out, err);
	fl_arena_free(&arena);
	return rc;
}

static const char *verdict_name(enum fl_verdict verdict)
{
	switch (verdict) {
	case FL_GO:
		return "go";
	case FL_WAIT_UNTIL:
		return "wait_until";
	case FL_WAIT_FOR:
		return "wait_for";
	case FL_REFUSE:
		return "refuse";
	}
	return "refuse";
}

/* With no job under way the answer is about the link, without which none can come. */
static void why_no_job(const struct fl_agent *agent, const struct fl_job_run *last, struct why_view *v)
{
	if (agent->degraded.rc != FL_OK) {
		v->answer = agent->degraded.msg;
		v->code = fl_rc_name(agent->degraded.rc);
		v->next = "storage";
	} else if (!agent->identity.enrolled) {
		v->answer = "this device is not enrolled: pre-authorise its identity on the fleet";
		v->code = "not_enrolled";
		v->next = "enrolment";
	} else if (fl_helper_facts(&agent->helper) == NULL) {
		v->answer = "the helper does not answer: nothing can be installed";
		v->code = "peer_closed";
		v->next = "helper";
	} else if (!fl_link_up(&agent->link)) {
		v->answer = "the fleet cannot be reached";
		v->code = "unreachable";
		v->next = "network";
	} else {
		v->answer = last == NULL ? "there is no job for this device"
					 : "nothing to do: the last job has ended";
		v->code = last == NULL || last->row.reason == FL_OK ? "ok" : fl_rc_name(last->row.reason);
	}
}

static enum fl_rc answer_why(struct fl_agent *agent, struct fl_buf *out, struct fl_err *err)
{
	const struct fl_job_run *run = fl_jobs_current(&agent->jobs);
	struct rule_view rules[FL_POLICY_REASONS_MAX + 2];
	struct why_view v = {.chain = {rules, 0}};
	char answer[TEXT_MAX];
	if (run == NULL || fl_job_state_final(run->row.state)) {
		why_no_job(agent, run, &v);
	} else {
		snprintf(answer, sizeof(answer), "job %s is %s%s%s", run->row.job_id,
			 fl_job_state_name(run->row.state), run->row.text[0] != '\0' ? ": " : "",
			 run->row.text);
		v.answer = answer;
		v.code = fl_rc_name(run->row.reason);
		v.until = run->row.until_s;
		v.next = text_or_null(run->row.next);
	}
	if (run != NULL) {
		v.job_id = run->row.job_id;
		rules[v.chain.n++] = (struct rule_view){"job", fl_job_state_name(run->row.state),
							run->row.text};
		for (size_t i = 0; i < run->policy.n_reasons; i++) {
			const struct fl_policy_reason *r = &run->policy.reasons[i];
			rules[v.chain.n++] =
				(struct rule_view){r->rule, verdict_name(r->verdict), r->text};
		}
	}
	return fl_json_encode(&why_schema, &v, out, err);
}

enum fl_rc fl_status_answer(struct fl_agent *agent, const char *verb, struct fl_buf *out,
			    struct fl_err *err)
{
	static const struct {
		const char *verb;
		enum fl_rc (*answer)(struct fl_agent *agent, struct fl_buf *out, struct fl_err *err);
	} verbs[] = {{"status", answer_status},
		     {"jobs", answer_jobs},
		     {"log", answer_log},
		     {"why", answer_why}};
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].verb, verb) == 0)
			return verbs[i].answer(agent, out, err);
	}
	return fl_fail(err, FL_E_BAD_REQUEST, 0, "unknown verb");
}
