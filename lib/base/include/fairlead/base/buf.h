/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fl_buf: a byte buffer that grows up to the maximum declared at its birth.
 * fl_arena: memory of one operation or one document, freed at once, also with a declared maximum.
 */
#ifndef FAIRLEAD_BASE_BUF_H
#define FAIRLEAD_BASE_BUF_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_bytes {
	const uint8_t *data;
	size_t len;
};

struct fl_buf {
	uint8_t *data; /* owned; one zero byte always follows data[len - 1] */
	size_t len;
	size_t cap;
	size_t max; /* len never exceeds it: FL_E_TOO_LARGE */
};

#define FL_BUF(max_bytes) ((struct fl_buf){NULL, 0, 0, (max_bytes)})

enum fl_rc fl_buf_append(struct fl_buf *buf, const void *data, size_t len, struct fl_err *err)
	FL_CHECKED;
enum fl_rc fl_buf_append_str(struct fl_buf *buf, const char *str, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_buf_appendf(struct fl_buf *buf, struct fl_err *err, const char *fmt, ...) FL_CHECKED
	FL_PRINTF(3, 4);
/* Room for len more bytes behind data[len]; the caller fills it and raises buf->len itself. */
enum fl_rc fl_buf_reserve(struct fl_buf *buf, size_t len, struct fl_err *err) FL_CHECKED;
/* Drops the first n bytes (n ≤ len). */
void fl_buf_consume(struct fl_buf *buf, size_t n);
/* Forgets the content, keeps the memory. */
static inline void fl_buf_clear(struct fl_buf *buf)
{
	buf->len = 0;
}
/* "" when empty: the content as a string (it may hold zero bytes of its own). */
const char *fl_buf_str(const struct fl_buf *buf);
/* Frees; the buffer may be used again. */
void fl_buf_free(struct fl_buf *buf);

struct fl_arena_block;

struct fl_arena {
	struct fl_arena_block *blocks;
	size_t used;
	size_t max;
};

#define FL_ARENA(max_bytes) ((struct fl_arena){NULL, 0, (max_bytes)})

/* Zeroed memory, aligned for any type, owned by the arena; NULL (and err) past the maximum. */
void *fl_arena_alloc(struct fl_arena *arena, size_t size, struct fl_err *err) FL_CHECKED;
/* A copy of len bytes, with a zero byte behind them. */
char *fl_arena_copy(struct fl_arena *arena, const void *data, size_t len, struct fl_err *err)
	FL_CHECKED;
void fl_arena_free(struct fl_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
