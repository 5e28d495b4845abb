/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEEDS_MAX 64

struct stage {
	const struct play *play;
	struct outcome *out;
	int control, data;
	pid_t pid;
	struct fl_ipc_need needs[NEEDS_MAX];
	size_t n_needs;
	struct fl_buf piece; /* encoded, waiting for room */
	bool twice, stalled;
	uint64_t pieces, heard_ms, began_ms;
	bool asked;
	struct fl_buf frame;
};

static uint64_t now_ms(void)
{
	return fl_clock_boot_ms(&fl_clock_system);
}

static void append(char *to, size_t size, const char *text, const char *end)
{
	size_t len = strlen(to);
	(void)snprintf(to + len, size - len, "%s%s", text, end);
}

bool outcome_has(const char *words, const char *word)
{
	char with_spaces[128];
	(void)snprintf(with_spaces, sizeof(with_spaces), " %s ", word);
	return strstr(words, with_spaces) != NULL;
}

static pid_t spawn(int control)
{
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid > 0)
		return pid;
	if (control == 3) {
		/* dup2 would keep close-on-exec */
		int copy = dup(control);
		(void)dup2(copy, 4);
		control = 4;
	}
	(void)dup2(control, 3);
	execl(RUNNER, RUNNER, (char *)NULL);
	_exit(127);
}

static void send_start(struct stage *s, int data)
{
	const struct play *p = s->play;
	struct fl_err err;
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	static const char *const names[] = {"target"};
	bool staging = p->activity == NULL;
	struct fl_ipc_start start = {
		.activity = staging ? "stage" : p->activity,
		.plugin = p->plugin,
		.component = "rootfs",
		.transaction = "00112233445566778899aabbccddeeff",
		.format = p->format == NULL ? FL_FRAMES_FORMAT : p->format,
		.slot = "b",
		.resources = {names, p->target >= 0 ? 1 : 0},
		.zero_tail = p->zero_tail,
		.user = p->user,
		.require_sandbox = p->require_sandbox,
	};
	if (p->content != NULL) {
		start.installed_size = p->content->image_len;
		start.installed_root = p->content->installed_root;
		start.transport_size = p->content->transport.len;
		start.transport_root = p->content->transport_root;
		start.frame = p->content->frame_size;
	}
	int fds[2];
	size_t n = 0;
	if (staging && !p->lost_data)
		fds[n++] = data;
	if (p->target >= 0)
		fds[n++] = p->target;
	cr_assert_eq(fl_frame_encode(FL_FRAME_START, 0, &start, &frame, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_eq(fl_frame_send(s->control, frame.data, frame.len, fds, n, &err), FL_OK, "%s",
		     err.msg);
	fl_buf_free(&frame);
}

static void take_ready(struct outcome *out, const struct fl_ipc_ready *ready)
{
	out->ready = true;
	out->deadline_ms = ready->deadline_ms;
	(void)snprintf(out->version, sizeof(out->version), "%s",
		       ready->plugin_version == NULL ? "" : ready->plugin_version);
	append(out->protections, sizeof(out->protections), " ", "");
	for (size_t i = 0; i < ready->protections.n; i++)
		append(out->protections, sizeof(out->protections), ready->protections.items[i],
		       " ");
	append(out->capabilities, sizeof(out->capabilities), " ", "");
	for (size_t i = 0; i < ready->capabilities.n; i++)
		append(out->capabilities, sizeof(out->capabilities), ready->capabilities.items[i],
		       " ");
}

static void take_observation(struct outcome *out, const struct fl_ipc_observation *seen)
{
	out->observed = true;
	out->n_slots = seen->slots.n;
	append(out->log, sizeof(out->log), seen->text == NULL ? "" : seen->text, "\n");
	for (size_t i = 0; i < seen->slots.n; i++)
		append(out->log, sizeof(out->log), seen->slots.items[i].name, "\n");
	if (seen->slots.n > 0)
		out->slot = seen->slots.items[0];
}

static void take_result(struct outcome *out, const struct fl_ipc_result *result)
{
	out->has_result = true;
	(void)snprintf(out->result, sizeof(out->result), "%s", result->result);
	(void)snprintf(out->code, sizeof(out->code), "%s", result->code);
	(void)snprintf(out->text, sizeof(out->text), "%s",
		       result->text == NULL ? "" : result->text);
}

static void take_control(struct stage *s, enum fl_frame_type type, const void *in)
{
	struct outcome *out = s->out;
	if (type == FL_FRAME_READY) {
		take_ready(out, in);
	} else if (type == FL_FRAME_KEEPALIVE) {
		out->keepalives++;
	} else if (type == FL_FRAME_LOG) {
		out->log_lines++;
		append(out->log, sizeof(out->log), ((const struct fl_ipc_log *)in)->text, "\n");
	} else if (type == FL_FRAME_OBSERVATION) {
		take_observation(out, in);
	} else if (type == FL_FRAME_RESULT) {
		take_result(out, in);
	} else {
		out->broken = true;
	}
}

static void take_data(struct stage *s, enum fl_frame_type type, const void *in)
{
	if (type == FL_FRAME_NEED) {
		cr_assert_lt(s->n_needs, NEEDS_MAX);
		s->needs[s->n_needs++] = *(const struct fl_ipc_need *)in;
		s->out->needs++;
		if (s->n_needs > s->out->outstanding_max)
			s->out->outstanding_max = s->n_needs;
	} else if (type == FL_FRAME_PROGRESS) {
		s->out->progress = *(const struct fl_ipc_progress *)in;
		s->out->progress.step = NULL;
	} else {
		s->out->broken = true;
	}
}

/* One frame; false at the end of the connection. */
static bool receive(struct stage *s, int sock,
		    void (*take)(struct stage *, enum fl_frame_type, const void *))
{
	struct fl_err err;
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	int fds[FL_FRAME_FDS_MAX];
	size_t n_fds;
	enum fl_frame_type type;
	uint32_t id;
	union {
		struct fl_ipc_ready ready;
		struct fl_ipc_observation observation;
		struct fl_ipc_need need;
		struct fl_ipc_progress progress;
		char room[1024];
	} in;
	if (fl_frame_recv(sock, &s->frame, fds, &n_fds, &err) != FL_OK)
		return false;
	s->heard_ms = now_ms();
	if (fl_frame_peek(s->frame.data, s->frame.len, &type, &id, &err) == FL_OK &&
	    fl_frame_decode(type, s->frame.data, s->frame.len, &arena, &in, &err) == FL_OK)
		take(s, type, &in);
	else
		s->out->broken = true;
	fl_arena_free(&arena);
	return true;
}

static struct fl_bytes piece_data(const struct content *c, const struct fl_ipc_need *need)
{
	const struct fl_buf *objects[] = {&c->installed_tree, &c->transport_tree, &c->transport};
	const uint64_t sizes[] = {c->image_len, c->transport.len};
	const struct fl_buf *object = objects[need->object];
	uint64_t offset = need->first * FL_CHUNK_SIZE, len = object->len - offset;
	if (need->object != FL_OBJECT_TRANSPORT) {
		struct fl_tree_shape shape;
		struct fl_err err;
		cr_assert_eq(fl_tree_shape(sizes[need->object], &shape, &err), FL_OK);
		cr_assert_lt(need->first, shape.n_pages);
		offset = fl_tree_page_offset(&shape, need->first);
		len = fl_tree_page_len(&shape, need->first);
	}
	cr_assert_lt(offset, object->len, "asked for what there is not");
	return (struct fl_bytes){object->data + offset,
				 len < FL_CHUNK_SIZE ? (size_t)len : FL_CHUNK_SIZE};
}

static void encode(struct stage *s, enum fl_frame_type type, const void *in)
{
	struct fl_err err;
	fl_buf_clear(&s->piece);
	cr_assert_eq(fl_frame_encode(type, 0, in, &s->piece, &err), FL_OK, "%s", err.msg);
}

static void obey(struct stage *s, enum tamper what, const struct fl_ipc_piece *piece)
{
	const char *code = s->play->end_code == NULL ? "no_source" : s->play->end_code;
	const struct fl_ipc_reply end = {code, "the mirror is gone"};
	struct fl_err err;
	s->twice = what == SEND_TWICE;
	s->stalled = what == STALL;
	if (what == SEND || what == SEND_TWICE)
		encode(s, FL_FRAME_PIECE, piece);
	if (what == SEND_END)
		encode(s, FL_FRAME_END, &end);
	if (what == SEND_GARBAGE) {
		fl_buf_clear(&s->piece);
		cr_assert_eq(
			fl_buf_append(&s->piece, "\x00\x70garbage of no form at all", 26, &err),
			FL_OK);
	}
	if (what == CLOSE)
		fl_close(&s->data);
}

/* The next piece of the oldest need, into s->piece. */
static void make_piece(struct stage *s)
{
	static uint8_t copy[FL_CHUNK_SIZE];
	struct fl_ipc_need *need = &s->needs[0];
	struct fl_bytes data = piece_data(s->play->content, need);
	memcpy(copy, data.data, data.len);
	struct fl_ipc_piece piece = {need->object, need->first, {copy, data.len}};
	s->out->served[need->object]++;
	need->first++;
	if (--need->count == 0)
		memmove(need, need + 1, --s->n_needs * sizeof(*need));
	obey(s, s->play->tamper == NULL ? SEND : s->play->tamper(s->play->tamper_ctx, &piece, copy),
	     &piece);
}

static void after_piece(struct stage *s)
{
	s->pieces++;
	if (s->pieces == s->play->kill_after_pieces)
		(void)kill(s->pid, SIGKILL);
	if (s->pieces == s->play->term_after_pieces)
		(void)kill(s->pid, SIGTERM);
	if (s->pieces == s->play->leave_after_pieces)
		(void)shutdown(s->control, SHUT_RDWR);
}

static void send_piece(struct stage *s)
{
	struct fl_err err;
	if (s->piece.len == 0 && s->n_needs > 0 && !s->stalled)
		make_piece(s);
	if (s->piece.len == 0 || s->data < 0)
		return;
	if (fl_frame_send(s->data, s->piece.data, s->piece.len, NULL, 0, &err) == FL_E_BUSY)
		return;
	if (!s->twice)
		fl_buf_clear(&s->piece);
	s->twice = false;
	after_piece(s);
}

static bool wants_to_send(const struct stage *s)
{
	return s->data >= 0 && !s->stalled && (s->piece.len > 0 || s->n_needs > 0);
}

static void set_nonblocking(int fd)
{
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void loop(struct stage *s)
{
	unsigned patience = s->play->patience_ms == 0 ? 20000 : s->play->patience_ms;
	s->heard_ms = s->began_ms = now_ms();
	for (;;) {
		struct pollfd fds[2] = {
			{s->control, POLLIN, 0},
			{s->data, (short)(POLLIN | (wants_to_send(s) ? POLLOUT : 0)), 0}};
		(void)poll(fds, 2, 50);
		if (fds[1].revents & (POLLIN | POLLHUP) && s->data >= 0 &&
		    !receive(s, s->data, take_data))
			fl_close(&s->data);
		if (fds[1].revents & POLLOUT)
			send_piece(s);
		if (fds[0].revents & (POLLIN | POLLHUP) && !receive(s, s->control, take_control))
			return;
		if (s->play->term_after_ms > 0 && !s->asked &&
		    now_ms() - s->began_ms > s->play->term_after_ms) {
			s->asked = true;
			(void)kill(s->pid, SIGTERM);
		}
		if (now_ms() - s->heard_ms > patience && !s->out->hung) {
			s->out->hung = true;
			(void)kill(s->pid, SIGTERM);
		}
	}
}

void play(const struct play *p, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	struct stage s = {.play = p,
			  .out = ret,
			  .piece = FL_BUF(FL_FRAME_MAX),
			  .frame = FL_BUF(FL_FRAME_MAX)};
	int control[2], data[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, data), 0);
	s.control = control[0];
	s.data = data[0];
	s.pid = spawn(control[1]);
	close(control[1]);
	send_start(&s, data[1]);
	close(data[1]);
	set_nonblocking(s.data);
	loop(&s);
	uint64_t eof_ms = now_ms();
	cr_assert_eq(waitpid(s.pid, &ret->status, 0), s.pid);
	ret->all_dead_ms = now_ms() - eof_ms;
	fl_close(&s.data);
	fl_close(&s.control);
	fl_buf_free(&s.piece);
	fl_buf_free(&s.frame);
	cr_assert_not(ret->broken, "a frame that could not be decoded");
	cr_assert_leq(ret->outstanding_max, 4);
}

void play_expect(const struct play *p, const char *result, const char *code, struct outcome *ret)
{
	struct outcome own;
	ret = ret == NULL ? &own : ret;
	play(p, ret);
	cr_assert(ret->has_result, "no result; status %x", ret->status);
	cr_assert(strcmp(ret->result, result) == 0 && strcmp(ret->code, code) == 0,
		  "%s %s (%s) instead of %s %s", ret->result, ret->code, ret->text, result, code);
	cr_assert_eq(ret->status, 0);
}
