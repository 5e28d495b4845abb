/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs watch: a job to its end.
 *
 *   follow the events ── final ──────────────────────────► done
 *        ▲    │ the stream ended, for whatever reason
 *        │    ▼
 *      wait ◄── ask for the job once ── final ───────────► done
 *              │ nobody answered for GIVE_UP_S
 *              └─────────────────────────────────────────► not reachable
 */
#include "commands.h"
#include "jobs.h"
#include "output.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/job_state.h>
#include <fairlead/trust/json.h>

#include <string.h>
#include <time.h>

#define GIVE_UP_S   UINT64_C(300)
#define PAUSE_MIN_S 1u
#define PAUSE_MAX_S 10u

struct watching {
	const struct fl_tools_call *call;
	struct fl_tools_fleet *fleet;
	struct fl_tools_live live;
	char path[FL_TOOLS_QUERY_PATH];
	char shown[FL_TOOLS_JOB_LINE]; /* state, reason and text of the last line: what a pipe is
					  told once */
	enum fl_job_state state;
	bool final;
	uint64_t heard_ms; /* the last time the fleet said anything */
	uint64_t until_ms; /* 0: no limit */
};

static uint64_t now_ms(void)
{
	return fl_clock_boot_ms(&fl_clock_system);
}

/* What distinguishes one line of a pipe from the next: everything but the progress. */
static bool is_news(struct watching *w, const struct fl_tools_job *job)
{
	char line[FL_TOOLS_JOB_LINE];
	struct fl_tools_job still = *job;
	still.progress = NULL;
	fl_tools_job_line(&still, 0, line);
	if (strcmp(line, w->shown) == 0)
		return false;
	(void)snprintf(w->shown, sizeof(w->shown), "%s", line);
	return true;
}

static void show(struct watching *w, const struct fl_tools_job *job, const char *text, size_t len)
{
	char line[FL_TOOLS_JOB_LINE];
	bool news = is_news(w, job);
	if (w->call->json) {
		(void)fprintf(w->call->out, "%.*s\n", (int)len, text);
		(void)fflush(w->call->out);
		return;
	}
	fl_tools_job_line(job, fl_words_now(), line);
	fl_tools_live_show(&w->live, line, !news);
}

/* One state of the job; false once it is final. A text we cannot read is passed over. */
static bool on_job(void *ctx, const char *data, size_t len)
{
	struct watching *w = ctx;
	struct fl_arena arena = FL_ARENA((size_t)1024 * 1024);
	struct fl_tools_job job;
	w->heard_ms = now_ms();
	if (fl_json_decode(&fl_tools_job_schema, data, len, FL_JSON_IGNORE_UNKNOWN, &arena, &job,
			   NULL) == FL_OK) {
		show(w, &job, data, len);
		w->final = fl_job_state_from_name(job.state, &w->state) &&
			   fl_job_state_final(w->state);
	}
	fl_arena_free(&arena);
	return !w->final;
}

static enum fl_rc ask_once(struct watching *w, struct fl_err *err)
{
	struct fl_buf answer = FL_BUF(FL_TOOLS_ANSWER_MAX);
	enum fl_rc rc = fl_tools_fleet_call(w->fleet, "GET", w->path, NULL, &answer, err);
	if (rc == FL_OK)
		(void)on_job(w, fl_buf_str(&answer), answer.len);
	fl_buf_free(&answer);
	return rc;
}

static uint64_t left_s(const struct watching *w)
{
	uint64_t now = now_ms();
	return w->until_ms > now ? (w->until_ms - now + 999) / 1000 : 0;
}

static bool out_of_time(const struct watching *w)
{
	return w->until_ms != 0 && left_s(w) == 0;
}

static enum fl_rc follow(struct watching *w, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH + 8];
	(void)snprintf(path, sizeof(path), "%s/events", w->path);
	return fl_tools_fleet_follow(w->fleet, path, w->until_ms == 0 ? 0 : left_s(w), on_job, w,
				     err);
}

static void pause_s(unsigned seconds)
{
	const struct timespec pause = {.tv_sec = (time_t)seconds};
	(void)nanosleep(&pause, NULL);
}

static void tell_lost(struct watching *w, const struct fl_err *err)
{
	char line[FL_TOOLS_JOB_LINE];
	(void)snprintf(line, sizeof(line), "no answer, trying again: %s", err->msg);
	if (!w->call->json)
		fl_tools_live_show(&w->live, line, false);
}

/* May another try succeed? A refusal is final, a lost connection is not. */
static bool may_try_again(const struct watching *w, enum fl_rc rc)
{
	return fl_rc_retryable(rc) && now_ms() - w->heard_ms < GIVE_UP_S * 1000;
}

static enum fl_rc watch_to_end(struct watching *w, struct fl_err *err)
{
	unsigned pause = PAUSE_MIN_S;
	while (!out_of_time(w)) {
		uint64_t heard_before = w->heard_ms;
		enum fl_rc rc = follow(w, err);
		if (w->final)
			return FL_OK;
		if (rc != FL_OK && !may_try_again(w, rc))
			return rc;
		if (w->heard_ms != heard_before)
			pause = PAUSE_MIN_S;
		rc = out_of_time(w) ? FL_OK : ask_once(w, err);
		if (w->final)
			return FL_OK;
		if (rc != FL_OK && !may_try_again(w, rc))
			return rc;
		if (rc != FL_OK)
			tell_lost(w, err);
		pause_s(pause);
		pause = pause * 2 < PAUSE_MAX_S ? pause * 2 : PAUSE_MAX_S;
	}
	return FL_OK;
}

enum fl_rc fl_tools_watch(const struct fl_tools_call *call, struct fl_tools_fleet *fleet,
			  const char *job_id, uint64_t limit_s, struct fl_tools_watched *ret,
			  struct fl_err *err)
{
	struct watching w = {.call = call,
			     .fleet = fleet,
			     .live = fl_tools_live_start(call->out),
			     .heard_ms = now_ms()};
	w.until_ms = limit_s == 0 ? 0 : w.heard_ms + limit_s * 1000;
	(void)snprintf(w.path, sizeof(w.path), "/jobs/%.36s", job_id);
	enum fl_rc rc = watch_to_end(&w, err);
	fl_tools_live_end(&w.live);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "watch job '%s'", job_id);
	*ret = (struct fl_tools_watched){w.final, w.final && w.state == FL_JOB_COMMITTED};
	return FL_OK;
}

enum fl_rc fl_tools_jobs_watch(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_tools_fleet *fleet = NULL;
	struct fl_tools_watched watched = {0};
	uint64_t limit_s = 0;
	enum fl_rc rc = fl_tools_need_uuid(call->args[0], "job", err);
	if (rc == FL_OK)
		rc = fl_tools_u64(call, "timeout-s", 1, 1u << 20, &limit_s, err);
	if (rc == FL_OK)
		rc = fl_tools_fleet_open(call, &fleet, err);
	if (rc == FL_OK)
		rc = fl_tools_watch(call, fleet, call->args[0], limit_s, &watched, err);
	fl_tools_fleet_close(fleet);
	if (rc == FL_OK && !watched.ended && !call->json)
		(void)fprintf(call->out, "Not over after %llu s; the job goes on.\n",
			      (unsigned long long)limit_s);
	if (rc == FL_OK && !watched.committed)
		call->exit = FL_TOOLS_FAILED;
	return rc;
}
