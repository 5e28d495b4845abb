/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapped calls. Each finds out what it would change, asks the plan, and calls the next
 * library's function. */
#include "flshim_core.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

/* REAL(type, name)(arguments): the function of that name behind this library. */
#define REAL(name)                                                                                 \
	({                                                                                         \
		static __typeof__(&name) found;                                                    \
		if (found == NULL)                                                                 \
			found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                        \
		found;                                                                             \
	})

static uint64_t size_of_fd(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

/* The plan "space" counts what files occupy. Holes are not seen: a file is taken to be full up to
 * that. */
static uint64_t room_of_fd(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
}

/* What it takes to make the file reach `end`, in pages. */
static uint64_t growth_to(int fd, uint64_t end)
{
	uint64_t room = room_of_fd(fd);
	uint64_t pages = (end + 4095) / 4096 * 4096;
	return end > room ? pages - room : 0;
}

/* What removing this name gives back. */
static uint64_t room_of_path(const char *path)
{
	struct stat st;
	bool last = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
	return last ? (uint64_t)st.st_blocks * 512 : 0;
}

/* ---- writes ---- */

/* offset < 0: at the file's own offset. */
static ssize_t do_write(int fd, const void *data, size_t len, off_t offset)
{
	return offset < 0 ? REAL(write)(fd, data, len) : REAL(pwrite)(fd, data, len, offset);
}

static ssize_t shim_write(int fd, const void *data, size_t len, off_t offset)
{
	struct shim_call call;
	if (!shim_watches_fd(fd, &call))
		return do_write(fd, data, len, offset);
	uint64_t size = size_of_fd(fd);
	bool append = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
	off_t at = append ? (off_t)size : (offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset);
	call.op = FLSHIM_WRITE;
	call.path2[0] = '\0';
	call.offset = at < 0 ? 0 : (uint64_t)at;
	call.data = data;
	call.len = len;
	call.growth = growth_to(fd, call.offset + len);
	enum shim_verdict verdict = shim_ask(&call);
	if (verdict == SHIM_FAIL)
		return -1;
	ssize_t n = do_write(fd, data, verdict == SHIM_GO ? len : len / 2, offset);
	if (verdict == SHIM_HALF_THEN_KILL)
		shim_kill();
	if (n >= 0) {
		call.len = (size_t)n;
		shim_done(&call, 0);
	}
	return n;
}

API ssize_t write(int fd, const void *data, size_t len)
{
	return shim_write(fd, data, len, -1);
}

API ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return shim_write(fd, data, len, offset);
}

API ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return shim_write(fd, data, len, (off_t)offset);
}

/* Vectors are written one by one, as a call that is cut short would. */
static ssize_t shim_writev(int fd, const struct iovec *iov, int n, off_t offset)
{
	ssize_t done = 0;
	for (int i = 0; i < n; i++) {
		ssize_t k = shim_write(fd, iov[i].iov_base, iov[i].iov_len,
				       offset < 0 ? -1 : offset + done);
		if (k < 0)
			return done > 0 ? done : -1;
		done += k;
		if ((size_t)k < iov[i].iov_len)
			break;
	}
	return done;
}

API ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct shim_call call;
	return shim_watches_fd(fd, &call) ? shim_writev(fd, iov, n, -1) : REAL(writev)(fd, iov, n);
}

API ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct shim_call call;
	return shim_watches_fd(fd, &call) ? shim_writev(fd, iov, n, offset)
					  : REAL(pwritev)(fd, iov, n, offset);
}

API ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
	return pwritev(fd, iov, n, (off_t)offset);
}

/* ---- reads ---- */

API ssize_t read(int fd, void *data, size_t len)
{
	int kept = errno;
	off_t at = lseek(fd, 0, SEEK_CUR); /* fails on sockets */
	errno = kept;
	return at < 0 || shim_may_read(fd, at, len) ? REAL(read)(fd, data, len) : -1;
}

API ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
	return shim_may_read(fd, (off_t)offset, len) ? REAL(pread)(fd, data, len, offset) : -1;
}

API ssize_t pread64(int fd, void *data, size_t len, off64_t offset)
{
	return shim_may_read(fd, (off_t)offset, len) ? REAL(pread64)(fd, data, len, offset) : -1;
}

/* ---- lengths ---- */

/* `length`: the new one; `growth`: the room it takes. */
static int shim_resize(enum flshim_op op, uint64_t length, uint64_t growth, struct shim_call *call)
{
	call->op = op;
	call->path2[0] = '\0';
	call->offset = length;
	call->data = NULL;
	call->len = 0;
	call->growth = growth;
	return shim_ask(call) == SHIM_FAIL ? -1 : 0;
}

API int ftruncate(int fd, off_t length)
{
	struct shim_call call;
	if (!shim_watches_fd(fd, &call))
		return REAL(ftruncate)(fd, length);
	uint64_t before = room_of_fd(fd);
	if (shim_resize(FLSHIM_TRUNCATE, (uint64_t)length, 0, &call) != 0)
		return -1;
	int rc = REAL(ftruncate)(fd, length);
	uint64_t after = room_of_fd(fd);
	if (rc == 0)
		shim_done(&call, before > after ? before - after : 0);
	return rc;
}

API int ftruncate64(int fd, off64_t length)
{
	return ftruncate(fd, (off_t)length);
}

static uint64_t length_after(int fd, int mode, off_t offset, off_t len)
{
	uint64_t size = size_of_fd(fd);
	uint64_t end = (uint64_t)offset + (uint64_t)len;
	return (mode & FALLOC_FL_KEEP_SIZE) == 0 && end > size ? end : size;
}

API int fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct shim_call call;
	if (!shim_watches_fd(fd, &call))
		return REAL(fallocate)(fd, mode, offset, len);
	if (!shim_has_fallocate()) {
		errno = EOPNOTSUPP;
		return -1;
	}
	uint64_t length = length_after(fd, mode, offset, len);
	if (shim_resize(FLSHIM_ALLOCATE, length, growth_to(fd, (uint64_t)(offset + len)), &call) !=
	    0)
		return -1;
	int rc = REAL(fallocate)(fd, mode, offset, len);
	if (rc == 0)
		shim_done(&call, 0);
	return rc;
}

API int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return fallocate(fd, mode, (off_t)offset, (off_t)len);
}

API int posix_fallocate(int fd, off_t offset, off_t len)
{
	struct shim_call call;
	if (!shim_watches_fd(fd, &call))
		return REAL(posix_fallocate)(fd, offset, len);
	uint64_t length = length_after(fd, 0, offset, len);
	if (shim_resize(FLSHIM_ALLOCATE, length, growth_to(fd, (uint64_t)(offset + len)), &call) !=
	    0)
		return errno;
	int rc = REAL(posix_fallocate)(fd, offset, len);
	if (rc == 0)
		shim_done(&call, 0);
	return rc;
}

API int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return posix_fallocate(fd, (off_t)offset, (off_t)len);
}

API int statvfs(const char *restrict path, struct statvfs *restrict ret)
{
	uint64_t free_bytes = 0;
	int rc = REAL(statvfs)(path, ret);
	if (rc == 0 && shim_free_space(path, &free_bytes)) {
		ret->f_frsize = 512;
		ret->f_bavail = ret->f_bfree = (fsblkcnt_t)(free_bytes / 512);
	}
	return rc;
}

API int statvfs64(const char *restrict path, struct statvfs64 *restrict ret)
{
	uint64_t free_bytes = 0;
	int rc = REAL(statvfs64)(path, ret);
	if (rc == 0 && shim_free_space(path, &free_bytes)) {
		ret->f_frsize = 512;
		ret->f_bavail = ret->f_bfree = free_bytes / 512;
	}
	return rc;
}

/* ---- syncs ---- */

static bool refuses(struct shim_call *call, enum flshim_op op)
{
	call->op = op;
	call->offset = 0;
	call->data = NULL;
	call->len = 0;
	call->growth = 0;
	return shim_ask(call) == SHIM_FAIL;
}

#define SYNC_CALL(name)                                                                            \
	API int name(int fd)                                                                       \
	{                                                                                          \
		struct shim_call call;                                                             \
		if (!shim_watches_fd(fd, &call))                                                   \
			return REAL(name)(fd);                                                     \
		call.path2[0] = '\0';                                                              \
		if (refuses(&call, FLSHIM_SYNC))                                                   \
			return -1;                                                                 \
		int rc = REAL(name)(fd);                                                           \
		if (rc == 0)                                                                       \
			shim_done(&call, 0);                                                       \
		return rc;                                                                         \
	}

SYNC_CALL(fsync)
SYNC_CALL(fdatasync)
SYNC_CALL(syncfs)

/* ---- names ---- */

API int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	struct shim_call call;
	if (!shim_watches_path(from_dir, from, &call) || !shim_names_second(to_dir, to, &call))
		return REAL(renameat2)(from_dir, from, to_dir, to, flags);
	if (refuses(&call, FLSHIM_RENAME))
		return -1;
	uint64_t freed = room_of_path(call.path2);
	int rc = REAL(renameat2)(from_dir, from, to_dir, to, flags);
	if (rc == 0)
		shim_done(&call, freed);
	return rc;
}

API int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

API int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

API int unlinkat(int dirfd, const char *path, int flags)
{
	struct shim_call call;
	if (!shim_watches_path(dirfd, path, &call))
		return REAL(unlinkat)(dirfd, path, flags);
	call.path2[0] = '\0';
	if (refuses(&call, FLSHIM_UNLINK))
		return -1;
	uint64_t freed = room_of_path(call.path);
	int rc = REAL(unlinkat)(dirfd, path, flags);
	if (rc == 0)
		shim_done(&call, freed);
	return rc;
}

API int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

API int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

API int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	struct shim_call call;
	if (!shim_watches_path(from_dir, from, &call) || !shim_names_second(to_dir, to, &call))
		return REAL(linkat)(from_dir, from, to_dir, to, flags);
	if (refuses(&call, FLSHIM_LINK))
		return -1;
	int rc = REAL(linkat)(from_dir, from, to_dir, to, flags);
	if (rc == 0)
		shim_done(&call, 0);
	return rc;
}

API int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

API int mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct shim_call call;
	if (!shim_watches_path(dirfd, path, &call))
		return REAL(mkdirat)(dirfd, path, mode);
	call.path2[0] = '\0';
	if (access(call.path, F_OK) != 0 && refuses(&call, FLSHIM_MKDIR))
		return -1;
	int rc = REAL(mkdirat)(dirfd, path, mode);
	if (rc == 0)
		shim_done(&call, 0);
	return rc;
}

API int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* ---- open: counts when it makes a file or cuts one ---- */

static int shim_open(int dirfd, const char *path, int flags, mode_t mode)
{
	struct shim_call call;
	struct stat st;
	if ((flags & (O_CREAT | O_TRUNC)) == 0 || (flags & O_TMPFILE) == O_TMPFILE ||
	    !shim_watches_path(dirfd, path, &call))
		return REAL(openat64)(dirfd, path, flags, mode);
	int kept = errno;
	bool exists = lstat(call.path, &st) == 0;
	errno = kept;
	bool cuts = exists && (flags & O_TRUNC) != 0 && st.st_size > 0;
	bool makes = !exists && (flags & O_CREAT) != 0;
	call.path2[0] = '\0';
	if ((cuts || makes) && refuses(&call, makes ? FLSHIM_CREATE : FLSHIM_TRUNCATE))
		return -1;
	int fd = REAL(openat64)(dirfd, path, flags, mode);
	if (fd >= 0 && (cuts || makes))
		shim_done(&call, cuts ? (uint64_t)st.st_size : 0);
	return fd;
}

#define MODE_OF(flags, last)                                                                       \
	mode_t mode = 0;                                                                           \
	if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                                                \
		va_list ap;                                                                        \
		va_start(ap, last);                                                                \
		mode = va_arg(ap, mode_t);                                                         \
		va_end(ap);                                                                        \
	}

API int open(const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return shim_open(AT_FDCWD, path, flags, mode);
}

API int open64(const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return shim_open(AT_FDCWD, path, flags, mode);
}

API int openat(int dirfd, const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return shim_open(dirfd, path, flags, mode);
}

API int openat64(int dirfd, const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return shim_open(dirfd, path, flags, mode);
}

API int creat(const char *path, mode_t mode)
{
	return shim_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
