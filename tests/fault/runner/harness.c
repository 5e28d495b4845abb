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

/* A channel on which needs are answered. */
struct duct {
	int fd;
	struct fl_ipc_need needs[NEEDS_MAX];
	size_t n_needs;
	struct fl_buf piece; /* encoded, waiting for room */
	bool twice, stalled;
};

#define DUCTS_MAX 2

/* One runner. */
struct stage {
	const struct play *play;
	struct outcome *out;
	int control;
	pid_t pid;
	struct duct
		ducts[DUCTS_MAX]; /* data channel; of a decoder that is played: output channel */
	uint64_t pieces, heard_ms, began_ms;
	bool asked;
	struct fl_buf frame;
	/* a decoder's runner, played alone */
	const struct decoding *alone;
	uint64_t pieces_due;
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

static void send_frame(int sock, enum fl_frame_type type, const void *in, const int *fds, size_t n)
{
	struct fl_err err;
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	cr_assert_eq(fl_frame_encode(type, 0, in, &frame, &err), FL_OK, "%s", err.msg);
	/* a runner that has ended already has told why */
	enum fl_rc rc = fl_frame_send(sock, frame.data, frame.len, fds, n, &err);
	cr_assert(rc == FL_OK || rc == FL_E_PEER_CLOSED, "%s", err.msg);
	fl_buf_free(&frame);
}

/* For reading only, under a number of its own. */
static int read_only_file(const void *data, size_t len)
{
	char path[64];
	int fd = target_file(data, len, len);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(again, 0);
	close(fd);
	return again;
}

static void add_fd(struct fl_ipc_start *start, const char **names, int *fds, size_t *n,
		   const char *name, int given, const void *data, size_t len)
{
	names[start->resources.n++] = name;
	fds[(*n)++] = given != 0 ? dup(given) : read_only_file(data, len);
}

/* output: the decoder's end of the output channel. */
static void send_decode(struct stage *s, const struct decoding *d, const struct content *content,
			int output)
{
	const char *names[4];
	int fds[5] = {output};
	size_t n = 1;
	const struct patch *p = d->patch;
	const char *params = d->params == NULL ? "" : d->params;
	struct fl_ipc_start start = {
		.activity = "decode",
		.plugin = d->plugin,
		.component = "rootfs",
		.transaction = "00112233445566778899aabbccddeeff",
		.format = d->format == NULL ? "patch" : d->format,
		.resources = {names, 0},
		.require_sandbox = d->require_sandbox,
		.installed_size = content->image_len,
		.transport_size = p->bytes.len,
		.transport_root = p->root,
		.source_size = d->source_size == 0 ? p->source_len : d->source_size,
		.mem_max = d->no_memory	     ? 0
			   : d->mem_max == 0 ? 1 << 20
					     : d->mem_max,
		.params = {(const uint8_t *)params, strlen(params)},
	};
	add_fd(&start, names, fds, &n, "input", d->input, p->bytes.data, p->bytes.len);
	if (!d->no_tree)
		add_fd(&start, names, fds, &n, "input_tree", d->input_tree, p->tree.data,
		       p->tree.len);
	if (!d->no_source)
		add_fd(&start, names, fds, &n, "source", d->source, p->source, p->source_len);
	if (d->extra_fd)
		add_fd(&start, names, fds, &n, "target", 0, "", 0);
	send_frame(s->control, FL_FRAME_START, &start, fds, n);
	for (size_t i = 1; i < n; i++)
		close(fds[i]);
}

/* data, output: -1 for none. */
static void send_start(struct stage *s, int data, int output)
{
	const struct play *p = s->play;
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
		.decoder = output >= 0,
	};
	if (p->content != NULL) {
		start.installed_size = p->content->image_len;
		start.installed_root = p->content->installed_root;
		start.transport_size = p->content->transport.len;
		start.transport_root = p->content->transport_root;
		start.frame = p->content->frame_size;
	}
	int fds[3];
	size_t n = 0;
	if (staging && !p->lost_data)
		fds[n++] = data;
	if (output >= 0)
		fds[n++] = output;
	if (p->target >= 0)
		fds[n++] = p->target;
	send_frame(s->control, FL_FRAME_START, &start, fds, n);
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

static void take_control(struct stage *s, struct duct *none, enum fl_frame_type type,
			 const void *in)
{
	(void)none;
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

static void take_bad(struct outcome *out, const struct fl_ipc_bad *bad)
{
	const size_t max = sizeof(out->bad) / sizeof(out->bad[0]);
	out->n_bad_runs++;
	for (uint64_t i = 0; i < bad->count; i++, out->n_bad++) {
		if (out->n_bad < max)
			out->bad[out->n_bad] = bad->first + i;
	}
}

/* A decoder played alone answers; after the last piece it is told that this was all. */
static void take_output(struct stage *s, struct duct *d, const struct fl_ipc_piece *piece)
{
	const struct content *c = s->play->content;
	const struct fl_ipc_reply end = {"ok", NULL};
	size_t at = (size_t)piece->index * FL_CHUNK_SIZE;
	if (s->out->served[FL_OBJECT_OUTPUT]++ == 0 && s->alone->shrink > 0)
		cr_assert_eq(ftruncate(s->alone->shrink, 0), 0);
	if (piece->object != FL_OBJECT_OUTPUT || at + piece->data.len > c->image_len ||
	    memcmp(c->image + at, piece->data.data, piece->data.len) != 0)
		s->out->wrong++;
	if (--s->pieces_due == 0 && !s->alone->no_end)
		send_frame(d->fd, FL_FRAME_END, &end, NULL, 0);
}

static void take_data(struct stage *s, struct duct *d, enum fl_frame_type type, const void *in)
{
	if (type == FL_FRAME_NEED) {
		cr_assert_lt(d->n_needs, NEEDS_MAX);
		d->needs[d->n_needs++] = *(const struct fl_ipc_need *)in;
		s->out->needs++;
		if (d->n_needs > s->out->outstanding_max)
			s->out->outstanding_max = d->n_needs;
	} else if (type == FL_FRAME_PROGRESS) {
		s->out->progress = *(const struct fl_ipc_progress *)in;
		s->out->progress.step = NULL;
	} else if (type == FL_FRAME_BAD) {
		take_bad(s->out, in);
	} else if (type == FL_FRAME_PIECE && s->alone != NULL) {
		take_output(s, d, in);
	} else if (type == FL_FRAME_END) {
		(void)snprintf(s->out->end_code, sizeof(s->out->end_code), "%s",
			       ((const struct fl_ipc_reply *)in)->code);
	} else {
		s->out->broken = true;
	}
}

/* One frame; false at the end of the connection. */
static bool receive(struct stage *s, struct duct *d, int sock,
		    void (*take)(struct stage *, struct duct *, enum fl_frame_type, const void *))
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
		take(s, d, type, &in);
	else
		s->out->broken = true;
	fl_arena_free(&arena);
	return true;
}

static struct fl_bytes piece_data(const struct content *c, const struct fl_ipc_need *need)
{
	const struct fl_buf image = {.data = c->image, .len = c->image_len};
	const struct fl_buf *objects[] = {&c->installed_tree, &c->transport_tree, &c->transport,
					  &image};
	const uint64_t sizes[] = {c->image_len, c->transport.len};
	const struct fl_buf *object = objects[need->object];
	uint64_t offset = need->first * FL_CHUNK_SIZE, len = object->len - offset;
	if (need->object < FL_OBJECT_TRANSPORT) {
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

static void encode(struct duct *d, enum fl_frame_type type, const void *in)
{
	struct fl_err err;
	fl_buf_clear(&d->piece);
	cr_assert_eq(fl_frame_encode(type, 0, in, &d->piece, &err), FL_OK, "%s", err.msg);
}

static void obey(struct stage *s, struct duct *d, enum tamper what,
		 const struct fl_ipc_piece *piece)
{
	const char *code = s->play->end_code == NULL ? "no_source" : s->play->end_code;
	const struct fl_ipc_reply end = {code, "the mirror is gone"};
	struct fl_err err;
	d->twice = what == SEND_TWICE;
	d->stalled = what == STALL;
	if (what == SEND || what == SEND_TWICE)
		encode(d, FL_FRAME_PIECE, piece);
	if (what == SEND_END)
		encode(d, FL_FRAME_END, &end);
	if (what == SEND_GARBAGE) {
		fl_buf_clear(&d->piece);
		cr_assert_eq(
			fl_buf_append(&d->piece, "\x00\x70garbage of no form at all", 26, &err),
			FL_OK);
	}
	if (what == CLOSE)
		fl_close(&d->fd);
}

/* The next piece of the oldest need, into d->piece. */
static void make_piece(struct stage *s, struct duct *d)
{
	static uint8_t copy[FL_CHUNK_SIZE];
	struct fl_ipc_need *need = &d->needs[0];
	struct fl_bytes data = piece_data(s->play->content, need);
	memcpy(copy, data.data, data.len);
	struct fl_ipc_piece piece = {need->object, need->first, {copy, data.len}};
	s->out->served[need->object]++;
	need->first++;
	if (--need->count == 0)
		memmove(need, need + 1, --d->n_needs * sizeof(*need));
	obey(s, d,
	     s->play->tamper == NULL ? SEND : s->play->tamper(s->play->tamper_ctx, &piece, copy),
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

static void send_piece(struct stage *s, struct duct *d)
{
	struct fl_err err;
	if (d->piece.len == 0 && d->n_needs > 0 && !d->stalled)
		make_piece(s, d);
	if (d->piece.len == 0 || d->fd < 0)
		return;
	if (fl_frame_send(d->fd, d->piece.data, d->piece.len, NULL, 0, &err) == FL_E_BUSY)
		return;
	if (!d->twice)
		fl_buf_clear(&d->piece);
	d->twice = false;
	after_piece(s);
}

static bool wants_to_send(const struct duct *d)
{
	return d->fd >= 0 && !d->stalled && (d->piece.len > 0 || d->n_needs > 0);
}

static void set_nonblocking(int fd)
{
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void watch_time(struct stage *s)
{
	const struct play *p = s->play;
	unsigned patience = p->patience_ms == 0 ? 20000 : p->patience_ms;
	uint64_t now = now_ms(), ms = now - s->began_ms;
	if (!s->asked && ((p->term_after_ms > 0 && ms > p->term_after_ms) ||
			  (p->kill_after_ms > 0 && ms > p->kill_after_ms))) {
		s->asked = true;
		(void)kill(s->pid, p->kill_after_ms > 0 ? SIGKILL : SIGTERM);
	}
	if (now - s->heard_ms > patience && !s->out->hung) {
		s->out->hung = true;
		(void)kill(s->pid, SIGTERM);
	}
}

/* One look at one runner; false once its control channel has ended. */
static bool turn(struct stage *s, int timeout_ms)
{
	struct pollfd fds[1 + DUCTS_MAX] = {{s->control, POLLIN, 0}};
	for (size_t i = 0; i < DUCTS_MAX; i++)
		fds[1 + i] = (struct pollfd){
			s->ducts[i].fd,
			(short)(POLLIN | (wants_to_send(&s->ducts[i]) ? POLLOUT : 0)), 0};
	(void)poll(fds, 1 + DUCTS_MAX, timeout_ms);
	for (size_t i = 0; i < DUCTS_MAX; i++) {
		struct duct *d = &s->ducts[i];
		if (fds[1 + i].revents & (POLLIN | POLLHUP) && d->fd >= 0 &&
		    !receive(s, d, d->fd, take_data))
			fl_close(&d->fd);
		if (fds[1 + i].revents & POLLOUT)
			send_piece(s, d);
	}
	watch_time(s);
	return !(fds[0].revents & (POLLIN | POLLHUP)) || receive(s, NULL, s->control, take_control);
}

static void begin(struct stage *s, const struct play *p, struct outcome *out)
{
	int pair[2];
	memset(out, 0, sizeof(*out));
	*s = (struct stage){.play = p, .out = out, .frame = FL_BUF(FL_FRAME_MAX)};
	for (size_t i = 0; i < DUCTS_MAX; i++)
		s->ducts[i] = (struct duct){.fd = -1, .piece = FL_BUF(FL_FRAME_MAX)};
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	s->control = pair[0];
	s->pid = spawn(pair[1]);
	s->heard_ms = s->began_ms = now_ms();
	close(pair[1]);
}

static void end(struct stage *s)
{
	uint64_t eof_ms = now_ms();
	cr_assert_eq(waitpid(s->pid, &s->out->status, 0), s->pid);
	s->out->all_dead_ms = now_ms() - eof_ms;
	for (size_t i = 0; i < DUCTS_MAX; i++) {
		struct duct *d = &s->ducts[i];
		while (d->fd >= 0 && receive(s, d, d->fd, take_data))
			; /* what was sent before the end */
		fl_close(&d->fd);
		fl_buf_free(&s->ducts[i].piece);
	}
	fl_close(&s->control);
	fl_buf_free(&s->frame);
	cr_assert_not(s->out->broken, "a frame that could not be decoded");
	cr_assert_leq(s->out->outstanding_max, 4);
}

static int channel(struct duct *d)
{
	int pair[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	d->fd = pair[0];
	set_nonblocking(d->fd);
	return pair[1];
}

/* Until both have ended; second may be NULL. */
static void loop(struct stage *first, struct stage *second)
{
	bool alive = true, second_alive = second != NULL;
	while (alive || second_alive) {
		if (alive && !turn(first, second_alive ? 1 : 50)) {
			alive = false;
			end(first);
		}
		if (second_alive && !turn(second, alive ? 1 : 50)) {
			second_alive = false;
			end(second);
		}
	}
}

static void play_two(struct stage *s, int data)
{
	const struct decoding *d = s->play->decoding;
	const struct play quiet = {.patience_ms = d->patience_ms, .content = s->play->content};
	static struct outcome own;
	struct stage decoder;
	int output[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, output), 0);
	send_start(s, data, output[0]);
	begin(&decoder, &quiet, d->outcome == NULL ? &own : d->outcome);
	send_decode(&decoder, d, s->play->content, output[1]);
	close(output[0]);
	close(output[1]);
	close(data);
	loop(s, &decoder);
}

void play(const struct play *p, struct outcome *ret)
{
	struct stage s;
	begin(&s, p, ret);
	int data = channel(&s.ducts[0]);
	if (p->decoding != NULL && p->decoding->plugin != NULL) {
		play_two(&s, data);
		return;
	}
	int output = p->decoding == NULL ? -1 : channel(&s.ducts[1]);
	send_start(&s, data, output);
	close(data);
	if (output >= 0)
		close(output);
	loop(&s, NULL);
}

void play_decoder(const struct decoding *d, const struct content *content, struct outcome *ret)
{
	const struct play quiet = {.patience_ms = d->patience_ms, .content = content};
	const struct fl_ipc_reply none = {"ok", NULL};
	struct stage s;
	begin(&s, &quiet, ret);
	s.alone = d;
	int output = channel(&s.ducts[0]);
	send_decode(&s, d, content, output);
	close(output);
	for (size_t i = 0; i < d->n_needs; i++) {
		send_frame(s.ducts[0].fd, FL_FRAME_NEED, &d->needs[i], NULL, 0);
		s.pieces_due += d->needs[i].count;
	}
	if (d->n_needs == 0 && !d->no_end)
		send_frame(s.ducts[0].fd, FL_FRAME_END, &none, NULL, 0);
	if (d->n_needs == 0 && d->no_end)
		fl_close(&s.ducts[0].fd);
	loop(&s, NULL);
}

static void expect(const struct outcome *out, const char *result, const char *code)
{
	cr_assert(out->has_result, "no result; status %x", out->status);
	cr_assert(strcmp(out->result, result) == 0 && strcmp(out->code, code) == 0,
		  "%s %s (%s) instead of %s %s", out->result, out->code, out->text, result, code);
	cr_assert_eq(out->status, 0);
}

void play_decoder_expect(const struct decoding *d, const struct content *content,
			 const char *result, const char *code, struct outcome *ret)
{
	struct outcome own;
	ret = ret == NULL ? &own : ret;
	play_decoder(d, content, ret);
	expect(ret, result, code);
}

void play_expect(const struct play *p, const char *result, const char *code, struct outcome *ret)
{
	struct outcome own;
	ret = ret == NULL ? &own : ret;
	play(p, ret);
	expect(ret, result, code);
}
