/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: is this gateway able to come back? fairlead-boot's own findings, the last proof of the
 * fallback, and what the agent says of slots and protections. Each of the three is shown also when
 * the others do not answer.
 */
#include "boot.h"
#include "ctl.h"
#include "show.h"

#include <fairlead/trust/json.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FINDINGS_MAX 64
#define TEXT_MAX     512
#define FOUND_FAULT  3 /* the exit status of fairlead-boot doctor */

struct finding {
	bool ok;
	const char *text;
};
static const struct fl_field finding_fields[] = {
	FL_REQ(struct finding, ok, BOOL, 0, NULL, "no fault"),
	FL_REQ(struct finding, text, STR, TEXT_MAX, NULL, "what was looked at"),
};
static const struct fl_schema finding_schema =
	FL_SCHEMA("finding", struct finding, finding_fields, "a finding");

struct doctor {
	bool ok;
	const char *text, *agent, *helper;
	const char *running, *good, *trial, *proof;
	FL_LIST(const char *) protections;
	FL_LIST(struct finding) findings;
};
static const struct fl_field doctor_fields[] = {
	FL_REQ(struct doctor, ok, BOOL, 0, NULL,
	       "all that was asked answers, and no fault was found"),
	FL_OPT(struct doctor, text, STR, TEXT_MAX, NULL, "why fairlead-boot could not be asked"),
	FL_OPT(struct doctor, running, STR, TEXT_MAX, NULL, "slot"),
	FL_OPT(struct doctor, good, STR, TEXT_MAX, NULL, "the fallback"),
	FL_OPT(struct doctor, trial, STR, TEXT_MAX, NULL, "on trial"),
	FL_OPT(struct doctor, proof, STR, TEXT_MAX, NULL,
	       "how the last proof of the fallback ended"),
	FL_REQ(struct doctor, agent, STR, TEXT_MAX, NULL, "ok, or why it does not answer"),
	FL_REQ(struct doctor, helper, STR, TEXT_MAX, NULL, "ok, or what it lacks"),
	FL_REQ(struct doctor, protections, STRINGS, 64, NULL, "in force"),
	FL_REQ(struct doctor, findings, LIST, FINDINGS_MAX, &finding_schema, "of fairlead-boot"),
};
static const struct fl_schema doctor_schema =
	FL_SCHEMA("doctor", struct doctor, doctor_fields, "the self-test");

/* What the agent's `status` says that matters here. */
struct agent_view {
	const struct helper_view {
		bool connected, anchor_lost;
	} * helper;
	FL_LIST(const char *) protections;
};
static const struct fl_field helper_fields[] = {
	FL_OPT(struct helper_view, connected, BOOL, 0, NULL, "now"),
	FL_OPT(struct helper_view, anchor_lost, BOOL, 0, NULL, "no job is accepted"),
};
static const struct fl_schema helper_schema =
	FL_SCHEMA("helper", struct helper_view, helper_fields, "");
static const struct fl_field agent_fields[] = {
	FL_OPT(struct agent_view, helper, OBJECT, 0, &helper_schema, "connection"),
	FL_OPT(struct agent_view, protections, STRINGS, 64, NULL, "in force"),
};
static const struct fl_schema agent_schema =
	FL_SCHEMA("status", struct agent_view, agent_fields, "");

struct visit {
	struct fl_arena arena;
	struct fl_ctl_boot boot;
	struct doctor doctor;
	struct finding findings[FINDINGS_MAX];
	enum fl_ctl_exit exit;
};

static const char *keep(struct visit *v, const char *text, size_t len)
{
	struct fl_err err;
	const char *copy =
		fl_arena_copy(&v->arena, text, len < TEXT_MAX ? len : TEXT_MAX - 1, &err);
	return copy == NULL ? "" : copy;
}

/* "ok    text" or "FAULT text", one per line; a line of another kind is something that went wrong.
 */
static void take_finding(struct visit *v, const char *line, size_t len)
{
	const bool ok = len > 6 && strncmp(line, "ok    ", 6) == 0;
	const bool fault = len > 6 && strncmp(line, "FAULT ", 6) == 0;
	if (v->doctor.findings.n == FINDINGS_MAX || len == 0)
		return;
	v->findings[v->doctor.findings.n++] =
		(struct finding){ok, ok || fault ? keep(v, line + 6, len - 6) : keep(v, line, len)};
}

static void take_findings(struct visit *v)
{
	const char *text = v->boot.output.len == 0 ? "" : fl_buf_str(&v->boot.output);
	while (*text != '\0') {
		const size_t len = strcspn(text, "\n");
		take_finding(v, text, len);
		text += len + (text[len] == '\n');
	}
}

static void boot_is_silent(struct visit *v, const struct fl_err *err)
{
	v->doctor.text = keep(v, err->msg, strlen(err->msg));
	v->exit = FL_CTL_FAILED;
}

static void ask_boot(struct visit *v)
{
	struct fl_err err = {0};
	struct fl_ctl_slots slots = {0};
	char proof[TEXT_MAX];
	int status = 0;
	if (fl_ctl_boot_note(&v->boot, "proof", proof, sizeof(proof)) == FL_OK)
		v->doctor.proof = keep(v, proof, strlen(proof));
	if (v->doctor.proof != NULL && strncmp(v->doctor.proof, "ok ", 3) != 0)
		v->exit = FL_CTL_FAILED;
	enum fl_rc rc = fl_ctl_boot_run(&v->boot, "doctor", &status, &err);
	if (rc == FL_OK && status != 0 && status != FOUND_FAULT)
		rc = fl_ctl_boot_fail(&v->boot, "doctor", status, &err);
	if (rc == FL_OK)
		take_findings(v);
	if (rc == FL_OK && status != 0)
		v->exit = FL_CTL_FAILED;
	if (rc == FL_OK && fl_ctl_boot_slots(&v->boot, &v->arena, &slots, &err) == FL_OK) {
		v->doctor.running = slots.running;
		v->doctor.good = slots.good;
		v->doctor.trial = slots.trial;
	}
	if (rc != FL_OK)
		boot_is_silent(v, &err);
}

static void take_status(struct visit *v, const struct agent_view *view)
{
	v->doctor.agent = v->doctor.helper = "ok";
	v->doctor.protections.items = view->protections.items;
	v->doctor.protections.n = view->protections.n;
	if (view->helper == NULL || !view->helper->connected)
		v->doctor.helper = "does not answer: nothing can be installed";
	else if (view->helper->anchor_lost)
		v->doctor.helper =
			"its anchor was lost: no job is accepted until the fleet answers";
	else
		return;
	v->exit = FL_CTL_FAILED;
}

static void ask_agent(struct visit *v)
{
	struct fl_err err = {0};
	const char *text = NULL;
	struct agent_view *view = fl_arena_alloc(&v->arena, sizeof(*view), &err);
	enum fl_rc rc = view == NULL ? err.rc
				     : fl_ctl_ask(v->boot.config, "status", &v->arena, &text, &err);
	if (rc == FL_OK)
		rc = fl_json_decode(&agent_schema, text, strlen(text), FL_JSON_IGNORE_UNKNOWN,
				    &v->arena, view, &err);
	if (rc == FL_OK) {
		take_status(v, view);
		return;
	}
	v->doctor.agent = keep(v, err.msg, strlen(err.msg));
	v->doctor.helper = "only the agent knows";
	if (v->exit == FL_CTL_DONE)
		v->exit = FL_CTL_UNREACHABLE;
}

static void show(FILE *out, const struct doctor *d)
{
	char line[TEXT_MAX];
	for (size_t i = 0; i < d->findings.n; i++) {
		(void)snprintf(line, sizeof(line), "%-5s %s",
			       d->findings.items[i].ok ? "ok" : "FAULT", d->findings.items[i].text);
		fl_ctl_line(out, i == 0 ? "boot" : "", line);
	}
	if (d->text != NULL)
		fl_ctl_line(out, "boot", d->text);
	(void)snprintf(line, sizeof(line), "running %s, fallback %s, on trial %s",
		       fl_ctl_or_dash(d->running), fl_ctl_or_dash(d->good),
		       fl_ctl_or_dash(d->trial));
	if (d->good != NULL)
		fl_ctl_line(out, "slots", line);
	fl_ctl_line(out, "proof",
		    d->proof == NULL ? "the fallback was never proved here" : d->proof);
	fl_ctl_line(out, "agent", d->agent);
	fl_ctl_line(out, "helper", d->helper);
	for (size_t i = 0; i < d->protections.n; i++)
		fl_ctl_line(out, i == 0 ? "protections" : "", d->protections.items[i]);
}

static enum fl_rc examine(const struct fl_ctl_call *call, struct visit *v, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_CTL_ANSWER_MAX);
	v->doctor.findings.items = v->findings;
	ask_boot(v);
	ask_agent(v);
	v->doctor.ok = v->exit == FL_CTL_DONE;
	enum fl_rc rc = call->json ? fl_json_encode(&doctor_schema, &v->doctor, &text, err) : FL_OK;
	if (rc == FL_OK && call->json)
		(void)fprintf(call->out, "%s\n", fl_buf_str(&text));
	else if (rc == FL_OK)
		show(call->out, &v->doctor);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc prove(const struct fl_ctl_call *call, struct visit *v, struct fl_err *err)
{
	if (!fl_ctl_agreed(call, "This gateway restarts twice or more, without an update, to prove "
				 "that it comes back."))
		return fl_fail(err, FL_E_DENIED, 0,
			       "a proof of the fallback restarts this gateway: say --yes");
	enum fl_rc rc = fl_ctl_boot_prove(&v->boot, err);
	if (rc == FL_OK && call->json)
		(void)fputs("{\"restart\":true}\n", call->out);
	else if (rc == FL_OK)
		(void)fputs("The gateway restarts now; `fairleadctl doctor` tells afterwards how "
			    "it went.\n",
			    call->out);
	return rc;
}

enum fl_rc fl_ctl_doctor(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err)
{
	struct visit v = {.arena = FL_ARENA(8 * FL_CTL_ANSWER_MAX), .exit = FL_CTL_DONE};
	enum fl_rc rc = fl_ctl_boot_open(call->config, &v.boot, err);
	if (rc == FL_OK)
		rc = call->prove_fallback ? prove(call, &v, err) : examine(call, &v, err);
	if (rc == FL_OK)
		*ret = v.exit;
	fl_ctl_boot_close(&v.boot);
	fl_arena_free(&v.arena);
	return rc;
}
