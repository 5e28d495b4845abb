/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   (start) ── connect ──▶ greeting ── hello_reply ──▶ up ── end of file, bad frame ──▶ down ─┐
 *      ▲                                                                       500 ms │
 *      └──────────────────────────────────────────────────────────────────────────────┘
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_MS	 500
#define CALL_DEADLINE_MS (UINT64_C(60) * 1000)
#define LONG_DEADLINE_MS (UINT64_C(3600) * 1000) /* seal reads whole slots */
#define FACTS_MAX	 ((size_t)512 * 1024)
#define FRAMES_PER_TURN	 32

static void connect_now(struct fl_helper *h);

static void on_retry(uv_timer_t *timer)
{
	connect_now(timer->data);
}

/* Every open call ends, in the order they were made. */
static void end_calls(struct fl_helper *h, enum fl_rc rc, const char *why)
{
	struct fl_err err = {0};
	(void)fl_fail(&err, rc, 0, "%s", why);
	while (h->calls != NULL) {
		struct fl_helper_call *call = h->calls;
		h->calls = call->next;
		call->id = 0;
		struct fl_helper_answer none = {.fd = -1};
		call->done(call, rc, &err, &none);
	}
}

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

static void stop_polling(struct fl_helper *h)
{
	if (h->poll == NULL)
		return;
	uv_poll_stop(h->poll);
	uv_close((uv_handle_t *)h->poll, free_poll);
	h->poll = NULL;
}

static void drop(struct fl_helper *h, const char *why)
{
	if (h->sock < 0)
		return;
	fl_log(FL_LOG_WARNING, "helper: %s", why);
	stop_polling(h);
	fl_close(&h->sock);
	const bool was_up = h->up;
	h->up = false;
	uv_timer_stop(&h->deadlines);
	end_calls(h, FL_E_PEER_CLOSED, "connection to the helper lost");
	if (was_up)
		h->events.down(h->events.ctx);
	uv_timer_start(&h->retry, on_retry, RETRY_MS, 0);
}

static struct fl_helper_call *take_call(struct fl_helper *h, uint32_t id)
{
	for (struct fl_helper_call **p = &h->calls; *p != NULL; p = &(*p)->next) {
		if ((*p)->id == id) {
			struct fl_helper_call *call = *p;
			*p = call->next;
			call->id = 0;
			return call;
		}
	}
	return NULL;
}

/* The largest of the structs a helper may send. */
union body {
	struct fl_ipc_reply reply;
	struct fl_ipc_hello_reply hello;
	struct fl_ipc_present_reply present;
	struct fl_ipc_nonce_reply nonce;
	struct fl_ipc_documents documents;
	struct fl_ipc_observation observation;
	struct fl_ipc_staged staged;
	struct fl_ipc_phase phase;
	struct fl_ipc_rotten rotten;
	struct fl_ipc_log log;
};

/* The code and text that an answer carries, if its type does. */
static enum fl_rc code_of(enum fl_frame_type type, const union body *body, struct fl_err *err)
{
	const char *code = "ok", *text = NULL;
	if (type == FL_FRAME_REPLY) {
		code = body->reply.code;
		text = body->reply.text;
	} else if (type == FL_FRAME_PRESENT_REPLY) {
		code = body->present.code;
		text = body->present.text;
	} else if (type == FL_FRAME_OBSERVATION) {
		code = body->observation.code;
		text = body->observation.text;
	}
	enum fl_rc rc = fl_rc_from_name(code);
	return rc == FL_OK ? rc : fl_fail(err, rc, 0, "%s", text == NULL ? fl_rc_text(rc) : text);
}

static void on_event(struct fl_helper *h, enum fl_frame_type type, const union body *body)
{
	if (type == FL_FRAME_STAGED)
		h->events.staged(h->events.ctx, &body->staged);
	else if (type == FL_FRAME_PHASE)
		h->events.phase(h->events.ctx, &body->phase);
	else if (type == FL_FRAME_ROTTEN)
		h->events.rotten(h->events.ctx, &body->rotten);
	else if (type == FL_FRAME_LOG)
		fl_log(body->log.level <= 7 ? (enum fl_log_level)body->log.level : FL_LOG_INFO,
		       "helper: %s", body->log.text == NULL ? "" : body->log.text);
}

static bool from_helper(enum fl_frame_type type)
{
	return (type >= FL_FRAME_REPLY && type <= FL_FRAME_PHASE) || type == FL_FRAME_LOG;
}

/* hello_reply is kept: it is decoded into the arena that lives on. */
static enum fl_rc keep_facts(struct fl_helper *h, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(FACTS_MAX);
	struct fl_ipc_hello_reply facts;
	enum fl_rc rc = fl_frame_decode(FL_FRAME_HELLO_REPLY, h->frame.data, h->frame.len, &arena,
					&facts, err);
	if (rc != FL_OK) {
		fl_arena_free(&arena);
		return rc;
	}
	fl_arena_free(&h->facts_arena);
	h->facts_arena = arena;
	h->facts = facts;
	return FL_OK;
}

static enum fl_rc handle_frame(struct fl_helper *h, int *fd, struct fl_err *err)
{
	enum fl_frame_type type;
	uint32_t id = 0;
	enum fl_rc rc = fl_frame_peek(h->frame.data, h->frame.len, &type, &id, err);
	if (rc != FL_OK)
		return rc;
	if (!from_helper(type))
		return fl_fail(err, FL_E_PROTOCOL, 0, "a frame only others send");
	union body body;
	struct fl_arena arena = FL_ARENA(FACTS_MAX);
	rc = fl_frame_decode(type, h->frame.data, h->frame.len, &arena, &body, err);
	if (rc == FL_OK && type == FL_FRAME_HELLO_REPLY)
		rc = keep_facts(h, err);
	if (rc == FL_OK && id == 0)
		on_event(h, type, &body);
	struct fl_helper_call *call = rc == FL_OK && id != 0 ? take_call(h, id) : NULL;
	if (call != NULL) {
		struct fl_err why = {0};
		struct fl_helper_answer answer = {type, &body, *fd};
		call->done(call, code_of(type, &body, &why), &why, &answer);
		*fd = answer.fd;
	}
	fl_arena_free(&arena);
	return rc;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct fl_helper *h = poll->data;
	(void)events;
	for (int i = 0; status == 0 && i < FRAMES_PER_TURN && h->sock >= 0; i++) {
		struct fl_err err = {0};
		int fds[FL_FRAME_FDS_MAX];
		size_t n_fds = 0;
		enum fl_rc rc = fl_frame_recv(h->sock, &h->frame, fds, &n_fds, &err);
		if (rc == FL_E_BUSY)
			return;
		if (rc == FL_OK) {
			rc = handle_frame(h, &fds[0], &err);
			for (size_t k = 0; k < n_fds; k++)
				fl_close(&fds[k]);
		}
		if (rc != FL_OK) {
			drop(h, err.msg);
			return;
		}
	}
	if (status != 0)
		drop(h, uv_strerror(status));
}

static void on_greeted(struct fl_helper_call *call, enum fl_rc rc, const struct fl_err *err,
		       struct fl_helper_answer *answer)
{
	struct fl_helper *h = call->ctx;
	if (rc == FL_E_PEER_CLOSED)
		return; /* drop() has said so */
	if (rc != FL_OK || answer->type != FL_FRAME_HELLO_REPLY || h->facts.proto != FL_IPC_PROTO) {
		drop(h, rc != FL_OK ? err->msg : "speaks another protocol");
		return;
	}
	h->up = true;
	h->events.up(h->events.ctx);
}

enum fl_rc fl_helper_refresh(struct fl_helper *helper, struct fl_helper_call *call,
			     struct fl_err *err)
{
	const struct fl_ipc_hello hello = {FL_IPC_PROTO, "0.1.0"};
	return fl_helper_send(helper, call, FL_FRAME_HELLO, &hello, NULL, 0, err);
}

static int open_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const size_t len = strlen(path);
	if (len >= sizeof(addr.sun_path))
		return -1;
	memcpy(addr.sun_path, path, len + 1);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock >= 0 && connect(sock, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		fl_close(&sock);
	return sock;
}

static void connect_now(struct fl_helper *h)
{
	struct fl_err err = {0};
	h->sock = open_socket(h->path);
	if (h->sock < 0) {
		uv_timer_start(&h->retry, on_retry, RETRY_MS, 0);
		return;
	}
	h->poll = calloc(1, sizeof(*h->poll));
	if (h->poll == NULL || uv_poll_init(h->loop, h->poll, h->sock) != 0) {
		free(h->poll);
		h->poll = NULL;
		drop(h, "out of memory");
		return;
	}
	h->poll->data = h;
	FL_BUG_ON(uv_poll_start(h->poll, UV_READABLE, on_poll) != 0);
	fl_helper_call_init(&h->hello, on_greeted, h);
	if (fl_helper_refresh(h, &h->hello, &err) != FL_OK)
		drop(h, err.msg);
}

void fl_helper_init(struct fl_helper *helper, uv_loop_t *loop, const char *path,
		    const struct fl_helper_events *events)
{
	*helper = (struct fl_helper){.loop = loop,
				     .path = path,
				     .events = *events,
				     .sock = -1,
				     .frame = FL_BUF(FL_FRAME_MAX),
				     .facts_arena = FL_ARENA(FACTS_MAX)};
	FL_BUG_ON(uv_timer_init(loop, &helper->retry) != 0);
	FL_BUG_ON(uv_timer_init(loop, &helper->deadlines) != 0);
	helper->retry.data = helper->deadlines.data = helper;
	connect_now(helper);
}

void fl_helper_done(struct fl_helper *helper)
{
	stop_polling(helper);
	fl_close(&helper->sock);
	uv_close((uv_handle_t *)&helper->retry, NULL);
	uv_close((uv_handle_t *)&helper->deadlines, NULL);
	fl_buf_free(&helper->frame);
	fl_arena_free(&helper->facts_arena);
}

const struct fl_ipc_hello_reply *fl_helper_facts(const struct fl_helper *helper)
{
	return helper->up ? &helper->facts : NULL;
}

static bool is_half_of(const struct fl_digest *half, const struct fl_digest *whole)
{
	static const uint8_t none[FL_DIGEST_SIZE / 2];
	return memcmp(half->b + sizeof(none), none, sizeof(none)) == 0 &&
	       memcmp(half->b, whole->b, FL_DIGEST_SIZE - sizeof(none)) == 0;
}

bool fl_helper_complete(struct fl_helper *helper, const struct fl_digest *job,
			const struct fl_digest *release)
{
	bool found = false;
	for (size_t i = 0; i < helper->facts.open_jobs.n; i++) {
		struct fl_ipc_open_job *open =
			(struct fl_ipc_open_job *)(uintptr_t)&helper->facts.open_jobs.items[i];
		const bool half = is_half_of(&open->job, job);
		if (half)
			open->job = *job;
		if (release != NULL && fl_digest_equal(&open->job, job) && is_half_of(&open->release, release))
			open->release = *release;
		found = found || half;
	}
	return found;
}

void fl_helper_document(const struct fl_envelope *env, struct fl_ipc_signature *sigs,
			struct fl_ipc_document *ret)
{
	for (size_t i = 0; i < env->n_sigs; i++) {
		sigs[i].keyid = env->sigs[i].keyid;
		sigs[i].sig = (struct fl_bytes){env->sigs[i].sig, FL_SIG_SIZE};
	}
	ret->type = (uint64_t)env->type;
	ret->sigs.items = sigs;
	ret->sigs.n = env->n_sigs;
}

static void on_deadline(uv_timer_t *timer)
{
	struct fl_helper *h = timer->data;
	const uint64_t now = uv_now(h->loop);
	for (struct fl_helper_call *c = h->calls; c != NULL; c = c->next) {
		if (c->deadline_ms <= now) {
			drop(h, "no answer before the deadline");
			return;
		}
	}
	if (h->calls != NULL)
		uv_timer_start(&h->deadlines, on_deadline, 5000, 0);
}

static void add_call(struct fl_helper *h, struct fl_helper_call *call, enum fl_frame_type type)
{
	const uint64_t allowed = type == FL_FRAME_SEAL ? LONG_DEADLINE_MS : CALL_DEADLINE_MS;
	call->deadline_ms = uv_now(h->loop) + allowed;
	call->next = NULL;
	struct fl_helper_call **p = &h->calls;
	while (*p != NULL)
		p = &(*p)->next;
	*p = call;
	if (!uv_is_active((uv_handle_t *)&h->deadlines))
		uv_timer_start(&h->deadlines, on_deadline, 5000, 0);
}

void fl_helper_call_init(struct fl_helper_call *call,
			 void (*done)(struct fl_helper_call *, enum fl_rc, const struct fl_err *,
				      struct fl_helper_answer *),
			 void *ctx)
{
	FL_BUG_ON(call->id != 0);
	*call = (struct fl_helper_call){.done = done, .ctx = ctx};
}

void fl_helper_forget(struct fl_helper *helper, struct fl_helper_call *call)
{
	for (struct fl_helper_call **p = &helper->calls; *p != NULL; p = &(*p)->next) {
		if (*p == call) {
			*p = call->next;
			break;
		}
	}
	call->id = 0;
}

bool fl_helper_call_open(const struct fl_helper_call *call)
{
	return call->id != 0;
}

enum fl_rc fl_helper_send_fds(struct fl_helper *helper, struct fl_helper_call *call,
			      enum fl_frame_type type, const void *body, const int *fds, size_t n_fds,
			      struct fl_err *err)
{
	if (helper->sock < 0)
		return fl_fail(err, FL_E_PEER_CLOSED, 0, "the helper is not connected");
	FL_BUG_ON(n_fds > FL_FRAME_FDS_MAX || call->id != 0);
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	call->id = ++helper->last_id == 0 ? ++helper->last_id : helper->last_id;
	enum fl_rc rc = fl_frame_encode(type, call->id, body, &frame, err);
	if (rc == FL_OK)
		rc = fl_frame_send(helper->sock, frame.data, frame.len, fds, n_fds, err);
	fl_buf_free(&frame);
	if (rc == FL_OK)
		add_call(helper, call, type);
	else
		call->id = 0;
	return rc;
}

enum fl_rc fl_helper_send(struct fl_helper *helper, struct fl_helper_call *call,
			  enum fl_frame_type type, const void *body, const struct fl_bytes *payloads,
			  size_t n_payloads, struct fl_err *err)
{
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds = 0;
	enum fl_rc rc = FL_OK;
	FL_BUG_ON(n_payloads > FL_FRAME_FDS_MAX);
	while (rc == FL_OK && n_fds < n_payloads) {
		rc = fl_memfd_new(payloads[n_fds].data, payloads[n_fds].len, &fds[n_fds], err);
		n_fds += rc == FL_OK ? 1 : 0;
	}
	if (rc == FL_OK)
		rc = fl_helper_send_fds(helper, call, type, body, fds, n_fds, err);
	for (size_t i = 0; i < n_fds; i++)
		fl_close(&fds[i]);
	return rc;
}
