/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs: the result of each as a struct, and how it is shown. An older agent may say
 * less. */
#include "ctl.h"
#include "show.h"

#define TEXT 4096
#define WORD 256
#define MANY 65536
#define LINE 512

struct component {
	const char *name, *state, *slot, *version;
	uint64_t release_seq, security_version, done_bytes, total_bytes;
};
static const struct fl_field component_fields[] = {
	FL_OPT(struct component, name, STR, WORD, NULL, "component"),
	FL_OPT(struct component, state, STR, WORD, NULL, "state"),
	FL_OPT(struct component, slot, STR, WORD, NULL, "slot"),
	FL_OPT(struct component, version, STR, WORD, NULL, "version"),
	FL_OPT(struct component, release_seq, U64, FL_U53_MAX, NULL, "release_seq"),
	FL_OPT(struct component, security_version, U64, FL_U53_MAX, NULL, "security_version"),
	FL_OPT(struct component, done_bytes, U64, FL_U53_MAX, NULL, "of the image"),
	FL_OPT(struct component, total_bytes, U64, FL_U53_MAX, NULL, "of the image"),
};
static const struct fl_schema component_schema =
	FL_SCHEMA("component", struct component, component_fields, "a component");

struct job {
	const char *job_id, *state, *reason, *text, *next, *intent, *version, *release;
	uint64_t job_seq, offline_seq, until, fetched_bytes, rate_bytes_s, created, updated;
	FL_LIST(struct component) components;
};
static const struct fl_field job_fields[] = {
	FL_REQ(struct job, job_id, STR, WORD, NULL, "id"),
	FL_OPT(struct job, job_seq, U64, FL_U53_MAX, NULL, "number"),
	FL_OPT(struct job, offline_seq, U64, FL_U53_MAX, NULL, "number of its bundle"),
	FL_REQ(struct job, state, STR, WORD, NULL, "state"),
	FL_OPT(struct job, reason, STR, WORD, NULL, "code"),
	FL_OPT(struct job, text, STR, TEXT, NULL, "what happened"),
	FL_OPT(struct job, until, U64, FL_U53_MAX, NULL, "waits until"),
	FL_OPT(struct job, next, STR, TEXT, NULL, "waits for"),
	FL_OPT(struct job, intent, STR, WORD, NULL, "intent"),
	FL_OPT(struct job, version, STR, WORD, NULL, "of the release"),
	FL_OPT(struct job, release, STR, WORD, NULL, "digest of the release"),
	FL_OPT(struct job, fetched_bytes, U64, FL_U53_MAX, NULL, "over the network"),
	FL_OPT(struct job, rate_bytes_s, U64, FL_U53_MAX, NULL, "speed"),
	FL_OPT(struct job, created, U64, FL_U53_MAX, NULL, "seconds since 1970"),
	FL_OPT(struct job, updated, U64, FL_U53_MAX, NULL, "seconds since 1970"),
	FL_OPT(struct job, components, LIST, WORD, &component_schema, "of the job"),
};
static const struct fl_schema job_schema = FL_SCHEMA("job", struct job, job_fields, "a job");

struct fleet {
	bool connected, enrolled;
	const char *url;
	uint64_t since_s;
};
static const struct fl_field fleet_fields[] = {
	FL_OPT(struct fleet, connected, BOOL, 0, NULL, "connected now"),
	FL_OPT(struct fleet, enrolled, BOOL, 0, NULL, "has a certificate"),
	FL_OPT(struct fleet, url, STR, TEXT, NULL, "of the fleet"),
	FL_OPT(struct fleet, since_s, U64, FL_U53_MAX, NULL, "seconds connected"),
};
static const struct fl_schema fleet_schema =
	FL_SCHEMA("fleet", struct fleet, fleet_fields, "the connection to the fleet");

struct helper {
	bool connected, anchor_lost, trial;
	uint64_t root_version, job_seq;
};
static const struct fl_field helper_fields[] = {
	FL_OPT(struct helper, connected, BOOL, 0, NULL, "connected now"),
	FL_OPT(struct helper, anchor_lost, BOOL, 0, NULL, "no job is accepted"),
	FL_OPT(struct helper, trial, BOOL, 0, NULL, "the running slot is on trial"),
	FL_OPT(struct helper, root_version, U64, FL_U53_MAX, NULL, "root document"),
	FL_OPT(struct helper, job_seq, U64, FL_U53_MAX, NULL, "highest accepted"),
};
static const struct fl_schema helper_schema =
	FL_SCHEMA("helper", struct helper, helper_fields, "the helper");

struct status {
	const char *device_id, *product, *version, *degraded, *running_slot, *boot_id, *boot_failure;
	const struct fleet *fleet;
	const struct helper *helper;
	FL_LIST(struct component) components;
	FL_LIST(const char *) protections;
	const struct job *job;
};
static const struct fl_field status_fields[] = {
	FL_REQ(struct status, device_id, STR, WORD, NULL, "device"),
	FL_OPT(struct status, product, STR, WORD, NULL, "product"),
	FL_OPT(struct status, version, STR, WORD, NULL, "of the agent"),
	FL_OPT(struct status, degraded, STR, TEXT, NULL, "why nothing can be done"),
	FL_OPT(struct status, running_slot, STR, WORD, NULL, "slot that runs"),
	FL_OPT(struct status, boot_id, STR, WORD, NULL, "this boot"),
	FL_OPT(struct status, boot_failure, STR, TEXT, NULL, "the last failed boot"),
	FL_OPT(struct status, fleet, OBJECT, 0, &fleet_schema, "connection to the fleet"),
	FL_OPT(struct status, helper, OBJECT, 0, &helper_schema, "the helper"),
	FL_OPT(struct status, components, LIST, WORD, &component_schema, "what runs"),
	FL_OPT(struct status, protections, STRINGS, WORD, NULL, "in force"),
	FL_OPT(struct status, job, OBJECT, 0, &job_schema, "the present job"),
};
static const struct fl_schema status_schema =
	FL_SCHEMA("status", struct status, status_fields, "the gateway");

struct job_list {
	FL_LIST(struct job) jobs;
};
static const struct fl_field job_list_fields[] = {
	FL_REQ(struct job_list, jobs, LIST, MANY, &job_schema, "jobs"),
};
static const struct fl_schema job_list_schema =
	FL_SCHEMA("jobs", struct job_list, job_list_fields, "the jobs of this gateway");

struct log_line {
	uint64_t utc, level;
	const char *text;
};
static const struct fl_field log_line_fields[] = {
	FL_OPT(struct log_line, utc, U64, FL_U53_MAX, NULL, "seconds since 1970"),
	FL_OPT(struct log_line, level, U64, FL_U53_MAX, NULL, "of syslog"),
	FL_REQ(struct log_line, text, STR, TEXT, NULL, "line"),
};
static const struct fl_schema log_line_schema =
	FL_SCHEMA("line", struct log_line, log_line_fields, "a line of the log");

struct log {
	FL_LIST(struct log_line) lines;
};
static const struct fl_field log_fields[] = {
	FL_REQ(struct log, lines, LIST, MANY, &log_line_schema, "oldest first"),
};
static const struct fl_schema log_schema =
	FL_SCHEMA("log", struct log, log_fields, "the last lines of the log");

struct rule {
	const char *rule, *verdict, *text;
};
static const struct fl_field rule_fields[] = {
	FL_OPT(struct rule, rule, STR, WORD, NULL, "who was asked"),
	FL_OPT(struct rule, verdict, STR, WORD, NULL, "its answer"),
	FL_OPT(struct rule, text, STR, TEXT, NULL, "in words"),
};
static const struct fl_schema rule_schema =
	FL_SCHEMA("rule", struct rule, rule_fields, "one rule that was asked");

struct why {
	const char *answer, *code, *next, *job_id;
	uint64_t until;
	FL_LIST(struct rule) chain;
};
static const struct fl_field why_fields[] = {
	FL_REQ(struct why, answer, STR, TEXT, NULL, "in words"),
	FL_OPT(struct why, code, STR, WORD, NULL, "reason"),
	FL_OPT(struct why, next, STR, TEXT, NULL, "what is waited for"),
	FL_OPT(struct why, job_id, STR, WORD, NULL, "the job it is about"),
	FL_OPT(struct why, until, U64, FL_U53_MAX, NULL, "until when"),
	FL_OPT(struct why, chain, LIST, WORD, &rule_schema, "every rule asked"),
};
static const struct fl_schema why_schema =
	FL_SCHEMA("why", struct why, why_fields, "why it is not updating, and until when");

static void show_progress(FILE *out, const struct component *c, uint64_t rate_bytes_s)
{
	char line[LINE], done[FL_WORDS_MAX], total[FL_WORDS_MAX], rate[FL_WORDS_MAX];
	if (c->total_bytes == 0)
		return;
	(void)snprintf(line, sizeof(line), "%s: %.0f %%, %s of %s%s%s%s", fl_ctl_or_dash(c->name),
		       100.0 * (double)c->done_bytes / (double)c->total_bytes,
		       fl_words_size(c->done_bytes, done), fl_words_size(c->total_bytes, total),
		       rate_bytes_s == 0 ? "" : ", ",
		       rate_bytes_s == 0 ? "" : fl_words_size(rate_bytes_s, rate),
		       rate_bytes_s == 0 ? "" : "/s");
	fl_ctl_line(out, "", line);
}

static void show_job(FILE *out, const struct job *job)
{
	char line[LINE], when[FL_WORDS_MAX];
	(void)snprintf(line, sizeof(line), "%s (%s %s)", job->job_id, fl_ctl_or_dash(job->intent),
		       fl_ctl_or_dash(job->version));
	fl_ctl_line(out, "job", line);
	(void)snprintf(line, sizeof(line), "%s%s%s%s%s", job->state,
		       job->reason == NULL ? "" : ", ", job->reason == NULL ? "" : job->reason,
		       job->text == NULL ? "" : ": ", job->text == NULL ? "" : job->text);
	fl_ctl_line(out, "state", line);
	for (size_t i = 0; i < job->components.n; i++)
		show_progress(out, &job->components.items[i], job->rate_bytes_s);
	if (job->until > 0)
		fl_ctl_line(out, "until", fl_words_time(job->until, fl_words_now(), when));
	if (job->next != NULL)
		fl_ctl_line(out, "waits for", job->next);
	fl_ctl_line(out, "updated", fl_words_time(job->updated, fl_words_now(), when));
}

static void show_fleet(FILE *out, const struct fleet *fleet)
{
	char line[LINE], when[FL_WORDS_MAX];
	if (fleet->connected)
		(void)snprintf(line, sizeof(line), "connected to %s since %s", fl_ctl_or_dash(fleet->url),
			       fl_words_time(fl_words_now() - fleet->since_s, fl_words_now(), when));
	else
		(void)snprintf(line, sizeof(line), "%s, not connected to %s",
			       fleet->enrolled ? "enrolled" : "not enrolled", fl_ctl_or_dash(fleet->url));
	fl_ctl_line(out, "fleet", line);
}

static void show_helper(FILE *out, const struct helper *helper)
{
	char line[LINE];
	(void)snprintf(line, sizeof(line), "%s, root version %llu, last job %llu%s%s",
		       helper->connected ? "connected" : "does not answer",
		       (unsigned long long)helper->root_version,
		       (unsigned long long)helper->job_seq,
		       helper->anchor_lost ? ", its anchor was lost: no job is accepted" : "",
		       helper->trial ? ", the running system is on trial" : "");
	fl_ctl_line(out, "helper", line);
}

static void show_running(FILE *out, const struct component *c)
{
	char line[LINE];
	(void)snprintf(line, sizeof(line), "%s %s%s%s (release_seq %llu, security_version %llu)",
		       fl_ctl_or_dash(c->name), fl_ctl_or_dash(c->version), c->slot == NULL ? "" : " in slot ",
		       c->slot == NULL ? "" : c->slot, (unsigned long long)c->release_seq,
		       (unsigned long long)c->security_version);
	fl_ctl_line(out, "runs", line);
}

static void show_status(const struct fl_ctl_call *call, const void *result)
{
	const struct status *s = result;
	fl_ctl_line(call->out, "device", s->device_id);
	fl_ctl_line(call->out, "product", s->product);
	fl_ctl_line(call->out, "agent", s->version);
	if (s->degraded != NULL)
		fl_ctl_line(call->out, "", s->degraded);
	if (s->fleet != NULL)
		show_fleet(call->out, s->fleet);
	if (s->helper != NULL)
		show_helper(call->out, s->helper);
	for (size_t i = 0; i < s->components.n; i++)
		show_running(call->out, &s->components.items[i]);
	fl_ctl_line(call->out, "boot", s->boot_id);
	if (s->boot_failure != NULL)
		fl_ctl_line(call->out, "failed boot", s->boot_failure);
	for (size_t i = 0; i < s->protections.n; i++)
		fl_ctl_line(call->out, i == 0 ? "protections" : "", s->protections.items[i]);
	if (s->job != NULL)
		show_job(call->out, s->job);
}

static void show_jobs(const struct fl_ctl_call *call, const void *result)
{
	const struct job_list *list = result;
	for (size_t i = 0; i < list->jobs.n; i++) {
		if (i > 0)
			(void)fputc('\n', call->out);
		show_job(call->out, &list->jobs.items[i]);
	}
	if (list->jobs.n == 0)
		(void)fputs("No job.\n", call->out);
}

static bool no_jobs(const void *result)
{
	return ((const struct job_list *)result)->jobs.n == 0;
}

static void show_log(const struct fl_ctl_call *call, const void *result)
{
	static const char *const levels[] = {"emergency", "alert",  "critical", "error",
					     "warning",	  "notice", "info",	"debug"};
	const struct log *log = result;
	size_t first = call->lines > 0 && call->lines < log->lines.n
			       ? log->lines.n - (size_t)call->lines
			       : 0;
	for (size_t i = first; i < log->lines.n; i++) {
		const struct log_line *line = &log->lines.items[i];
		char when[FL_WORDS_MAX];
		(void)fprintf(call->out, "%.20s %-7s ", fl_words_time(line->utc, 0, when),
			      levels[line->level < 8 ? line->level : 7]);
		fl_words_print_clean(call->out, line->text);
		(void)fputc('\n', call->out);
	}
}

static bool no_lines(const void *result)
{
	return ((const struct log *)result)->lines.n == 0;
}

static void show_why(const struct fl_ctl_call *call, const void *result)
{
	const struct why *why = result;
	char when[FL_WORDS_MAX], line[LINE];
	fl_ctl_line(call->out, "answer", why->answer);
	fl_ctl_line(call->out, "reason", why->code);
	if (why->until > 0)
		fl_ctl_line(call->out, "until", fl_words_time(why->until, fl_words_now(), when));
	if (why->next != NULL)
		fl_ctl_line(call->out, "waits for", why->next);
	for (size_t i = 0; i < why->chain.n; i++) {
		const struct rule *rule = &why->chain.items[i];
		(void)snprintf(line, sizeof(line), "%s: %s%s%s", fl_ctl_or_dash(rule->rule),
			       fl_ctl_or_dash(rule->verdict), fl_ctl_or_dash(rule->text)[0] == '-' ? "" : ", ",
			       rule->text == NULL ? "" : rule->text);
		fl_ctl_line(call->out, i == 0 ? "asked" : "", line);
	}
}

const struct fl_ctl_verb fl_ctl_verbs[] = {
	{"status", "what runs, what it is connected to, what it does", &status_schema, show_status,
	 NULL, NULL, false},
	{"jobs", "the jobs of this gateway", &job_list_schema, show_jobs, no_jobs, NULL, false},
	{"log", "the last lines of the log, kept over restarts", &log_schema, show_log, no_lines,
	 NULL, false},
	{"why", "why it is not updating, and until when", &why_schema, show_why, NULL, NULL, false},
	{"install", "FILE: install from an offline bundle", NULL, NULL, NULL, fl_ctl_install, true},
	{"anchor", "reset: take jobs without the fleet's word which are over (root)", NULL, NULL, NULL,
	 fl_ctl_anchor, true},
	{"doctor", "whether it could come back from a bad update", NULL, NULL, NULL, fl_ctl_doctor,
	 false},
};
const size_t fl_ctl_n_verbs = sizeof(fl_ctl_verbs) / sizeof(fl_ctl_verbs[0]);
