/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t)4096)
#define ANSWER_MAX  ((size_t)2 * 1024 * 1024)
#define CLIENTS_MAX 16

struct client {
	uv_pipe_t pipe;
	uv_write_t write;
	struct fl_control *control;
	struct fl_buf in, out;
	bool writing;
};

struct request {
	const char *verb;
};

static const struct fl_field request_fields[] = {
	FL_REQ(struct request, verb, STR, 32, NULL, "status, jobs, log, why"),
};
static const struct fl_schema request_schema =
	FL_SCHEMA("request", struct request, request_fields, "one line");

static void on_client_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	c->control->n_clients--;
	fl_buf_free(&c->in);
	fl_buf_free(&c->out);
	free(c);
}

static void close_client(struct client *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->pipe))
		uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

static void serve_line(struct client *c);

static void on_written(uv_write_t *req, int status)
{
	struct client *c = req->data;
	c->writing = false;
	if (status != 0)
		close_client(c);
	else
		serve_line(c);
}

static enum fl_rc answer_error(struct client *c, const struct fl_err *why, struct fl_err *err)
{
	fl_buf_clear(&c->out);
	enum fl_rc rc = fl_buf_appendf(&c->out, err, "{\"ok\":false,\"code\":\"%s\",\"text\":",
				       fl_rc_name(why->rc));
	if (rc == FL_OK)
		rc = fl_json_append_string(&c->out, why->msg, err);
	return rc == FL_OK ? fl_buf_append_str(&c->out, "}\n", err) : rc;
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
		rc = fl_status_answer(c->control->agent, request.verb, &c->out, &why);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&c->out, "}\n", &why);
	fl_arena_free(&arena);
	return rc == FL_OK ? rc : answer_error(c, &why, err);
}

/* One request at a time: the next line is looked at when its answer is written. */
static void serve_line(struct client *c)
{
	struct fl_err err = {0};
	const char *text = fl_buf_str(&c->in);
	const char *end = c->in.len == 0 ? NULL : memchr(text, '\n', c->in.len);
	if (c->writing || end == NULL)
		return;
	const size_t len = (size_t)(end - text);
	if (answer(c, text, len, &err) != FL_OK) {
		close_client(c);
		return;
	}
	fl_buf_consume(&c->in, len + 1);
	uv_buf_t buf = uv_buf_init((char *)c->out.data, (unsigned)c->out.len);
	c->writing = true;
	c->write.data = c;
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) != 0)
		close_client(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;
	(void)suggested;
	const bool room = fl_buf_reserve(&c->in, 256, NULL) == FL_OK;
	*buf = room ? uv_buf_init((char *)c->in.data + c->in.len, 256) : uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;
	(void)buf;
	if (n < 0) {
		close_client(c);
		return;
	}
	c->in.len += (size_t)n;
	c->in.data[c->in.len] = 0;
	serve_line(c);
}

/* The same user, or root. */
static bool may_talk(const struct client *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = -1;
	return uv_fileno((const uv_handle_t *)&c->pipe, &fd) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void on_connection(uv_stream_t *server, int status)
{
	struct fl_control *control = server->data;
	struct client *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL)
		return;
	c->control = control;
	c->in = FL_BUF(REQUEST_MAX);
	c->out = FL_BUF(ANSWER_MAX);
	control->n_clients++;
	FL_BUG_ON(uv_pipe_init(&control->agent->loop, &c->pipe, 0) != 0);
	c->pipe.data = c;
	if (uv_accept(server, (uv_stream_t *)&c->pipe) != 0 || control->n_clients > CLIENTS_MAX ||
	    !may_talk(c) || uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
		close_client(c);
}

enum fl_rc fl_control_open(struct fl_control *control, struct fl_agent *agent, struct fl_err *err)
{
	const char *path = agent->config.control_socket;
	control->agent = agent;
	FL_BUG_ON(uv_pipe_init(&agent->loop, &control->server, 0) != 0);
	control->open = true;
	control->server.data = control;
	(void)unlink(path); /* what a killed agent left */
	const mode_t before = umask(0177);
	int status = uv_pipe_bind(&control->server, path);
	umask(before);
	if (status == 0)
		status = uv_listen((uv_stream_t *)&control->server, CLIENTS_MAX, on_connection);
	if (status != 0)
		return fl_fail(err, FL_E_IO, -status, "control socket '%s'", path);
	return FL_OK;
}

void fl_control_done(struct fl_control *control)
{
	if (control->open)
		uv_close((uv_handle_t *)&control->server, NULL);
}
