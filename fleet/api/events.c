/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events of one job: the whole object at every change, at most four a second, until it is over. */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS	    250
#define COMMENT_MS  10000 /* keeps proxies awake, and finds peers that are gone */
#define UNSENT_MAX  ((size_t)256 * 1024)
#define OBJECT_MAX  ((size_t)256 * 1024)

struct stream {
	struct fl_api *api;
	struct fl_http *http; /* borrowed; NULL once it is gone */
	char job_id[FL_JOBS_ID_SIZE];
	struct fl_bus_listener listener;
	uv_timer_t timer;
	bool changed;
	uint64_t quiet_ms;
};

static void on_event(void *ctx, const struct fl_bus_event *event)
{
	struct stream *s = ctx;
	if (event->kind == FL_BUS_JOB_CHANGED && strcmp(event->job_id, s->job_id) == 0)
		s->changed = true;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_gone(void *owner)
{
	struct stream *s = owner;
	s->http = NULL;
	s->api->bus->ops->unsubscribe(s->api->bus->self, &s->listener);
	s->api->n_streams--;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void push_job(struct stream *s)
{
	struct fl_err err;
	struct fl_buf text = FL_BUF(OBJECT_MAX);
	bool final = false;
	enum fl_rc rc = fl_buf_append_str(&text, "event: job\ndata: ", &err);
	if (rc == FL_OK)
		rc = fl_jobs_show(s->api->jobs, s->job_id, false, &text, &final, &err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&text, "\n\n", &err);
	s->changed = false;
	s->quiet_ms = 0;
	bool alive = rc == FL_OK && fl_http_push(s->http, text.data, text.len);
	if (rc != FL_OK || (alive && final)) {
		uv_timer_stop(&s->timer);
		fl_http_end(s->http);
	}
	fl_buf_free(&text);
}

static void on_tick(uv_timer_t *timer)
{
	static const char comment[] = ":\n\n";
	struct stream *s = timer->data;
	s->quiet_ms += TICK_MS;
	if (fl_http_unsent(s->http) > UNSENT_MAX)
		return;
	if (s->changed)
		push_job(s);
	else if (s->quiet_ms >= COMMENT_MS && fl_http_push(s->http, comment, sizeof(comment) - 1))
		s->quiet_ms = 0;
}

static void refuse(struct fl_http *http, enum fl_rc rc, const char *text)
{
	struct fl_err err;
	(void)fl_fail(&err, rc, 0, "%s", text);
	fl_http_reply_error(http, &err);
}

static bool exists(struct fl_api *api, const char *job_id, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(OBJECT_MAX);
	enum fl_rc rc = fl_jobs_show(api->jobs, job_id, false, &text, NULL, err);
	fl_buf_free(&text);
	return rc == FL_OK;
}

void fl_api_job_events(struct fl_api *api, struct fl_http *http, const struct fl_api_call *call)
{
	struct fl_err err;
	if (!fl_uuid_valid(call->param) || !exists(api, call->param, &err)) {
		refuse(http, FL_E_NOT_FOUND, "no such job");
		return;
	}
	struct stream *s = api->n_streams >= FL_API_STREAMS_MAX ? NULL : calloc(1, sizeof(*s));
	if (s == NULL) {
		refuse(http, FL_E_RATE_LIMITED, "too many streams");
		return;
	}
	s->api = api;
	s->http = http;
	snprintf(s->job_id, sizeof(s->job_id), "%s", call->param);
	s->listener = (struct fl_bus_listener){.on_event = on_event, .ctx = s};
	api->bus->ops->subscribe(api->bus->self, &s->listener);
	uv_timer_init(api->loop, &s->timer);
	s->timer.data = s;
	uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
	api->n_streams++;
	fl_http_set_owner(http, s, on_gone);
	fl_http_reply_events(http);
	push_job(s);
}
