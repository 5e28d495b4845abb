/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install: opens the bundle with the caller's own rights and hands the open file to the agent, which has none; then waits for the
 * first word on its job. Whatever comes later is told by `jobs` and `why`.
 */
#include "ctl.h"
#include "show.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/json.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT	 4096
#define WORD	 256
#define MANY	 65536
#define LOOKS	 100
#define PAUSE_NS 100000000L

struct job {
	const char *job_id, *state, *reason, *text, *next;
	bool known;
};
static const struct fl_field job_fields[] = {
	FL_REQ(struct job, job_id, STR, WORD, NULL, "id"),
	FL_REQ(struct job, state, STR, WORD, NULL, "state"),
	FL_OPT(struct job, reason, STR, WORD, NULL, "code"),
	FL_OPT(struct job, text, STR, TEXT, NULL, "what happened"),
	FL_OPT(struct job, next, STR, TEXT, NULL, "waits for"),
	FL_OPT(struct job, known, BOOL, 0, NULL, "it was under way before"),
};
static const struct fl_schema job_schema = FL_SCHEMA("job", struct job, job_fields, "a job");

struct job_list {
	FL_LIST(struct job) jobs;
};
static const struct fl_field job_list_fields[] = {
	FL_REQ(struct job_list, jobs, LIST, MANY, &job_schema, "jobs"),
};
static const struct fl_schema job_list_schema =
	FL_SCHEMA("jobs", struct job_list, job_list_fields, "the jobs of this gateway");

static enum fl_rc hand_over(const struct fl_ctl_call *call, struct fl_arena *arena, struct job *ret,
			    struct fl_err *err)
{
	char path[PATH_MAX];
	const char *text = NULL;
	FL_AUTO_FD fd = open(call->argument, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || realpath(call->argument, path) == NULL)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", call->argument);
	enum fl_rc rc = fl_ctl_ask_install(call->config, path, fd, arena, &text, err);
	return rc == FL_OK ? fl_json_decode(&job_schema, text, strlen(text), FL_JSON_IGNORE_UNKNOWN,
					    arena, ret, err)
			   : rc;
}

static bool is_one_of(const char *state, const char *const *states)
{
	for (; *states != NULL; states++) {
		if (strcmp(state, *states) == 0)
			return true;
	}
	return false;
}

/* The verification is over, or waits for something. */
static bool has_said_something(const struct job *job)
{
	static const char *const verifying[] = {"received", "verified", NULL};
	return job->reason != NULL || !is_one_of(job->state, verifying);
}

/* An agent that is gone meanwhile has the job all the same. */
static void look(const struct fl_ctl_call *call, struct fl_arena *arena, struct job *job)
{
	struct fl_err ignored;
	const char *text = NULL;
	struct job_list list;
	if (fl_ctl_ask(call->config, "jobs", arena, &text, &ignored) != FL_OK ||
	    fl_json_decode(&job_list_schema, text, strlen(text), FL_JSON_IGNORE_UNKNOWN, arena, &list,
			   &ignored) != FL_OK)
		return;
	for (size_t i = 0; i < list.jobs.n; i++) {
		const bool known = job->known;
		if (strcmp(list.jobs.items[i].job_id, job->job_id) != 0)
			continue;
		*job = list.jobs.items[i];
		job->known = known;
		return;
	}
}

static enum fl_rc print(const struct fl_ctl_call *call, const struct job *job, struct fl_err *err)
{
	if (call->json) {
		struct fl_buf text = FL_BUF(FL_CTL_ANSWER_MAX);
		enum fl_rc rc = fl_json_encode(&job_schema, job, &text, err);
		if (rc == FL_OK)
			(void)fprintf(call->out, "%s\n", fl_buf_str(&text));
		fl_buf_free(&text);
		return rc;
	}
	fl_ctl_line(call->out, "job", job->job_id);
	fl_ctl_line(call->out, "state", job->state);
	if (job->reason != NULL)
		fl_ctl_line(call->out, "reason", job->reason);
	if (job->text != NULL)
		fl_ctl_line(call->out, "", job->text);
	if (job->next != NULL)
		fl_ctl_line(call->out, "waits for", job->next);
	return FL_OK;
}

enum fl_rc fl_ctl_install(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err)
{
	static const char *const bad[] = {"rejected",	 "failed", "cancelled",
					  "rolled_back", "stuck",  NULL};
	struct fl_arena arena = FL_ARENA(8 * FL_CTL_ANSWER_MAX);
	struct job job = {0};
	char id[64], state[WORD];
	enum fl_rc rc = hand_over(call, &arena, &job, err);
	for (int i = 0; i < LOOKS && rc == FL_OK && !has_said_something(&job); i++) {
		const struct timespec pause = {.tv_nsec = PAUSE_NS};
		(void)nanosleep(&pause, NULL);
		(void)snprintf(id, sizeof(id), "%s", job.job_id);
		(void)snprintf(state, sizeof(state), "%s", job.state);
		fl_arena_free(&arena); /* of the look before */
		job = (struct job){.job_id = id, .state = state, .known = job.known};
		look(call, &arena, &job);
	}
	if (rc == FL_OK)
		rc = print(call, &job, err);
	if (rc == FL_OK)
		*ret = is_one_of(job.state, bad) ? FL_CTL_FAILED : FL_CTL_DONE;
	fl_arena_free(&arena);
	return rc;
}
