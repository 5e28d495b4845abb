/* SPDX-License-Identifier: Apache-2.0 */
#include "flshim_core.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum mode {
	OFF,
	COUNT,
	KILL,
	TEAR,
	FAIL,
	READ,
	SHORT,
	DELAY,
	SPACE,
	RECORD,
};

static const char *const mode_names[] = {"off",	 "count", "kill",  "tear",  "fail",
					 "read", "short", "delay", "space", "record"};

static const struct {
	const char *name;
	int number;
} errors[] = {{"EIO", EIO},	  {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
	      {"EINTR", EINTR},	  {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EBUSY", EBUSY},
	      {"EMFILE", EMFILE}, {"EPERM", EPERM}};

static struct {
	pthread_mutex_t lock;
	enum mode mode;
	uint64_t number; /* N, or the bytes of `space` */
	int error;
	unsigned delay_ms;
	bool always;
	bool no_fallocate;
	ino_t bad_inode; /* the bad sector of the plan "read" */
	off_t bad_offset;
	char dir[PATH_MAX];
	size_t dir_len;
	int log;
	struct flshim_counts *counts;
	struct flshim_counts own_counts;
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

static _Noreturn void give_up(const char *what, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "flshim: %s '%s'\n", what, text);
	(void)!syscall(SYS_write, 2, line, n > 0 ? (size_t)n : 0);
	abort();
}

static void set_dir(const char *dir)
{
	if (strlen(dir) >= sizeof(shim.dir) || dir[0] != '/')
		give_up("no absolute path:", dir);
	char resolved[PATH_MAX];
	snprintf(shim.dir, sizeof(shim.dir), "%s",
		 realpath(dir, resolved) != NULL ? resolved : dir);
	shim.dir_len = strlen(shim.dir);
	while (shim.dir_len > 1 && shim.dir[shim.dir_len - 1] == '/')
		shim.dir[--shim.dir_len] = '\0';
}

static void set_log(const char *path)
{
	if (shim.log >= 0)
		(void)close(shim.log);
	shim.log = (int)syscall(SYS_openat, AT_FDCWD, path,
				O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (shim.log < 0)
		give_up("cannot write", path);
}

static void set_error(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (strlen(errors[i].name) == len && strncmp(errors[i].name, name, len) == 0) {
			shim.error = errors[i].number;
			return;
		}
	}
	give_up("unknown error", name);
}

static void set_mode(const char *plan)
{
	size_t len = strcspn(plan, ":");
	shim.mode = OFF;
	for (size_t i = COUNT; i <= RECORD; i++) {
		if (strlen(mode_names[i]) == len && strncmp(plan, mode_names[i], len) == 0)
			shim.mode = (enum mode)i;
	}
	bool bare = shim.mode == COUNT || shim.mode == RECORD;
	if (shim.mode == OFF || bare != (plan[len] == '\0'))
		give_up("unknown plan", plan);
	if (bare)
		return;
	char *end = NULL;
	shim.number = strtoull(plan + len + 1, &end, 10);
	bool more = shim.mode == FAIL || shim.mode == READ || shim.mode == DELAY;
	shim.no_fallocate = shim.mode == SPACE && strcmp(end, ":noalloc") == 0;
	if (end == plan + len + 1 || (more || shim.no_fallocate) != (*end == ':'))
		give_up("unknown plan", plan);
	if (shim.mode == DELAY)
		shim.delay_ms = (unsigned)strtoul(end + 1, NULL, 10);
	if (shim.mode != FAIL && shim.mode != READ)
		return;
	size_t name = strcspn(end + 1, ":");
	set_error(end + 1, name);
	shim.always = strcmp(end + 1 + name, ":always") == 0;
}

void flshim_plan(const char *plan, const char *dir, const char *log)
{
	pthread_mutex_lock(&shim.lock);
	if (shim.counts == NULL)
		shim.counts = &shim.own_counts;
	*shim.counts = (struct flshim_counts){0, 0};
	shim.always = false;
	shim.bad_inode = 0;
	shim.no_fallocate = false;
	shim.mode = OFF;
	if (dir != NULL)
		set_dir(dir);
	if (log != NULL)
		set_log(log);
	if (plan != NULL)
		set_mode(plan);
	pthread_mutex_unlock(&shim.lock);
}

struct flshim_counts flshim_counts(void)
{
	pthread_mutex_lock(&shim.lock);
	struct flshim_counts counts = shim.counts == NULL ? shim.own_counts : *shim.counts;
	pthread_mutex_unlock(&shim.lock);
	return counts;
}

static void map_counts(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || syscall(SYS_ftruncate, fd, (long)sizeof(struct flshim_counts)) != 0)
		give_up("cannot write", path);
	void *p =
		mmap(NULL, sizeof(struct flshim_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		give_up("cannot map", path);
	shim.counts = p;
	(void)close(fd);
}

__attribute__((constructor)) static void start(void)
{
	const char *plan = getenv("FLSHIM");
	const char *dir = getenv("FLSHIM_DIR");
	if (plan == NULL || dir == NULL)
		return;
	if (getenv("FLSHIM_OUT") != NULL)
		map_counts(getenv("FLSHIM_OUT"));
	flshim_plan(plan, dir, getenv("FLSHIM_LOG"));
	if (getenv("FLSHIM_CHILDREN") == NULL)
		unsetenv("FLSHIM");
}

static bool below_dir(const char *path)
{
	return shim.mode != OFF && shim.dir_len > 0 && strncmp(path, shim.dir, shim.dir_len) == 0 &&
	       (path[shim.dir_len] == '/' || path[shim.dir_len] == '\0');
}

static bool path_of_fd(int fd, char out[PATH_MAX])
{
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

bool shim_watches_fd(int fd, struct shim_call *call)
{
	int kept = errno;
	bool watched = shim.mode != OFF && path_of_fd(fd, call->path) && below_dir(call->path);
	errno = kept;
	return watched;
}

static bool absolute(int dirfd, const char *path, char out[PATH_MAX])
{
	char base[PATH_MAX] = "";
	if (path[0] != '/') {
		if (dirfd == AT_FDCWD ? getcwd(base, sizeof(base)) == NULL
				      : !path_of_fd(dirfd, base))
			return false;
	}
	int n = snprintf(out, PATH_MAX, "%s%s%s", base, base[0] == '\0' ? "" : "/", path);
	return n > 0 && n < PATH_MAX;
}

bool shim_watches_path(int dirfd, const char *path, struct shim_call *call)
{
	int kept = errno;
	bool watched =
		shim.mode != OFF && absolute(dirfd, path, call->path) && below_dir(call->path);
	errno = kept;
	return watched;
}

bool shim_names_second(int dirfd, const char *path, struct shim_call *call)
{
	int kept = errno;
	bool named = absolute(dirfd, path, call->path2);
	errno = kept;
	return named;
}

void shim_kill(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static enum shim_verdict fail_with(int error)
{
	shim.counts->fired++;
	errno = error;
	return SHIM_FAIL;
}

static enum shim_verdict strike(const struct shim_call *call)
{
	bool is_write = call->op == FLSHIM_WRITE && call->len > 1;
	shim.counts->fired++;
	switch (shim.mode) {
	case KILL:
		shim_kill();
		break;
	case TEAR:
		if (!is_write)
			shim_kill();
		return SHIM_HALF_THEN_KILL;
	case SHORT:
		return is_write ? SHIM_HALF : SHIM_GO;
	case DELAY:
		(void)nanosleep(&(struct timespec){shim.delay_ms / 1000,
						   (long)(shim.delay_ms % 1000) * 1000000},
				NULL);
		break;
	case FAIL:
		errno = shim.error;
		return SHIM_FAIL;
	case OFF:
	case COUNT:
	case READ:
	case SPACE:
	case RECORD:
		break;
	}
	return SHIM_GO;
}

static enum shim_verdict judge(const struct shim_call *call)
{
	if (shim.mode == READ)
		return SHIM_GO;
	uint64_t n = ++shim.counts->calls;
	if (shim.mode == SPACE) {
		if (call->growth > shim.number)
			return fail_with(ENOSPC);
		shim.number -= call->growth;
		return SHIM_GO;
	}
	bool strikes = n == shim.number || (shim.always && n > shim.number);
	return shim.mode > COUNT && shim.mode < SPACE && strikes ? strike(call) : SHIM_GO;
}

enum shim_verdict shim_ask(const struct shim_call *call)
{
	pthread_mutex_lock(&shim.lock);
	enum shim_verdict verdict = judge(call);
	pthread_mutex_unlock(&shim.lock);
	return verdict;
}

static bool unreadable(ino_t inode, off_t offset, size_t len)
{
	if (++shim.counts->calls == shim.number) {
		shim.bad_inode = inode;
		shim.bad_offset = offset;
		return true;
	}
	return shim.always && inode == shim.bad_inode && offset <= shim.bad_offset &&
	       offset + (off_t)len > shim.bad_offset;
}

bool shim_may_read(int fd, off_t offset, size_t len)
{
	struct shim_call call;
	struct stat st;
	if (shim.mode != READ || !shim_watches_fd(fd, &call) || fstat(fd, &st) != 0)
		return true;
	pthread_mutex_lock(&shim.lock);
	bool bad = unreadable(st.st_ino, offset, len);
	if (bad)
		(void)fail_with(shim.error);
	pthread_mutex_unlock(&shim.lock);
	return !bad;
}

static void log_all(const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		long n = syscall(SYS_write, shim.log, p, len);
		if (n <= 0)
			give_up("cannot write", "the log");
		p += n;
		len -= (size_t)n;
	}
}

static const char *relative(const char *path)
{
	if (!below_dir(path))
		return path;
	return path[shim.dir_len] == '/' ? path + shim.dir_len + 1 : path + shim.dir_len;
}

static void record(const struct shim_call *call)
{
	const char *path = call->path[0] == '\0' ? "" : relative(call->path);
	const char *path2 = call->path2[0] == '\0' ? "" : relative(call->path2);
	size_t data_len = call->data == NULL ? 0 : call->len;
	struct flshim_record r = {.op = call->op,
				  .path_len = (uint32_t)strlen(path),
				  .path2_len = (uint32_t)strlen(path2),
				  .data_len = (uint32_t)data_len,
				  .offset = call->offset};
	log_all(&r, sizeof(r));
	log_all(path, r.path_len);
	log_all(path2, r.path2_len);
	log_all(call->data, data_len);
}

void shim_done(const struct shim_call *call, uint64_t freed)
{
	int kept = errno;
	pthread_mutex_lock(&shim.lock);
	if (shim.mode == SPACE)
		shim.number += freed;
	if (shim.mode == RECORD && shim.log >= 0)
		record(call);
	pthread_mutex_unlock(&shim.lock);
	errno = kept;
}

void flshim_mark(uint64_t number)
{
	struct shim_call call = {.op = FLSHIM_MARK, .offset = number};
	shim_done(&call, 0);
}

bool shim_has_fallocate(void)
{
	return !shim.no_fallocate;
}

bool shim_free_space(const char *path, uint64_t *ret)
{
	struct shim_call call;
	if (shim.mode != SPACE || !shim_watches_path(AT_FDCWD, path, &call))
		return false;
	*ret = shim.number;
	return true;
}
