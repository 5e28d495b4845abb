/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>

#include <stdlib.h>
#include <string.h>

#define JUMP_MAX (UINT64_C(1) << 32) /* a lying fleet shall not use the numbers up */
#define BOOT_FAILURE_MAX ((size_t)4096)
#define WINDOW 16 /* reports under way without an acknowledgement */

enum fl_rc fl_outbox_open(struct fl_outbox *outbox, struct fl_agent *agent, struct fl_err *err)
{
	*outbox = (struct fl_outbox){.agent = agent};
	outbox->read.text = FL_BUF(FL_ENVELOPE_MAX);
	outbox->read.agent = outbox->ack.agent = agent;
	enum fl_rc rc = fl_store_number_get(agent->store, "report_seq", &outbox->report_seq, err);
	if (rc == FL_OK)
		rc = fl_store_number_get(agent->store, "report_acked", &outbox->acked, err);
	return rc;
}

void fl_outbox_done(struct fl_outbox *outbox)
{
	fl_buf_free(&outbox->read.text);
}

/* ---- making ------------------------------------------------------------------------------------------- */

static void fill_components(const struct fl_agent *agent, const struct fl_job_run *run,
			    struct fl_report_component *out, size_t *n)
{
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&agent->helper);
	*n = 0;
	for (size_t i = 0; facts != NULL && i < facts->components.n && *n < FL_CONFIG_COMPONENTS_MAX; i++) {
		const struct fl_ipc_component *c = &facts->components.items[i];
		out[(*n)++] = (struct fl_report_component){
			.name = c->name,
			.slot = c->slot,
			.version = c->version,
			.release_seq = c->release_seq,
			.security_version = c->security_version,
			.release = c->release,
		};
	}
	for (size_t i = 0; run != NULL && i < run->row.n_components; i++) {
		for (size_t k = 0; k < *n; k++) {
			if (strcmp(out[k].name, run->row.components[i].name) == 0)
				out[k].state = fl_job_state_name(run->row.components[i].state);
		}
	}
}

static enum fl_rc sign_report(const struct fl_agent *agent, const struct fl_report *report,
			      struct fl_buf *text, struct fl_err *err)
{
	struct fl_buf payload = FL_BUF(FL_DOC_PAYLOAD_MAX);
	enum fl_rc rc = fl_json_encode(&fl_report_schema, report, &payload, err);
	struct fl_envelope env = {.type = FL_DOC_REPORT, .payload = {payload.data, payload.len}};
	if (rc == FL_OK)
		rc = fl_envelope_sign(&env, agent->identity.key, err);
	fl_buf_clear(text);
	if (rc == FL_OK)
		rc = fl_envelope_write(&env, text, err);
	fl_buf_free(&payload);
	return rc;
}

static void fill_job(struct fl_report *report, const struct fl_job_run *run)
{
	const struct fl_store_job *row = &run->row;
	report->job_id = row->job_id;
	report->job_seq = run->offline_seq == 0 ? row->job_seq : 0;
	report->offline_seq = run->offline_seq;
	report->state = fl_job_state_name(row->state);
	if (row->reason != FL_OK)
		report->reason = fl_rc_name(row->reason);
	if (row->text[0] != '\0')
		report->text = row->text;
	report->until = row->until_s;
	if (row->next[0] != '\0')
		report->next = row->next;
}

/*
 * The log of the boot that failed stands below the line that the helper tells; NULL: there is none. It proves nothing, so it
 * needs no helper. A job that this process began has seen no restart.
 */
static const char *boot_log(const struct fl_agent *agent, const struct fl_job_run *run, struct fl_buf *file)
{
	struct fl_err err;
	if (!run->older || run->row.state != FL_JOB_ROLLED_BACK ||
	    fl_file_read(agent->config.boot_failure, file, &err) != FL_OK)
		return NULL;
	const char *log = strchr(fl_buf_str(file), '\n');
	return log == NULL || log[1] == '\0' ? NULL : log + 1;
}

static enum fl_rc make(struct fl_outbox *outbox, const struct fl_job_run *run,
		       const struct fl_err *refused, uint64_t *report_seq, struct fl_buf *text,
		       struct fl_err *err)
{
	const struct fl_agent *agent = outbox->agent;
	const struct fl_ipc_hello_reply *facts = fl_helper_facts(&agent->helper);
	struct fl_report_component components[FL_CONFIG_COMPONENTS_MAX];
	size_t n = 0;
	struct fl_report report = {
		.type = "report",
		.spec = 1,
		.device_id = agent->config.device_id,
		.report_seq = outbox->report_seq + 1,
		.boot_id = facts == NULL || facts->boot_id == NULL ? "00000000-0000-0000-0000-000000000000"
								   : facts->boot_id,
		.utc = fl_agent_now_s(agent),
		.time_quality = agent->time_known ? "fleet" : "system",
		.state = "refused",
	};
	struct fl_buf file = FL_BUF(BOOT_FAILURE_MAX);
	if (run != NULL) {
		fill_job(&report, run);
		report.boot_log = boot_log(agent, run, &file);
	}
	if (refused != NULL) {
		report.reason = fl_rc_name(refused->rc);
		report.text = refused->msg;
	}
	fill_components(agent, run, components, &n);
	report.components.items = components;
	report.components.n = n;
	enum fl_rc rc = sign_report(agent, &report, text, err);
	fl_buf_free(&file);
	if (rc == FL_OK)
		*report_seq = ++outbox->report_seq;
	return rc;
}

enum fl_rc fl_outbox_make_report(struct fl_outbox *outbox, const struct fl_job_run *run,
				 uint64_t *report_seq, struct fl_buf *text, struct fl_err *err)
{
	return make(outbox, run, NULL, report_seq, text, err);
}

/* ---- queueing without a job's state change ------------------------------------------------------------------ */

struct queued {
	struct fl_db_op op;
	struct fl_agent *agent;
	uint64_t report_seq;
	bool final;
	struct fl_store_job row;
	bool has_row;
	struct fl_buf text;
};

static enum fl_rc queue_work(struct fl_db_op *op, struct fl_store *store, struct fl_err *err)
{
	struct queued *q = (struct queued *)op;
	enum fl_rc rc = q->has_row ? fl_store_job_put(store, &q->row, err) : FL_OK;
	if (rc == FL_OK)
		rc = fl_store_outbox_add(store, q->report_seq, q->final, fl_buf_str(&q->text), err);
	return rc == FL_OK ? fl_store_number_set(store, "report_seq", q->report_seq, err) : rc;
}

static void on_queued(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err)
{
	struct queued *q = (struct queued *)op;
	if (rc != FL_OK)
		fl_log_err(FL_LOG_ERROR, err, "keep a report");
	else
		fl_outbox_wake(&q->agent->outbox);
	fl_buf_free(&q->text);
	free(q);
}

static void queue(struct fl_outbox *outbox, const struct fl_job_run *run, const struct fl_err *refused)
{
	struct fl_err err = {0};
	struct queued *q = calloc(1, sizeof(*q));
	if (q == NULL)
		return;
	q->agent = outbox->agent;
	q->text = FL_BUF(FL_ENVELOPE_MAX);
	if (run != NULL) {
		q->row = run->row;
		q->has_row = run->stored;
		q->final = fl_job_state_final(run->row.state);
	}
	if (make(outbox, run, refused, &q->report_seq, &q->text, &err) != FL_OK) {
		fl_log_err(FL_LOG_ERROR, &err, "make a report");
		fl_buf_free(&q->text);
		free(q);
		return;
	}
	q->op.work = queue_work;
	q->op.done = on_queued;
	fl_db_submit(&outbox->agent->db, &q->op);
}

void fl_outbox_job(struct fl_outbox *outbox, const struct fl_job_run *run)
{
	queue(outbox, run, NULL);
}

void fl_outbox_refused(struct fl_outbox *outbox, const struct fl_err *err)
{
	queue(outbox, NULL, err);
}

/* ---- sending ------------------------------------------------------------------------------------------ */

static enum fl_rc read_work(struct fl_db_op *op, struct fl_store *store, struct fl_err *err)
{
	struct fl_outbox_read *r = (struct fl_outbox_read *)op;
	return fl_store_outbox_next(store, r->after, &r->report_seq, &r->text, err);
}

static void on_read(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_outbox_read *r = (struct fl_outbox_read *)op;
	struct fl_outbox *outbox = &r->agent->outbox;
	outbox->reading = false;
	if (rc == FL_OK && fl_link_up(&r->agent->link)) {
		const struct fl_wire_report report = {NULL, r->report_seq, fl_buf_str(&r->text)};
		if (fl_link_send(&r->agent->link, FL_WIRE_REPORT, &report) == FL_OK) {
			outbox->sent = r->report_seq;
			fl_outbox_wake(outbox);
		}
	} else if (rc == FL_E_NOT_FOUND && outbox->wake_again) {
		fl_outbox_wake(outbox);
	} else if (rc != FL_OK && rc != FL_E_NOT_FOUND) {
		fl_log_err(FL_LOG_ERROR, err, "read a report");
	}
}

void fl_outbox_wake(struct fl_outbox *outbox)
{
	if (!fl_link_up(&outbox->agent->link) || outbox->sent >= outbox->acked + WINDOW)
		return;
	outbox->wake_again = outbox->reading;
	if (outbox->reading)
		return;
	outbox->reading = true;
	outbox->read.after = outbox->sent > outbox->acked ? outbox->sent : outbox->acked;
	outbox->read.op.work = read_work;
	outbox->read.op.done = on_read;
	fl_db_submit(&outbox->agent->db, &outbox->read.op);
}

void fl_outbox_on_link_up(struct fl_outbox *outbox)
{
	outbox->sent = outbox->acked;
	fl_outbox_wake(outbox);
}

static enum fl_rc ack_work(struct fl_db_op *op, struct fl_store *store, struct fl_err *err)
{
	struct fl_outbox_read *a = (struct fl_outbox_read *)op;
	enum fl_rc rc = fl_store_outbox_ack(store, a->acked, err);
	return rc == FL_OK ? fl_store_number_set(store, "report_acked", a->acked, err) : rc;
}

static void on_acked(struct fl_db_op *op, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_outbox_read *a = (struct fl_outbox_read *)op;
	struct fl_outbox *outbox = &a->agent->outbox;
	outbox->acking = false;
	if (rc != FL_OK)
		fl_log_err(FL_LOG_ERROR, err, "drop acknowledged reports");
	if (outbox->acked > a->acked)
		fl_outbox_on_ack(outbox, outbox->acked);
	fl_outbox_wake(outbox);
}

/* A fleet that keeps more than we gave out: our memory was lost, and numbers go on above its own. */
void fl_outbox_on_ack(struct fl_outbox *outbox, uint64_t report_seq)
{
	if (report_seq > outbox->report_seq + JUMP_MAX) {
		fl_log(FL_LOG_WARNING, "fleet: claims to keep report %llu: not believed",
		       (unsigned long long)report_seq);
		return;
	}
	if (report_seq > outbox->report_seq)
		outbox->report_seq = report_seq;
	if (report_seq > outbox->acked)
		outbox->acked = report_seq;
	if (outbox->acking || outbox->ack.acked == outbox->acked)
		return;
	outbox->acking = true;
	outbox->ack.acked = outbox->acked;
	outbox->ack.op.work = ack_work;
	outbox->ack.op.done = on_acked;
	fl_db_submit(&outbox->agent->db, &outbox->ack.op);
}
