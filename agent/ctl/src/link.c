/* SPDX-License-Identifier: Apache-2.0 */
/* One line to the agent's socket, one line back. */
#include "ctl.h"

#include <fairlead/base/conf.h>
#include <fairlead/base/file.h>
#include <fairlead/trust/json.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S     10
#define PATH_LEN_MAX 4096
#define REQUEST_MAX  ((size_t)16 * 1024)

static enum fl_rc socket_path(const char *config, char out[PATH_LEN_MAX], struct fl_err *err)
{
	struct fl_conf *conf = NULL;
	const char *path = NULL;
	enum fl_rc rc = fl_conf_load(config, &conf, err);
	if (rc == FL_OK)
		rc = fl_conf_need(conf, "control", "socket", &path, err);
	if (rc == FL_OK)
		rc = fl_conf_path(conf, path, out, PATH_LEN_MAX, err);
	fl_conf_free(conf);
	return rc;
}

static enum fl_rc fail_connect(const char *path, int e, struct fl_err *err)
{
	if (e == EACCES || e == EPERM)
		return fl_fail(err, FL_E_DENIED, 0,
			       "socket '%s': only the agent's own user and root may ask", path);
	return fl_fail(err, FL_E_UNREACHABLE, e, "the agent does not answer at '%s' (does it run?)",
		       path);
}

static enum fl_rc open_link(const char *path, int *ret, struct fl_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = ANSWER_S};
	if (strlen(path) >= sizeof(address.sun_path))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path of the socket '%s'", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fl_fail(err, FL_E_IO, errno, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		int e = errno;
		fl_close(&fd);
		return fail_connect(path, e, err);
	}
	*ret = fd;
	return FL_OK;
}

/* Up to the line end, which is not kept. */
static enum fl_rc read_line(int fd, struct fl_buf *line, struct fl_err *err)
{
	char block[65536];
	for (;;) {
		ssize_t n = read(fd, block, sizeof(block));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail(err, FL_E_UNREACHABLE, errno == EAGAIN ? ETIMEDOUT : errno,
				       "the agent does not answer");
		if (n == 0)
			return fl_fail(err, FL_E_UNREACHABLE, 0,
				       "the agent closed the connection without an answer");
		const char *end = memchr(block, '\n', (size_t)n);
		size_t len = end == NULL ? (size_t)n : (size_t)(end - block);
		enum fl_rc rc = fl_buf_append(line, block, len, err);
		if (rc != FL_OK || end != NULL)
			return rc;
	}
}

struct answer {
	bool ok;
	const char *result;
	const char *code;
	const char *text;
};
static const struct fl_field answer_fields[] = {
	FL_REQ(struct answer, ok, BOOL, 0, NULL, "was it answered?"),
	FL_OPT(struct answer, result, EXT, 0, NULL, "the answer"),
	FL_OPT(struct answer, code, STR, 64, NULL, "why not"),
	FL_OPT(struct answer, text, STR, 4096, NULL, "why not, in words"),
};
static const struct fl_schema answer_schema =
	FL_SCHEMA("answer", struct answer, answer_fields, "one line of the local socket");

static enum fl_rc read_answer(const struct fl_buf *line, struct fl_arena *arena, const char **ret,
			      struct fl_err *err)
{
	struct answer answer;
	enum fl_rc rc = fl_json_decode(&answer_schema, line->data, line->len,
				       FL_JSON_IGNORE_UNKNOWN, arena, &answer, err);
	if (rc != FL_OK)
		return fl_wrap(err, FL_E_PROTOCOL, "the agent's answer");
	if (!answer.ok)
		return fl_fail(err,
			       answer.code == NULL ? FL_E_PROTOCOL : fl_rc_from_name(answer.code),
			       0, "%s", answer.text == NULL ? "the agent refused" : answer.text);
	if (answer.result == NULL)
		return fl_fail(err, FL_E_PROTOCOL, 0, "the agent's answer holds no result");
	*ret = answer.result;
	return FL_OK;
}

/* The file's descriptor (-1: none) goes with the first byte. */
static enum fl_rc send_request(int fd, const struct fl_buf *request, int file, struct fl_err *err)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} rights = {.space = {0}};
	struct iovec all = {request->data, request->len};
	struct msghdr msg = {.msg_iov = &all, .msg_iovlen = 1};
	if (file >= 0) {
		msg.msg_control = rights.space;
		msg.msg_controllen = sizeof(rights.space);
		rights.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&rights.header), &file, sizeof(file));
	}
	ssize_t n;
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fl_fail(err, FL_E_UNREACHABLE, errno, "ask the agent");
	if (fl_write_all(fd, request->data + n, request->len - (size_t)n, err) != FL_OK)
		return fl_wrap(err, FL_E_UNREACHABLE, "ask the agent");
	return FL_OK;
}

static enum fl_rc ask(const char *config, const struct fl_buf *request, int file,
		      struct fl_arena *arena, const char **ret, struct fl_err *err)
{
	char path[PATH_LEN_MAX];
	FL_AUTO_FD fd = -1;
	struct fl_buf line = FL_BUF(FL_CTL_ANSWER_MAX);
	enum fl_rc rc = socket_path(config, path, err);
	if (rc == FL_OK)
		rc = open_link(path, &fd, err);
	if (rc == FL_OK)
		rc = send_request(fd, request, file, err);
	if (rc == FL_OK)
		rc = read_line(fd, &line, err);
	if (rc == FL_OK)
		rc = read_answer(&line, arena, ret, err);
	fl_buf_free(&line);
	return rc;
}

enum fl_rc fl_ctl_ask(const char *config, const char *verb, struct fl_arena *arena,
		      const char **ret, struct fl_err *err)
{
	struct fl_buf request = FL_BUF(REQUEST_MAX);
	enum fl_rc rc = fl_buf_appendf(&request, err, "{\"verb\":\"%s\"}\n", verb);
	if (rc == FL_OK)
		rc = ask(config, &request, -1, arena, ret, err);
	fl_buf_free(&request);
	return rc;
}

enum fl_rc fl_ctl_ask_install(const char *config, const char *path, int fd, struct fl_arena *arena,
			      const char **ret, struct fl_err *err)
{
	struct fl_buf request = FL_BUF(REQUEST_MAX);
	enum fl_rc rc = fl_buf_append_str(&request, "{\"verb\":\"install\",\"path\":", err);
	if (rc == FL_OK)
		rc = fl_json_append_string(&request, path, err);
	if (rc == FL_OK)
		rc = fl_buf_append_str(&request, "}\n", err);
	if (rc == FL_OK)
		rc = ask(config, &request, fd, arena, ret, err);
	fl_buf_free(&request);
	return rc;
}
