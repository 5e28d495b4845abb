/* SPDX-License-Identifier: Apache-2.0 */
/* Packets with descriptors over SOCK_SEQPACKET, and documents as sealed memfds. */
#include <fairlead/ipc/codec.h>

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(FL_FRAME_FDS_MAX * sizeof(int))];
};

static void attach(struct msghdr *msg, union control *control, const int *fds, size_t n_fds)
{
	memset(control, 0, sizeof(*control));
	msg->msg_control = control->bytes;
	msg->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
}

static enum fl_rc fail_socket(struct fl_err *err, const char *what)
{
	int e = errno;
	if (e == EAGAIN || e == EWOULDBLOCK)
		return fl_fail(err, FL_E_BUSY, e, "%s", what);
	return fl_fail(err, fl_rc_from_errno(e), e, "%s", what);
}

enum fl_rc fl_frame_send(int sock, const void *frame, size_t len, const int *fds, size_t n_fds,
			 struct fl_err *err)
{
	FL_BUG_ON(len == 0 || n_fds > FL_FRAME_FDS_MAX);
	if (len > FL_FRAME_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "frame of %zu bytes", len);
	union control control;
	struct iovec iov = {(void *)(uintptr_t)frame, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (n_fds > 0)
		attach(&msg, &control, fds, n_fds);
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_socket(err, "send");
	if ((size_t)n != len)
		return fl_fail(err, FL_E_IO, 0, "send: %zd of %zu bytes", n, len);
	return FL_OK;
}

/* Collects the descriptors of a message; those past the limit are closed. */
static size_t collect(struct msghdr *msg, int fds[FL_FRAME_FDS_MAX], bool *too_many)
{
	size_t n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			*too_many = *too_many || n == FL_FRAME_FDS_MAX;
			if (n == FL_FRAME_FDS_MAX)
				fl_close(&fd);
			else
				fds[n++] = fd;
		}
	}
	return n;
}

static void drop(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fl_close(&fds[i]);
}

enum fl_rc fl_frame_recv(int sock, struct fl_buf *frame, int fds[FL_FRAME_FDS_MAX], size_t *n_fds,
			 struct fl_err *err)
{
	fl_buf_clear(frame);
	enum fl_rc rc = fl_buf_reserve(frame, FL_FRAME_MAX, err);
	if (rc != FL_OK)
		return rc;
	union control control;
	struct iovec iov = {frame->data, FL_FRAME_MAX};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_socket(err, "receive");
	bool too_many = (msg.msg_flags & MSG_CTRUNC) != 0;
	for (size_t i = 0; i < FL_FRAME_FDS_MAX; i++)
		fds[i] = -1;
	size_t count = collect(&msg, fds, &too_many);
	if (n == 0)
		rc = fl_fail(err, FL_E_PEER_CLOSED, 0, "end of the connection");
	else if ((msg.msg_flags & MSG_TRUNC) != 0)
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "a packet longer than %zu bytes", FL_FRAME_MAX);
	else if (too_many)
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "more than %d descriptors", FL_FRAME_FDS_MAX);
	if (rc != FL_OK) {
		drop(fds, count);
		return rc;
	}
	frame->len = (size_t)n;
	frame->data[frame->len] = 0;
	*n_fds = count;
	return FL_OK;
}

enum fl_rc fl_memfd_new(const void *data, size_t len, int *ret, struct fl_err *err)
{
	FL_AUTO_FD fd = memfd_create("fairlead", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "memfd");
	enum fl_rc rc = fl_write_all(fd, data, len, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "memfd");
	if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "memfd: seal");
	*ret = fd;
	fd = -1;
	return FL_OK;
}

enum fl_rc fl_memfd_read(int fd, struct fl_buf *buf, struct fl_err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a descriptor that is no sealed memfd");
	return fl_file_read_fd(fd, buf, err);
}
