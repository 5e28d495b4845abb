/* SPDX-License-Identifier: Apache-2.0 */
/* What the wrapped calls (flshim_calls.c) ask the plan (flshim.c). */
#ifndef FLSHIM_CORE_H
#define FLSHIM_CORE_H

#include "flshim.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct shim_call {
	enum flshim_op op;
	char path[PATH_MAX]; /* absolute */
	char path2[PATH_MAX];
	uint64_t offset;
	const void *data;
	size_t len;
	uint64_t growth; /* bytes by which files would become larger */
};

enum shim_verdict {
	SHIM_GO,
	SHIM_FAIL, /* errno is set */
	SHIM_HALF, /* do the first half of the write */
	SHIM_HALF_THEN_KILL,
};

/* False: not of the watched directory, or no plan. */
bool shim_watches_fd(int fd, struct shim_call *call);
bool shim_watches_path(int dirfd, const char *path, struct shim_call *call);
bool shim_names_second(int dirfd, const char *path, struct shim_call *call);
enum shim_verdict shim_ask(const struct shim_call *call);
/* May these bytes be read? False: errno is set. */
bool shim_may_read(int fd, off_t offset, size_t len);
/* It was done: to be recorded; gives back `freed` bytes. */
void shim_done(const struct shim_call *call, uint64_t freed);
void shim_kill(void);
/* The free bytes of the plan "space"; false with other plans. */
bool shim_has_fallocate(void);
bool shim_free_space(const char *path, uint64_t *ret);

#endif
