/* SPDX-License-Identifier: Apache-2.0 */
/* jobs list, jobs show, jobs cancel. */
#include "jobs.h"

#include "commands.h"
#include "list.h"

#include <fairlead/base/job_state.h>
#include <fairlead/trust/documents.h>

#include <string.h>

/* Adds " TEXT" to a line of fixed size; what does not fit is cut. */
static void add(char *line, size_t size, const char *before, const char *text)
{
	size_t at = strlen(line);
	if (text != NULL && text[0] != '\0')
		(void)snprintf(line + at, size - at, "%s%s", before, text);
}

static void add_progress(char *line, size_t size, const struct fl_tools_progress_answer *p)
{
	char text[4 * FL_WORDS_MAX], done[FL_WORDS_MAX], total[FL_WORDS_MAX],
		rate[FL_WORDS_MAX];
	if (p->total_bytes == 0)
		return;
	uint64_t done_bytes = p->done_bytes < p->total_bytes ? p->done_bytes : p->total_bytes;
	(void)snprintf(text, sizeof(text), "%3.0f %%  %s of %s",
		       100.0 * (double)done_bytes / (double)p->total_bytes,
		       fl_words_size(done_bytes, done), fl_words_size(p->total_bytes, total));
	add(line, size, "  ", text);
	if (p->rate_bytes_s > 0) {
		add(line, size, "  ", fl_words_size(p->rate_bytes_s, rate));
		add(line, size, "", "/s");
	}
	add(line, size, "  ", p->component);
}

void fl_tools_job_line(const struct fl_tools_job *job, uint64_t now_s, char out[FL_TOOLS_JOB_LINE])
{
	char until[FL_WORDS_MAX];
	enum fl_job_state state;
	bool final = fl_job_state_from_name(job->state, &state) && fl_job_state_final(state);
	(void)snprintf(out, FL_TOOLS_JOB_LINE, "%s", job->state);
	if (job->progress != NULL && !final)
		add_progress(out, FL_TOOLS_JOB_LINE, job->progress);
	bool reason = job->reason != NULL && job->reason[0] != '\0';
	add(out, FL_TOOLS_JOB_LINE, "  ", job->reason);
	add(out, FL_TOOLS_JOB_LINE, reason ? ": " : "  ", job->text);
	if (final)
		return;
	if (job->until > 0)
		add(out, FL_TOOLS_JOB_LINE, "  until ", fl_words_time(job->until, now_s, until));
	add(out, FL_TOOLS_JOB_LINE, "  waits for ", job->next);
}

static const char *const jobs_heading[] = {"JOB",   "DEVICE", "INTENT", "VERSION",
					   "STATE", "REASON", "UPDATED"};

static enum fl_rc add_job(struct fl_tools_table *table, const void *element, struct fl_err *err)
{
	const struct fl_tools_job *j = element;
	char updated[FL_WORDS_MAX];
	const char *cells[] = {j->job_id,
			       j->device_id,
			       j->intent,
			       j->version,
			       j->state,
			       j->reason,
			       fl_words_time(j->updated, fl_words_now(), updated)};
	return fl_tools_table_row(table, cells, err);
}

enum fl_rc fl_tools_jobs_table(FILE *out, const struct fl_tools_job *jobs, size_t n,
			       struct fl_err *err)
{
	struct fl_tools_table table = FL_TOOLS_TABLE(7);
	enum fl_rc rc = fl_tools_table_row(&table, jobs_heading, err);
	for (size_t i = 0; rc == FL_OK && i < n; i++)
		rc = add_job(&table, &jobs[i], err);
	if (rc == FL_OK)
		fl_tools_table_print(out, &table);
	fl_tools_table_free(&table);
	return rc;
}

static const char *job_id(const void *element)
{
	return ((const struct fl_tools_job *)element)->job_id;
}

/* "/jobs?device=…&state=…": both are names, so nothing in them needs quoting. */
static enum fl_rc jobs_path(const struct fl_tools_call *call, char out[FL_TOOLS_QUERY_PATH],
			    struct fl_err *err)
{
	static const char *const filters[] = {"device", "state"};
	char separator = '?';
	(void)snprintf(out, FL_TOOLS_QUERY_PATH, "/jobs");
	for (size_t i = 0; i < 2; i++) {
		const char *value = fl_tools_opt(call, filters[i], NULL);
		size_t at = strlen(out);
		if (value == NULL)
			continue;
		enum fl_rc rc = fl_tools_need_name(value, filters[i], err);
		if (rc != FL_OK)
			return rc;
		(void)snprintf(out + at, FL_TOOLS_QUERY_PATH - at, "%c%s=%s", separator, filters[i],
			       value);
		separator = '&';
	}
	return FL_OK;
}

enum fl_rc fl_tools_jobs_list(struct fl_tools_call *call, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	struct fl_tools_list list = {.path = path,
				     .member = "jobs",
				     .schema = &fl_tools_job_schema,
				     .id = job_id,
				     .max = 100,
				     .columns = 7,
				     .heading = jobs_heading,
				     .row = add_job};
	enum fl_rc rc = jobs_path(call, path, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(call, "limit", 1, FL_U53_MAX, &list.max, err);
	return rc == FL_OK ? fl_tools_list_run(call, &list, err) : rc;
}

static void print_line(FILE *out, const char *title, const char *text)
{
	(void)fprintf(out, "%-12s", title);
	fl_words_print_clean(out, text == NULL || text[0] == '\0' ? "-" : text);
	(void)fputc('\n', out);
}

static enum fl_rc print_history(FILE *out, const struct fl_tools_job *job, struct fl_err *err)
{
	static const char *const heading[] = {"TIME", "STATE", "REASON", "TEXT"};
	struct fl_tools_table table = FL_TOOLS_TABLE(4);
	uint64_t now = fl_words_now();
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; rc == FL_OK && i < job->history.n; i++) {
		const struct fl_tools_step *s = &job->history.items[i];
		char when[FL_WORDS_MAX];
		const char *cells[] = {
			fl_words_time(s->received > 0 ? s->received : s->utc, now, when), s->state,
			s->reason, s->text};
		rc = fl_tools_table_row(&table, cells, err);
	}
	if (rc == FL_OK) {
		(void)fputc('\n', out);
		fl_tools_table_print(out, &table);
	}
	fl_tools_table_free(&table);
	return rc;
}

static void print_boot_log(FILE *out, const char *log)
{
	(void)fputs("\nlog of the boot that failed:\n", out);
	while (*log != '\0') {
		char line[FL_BOOT_LOG_MAX + 1];
		size_t len = strcspn(log, "\n");
		(void)snprintf(line, sizeof(line), "%.*s", (int)len, log);
		(void)fputs("  ", out);
		fl_words_print_clean(out, line);
		(void)fputc('\n', out);
		log += log[len] == '\n' ? len + 1 : len;
	}
}

static enum fl_rc print_job(const struct fl_tools_call *call, const void *answer,
			    struct fl_err *err)
{
	const struct fl_tools_job *j = answer;
	FILE *out = call->out;
	char text[FL_WORDS_MAX], line[FL_TOOLS_JOB_LINE];
	uint64_t now = fl_words_now();
	fl_tools_job_line(j, now, line);
	print_line(out, "job", j->job_id);
	if (j->offline_seq != 0)
		print_line(out, "bundle", fl_words_number(j->offline_seq, text));
	else
		print_line(out, "number", fl_words_number(j->job_seq, text));
	print_line(out, "device", j->device_id);
	print_line(out, "intent", j->intent);
	print_line(out, "release", j->release);
	print_line(out, "version", j->version);
	print_line(out, "made", fl_words_time(j->created, now, text));
	print_line(out, "updated", fl_words_time(j->updated, now, text));
	print_line(out, "state", line);
	enum fl_rc rc = j->history.n > 0 ? print_history(out, j, err) : FL_OK;
	if (rc == FL_OK && j->boot_log != NULL)
		print_boot_log(out, j->boot_log);
	return rc;
}

enum fl_rc fl_tools_jobs_show(struct fl_tools_call *call, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	struct fl_tools_job job;
	enum fl_rc rc = fl_tools_need_uuid(call->args[0], "job", err);
	if (rc != FL_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "/jobs/%.36s", call->args[0]);
	const struct fl_tools_query query = {
		{"GET", path, NULL, &fl_tools_job_schema}, &job, print_job};
	return fl_tools_query_run(call, &query, err);
}

static enum fl_rc print_cancel(const struct fl_tools_call *call, const void *answer,
			       struct fl_err *err)
{
	(void)err;
	const struct fl_tools_made *made = answer;
	(void)fprintf(call->out, "asked to cancel, by job %s\n",
		      made->job_id == NULL ? "-" : made->job_id);
	return FL_OK;
}

enum fl_rc fl_tools_jobs_cancel(struct fl_tools_call *call, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	struct fl_tools_made made;
	enum fl_rc rc = fl_tools_need_uuid(call->args[0], "job", err);
	if (rc != FL_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "/jobs/%.36s/cancel", call->args[0]);
	const struct fl_tools_query query = {
		{"POST", path, NULL, &fl_tools_made_schema}, &made, print_cancel};
	return fl_tools_query_run(call, &query, err);
}
