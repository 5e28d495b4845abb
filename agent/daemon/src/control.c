/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"
#include "install.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t)16 * 1024)
#define ANSWER_MAX  ((size_t)2 * 1024 * 1024)
#define CLIENTS_MAX 16
#define BACKLOG	    16
#define BLOCK	    256
#define PATH_LEN    4096

/* The descriptor of a file may come with a line, which uv_pipe_t would not hand on. */
struct client {
	uv_poll_t poll;
	struct fl_control *control;
	int fd;		/* the connection */
	int file;	/* came with the present line; -1: none */
	struct fl_buf in, out;
	size_t sent; /* of out; not all of it: no line is looked at */
};

struct request {
	const char *verb;
	const char *path;
};

static const struct fl_field request_fields[] = {
	FL_REQ(struct request, verb, STR, 32, NULL, "status, jobs, log, why, install"),
	FL_OPT(struct request, path, STR, PATH_LEN - 1, NULL, "install: where the file is"),
};
static const struct fl_schema request_schema =
	FL_SCHEMA("request", struct request, request_fields, "one line");

static void on_client_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	c->control->n_clients--;
	fl_close(&c->fd);
	fl_close(&c->file);
	fl_buf_free(&c->in);
	fl_buf_free(&c->out);
	free(c);
}

static void close_client(struct client *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->poll))
		uv_close((uv_handle_t *)&c->poll, on_client_closed);
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

static enum fl_rc answer_error(struct client *c, const struct fl_err *why, struct fl_err *err)
{
	fl_buf_clear(&c->out);
	enum fl_rc rc = fl_buf_appendf(&c->out, err, "{\"ok\":false,\"code\":\"%s\",\"text\":",
				       fl_rc_name(why->rc));
	if (rc == FL_OK)
		rc = fl_json_append_string(&c->out, why->msg, err);
	return rc == FL_OK ? fl_buf_append_str(&c->out, "}\n", err) : rc;
}

static enum fl_rc carry_out(struct client *c, const struct request *request, struct fl_err *err)
{
	struct fl_install_request install = {c->file, request->path};
	if (strcmp(request->verb, "install") != 0)
		return fl_status_answer(c->control->agent, request->verb, &c->out, err);
	c->file = -1;
	return fl_install(c->control->agent, &install, &c->out, err);
}

static enum fl_rc answer(struct client *c, const char *line, size_t len, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(REQUEST_MAX * 2);
	struct request request;
	struct fl_err why = {0};
	fl_buf_clear(&c->out);
	enum fl_rc rc = fl_json_decode(&request_schema, line, len, FL_JSON_IGNORE_UNKNOWN, &arena, &request,
				       &why);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&c->out, "{\"ok\":true,\"result\":", &why);
	if (rc == FL_OK)
		rc = carry_out(c, &request, &why);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&c->out, "}\n", &why);
	fl_arena_free(&arena);
	fl_close(&c->file); /* that nobody asked for */
	return rc == FL_OK ? rc : answer_error(c, &why, err);
}

/* False: the other side is gone. */
static bool flush(struct client *c)
{
	while (c->sent < c->out.len) {
		const ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
				       MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		c->sent += (size_t)n;
	}
	return true;
}

/* One request at a time: the next line is looked at when its answer is written. */
static bool serve_lines(struct client *c)
{
	struct fl_err err = {0};
	const char *end;
	while (c->sent == c->out.len && c->in.len > 0 &&
	       (end = memchr(fl_buf_str(&c->in), '\n', c->in.len)) != NULL) {
		const size_t len = (size_t)(end - fl_buf_str(&c->in));
		c->sent = 0;
		if (answer(c, fl_buf_str(&c->in), len, &err) != FL_OK)
			return false;
		fl_buf_consume(&c->in, len + 1);
		if (!flush(c))
			return false;
	}
	return true;
}

/* ---- the connection --------------------------------------------------------------------------------------- */

/* The last one counts; each line has at most one. */
static void keep_file(struct client *c, struct msghdr *msg)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m != NULL; m = CMSG_NXTHDR(msg, m)) {
		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			fl_close(&c->file);
			memcpy(&c->file, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
		}
	}
}

/* False: it has ended, or said too much. */
static bool receive(struct client *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} rights = {.space = {0}};
	if (fl_buf_reserve(&c->in, BLOCK, NULL) != FL_OK)
		return false;
	struct iovec block = {c->in.data + c->in.len, BLOCK};
	struct msghdr msg = {.msg_iov = &block,
			     .msg_iovlen = 1,
			     .msg_control = rights.space,
			     .msg_controllen = sizeof(rights.space)};
	const ssize_t n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	keep_file(c, &msg);
	c->in.len += (size_t)n;
	c->in.data[c->in.len] = 0;
	return n > 0;
}

static void on_client(uv_poll_t *poll, int status, int events);

/* While an answer is on its way nothing more is read. */
static void watch(struct client *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->poll))
		uv_poll_start(&c->poll, c->sent < c->out.len ? UV_WRITABLE : UV_READABLE, on_client);
}

static void on_client(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;
	bool alive = status == 0;
	if (alive && (events & UV_WRITABLE) != 0)
		alive = flush(c);
	if (alive && (events & UV_READABLE) != 0)
		alive = receive(c);
	if (alive)
		alive = serve_lines(c);
	if (alive)
		watch(c);
	else
		close_client(c);
}

/* The same user, or root. */
static bool may_talk(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void on_connection(uv_poll_t *server, int status, int events)
{
	struct fl_control *control = server->data;
	(void)events;
	FL_AUTO_FD fd = status == 0 ? accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
	if (fd < 0 || control->n_clients == CLIENTS_MAX || !may_talk(fd))
		return;
	struct client *c = calloc(1, sizeof(*c));
	if (c == NULL || uv_poll_init(&control->agent->loop, &c->poll, fd) != 0) {
		free(c);
		return;
	}
	c->control = control;
	c->fd = fd;
	fd = -1;
	c->file = -1;
	c->in = FL_BUF(REQUEST_MAX);
	c->out = FL_BUF(ANSWER_MAX);
	c->poll.data = c;
	control->n_clients++;
	watch(c);
}

static enum fl_rc listen_at(const char *path, int *ret, struct fl_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "control socket '%s'", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	FL_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fl_fail(err, FL_E_IO, errno, "control socket");
	(void)unlink(path); /* what a killed agent left */
	const mode_t before = umask(0177);
	const int bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (bound != 0 || listen(fd, BACKLOG) != 0)
		return fl_fail(err, FL_E_IO, errno, "control socket '%s'", path);
	*ret = fd;
	fd = -1;
	return FL_OK;
}

enum fl_rc fl_control_open(struct fl_control *control, struct fl_agent *agent, struct fl_err *err)
{
	control->agent = agent;
	enum fl_rc rc = listen_at(agent->config.control_socket, &control->fd, err);
	if (rc != FL_OK)
		return rc;
	FL_BUG_ON(uv_poll_init(&agent->loop, &control->server, control->fd) != 0);
	control->open = true;
	control->server.data = control;
	uv_poll_start(&control->server, UV_READABLE, on_connection);
	return FL_OK;
}

static void on_server_closed(uv_handle_t *handle)
{
	struct fl_control *control = handle->data;
	(void)unlink(control->agent->config.control_socket);
	fl_close(&control->fd);
}

void fl_control_done(struct fl_control *control)
{
	if (control->open)
		uv_close((uv_handle_t *)&control->server, on_server_closed);
}
