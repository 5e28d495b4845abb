/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder that tries to get out, also by what a handler may do, then does what it must. */
#include "attempts.h"
#include "patch.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <time.h>

static void *thread(void *arg)
{
	return arg;
}

static long try_thread(void)
{
	pthread_t id;
	int rc = pthread_create(&id, NULL, thread, NULL);
	if (rc == 0)
		(void)pthread_join(id, NULL);
	errno = rc == EAGAIN ? EPERM : rc; /* glibc's word for it */
	return rc == 0 ? 0 : -1;
}

static long try_ioctl(void)
{
	int n;
	return ioctl(3, FIONREAD, &n);
}

static long try_write(void)
{
	return write(1, "", 1);
}

static long try_pwrite(void)
{
	return pwrite(1, "", 1, 0);
}

static long try_truncate(void)
{
	return ftruncate(4, 0);
}

static long try_sync(void)
{
	return fsync(4);
}

static long try_dup(void)
{
	return dup(2);
}

static long try_pipe(void)
{
	int ends[2];
	return pipe2(ends, 0);
}

static long try_timer(void)
{
	return syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
}

static long try_more_memory(void)
{
	return syscall(SYS_prlimit64, 0, 9 /* RLIMIT_AS */,
		       "\377\377\377\377\377\377\377\177\377\377\377\377\377\377\377\177", NULL);
}

static const struct {
	const char *what;
	long (*attempt)(void);
} more[] = {
	{"thread", try_thread},	    {"ioctl", try_ioctl},
	{"write", try_write},	    {"pwrite", try_pwrite},
	{"truncate", try_truncate}, {"sync", try_sync},
	{"dup", try_dup},	    {"pipe", try_pipe},
	{"timer", try_timer},	    {"more_memory", try_more_memory},
};

static void try_all(void)
{
	char line[64];
	for (size_t i = 0; i < N_ATTEMPTS; i++) {
		if (attempts[i].loading_too)
			host->log(host, FL_LEVEL_INFO, loading[i]);
		attempt(i, "working", line, sizeof(line));
		host->log(host, FL_LEVEL_INFO, line);
	}
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		errno = 0;
		long rc = more[i].attempt();
		(void)snprintf(line, sizeof(line), "decoder %s %s", more[i].what,
			       rc < 0 && errno == EPERM ? "denied" : "OPEN");
		host->log(host, FL_LEVEL_INFO, line);
	}
}

static int write_chunk(const struct patch *p, uint64_t offset, uint8_t *data, uint32_t len)
{
	(void)p;
	return host->write_output(host, offset, data, len);
}

static int decode(void *self, const struct fl_decode_task *task, struct fl_result *result)
{
	(void)self;
	try_all();
	return patch_decode(task, write_chunk, result);
}

TEST_DECODER("undecode");
