/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flshim.so stands between a program and the C library and counts, fails, kills at, or records what
 * changes files below one directory: create, write, truncate, allocate, sync, rename, unlink, link,
 * mkdir.
 *
 * Two ways to use it:
 *
 *   linked    target_link_libraries(test flshim): fork, flshim_plan(…) in the child, run the flow
 * there preloaded LD_PRELOAD=build/<preset>/tests/flshim.so FLSHIM_DIR=… FLSHIM=… program (programs
 * built with AddressSanitizer also want ASAN_OPTIONS=verify_asan_link_order=0)
 *
 * Environment, read when the program starts:
 *
 *   FLSHIM_DIR  only calls on files at or below this absolute path count; without it nothing does
 *   FLSHIM      the plan, as below
 *   FLSHIM_OUT  a file that holds struct flshim_counts while the program runs and after its end,
 * however it ends FLSHIM_LOG  where "record" writes its records FLSHIM_CHILDREN  set: the plan goes
 * on in the programs that the process starts; each counts by itself
 *
 * Plans (N counts from 1; E is a name of errno(3)):
 *
 *   count            only count
 *   kill:N           SIGKILL in place of the N-th call
 *   tear:N           the N-th call, if it is a write, stores its first half; then SIGKILL
 *   fail:N:E         the N-th call fails with E and does nothing
 *   fail:N:E:always  so do all after it
 *   short:N          the N-th call, if it is a write, stores its first half and returns that
 *   read:N:E         the N-th read of a file fails with E; only reads are counted then
 *   read:N:E:always  what it wanted to read stays unreadable: a bad sector of that file
 *   delay:N:MS       the N-th call is made after MS milliseconds
 *   space:BYTES      a disk with so many free bytes: what would make files larger than that fails
 * with ENOSPC; statvfs tells the same; truncating and removing files gives back record each call
 * that succeeded is written to FLSHIM_LOG, with its data
 *
 * Limits: calls that the C library makes inside itself (stdio), mmap, io_uring, copy_file_range,
 * sendfile and splice are not seen. A vector (writev) counts as one call per part. 64-bit hosts
 * only.
 */
#ifndef FLSHIM_H
#define FLSHIM_H

#include <stddef.h>
#include <stdint.h>

struct flshim_counts {
	uint64_t calls; /* so far */
	uint64_t fired; /* how often the plan struck */
};

enum flshim_op {
	FLSHIM_CREATE = 1, /* path did not exist */
	FLSHIM_WRITE,	   /* offset, data */
	FLSHIM_TRUNCATE,   /* offset: the new length */
	FLSHIM_ALLOCATE,   /* offset: the new length when it grew */
	FLSHIM_SYNC,	   /* of path; "" is FLSHIM_DIR itself */
	FLSHIM_RENAME,	   /* path to path2 */
	FLSHIM_UNLINK,
	FLSHIM_LINK,
	FLSHIM_MKDIR,
	FLSHIM_MARK, /* offset: the number given to flshim_mark */
};

/* A record in the log: this, then path, path2 and data, without terminators. Integers as the host
 * has them. */
struct flshim_record {
	uint32_t op;
	uint32_t path_len, path2_len;
	uint32_t data_len;
	uint64_t offset;
};

/*
 * A new plan for this process: counting begins anew. dir, log: NULL keeps what was set. The plan
 * NULL ends all. A plan that cannot be understood aborts.
 */
__attribute__((visibility("default"))) void flshim_plan(const char *plan, const char *dir,
							const char *log);
__attribute__((visibility("default"))) struct flshim_counts flshim_counts(void);
/* Puts a mark into the record, for instance "change n was acknowledged". */
__attribute__((visibility("default"))) void flshim_mark(uint64_t number);

#endif
