/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child that reads a target back: fairlead-helper --seal-check SIZE ROOT keep|zero [USER], control socket at 3, target at 4,
 * opened for reading only. It gives up every privilege, reads from the medium, builds the tree and compares.
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/base/priority.h>
#include <fairlead/trust/tree.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define TARGET_FD      (CONTROL_FD + 1)
#define BLOCK	       ((size_t)1024 * 1024)
#define ALIVE_EVERY_MS 1000

struct check {
	uint64_t size;
	struct fl_digest root;
	bool zero_tail;
	const char *user;
	uint8_t *block;
	uint64_t alive_ms;
};

static void send_frame(enum fl_frame_type type, const void *body)
{
	struct fl_err err;
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	if (fl_frame_encode(type, 0, body, &frame, &err) == FL_OK &&
	    fl_frame_send(CONTROL_FD, frame.data, frame.len, NULL, 0, &err) != FL_OK)
		_exit(1); /* nobody is left to hear the result */
	fl_buf_free(&frame);
}

static void show_life(struct check *c)
{
	static const struct fl_ipc_empty empty = {false};
	const uint64_t now = fl_clock_boot_ms(&fl_clock_system);
	if (now - c->alive_ms < ALIVE_EVERY_MS)
		return;
	c->alive_ms = now;
	send_frame(FL_FRAME_KEEPALIVE, &empty);
}

static enum fl_rc drop_user(const char *user, struct fl_err *err)
{
	if (user == NULL || geteuid() != 0)
		return FL_OK;
	const struct passwd *pw = getpwnam(user);
	if (pw == NULL)
		return fl_fail(err, FL_E_SANDBOX, 0, "no account '%s'", user);
	if (setgroups(0, NULL) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "become '%s'", user);
	return FL_OK;
}

static enum fl_rc give_up_privileges(const struct check *c, struct fl_err *err)
{
	const struct rlimit no_files = {0, 0};
	const struct rlimit no_core = {0, 0};
	const pid_t parent = getppid();
	enum fl_rc rc = drop_user(c->user, err);
	if (rc != FL_OK)
		return rc;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    setrlimit(RLIMIT_FSIZE, &no_files) != 0 || setrlimit(RLIMIT_CORE, &no_core) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "privileges");
	return getppid() == parent ? FL_OK : fl_fail(err, FL_E_PEER_CLOSED, 0, "helper is gone");
}

/* Past the page cache: directly where the medium can, otherwise with its pages dropped. */
static void bypass_cache(void)
{
	const int flags = fcntl(TARGET_FD, F_GETFL);
	(void)fdatasync(TARGET_FD);
	(void)posix_fadvise(TARGET_FD, 0, 0, POSIX_FADV_DONTNEED);
	(void)fcntl(TARGET_FD, F_SETFL, flags | O_DIRECT);
}

static void stop_bypassing(void)
{
	const int flags = fcntl(TARGET_FD, F_GETFL);
	(void)fcntl(TARGET_FD, F_SETFL, flags & ~O_DIRECT);
}

/* Up to a block at `offset`, a multiple of it; 0 at the end. */
static enum fl_rc read_block(struct check *c, uint64_t offset, size_t *len, struct fl_err *err)
{
	show_life(c);
	*len = 0;
	while (*len < BLOCK) {
		ssize_t n = pread(TARGET_FD, c->block + *len, BLOCK - *len, (off_t)(offset + *len));
		if (n < 0 && errno == EINVAL && (fcntl(TARGET_FD, F_GETFL) & O_DIRECT) != 0) {
			stop_bypassing(); /* an odd end of a file, or no direct reads here */
			continue;
		}
		if (n < 0 && errno != EINTR)
			return fl_fail(err, FL_E_IO, errno, "read at %llu",
				       (unsigned long long)(offset + *len));
		if (n == 0)
			break;
		*len += n > 0 ? (size_t)n : 0;
	}
	return FL_OK;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static enum fl_rc compare(struct check *c, struct fl_tree_builder *builder, struct fl_err *err)
{
	uint64_t offset = 0;
	size_t len = BLOCK;
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && len == BLOCK && (offset < c->size || c->zero_tail)) {
		rc = read_block(c, offset, &len, err);
		const uint64_t left = offset < c->size ? c->size - offset : 0;
		const size_t image = left < len ? (size_t)left : len;
		if (rc == FL_OK && image > 0)
			rc = fl_tree_builder_add(builder, c->block, image, err);
		if (rc == FL_OK && c->zero_tail && !is_zero(c->block + image, len - image))
			rc = fl_fail(err, FL_E_SEAL_MISMATCH, 0,
				     "the rest of the slot is not zero");
		offset += len;
	}
	return rc;
}

static enum fl_rc check_target(struct check *c, struct fl_err *err)
{
	struct fl_digest root;
	uint64_t size = 0;
	struct fl_tree_builder *builder = NULL;
	bypass_cache();
	enum fl_rc rc = fl_tree_builder_new(&builder, err);
	if (rc == FL_OK)
		rc = compare(c, builder, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_finish(builder, &root, &size, NULL, err);
	fl_tree_builder_free(builder);
	if (rc == FL_OK && (size != c->size || !fl_digest_equal(&root, &c->root)))
		rc = fl_fail(err, FL_E_SEAL_MISMATCH, 0,
			     "the slot does not hold what the release signs");
	return rc;
}

static bool parse(int argc, char **argv, struct check *c)
{
	char *end;
	if (argc < 5 || argc > 6)
		return false;
	errno = 0;
	c->size = strtoull(argv[2], &end, 10);
	c->zero_tail = strcmp(argv[4], "zero") == 0;
	c->user = argc > 5 ? argv[5] : NULL;
	return errno == 0 && *end == '\0' &&
	       fl_hex_decode(argv[3], strlen(argv[3]), c->root.b, sizeof(c->root.b));
}

int seal_check_main(int argc, char **argv)
{
	struct check c = {0};
	struct fl_err err = {0};
	fl_log_open("fairlead-helper");
	if (!parse(argc, argv, &c))
		return 2;
	fl_priority_background();
	c.block = aligned_alloc(4096, BLOCK);
	enum fl_rc rc = c.block == NULL ? fl_fail(&err, FL_E_NO_MEMORY, 0, "block") : FL_OK;
	if (rc == FL_OK)
		rc = give_up_privileges(&c, &err);
	if (rc == FL_OK)
		rc = check_target(&c, &err);
	const struct fl_ipc_result result = {rc == FL_OK ? "ok" : "retry", fl_rc_name(rc),
					     rc == FL_OK ? NULL : err.msg};
	send_frame(FL_FRAME_RESULT, &result);
	free(c.block);
	return 0;
}
