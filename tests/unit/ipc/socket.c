/* SPDX-License-Identifier: Apache-2.0 */
/* Packets, descriptors and memfds: what a hostile peer can do with a socket. */
#include <fairlead/ipc/codec.h>

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2];
static struct fl_buf frame;
static int fds[FL_FRAME_FDS_MAX];
static size_t n_fds;

static void set_up(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	frame = FL_BUF(FL_FRAME_MAX);
}

static void tear_down(void)
{
	fl_close(&pair[0]);
	fl_close(&pair[1]);
	fl_buf_free(&frame);
}

TestSuite(ipc_socket, .init = set_up, .fini = tear_down);

static size_t open_fds(void)
{
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static enum fl_rc receive(void)
{
	return fl_frame_recv(pair[1], &frame, fds, &n_fds, NULL);
}

Test(ipc_socket, a_packet_arrives_whole_with_its_descriptors)
{
	int sent[FL_FRAME_FDS_MAX];
	for (size_t i = 0; i < FL_FRAME_FDS_MAX; i++)
		sent[i] = pair[0];
	static uint8_t packet[FL_FRAME_MAX];
	memset(packet, 0xa5, sizeof(packet));
	cr_assert_eq(fl_frame_send(pair[0], packet, sizeof(packet), sent, FL_FRAME_FDS_MAX, NULL),
		     FL_OK);
	cr_assert_eq(receive(), FL_OK);
	cr_assert_eq(frame.len, sizeof(packet));
	cr_assert_eq(memcmp(frame.data, packet, sizeof(packet)), 0);
	cr_assert_eq(n_fds, FL_FRAME_FDS_MAX);
	for (size_t i = 0; i < n_fds; i++) {
		cr_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		fl_close(&fds[i]);
	}
}

Test(ipc_socket, nothing_there_is_busy_and_the_end_is_the_end)
{
	cr_assert_eq(receive(), FL_E_BUSY);
	fl_close(&pair[0]);
	cr_assert_eq(receive(), FL_E_PEER_CLOSED);
	cr_assert_eq(fl_frame_send(pair[1], "x", 1, NULL, 0, NULL), FL_E_PEER_CLOSED);
}

Test(ipc_socket, a_full_socket_is_busy)
{
	enum fl_rc rc = FL_OK;
	for (int i = 0; i < 10000 && rc == FL_OK; i++)
		rc = fl_frame_send(pair[0], "x", 1, NULL, 0, NULL);
	cr_assert_eq(rc, FL_E_BUSY);
}

Test(ipc_socket, a_longer_packet_is_refused_and_its_descriptors_closed)
{
	static uint8_t packet[FL_FRAME_MAX + 1];
	cr_assert_eq(fl_frame_send(pair[0], packet, sizeof(packet), NULL, 0, NULL), FL_E_TOO_LARGE);
	size_t before = open_fds();
	struct iovec iov = {packet, sizeof(packet)};
	union {
		struct cmsghdr align;
		uint8_t b[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[0], sizeof(int));
	cr_assert_eq(sendmsg(pair[0], &msg, 0), (ssize_t)sizeof(packet));
	cr_assert_eq(receive(), FL_E_PROTOCOL);
	cr_assert_eq(open_fds(), before);
}

Test(ipc_socket, too_many_descriptors_are_refused_and_closed)
{
	enum { MANY = 64 };
	size_t before = open_fds();
	union {
		struct cmsghdr align;
		uint8_t b[CMSG_SPACE(MANY * sizeof(int))];
	} control = {0};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(MANY * sizeof(int));
	for (size_t i = 0; i < MANY; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
	cr_assert_eq(sendmsg(pair[0], &msg, 0), 1);
	cr_assert_eq(receive(), FL_E_PROTOCOL);
	cr_assert_eq(open_fds(), before);
}

Test(ipc_socket, a_document_travels_in_a_sealed_memfd)
{
	int fd = -1;
	struct fl_buf text = FL_BUF(64);
	cr_assert_eq(fl_memfd_new("payload", 7, &fd, NULL), FL_OK);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_lt(write(fd, "x", 1), 0);
	cr_assert_neq(ftruncate(fd, 3), 0);
	cr_assert_eq(fl_memfd_read(fd, &text, NULL), FL_OK);
	cr_assert_str_eq(fl_buf_str(&text), "payload");
	struct fl_buf small = FL_BUF(6);
	cr_assert_eq(fl_memfd_read(fd, &small, NULL), FL_E_TOO_LARGE);
	fl_close(&fd);
	fl_buf_free(&text);
	fl_buf_free(&small);
}

Test(ipc_socket, every_missing_seal_is_noticed)
{
	static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	struct fl_buf text = FL_BUF(64);
	for (size_t i = 0; i < 4; i++) {
		int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		for (size_t k = 0; k < 4; k++) {
			/* the seal on seals last, or the others cannot be set */
			size_t which = (k + 1) % 4;
			if (which != i)
				cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals[which]), 0);
		}
		cr_assert_eq(fl_memfd_read(fd, &text, NULL), FL_E_PROTOCOL, "seal %zu", i);
		fl_close(&fd);
	}
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fl_memfd_read(null, &text, NULL), FL_E_PROTOCOL);
	cr_assert_eq(fl_memfd_read(pair[0], &text, NULL), FL_E_PROTOCOL);
	fl_close(&null);
	fl_buf_free(&text);
}
