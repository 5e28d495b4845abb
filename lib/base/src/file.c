/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fl_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

enum fl_rc fl_path_join(char *out, size_t out_size, const char *dir, const char *name,
			struct fl_err *err)
{
	int n = snprintf(out, out_size, "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= out_size)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s/%s'", dir, name);
	return FL_OK;
}

static enum fl_rc fail_errno(struct fl_err *err, const char *what)
{
	int e = errno;
	return fl_fail(err, fl_rc_from_errno(e), e, "%s", what);
}

enum fl_rc fl_pread_all(int fd, void *data, size_t len, uint64_t offset, struct fl_err *err)
{
	uint8_t *p = data;
	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, "read");
		if (n == 0)
			return fl_fail(err, FL_E_TRUNCATED, 0, "read: end of file");
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return FL_OK;
}

enum fl_rc fl_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct fl_err *err)
{
	const uint8_t *p = data;
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, "write");
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return FL_OK;
}

enum fl_rc fl_read_all(int fd, void *data, size_t len, struct fl_err *err)
{
	uint8_t *p = data;
	while (len > 0) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, "read");
		if (n == 0)
			return fl_fail(err, FL_E_TRUNCATED, 0, "read: end of file");
		p += n;
		len -= (size_t)n;
	}
	return FL_OK;
}

enum fl_rc fl_write_all(int fd, const void *data, size_t len, struct fl_err *err)
{
	const uint8_t *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, "write");
		p += n;
		len -= (size_t)n;
	}
	return FL_OK;
}

enum fl_rc fl_file_read_fd(int fd, struct fl_buf *buf, struct fl_err *err)
{
	fl_buf_clear(buf);
	for (;;) {
		size_t room = buf->max - buf->len;
		size_t want = room < 4096 ? room + 1 : 4096;
		uint8_t block[4096];
		ssize_t n = pread(fd, block, want < sizeof(block) ? want : sizeof(block),
				  (off_t)buf->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(err, "read");
		if (n == 0)
			break;
		enum fl_rc rc = fl_buf_append(buf, block, (size_t)n, err);
		if (rc != FL_OK)
			return rc;
	}
	return fl_buf_reserve(buf, 0, err);
}

enum fl_rc fl_file_read(const char *path, struct fl_buf *buf, struct fl_err *err)
{
	FL_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	enum fl_rc rc = fd < 0 ? fail_errno(err, "open") : fl_file_read_fd(fd, buf, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", path);
}

static enum fl_rc sync_parent(const char *path, struct fl_err *err)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	if (len >= sizeof(dir))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", path);
	memcpy(dir, path, len);
	dir[len] = '\0';
	FL_AUTO_FD fd = open(slash == NULL ? "." : (len == 0 ? "/" : dir),
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, "open directory");
	if (fsync(fd) != 0)
		return fail_errno(err, "sync directory");
	return FL_OK;
}

static enum fl_rc write_new(const char *tmp, const void *data, size_t len, mode_t mode,
			    struct fl_err *err)
{
	(void)unlink(tmp); /* left by a crash, perhaps with another mode */
	FL_AUTO_FD fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return fail_errno(err, "create");
	enum fl_rc rc = fl_write_all(fd, data, len, err);
	if (rc == FL_OK && fsync(fd) != 0)
		rc = fail_errno(err, "sync");
	return rc;
}

enum fl_rc fl_file_replace(const char *path, const void *data, size_t len, mode_t mode,
			   struct fl_err *err)
{
	char tmp[PATH_MAX];
	int n = snprintf(tmp, sizeof(tmp), "%s.new", path);
	if (n < 0 || (size_t)n >= sizeof(tmp))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", path);
	enum fl_rc rc = write_new(tmp, data, len, mode, err);
	if (rc == FL_OK && rename(tmp, path) != 0)
		rc = fail_errno(err, "rename");
	if (rc != FL_OK) {
		(void)unlink(tmp);
		return fl_wrap(err, rc, "replace '%s'", path);
	}
	rc = sync_parent(path, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "replace '%s'", path);
}

enum fl_rc fl_file_remove(const char *path, struct fl_err *err)
{
	if (unlink(path) != 0) {
		if (errno == ENOENT)
			return FL_OK;
		enum fl_rc rc = fail_errno(err, "unlink");
		return fl_wrap(err, rc, "remove '%s'", path);
	}
	return sync_parent(path, err);
}

enum fl_rc fl_dir_make(const char *dir, mode_t mode, struct fl_err *err)
{
	char path[PATH_MAX];
	size_t len = strlen(dir);
	if (len == 0 || len >= sizeof(path))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "directory '%s'", dir);
	memcpy(path, dir, len + 1);
	for (size_t i = 1; i < len; i++) {
		if (path[i] != '/')
			continue;
		path[i] = '\0';
		(void)mkdir(path, 0755); /* the last mkdir tells */
		path[i] = '/';
	}
	struct stat st;
	if (mkdir(path, mode) == 0)
		return FL_OK;
	int e = errno;
	if (e == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return FL_OK;
	return fl_fail(err, fl_rc_from_errno(e), e, "make directory '%s'", dir);
}

enum fl_rc fl_dir_check_mount(const char *dir, struct fl_err *err)
{
	char above[PATH_MAX];
	struct stat here;
	struct stat there;
	enum fl_rc rc = fl_path_join(above, sizeof(above), dir, "..", err);
	if (rc != FL_OK)
		return rc;
	if (stat(dir, &here) != 0 || stat(above, &there) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", dir);
	if (here.st_dev == there.st_dev)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "nothing is mounted at '%s'", dir);
	return FL_OK;
}
