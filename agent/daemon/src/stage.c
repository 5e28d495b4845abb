/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NEEDS_PER_TURN	16
#define NEED_ARENA_MAX	((size_t)4096)

static void serve(struct fl_stage *s);

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* Ends a request for good: its memory goes when libcurl lets go of it. */
static void drop_http(struct fl_stage *s)
{
	if (s->http == NULL)
		return;
	fl_http_cancel(s->http);
	free(s->http);
	s->http = NULL;
}

static void clear(struct fl_stage *s)
{
	drop_http(s);
	fl_helper_forget(&s->agent->helper, &s->call);
	if (s->poll != NULL) {
		uv_poll_stop(s->poll);
		uv_close((uv_handle_t *)s->poll, free_handle);
		s->poll = NULL;
	}
	if (s->retry != NULL) {
		uv_close((uv_handle_t *)s->retry, free_handle);
		s->retry = NULL;
	}
	fl_close(&s->channel);
	fl_pages_close(&s->pages[FL_OBJECT_INSTALLED_TREE]);
	fl_pages_close(&s->pages[FL_OBJECT_TRANSPORT_TREE]);
	fl_buf_free(&s->frame);
	for (size_t i = 0; i < FL_STAGE_OUT_MAX; i++)
		fl_buf_free(&s->out[i]);
	free(s->chunk);
	s->chunk = NULL;
	s->state = FL_STAGE_IDLE;
}

void fl_stage_cancel(struct fl_stage *s)
{
	if (s->state != FL_STAGE_IDLE)
		clear(s);
}

static void finish(struct fl_stage *s, enum fl_rc rc, const char *result, const struct fl_err *err)
{
	struct fl_err copy = *err;
	clear(s);
	s->done(s, rc, result, &copy);
}

/* The runner reads what is on its way to it and then the end: it never waits for what does not come. */
static void stop_serving(struct fl_stage *s)
{
	s->state = FL_STAGE_ENDING;
	(void)shutdown(s->channel, SHUT_WR);
}

/* No more will come, and why: the runner ends, and the helper tells `staged`. `end` finds no room in a full socket. */
static void end_channel(struct fl_stage *s, const struct fl_err *why)
{
	struct fl_err ignored = {0};
	const struct fl_ipc_reply end = {fl_rc_name(why->rc), why->msg};
	s->failure = *why;
	s->ended = true;
	drop_http(s);
	s->n_out = 0;
	fl_buf_clear(&s->out[0]);
	if (fl_frame_encode(FL_FRAME_END, 0, &end, &s->out[0], &ignored) == FL_OK)
		(void)!fl_frame_send(s->channel, s->out[0].data, s->out[0].len, NULL, 0, &ignored);
	stop_serving(s);
	fl_log_err(FL_LOG_WARNING, why, "component %s: download ended", s->request.component);
}

/* ---- pieces out ------------------------------------------------------------------------------------- */

static void watch(struct fl_stage *s);

/* Sends what waits; when the socket is full the rest stays, and on_channel sends it later. */
static void flush_out(struct fl_stage *s)
{
	while (s->n_out > 0) {
		struct fl_err err = {0};
		struct fl_buf *frame = &s->out[s->out_first];
		enum fl_rc rc = fl_frame_send(s->channel, frame->data, frame->len, NULL, 0, &err);
		if (rc == FL_E_BUSY) {
			watch(s);
			return;
		}
		if (rc != FL_OK) {
			stop_serving(s); /* `staged` will say why */
			return;
		}
		s->out_first = (s->out_first + 1) % FL_STAGE_OUT_MAX;
		s->n_out--;
	}
}

static enum fl_rc put_piece(struct fl_stage *s, uint64_t object, const void *data, size_t len,
			    struct fl_err *err)
{
	FL_BUG_ON(s->n_out == FL_STAGE_OUT_MAX);
	struct fl_buf *frame = &s->out[(s->out_first + s->n_out) % FL_STAGE_OUT_MAX];
	const struct fl_ipc_piece piece = {object, s->next, {data, len}};
	fl_buf_clear(frame);
	enum fl_rc rc = fl_frame_encode(FL_FRAME_PIECE, 0, &piece, frame, err);
	if (rc != FL_OK)
		return rc;
	s->n_out++;
	s->next++;
	fl_sources_good(&s->sources);
	flush_out(s);
	return FL_OK;
}

/* ---- the source --------------------------------------------------------------------------------------- */

/* Checks a whole item. A chunk whose page the runner has not asked for is a defect of the runner. */
static enum fl_rc check_item(struct fl_stage *s, uint64_t object, struct fl_err *err)
{
	struct fl_pages *pages = fl_stage_pages(s, object);
	uint64_t page = 0;
	if (object != FL_OBJECT_TRANSPORT)
		return fl_pages_take(pages, s->next, s->chunk, s->chunk_len, err);
	if (!fl_tree_ready(pages->tree, s->next, &page) && !fl_pages_kept(pages, page, s->frame.data))
		return fl_fail(err, FL_E_PROTOCOL, 0, "chunk %llu before its page",
			       (unsigned long long)s->next);
	return fl_tree_check(pages->tree, s->next, s->chunk, s->chunk_len, err);
}

static void on_retry(uv_timer_t *timer)
{
	serve(timer->data);
}

/*
 * Another one, or none for now: then the job waits, with the reason. The half of a chunk that has come is kept for the source
 * that sent it: with halves of two nobody would know who lied. (A half page has given its place to one of the spool.)
 */
static void source_failed(struct fl_stage *s, const struct fl_err *err, uint64_t retry_after_s)
{
	const size_t failed = s->sources.used;
	s->failure = *err;
	fl_log_err(FL_LOG_WARNING, err, "component %s: source %s", s->request.component, s->url);
	if (s->needs[0].object != FL_OBJECT_TRANSPORT)
		s->chunk_len = 0;
	const uint64_t came = s->right_bytes + s->chunk_len;
	const struct fl_sources_failure failure = {
		err->rc, came > s->resumed_len ? came - s->resumed_len : 0, retry_after_s};
	const struct fl_sources_next next =
		fl_sources_failed(&s->sources, &failure, uv_now(&s->agent->loop));
	if (s->sources.used != failed)
		s->chunk_len = 0;
	if (next.spent) {
		s->retry_ms = next.wait_ms;
		end_channel(s, err);
		return;
	}
	uv_timer_start(s->retry, on_retry, next.wait_ms, 0);
}

/* Items are cut out of the stream as they become whole; the runner's pace is kept by pausing the source. */
static enum fl_http_take on_http_data(struct fl_http_request *r, const void *data, size_t len)
{
	struct fl_stage *s = r->user;
	const uint64_t object = s->needs[0].object;
	const uint8_t *p = data;
	if (s->n_out > 0)
		return FL_HTTP_PAUSE;
	s->fetched_bytes += len;
	if (s->on_fetched != NULL && !s->on_fetched(s, fl_http_local_address(r), len, &s->failure))
		return FL_HTTP_ABORT;
	while (len > 0 && s->next < s->end) {
		const size_t want = fl_stage_item_len(s, object, s->next) - s->chunk_len;
		const size_t take = want < len ? want : len;
		memcpy(s->chunk + s->chunk_len, p, take);
		s->chunk_len += take;
		p += take;
		len -= take;
		if (take < want)
			break;
		enum fl_rc rc = check_item(s, object, &s->failure);
		if (rc == FL_OK)
			rc = put_piece(s, object, s->chunk, s->chunk_len, &s->failure);
		s->right_bytes += rc == FL_OK ? s->chunk_len : 0;
		s->chunk_len = 0;
		if (rc != FL_OK || s->state != FL_STAGE_SERVING)
			return FL_HTTP_ABORT;
	}
	return FL_HTTP_TAKEN;
}

static void on_http_done(struct fl_http_request *r, long status, enum fl_rc rc, const struct fl_err *err)
{
	struct fl_stage *s = r->user;
	const uint64_t retry_after_s = r->retry_after_s;
	(void)status;
	s->http = NULL;
	free(r);
	if (s->state != FL_STAGE_SERVING)
		return;
	struct fl_err why = rc == FL_E_CANCELLED ? s->failure : *err; /* an abort of our own has said why */
	if (rc == FL_OK && s->next == s->end) {
		serve(s);
		return;
	}
	if (rc == FL_OK)
		(void)fl_fail(&why, FL_E_TRUNCATED, 0, "ended after %zu of its bytes", s->chunk_len);
	if (why.rc == FL_E_BYTE_BUDGET)
		end_channel(s, &why); /* no source is to blame */
	else
		source_failed(s, &why, retry_after_s);
}

static enum fl_rc fetch(struct fl_stage *s, struct fl_err *err)
{
	const struct fl_ipc_need *need = &s->needs[0];
	const struct fl_digest *root = need->object == FL_OBJECT_INSTALLED_TREE
					       ? &s->request.release->installed->tree->root
					       : &s->request.artifact->tree->root;
	const struct fl_source *source = &s->sources.of[s->sources.used];
	fl_source_url(source, need->object == FL_OBJECT_TRANSPORT ? "blobs" : "trees", root, s->url,
		      sizeof(s->url));
	s->http = calloc(1, sizeof(*s->http));
	if (s->http == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "request");
	const uint64_t last = s->end - 1;
	s->right_bytes = 0;
	s->resumed_len = s->chunk_len;
	*s->http = (struct fl_http_request){
		.url = s->url,
		.with_certificate = !source->own,
		.plain = source->own,
		.ranged = true,
		.first = fl_stage_item_offset(s, need->object, s->next) + s->chunk_len,
		.last = fl_stage_item_offset(s, need->object, last) + fl_stage_item_len(s, need->object, last) - 1,
		.on_data = on_http_data,
		.on_done = on_http_done,
		.user = s,
	};
	enum fl_rc rc = fl_http_start(&s->agent->http, s->http, err);
	if (rc != FL_OK) {
		free(s->http);
		s->http = NULL;
	}
	return rc;
}

/* Pages that the spool has are not fetched. */
static enum fl_rc serve_kept_pages(struct fl_stage *s, struct fl_err *err)
{
	const uint64_t object = s->needs[0].object;
	while (object != FL_OBJECT_TRANSPORT && s->next < s->end && s->n_out == 0 &&
	       fl_pages_kept(fl_stage_pages(s, object), s->next, s->chunk)) {
		enum fl_rc rc = put_piece(s, object, s->chunk, fl_stage_item_len(s, object, s->next), err);
		if (rc != FL_OK)
			return rc;
	}
	return FL_OK;
}

/* Goes on with the need at hand, or with the next one. */
static void serve(struct fl_stage *s)
{
	struct fl_err err = {0};
	if (s->state != FL_STAGE_SERVING || s->n_needs == 0 || s->http != NULL || s->n_out > 0)
		return;
	if (s->next == s->end && s->end != 0) {
		s->n_needs--;
		memmove(&s->needs[0], &s->needs[1], s->n_needs * sizeof(s->needs[0]));
		s->end = 0;
	}
	if (s->n_needs == 0)
		return;
	if (s->end == 0) {
		s->next = s->needs[0].first;
		s->end = s->next + s->needs[0].count;
	}
	enum fl_rc rc = serve_kept_pages(s, &err);
	if (rc == FL_OK && s->n_out > 0)
		return; /* on_channel comes back */
	if (rc == FL_OK && s->next == s->end) {
		serve(s);
		return;
	}
	if (rc == FL_OK)
		rc = fetch(s, &err);
	if (rc != FL_OK)
		end_channel(s, &err);
}

/* ---- frames in ---------------------------------------------------------------------------------------- */

static enum fl_rc take_need(struct fl_stage *s, const struct fl_ipc_need *need, struct fl_err *err)
{
	if (s->n_needs == FL_STAGE_NEEDS_MAX || need->object > FL_OBJECT_TRANSPORT || need->count == 0)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a need past its limits");
	const uint64_t count = fl_stage_item_count(s, need->object);
	if (need->first >= count || need->count > count - need->first)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a need outside its object");
	s->needs[s->n_needs++] = *need;
	return FL_OK;
}

static enum fl_rc on_frame(struct fl_stage *s, struct fl_err *err)
{
	enum fl_frame_type type;
	uint32_t id = 0;
	union {
		struct fl_ipc_need need;
		struct fl_ipc_progress progress;
	} body;
	struct fl_arena arena = FL_ARENA(NEED_ARENA_MAX);
	enum fl_rc rc = fl_frame_peek(s->frame.data, s->frame.len, &type, &id, err);
	if (rc == FL_OK && type != FL_FRAME_NEED && type != FL_FRAME_PROGRESS)
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "not a runner's frame");
	if (rc == FL_OK)
		rc = fl_frame_decode(type, s->frame.data, s->frame.len, &arena, &body, err);
	if (rc == FL_OK && type == FL_FRAME_NEED)
		rc = take_need(s, &body.need, err);
	else if (rc == FL_OK && s->on_progress != NULL)
		s->on_progress(s, &body.progress);
	fl_arena_free(&arena);
	return rc;
}

static void read_frames(struct fl_stage *s)
{
	for (int i = 0; i < NEEDS_PER_TURN && s->state == FL_STAGE_SERVING; i++) {
		struct fl_err err = {0};
		int fds[FL_FRAME_FDS_MAX];
		size_t n_fds = 0;
		enum fl_rc rc = fl_frame_recv(s->channel, &s->frame, fds, &n_fds, &err);
		if (rc == FL_E_BUSY)
			return;
		for (size_t k = 0; rc == FL_OK && k < n_fds; k++)
			fl_close(&fds[k]);
		if (rc == FL_E_PEER_CLOSED) {
			stop_serving(s); /* `staged` says how it ended */
			drop_http(s);
			return;
		}
		if (rc == FL_OK)
			rc = on_frame(s, &err);
		if (rc != FL_OK) {
			end_channel(s, &err);
			return;
		}
	}
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
	struct fl_stage *s = poll->data;
	if (status < 0)
		stop_serving(s);
	if (status == 0 && (events & UV_WRITABLE) != 0)
		flush_out(s);
	if (status == 0 && (events & UV_READABLE) != 0)
		read_frames(s);
	if (s->state == FL_STAGE_SERVING && s->n_out == 0 && s->http != NULL)
		fl_http_resume(s->http);
	serve(s);
	watch(s);
}

static void watch(struct fl_stage *s)
{
	if (s->poll == NULL)
		return;
	if (s->state != FL_STAGE_SERVING) {
		uv_poll_stop(s->poll);
		return;
	}
	uv_poll_start(s->poll, UV_READABLE | (s->n_out > 0 ? UV_WRITABLE : 0), on_channel);
}

/* ---- start and end -------------------------------------------------------------------------------------- */

static enum fl_rc open_channel(struct fl_stage *s, struct fl_err *err)
{
	s->poll = calloc(1, sizeof(*s->poll));
	s->retry = calloc(1, sizeof(*s->retry));
	s->chunk = malloc(FL_CHUNK_SIZE);
	if (s->poll == NULL || s->retry == NULL || s->chunk == NULL ||
	    uv_poll_init(&s->agent->loop, s->poll, s->channel) != 0) {
		free(s->poll);
		free(s->retry);
		s->poll = NULL;
		s->retry = NULL;
		return fl_fail(err, FL_E_NO_MEMORY, 0, "data channel");
	}
	FL_BUG_ON(uv_timer_init(&s->agent->loop, s->retry) != 0);
	s->poll->data = s->retry->data = s;
	s->state = FL_STAGE_SERVING;
	watch(s);
	return fl_buf_reserve(&s->frame, FL_CHUNK_SIZE, err);
}

static void on_asked(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		     struct fl_helper_answer *answer)
{
	struct fl_stage *s = call->ctx;
	struct fl_err why = *err;
	if (s->state != FL_STAGE_ASKING || rc == FL_E_PEER_CLOSED)
		return; /* cancelled, or the whole job is parked */
	if (rc == FL_OK && answer->fd < 0)
		rc = fl_fail(&why, FL_E_PROTOCOL, 0, "the helper sent no data channel");
	if (rc == FL_OK) {
		s->channel = answer->fd;
		answer->fd = -1;
		rc = open_channel(s, &why);
	}
	if (rc != FL_OK)
		finish(s, rc, fl_rc_retryable(rc) ? "retry" : "permanent", &why);
}

enum fl_rc fl_stage_start(struct fl_stage *s, struct fl_agent *agent,
			  const struct fl_stage_request *request, fl_stage_done *done, void *ctx,
			  struct fl_err *err)
{
	FL_BUG_ON(s->state != FL_STAGE_IDLE);
	*s = (struct fl_stage){.agent = agent,
			       .ctx = ctx,
			       .request = *request,
			       .done = done,
			       .on_progress = s->on_progress,
			       .on_fetched = s->on_fetched,
			       .channel = -1,
			       .frame = FL_BUF(FL_FRAME_MAX),
			       .pages = {{.fd = -1}, {.fd = -1}},
			       .state = FL_STAGE_ASKING};
	for (size_t i = 0; i < FL_STAGE_OUT_MAX; i++)
		s->out[i] = FL_BUF(FL_FRAME_MAX);
	if (request->own_source != NULL)
		fl_sources_add(&s->sources, request->own_source, true);
	for (size_t i = 0; i < request->n_sources; i++)
		fl_sources_add(&s->sources, request->sources[i], false);
	FL_BUG_ON(s->sources.n == 0);
	const struct fl_installed_ref *installed = request->release->installed;
	enum fl_rc rc = fl_pages_open(&s->pages[FL_OBJECT_INSTALLED_TREE], agent->config.spool_dir,
				      installed->size, &installed->tree->root, err);
	if (rc == FL_OK)
		rc = fl_pages_open(&s->pages[FL_OBJECT_TRANSPORT_TREE], agent->config.spool_dir,
				   request->artifact->size, &request->artifact->tree->root, err);
	const struct fl_ipc_stage body = {*request->job, request->component, request->artifact->id};
	fl_helper_call_init(&s->call, on_asked, s);
	if (rc == FL_OK)
		rc = fl_helper_send(&agent->helper, &s->call, FL_FRAME_STAGE, &body, NULL, 0, err);
	if (rc != FL_OK)
		clear(s);
	return rc;
}

void fl_stage_on_staged(struct fl_stage *s, const struct fl_ipc_staged *event)
{
	if (s->state != FL_STAGE_SERVING && s->state != FL_STAGE_ENDING)
		return;
	if (strcmp(event->component, s->request.component) != 0)
		return;
	struct fl_err err = {0};
	enum fl_rc rc = fl_rc_from_name(event->code);
	if (rc != FL_OK && s->ended) { /* the runner only repeats what this side told it */
		err = s->failure;
		rc = err.rc;
	} else if (rc != FL_OK) {
		(void)fl_fail(&err, rc, 0, "%s", event->text == NULL ? fl_rc_text(rc) : event->text);
	}
	finish(s, rc, event->result, &err);
}
