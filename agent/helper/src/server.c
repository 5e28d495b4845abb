/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket, the loop and the table of requests. One agent at a time; a newer connection takes the
 * place of the older. A frame that breaks the protocol ends the connection and nothing else.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/base/notify.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACTIVATED_FD 3 /* sd_listen_fds(3) */
#define REQUEST_MAX  ((size_t)4 << 20)
#define FIRST_CHILD  2 /* in the poll set, after listener and agent: channel and process of each */
#define POLL_SIZE    (FIRST_CHILD + 4 * FL_ANCHOR_COMPONENTS)

static const struct {
	enum fl_frame_type type;
	handler *run;
} requests[] = {
	{FL_FRAME_HELLO, on_hello},
	{FL_FRAME_PRESENT, on_present},
	{FL_FRAME_GET_DOCUMENT, on_get_document},
	{FL_FRAME_NONCE, on_nonce},
	{FL_FRAME_HEARTBEAT, on_heartbeat},
	{FL_FRAME_STAGE, on_stage},
	{FL_FRAME_STOP, on_stop},
	{FL_FRAME_SEAL, on_seal},
	{FL_FRAME_ACTIVATE, on_activate},
	{FL_FRAME_RESTART, on_restart},
	{FL_FRAME_COMMIT, on_commit},
	{FL_FRAME_ROLLBACK, on_rollback},
	{FL_FRAME_CLOSE, on_close},
	{FL_FRAME_OBSERVE, on_observe},
	{FL_FRAME_ALIVE, on_alive},
};

static size_t n_children(const struct helper *h)
{
	return 2 * h->config.n_components;
}

/* --- sending --- */

static void end_request(struct helper *h)
{
	for (size_t i = 0; i < h->request.n_fds; i++)
		fl_close(&h->request.fds[i]);
	h->request.n_fds = 0;
	if (h->pending) /* nothing else of the agent was read meanwhile */
		h->heard_ms += fl_clock_boot_ms(h->clock) - h->request_ms;
	h->pending = false;
}

static void drop_agent(struct helper *h)
{
	fl_close(&h->agent);
	end_request(h);
	h->greeted = false;
	for (size_t i = 0; i < n_children(h); i++)
		h->children[i].asked = false; /* nobody waits for the answer any more */
}

void send_agent(struct helper *h, enum fl_frame_type type, uint32_t id, const void *body, int fd)
{
	struct fl_err err;
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	if (h->agent < 0)
		return;
	enum fl_rc rc = fl_frame_encode(type, id, body, &frame, &err);
	if (rc == FL_OK)
		rc = fl_frame_send(h->agent, frame.data, frame.len, &fd, fd >= 0 ? 1 : 0, &err);
	fl_buf_free(&frame);
	if (rc == FL_OK)
		return;
	fl_log_err(FL_LOG_WARNING, &err, "to the agent: %s", fl_frame_name(type));
	drop_agent(h);
}

void send_reply(struct helper *h, uint32_t id, enum fl_rc rc, const struct fl_err *err, int fd)
{
	const struct fl_ipc_reply reply = {fl_rc_name(rc), rc == FL_OK ? NULL : err->msg};
	if (rc != FL_OK)
		fl_log_err(FL_LOG_WARNING, err, "refused");
	send_agent(h, FL_FRAME_REPLY, id, &reply, fd);
}

void send_phase(struct helper *h, int place, enum fl_phase phase, enum fl_rc code, const char *text)
{
	struct fl_err err;
	struct fl_envelope env;
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_ipc_phase event = {
		.phase = fl_phase_name(phase), .code = fl_rc_name(code), .text = text};
	if (fl_anchor_fetch(h->file, &h->anchor.jobs[place].job, &arena, &env, &event.job, &err) ==
	    FL_OK)
		send_agent(h, FL_FRAME_PHASE, 0, &event, -1);
	fl_arena_free(&arena);
}

/* --- receiving --- */

static handler *find_handler(enum fl_frame_type type)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].type == type)
			return requests[i].run;
	}
	return NULL;
}

static enum fl_rc run_request(struct helper *h, struct request *rq, struct fl_err *err)
{
	handler *run = find_handler(rq->type);
	if (run == NULL || (!h->greeted && rq->type != FL_FRAME_HELLO))
		return fl_fail(err, FL_E_PROTOCOL, 0, "frame %s is not expected",
			       fl_frame_name(rq->type));
	rq->body = fl_arena_alloc(&rq->arena, fl_frame_schema(rq->type)->size, err);
	enum fl_rc rc = rq->body == NULL ? FL_E_NO_MEMORY
					 : fl_frame_decode(rq->type, h->frame.data, h->frame.len,
							   &rq->arena, rq->body, err);
	if (rc == FL_OK)
		rc = run(h, rq, err);
	if (rc != FL_E_PROTOCOL && !rq->answered && !h->must_wait)
		send_reply(h, rq->id, rc, err, rq->reply_fd);
	return rc == FL_E_PROTOCOL ? rc : FL_OK;
}

static void cut_off(struct helper *h, enum fl_rc rc, const struct fl_err *err)
{
	if (rc != FL_E_PEER_CLOSED)
		fl_log_err(FL_LOG_WARNING, err, "agent cut off");
	drop_agent(h);
}

/* Requests are carried out in their order: the next is read when this one is answered. */
static void carry_out(struct helper *h)
{
	struct fl_err err = {0};
	struct request *rq = &h->request;
	rq->arena = FL_ARENA(REQUEST_MAX);
	rq->reply_fd = -1;
	rq->answered = false;
	h->must_wait = false;
	enum fl_rc rc = run_request(h, rq, &err);
	fl_close(&rq->reply_fd);
	fl_arena_free(&rq->arena);
	if (h->must_wait)
		return;
	end_request(h);
	if (rc != FL_OK)
		cut_off(h, rc, &err);
}

static void on_agent_frame(struct helper *h)
{
	struct fl_err err = {0};
	struct request rq = {0};
	enum fl_rc rc = fl_frame_recv(h->agent, &h->frame, rq.fds, &rq.n_fds, &err);
	if (rc == FL_E_BUSY)
		return;
	if (rc == FL_OK)
		rc = fl_frame_peek(h->frame.data, h->frame.len, &rq.type, &rq.id, &err);
	h->request = rq;
	h->request_ms = fl_clock_boot_ms(h->clock);
	h->pending = rc == FL_OK;
	if (rc == FL_OK)
		carry_out(h);
	else
		cut_off(h, rc, &err);
}

/* Root, our own user, or the agent's account. */
static bool may_connect(const struct helper *h, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid() || peer.uid == h->config.agent_uid;
}

static void on_connection(struct helper *h)
{
	FL_AUTO_FD fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!may_connect(h, fd)) {
		fl_log(FL_LOG_WARNING, "a connection of another user was refused");
		return;
	}
	if (h->agent >= 0)
		fl_log(FL_LOG_NOTICE, "a newer agent takes over");
	drop_agent(h);
	h->agent = fd;
	fd = -1;
}

/* --- the socket --- */

static bool is_activated(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	return pid != NULL && fds != NULL && strtol(pid, NULL, 10) == (long)getpid() &&
	       strcmp(fds, "1") == 0;
}

static enum fl_rc bind_socket(struct helper *h, struct fl_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(h->config.socket) >= sizeof(address.sun_path))
		return fl_fail(err, FL_E_CONFIG, 0, "[helper] socket: too long");
	memcpy(address.sun_path, h->config.socket, strlen(h->config.socket) + 1);
	h->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)unlink(
		h->config.socket); /* of a helper before us: the anchor's lock says it is gone */
	const mode_t before = umask(0177);
	const bool bound = h->listener >= 0 &&
			   bind(h->listener, (struct sockaddr *)&address, sizeof(address)) == 0;
	(void)umask(before);
	if (!bound || (h->config.agent_uid != geteuid() &&
		       chown(h->config.socket, h->config.agent_uid, (gid_t)-1) != 0))
		return fl_fail(err, fl_rc_from_errno(errno), errno, "socket '%s'",
			       h->config.socket);
	if (listen(h->listener, 4) != 0)
		return fl_fail(err, FL_E_IO, errno, "listen");
	return FL_OK;
}

enum fl_rc server_open(struct helper *h, struct fl_err *err)
{
	if (is_activated()) {
		h->listener = ACTIVATED_FD;
		if (fcntl(h->listener, F_SETFD, FD_CLOEXEC) != 0 ||
		    fcntl(h->listener, F_SETFL, O_NONBLOCK) != 0)
			return fl_fail(err, FL_E_IO, errno, "activated socket");
		return FL_OK;
	}
	if (h->config.socket == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "[helper] socket is not set");
	return bind_socket(h, err);
}

/* --- the loop --- */

static uint64_t until_ms(uint64_t then, uint64_t now)
{
	return then > now ? then - now : 0;
}

/* Milliseconds until the next deadline, -1: none. */
static int next_timeout(struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	uint64_t left = guard_left_ms(h);
	const uint64_t round = recheck_left_ms(h);
	left = round < left ? round : left;
	if (h->recover_again_ms != 0) {
		const uint64_t again = until_ms(h->recover_again_ms, now);
		left = again < left ? again : left;
	}
	if (h->pending && h->greet_by_ms != 0) {
		const uint64_t greet = until_ms(h->greet_by_ms, now);
		left = greet < left ? greet : left;
	}
	for (size_t i = 0; i < n_children(h); i++) {
		const struct child *child = &h->children[i];
		if (child->kind == CHILD_NONE || child->state >= CHILD_WAITS)
			continue;
		const uint64_t until = until_ms(child->deadline_ms, now);
		left = until < left ? until : left;
	}
	if (left == UINT64_MAX)
		return -1;
	return left > 60000 ? 60000 : (int)left + 1;
}

static void check_child(struct helper *h, struct child *child)
{
	if (child->kind == CHILD_NONE)
		return;
	if (child->state != CHILD_RUNS)
		on_child_end(h, child);
	else if (fl_clock_boot_ms(h->clock) >= child->deadline_ms)
		on_child_silence(h, child);
}

static void check_deadlines(struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	if (h->recover_again_ms != 0 && now >= h->recover_again_ms)
		recover_again(h);
	guard(h);
	for (size_t i = 0; i < n_children(h); i++)
		check_child(h, &h->children[i]);
	if (h->pending && (h->child_ended || (h->greet_by_ms != 0 && now >= h->greet_by_ms)))
		carry_out(h);
	h->child_ended = false;
	recheck(h);
	if (now >= h->greet_by_ms)
		h->greet_by_ms = 0;
}

/* A child that is ending is not listened to: only its hang-up counts, and its process. */
static void fill_poll_set(const struct helper *h, struct pollfd *set)
{
	set[0] = (struct pollfd){h->listener, POLLIN, 0};
	set[1] = (struct pollfd){h->agent, h->pending ? 0 : POLLIN, 0};
	for (size_t i = 0; i < n_children(h); i++) {
		const struct child *child = &h->children[i];
		const bool runs = child->state == CHILD_RUNS;
		set[FIRST_CHILD + 2 * i] = (struct pollfd){child->control, runs ? POLLIN : 0, 0};
		set[FIRST_CHILD + 2 * i + 1] = (struct pollfd){runs ? -1 : child->pidfd, POLLIN, 0};
	}
}

/* What ends is looked at with the deadlines. */
static void serve(struct helper *h, const struct pollfd *set)
{
	for (size_t i = 0; i < n_children(h); i++) {
		struct child *child = &h->children[i];
		if (set[FIRST_CHILD + 2 * i].revents != 0 && child->kind != CHILD_NONE &&
		    child->state == CHILD_RUNS)
			on_child_frame(h, child);
	}
	if (set[1].revents != 0 && h->pending)
		cut_off(h, FL_E_PEER_CLOSED, NULL);
	else if (set[1].revents != 0)
		on_agent_frame(h);
	if (set[0].revents != 0)
		on_connection(h);
}

enum fl_rc server_run(struct helper *h, struct fl_err *err)
{
	struct pollfd set[POLL_SIZE];
	for (;;) {
		fill_poll_set(h, set);
		int n = poll(set, FIRST_CHILD + 2 * n_children(h),
			     fl_notify_alive(next_timeout(h)));
		if (n < 0 && errno != EINTR)
			return fl_fail(err, FL_E_IO, errno, "poll");
		h->seen = false;
		if (n > 0)
			serve(h, set);
		check_deadlines(h);
	}
}
