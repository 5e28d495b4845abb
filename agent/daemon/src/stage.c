/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NEEDS_PER_TURN	16
#define LAST_TURNS	4096 /* more frames than a socket holds */
#define NEED_ARENA_MAX	((size_t)4096)
#define FRAME_DEFAULT	((uint64_t)1 << 20) /* for what a wrong chunk costs, where the release has no frames */

static void serve(struct fl_stage *s);

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void clear(struct fl_stage *s)
{
	fl_spooling_stop(&s->spooling);
	s->retry_ms = s->fetch.retry_ms;
	s->fetched_bytes = s->fetch.fetched_bytes;
	fl_fetch_close(&s->fetch);
	fl_helper_forget(&s->agent->helper, &s->call);
	if (s->poll != NULL) {
		uv_poll_stop(s->poll);
		uv_close((uv_handle_t *)s->poll, free_handle);
		s->poll = NULL;
	}
	fl_close(&s->channel);
	fl_buf_free(&s->frame);
	for (size_t i = 0; i < FL_STAGE_OUT_MAX; i++)
		fl_buf_free(&s->out[i]);
	s->state = FL_STAGE_IDLE;
}

void fl_stage_cancel(struct fl_stage *s)
{
	if (s->state != FL_STAGE_IDLE)
		clear(s);
}

static void finish(struct fl_stage *s, const struct fl_staged *staged)
{
	const struct fl_staged copy = *staged;
	clear(s);
	s->done(s, &copy);
}

static bool is_decoded(const struct fl_stage *s)
{
	return strcmp(s->request.what.artifact->format, "zstd-frames") != 0;
}

/* Before there was a runner: this side or the helper says why. */
static void finish_early(struct fl_stage *s, const struct fl_err *why)
{
	const bool passes = fl_rc_retryable(why->rc);
	const struct fl_staged staged = {
		.why = *why, .result = passes ? "retry" : "permanent", .decoder = is_decoded(s) && !passes};
	finish(s, &staged);
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
	fl_fetch_stop(&s->fetch);
	s->n_out = 0;
	fl_buf_clear(&s->out[0]);
	if (fl_frame_encode(FL_FRAME_END, 0, &end, &s->out[0], &ignored) == FL_OK)
		(void)!fl_frame_send(s->channel, s->out[0].data, s->out[0].len, NULL, 0, &ignored);
	stop_serving(s);
	fl_log_err(FL_LOG_WARNING, why, "component %s: staging ended", s->request.what.component);
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
			fl_fetch_stop(&s->fetch);
			return;
		}
		s->out_first = (s->out_first + 1) % FL_STAGE_OUT_MAX;
		s->n_out--;
	}
}

static bool has_room(void *ctx)
{
	const struct fl_stage *s = ctx;
	return s->n_out == 0;
}

static enum fl_rc on_item(void *ctx, const void *data, size_t len, struct fl_err *err)
{
	struct fl_stage *s = ctx;
	FL_BUG_ON(s->n_out == FL_STAGE_OUT_MAX);
	struct fl_buf *frame = &s->out[(s->out_first + s->n_out) % FL_STAGE_OUT_MAX];
	const struct fl_ipc_piece piece = {s->fetch.object, s->fetch.next, {data, len}};
	fl_buf_clear(frame);
	enum fl_rc rc = fl_frame_encode(FL_FRAME_PIECE, 0, &piece, frame, err);
	if (rc != FL_OK)
		return rc;
	s->n_out++;
	flush_out(s);
	return FL_OK;
}

static void on_run(void *ctx)
{
	struct fl_stage *s = ctx;
	s->n_needs--;
	memmove(&s->needs[0], &s->needs[1], s->n_needs * sizeof(s->needs[0]));
	serve(s);
}

static void on_failed(void *ctx, const struct fl_err *why)
{
	end_channel(ctx, why);
}

static bool on_bytes(void *ctx, const char *address, size_t len, struct fl_err *err)
{
	struct fl_stage *s = ctx;
	s->fetched_bytes = s->fetch.fetched_bytes;
	return s->on_fetched == NULL || s->on_fetched(s, address, len, err);
}

static const struct fl_fetch_taker to_runner = {
	.has_room = has_room, .on_item = on_item, .on_run = on_run, .on_failed = on_failed, .on_bytes = on_bytes};

/* Goes on with the need at hand, or with the next one. */
static void serve(struct fl_stage *s)
{
	if (s->state != FL_STAGE_SERVING || s->n_needs == 0 || s->n_out > 0)
		return;
	const struct fl_ipc_need *need = &s->needs[0];
	if (fl_fetch_running(&s->fetch))
		fl_fetch_resume(&s->fetch);
	else
		fl_fetch_run(&s->fetch, need->object, need->first, need->count);
}

/* ---- frames in ---------------------------------------------------------------------------------------- */

static enum fl_rc take_need(struct fl_stage *s, const struct fl_ipc_need *need, struct fl_err *err)
{
	if (s->n_needs == FL_STAGE_NEEDS_MAX || need->object > FL_OBJECT_TRANSPORT || need->count == 0)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a need past its limits");
	const uint64_t count = fl_fetch_item_count(&s->fetch, need->object);
	if (need->first >= count || need->count > count - need->first)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a need outside its object");
	s->needs[s->n_needs++] = *need;
	return FL_OK;
}

/* Runs of chunks ascend: each frame that they touch is counted once. */
static void take_bad(struct fl_stage *s, const struct fl_ipc_bad *bad)
{
	const struct fl_artifact *full = fl_component_artifact(s->request.release, NULL, "zstd-frames");
	const uint64_t frame = full == NULL || full->frame == 0 ? FRAME_DEFAULT : full->frame;
	const uint64_t chunks = frame / FL_CHUNK_SIZE;
	const uint64_t from = bad->first > s->bad_until ? bad->first : s->bad_until;
	const uint64_t until = (bad->first + bad->count + chunks - 1) / chunks * chunks;
	if (bad->count == 0 || bad->first > FL_TREE_SIZE_MAX || bad->count > FL_TREE_SIZE_MAX || until <= from)
		return;
	s->bad_frames += until / chunks - from / chunks;
	s->bad_until = until;
	fl_log(FL_LOG_WARNING, "component %s: the decoder made chunks %llu to %llu wrong",
	       s->request.what.component, (unsigned long long)bad->first,
	       (unsigned long long)(bad->first + bad->count - 1));
}

static enum fl_rc on_frame(struct fl_stage *s, struct fl_err *err)
{
	enum fl_frame_type type;
	uint32_t id = 0;
	union {
		struct fl_ipc_need need;
		struct fl_ipc_progress progress;
		struct fl_ipc_bad bad;
	} body;
	struct fl_arena arena = FL_ARENA(NEED_ARENA_MAX);
	enum fl_rc rc = fl_frame_peek(s->frame.data, s->frame.len, &type, &id, err);
	if (rc == FL_OK && type != FL_FRAME_NEED && type != FL_FRAME_PROGRESS && type != FL_FRAME_BAD)
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "not a runner's frame");
	if (rc == FL_OK)
		rc = fl_frame_decode(type, s->frame.data, s->frame.len, &arena, &body, err);
	if (rc == FL_OK && type == FL_FRAME_NEED)
		rc = take_need(s, &body.need, err);
	else if (rc == FL_OK && type == FL_FRAME_BAD)
		take_bad(s, &body.bad);
	else if (rc == FL_OK && s->on_progress != NULL)
		s->on_progress(s, &body.progress);
	fl_arena_free(&arena);
	return rc;
}

/* What the runner said before it ended is read to the end: `bad` may lie there when the helper has already told of it. */
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
			fl_fetch_stop(&s->fetch);
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

/* ---- asking the helper ----------------------------------------------------------------------------------- */

static enum fl_rc open_channel(struct fl_stage *s, struct fl_err *err)
{
	s->poll = calloc(1, sizeof(*s->poll));
	if (s->poll == NULL || uv_poll_init(&s->agent->loop, s->poll, s->channel) != 0) {
		free(s->poll);
		s->poll = NULL;
		return fl_fail(err, FL_E_NO_MEMORY, 0, "data channel");
	}
	s->poll->data = s;
	s->state = FL_STAGE_SERVING;
	fl_fetch_hand_to(&s->fetch, &to_runner, s);
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
		finish_early(s, &why);
}

static enum fl_rc ask(struct fl_stage *s, const int *fds, size_t n_fds, struct fl_err *err)
{
	const struct fl_fetch_what *what = &s->request.what;
	const struct fl_ipc_stage body = {*s->request.job, what->component, what->artifact->id};
	s->state = FL_STAGE_ASKING;
	return fl_helper_send_fds(&s->agent->helper, &s->call, FL_FRAME_STAGE, &body, fds, n_fds, err);
}

/* ---- what a decoder reads --------------------------------------------------------------------------------- */

static void on_spooled(void *ctx, const struct fl_err *result)
{
	struct fl_stage *s = ctx;
	struct fl_err err = *result;
	int fds[2] = {-1, -1};
	enum fl_rc rc = err.rc;
	if (rc == FL_OK)
		rc = fl_spooling_open(&s->fetch, &fds[0], &fds[1], &err);
	if (rc == FL_OK)
		rc = ask(s, fds, 2, &err);
	fl_close(&fds[0]);
	fl_close(&fds[1]);
	if (rc != FL_OK && rc != FL_E_PEER_CLOSED) /* the latter: parked a moment later */
		finish_early(s, &err);
}

static void on_spooling(void *ctx, uint64_t done_bytes)
{
	struct fl_stage *s = ctx;
	const uint64_t size = s->request.what.artifact->size;
	const struct fl_ipc_progress progress = {"fetching", done_bytes, size, 0};
	if (s->on_progress != NULL)
		s->on_progress(s, &progress);
}

static enum fl_rc spool(struct fl_stage *s, struct fl_err *err)
{
	s->state = FL_STAGE_SPOOLING;
	s->spooling = (struct fl_spooling){
		.ctx = s, .done = on_spooled, .progress = on_spooling, .on_bytes = on_bytes};
	return fl_spooling_start(&s->spooling, &s->fetch, err);
}

/* ---- start and end -------------------------------------------------------------------------------------- */

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
			       .frame = FL_BUF(FL_FRAME_MAX)};
	for (size_t i = 0; i < FL_STAGE_OUT_MAX; i++)
		s->out[i] = FL_BUF(FL_FRAME_MAX);
	fl_helper_call_init(&s->call, on_asked, s);
	enum fl_rc rc = fl_fetch_open(&s->fetch, agent, &request->what, err);
	if (rc == FL_OK)
		rc = is_decoded(s) ? spool(s, err) : ask(s, NULL, 0, err);
	if (rc != FL_OK)
		clear(s);
	return rc;
}

static uint64_t bad_bytes(const struct fl_stage *s)
{
	const struct fl_component *c = s->request.release;
	const struct fl_artifact *full = fl_component_artifact(c, NULL, "zstd-frames");
	if (full == NULL || full->frame == 0)
		return 0;
	const uint64_t frames = c->installed->size / full->frame + 1;
	return s->bad_frames * (full->size / frames + FL_CHUNK_SIZE);
}

void fl_stage_on_staged(struct fl_stage *s, const struct fl_ipc_staged *event)
{
	if (s->state != FL_STAGE_SERVING && s->state != FL_STAGE_ENDING)
		return;
	if (strcmp(event->component, s->request.what.component) != 0)
		return;
	for (int i = 0; i < LAST_TURNS && s->state == FL_STAGE_SERVING; i++)
		read_frames(s);
	struct fl_staged staged = {.result = event->result, .decoder = event->decoder};
	const enum fl_rc rc = fl_rc_from_name(event->code);
	if (rc != FL_OK && s->ended) /* the runner only repeats what this side told it */
		staged.why = s->failure;
	else if (rc != FL_OK)
		(void)fl_fail(&staged.why, rc, 0, "%s", event->text == NULL ? fl_rc_text(rc) : event->text);
	staged.bad_bytes = bad_bytes(s);
	finish(s, &staged);
}
