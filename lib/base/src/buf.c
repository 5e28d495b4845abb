/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/buf.h>

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fl_rc fl_buf_reserve(struct fl_buf *buf, size_t len, struct fl_err *err)
{
	if (len > buf->max || buf->len > buf->max - len)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %zu bytes", buf->max);
	size_t need = buf->len + len + 1;
	if (need <= buf->cap)
		return FL_OK;
	size_t cap = buf->cap < 64 ? 64 : buf->cap;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	uint8_t *data = realloc(buf->data, cap);
	if (data == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "buffer of %zu bytes", cap);
	buf->data = data;
	buf->cap = cap;
	buf->data[buf->len] = 0;
	return FL_OK;
}

enum fl_rc fl_buf_append(struct fl_buf *buf, const void *data, size_t len, struct fl_err *err)
{
	enum fl_rc rc = fl_buf_reserve(buf, len, err);
	if (rc != FL_OK)
		return rc;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = 0;
	return FL_OK;
}

enum fl_rc fl_buf_append_str(struct fl_buf *buf, const char *str, struct fl_err *err)
{
	return fl_buf_append(buf, str, strlen(str), err);
}

enum fl_rc fl_buf_appendf(struct fl_buf *buf, struct fl_err *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	FL_BUG_ON(n < 0);
	enum fl_rc rc = fl_buf_reserve(buf, (size_t)n, err);
	if (rc != FL_OK)
		return rc;
	va_start(ap, fmt);
	vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
	return FL_OK;
}

void fl_buf_consume(struct fl_buf *buf, size_t n)
{
	FL_BUG_ON(n > buf->len);
	if (n == 0)
		return;
	memmove(buf->data, buf->data + n, buf->len - n);
	buf->len -= n;
	buf->data[buf->len] = 0;
}

const char *fl_buf_str(const struct fl_buf *buf)
{
	return buf->data == NULL ? "" : (const char *)buf->data;
}

void fl_buf_free(struct fl_buf *buf)
{
	free(buf->data);
	*buf = FL_BUF(buf->max);
}

struct fl_arena_block {
	struct fl_arena_block *next;
	size_t used;
	size_t cap;
	alignas(max_align_t) uint8_t data[];
};

#define BLOCK_SIZE ((size_t)4096)

static struct fl_arena_block *block_with_room(struct fl_arena *arena, size_t size)
{
	struct fl_arena_block *block = arena->blocks;
	if (block != NULL && block->cap - block->used >= size)
		return block;
	size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;
	block = calloc(1, sizeof(*block) + cap);
	if (block == NULL)
		return NULL;
	block->cap = cap;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *fl_arena_alloc(struct fl_arena *arena, size_t size, struct fl_err *err)
{
	const size_t align = alignof(max_align_t);
	if (size > arena->max || arena->used > arena->max - size) {
		(void)fl_fail(err, FL_E_TOO_LARGE, 0, "more than %zu bytes of memory", arena->max);
		return NULL;
	}
	size_t rounded = size == 0 ? align : (size + align - 1) / align * align;
	struct fl_arena_block *block = block_with_room(arena, rounded);
	if (block == NULL) {
		(void)fl_fail(err, FL_E_NO_MEMORY, 0, "%zu bytes", size);
		return NULL;
	}
	void *p = block->data + block->used;
	block->used += rounded;
	arena->used += size;
	return p;
}

char *fl_arena_copy(struct fl_arena *arena, const void *data, size_t len, struct fl_err *err)
{
	if (len == SIZE_MAX) {
		(void)fl_fail(err, FL_E_TOO_LARGE, 0, "string");
		return NULL;
	}
	char *copy = fl_arena_alloc(arena, len + 1, err);
	if (copy != NULL && len > 0)
		memcpy(copy, data, len);
	return copy;
}

void fl_arena_free(struct fl_arena *arena)
{
	while (arena->blocks != NULL) {
		struct fl_arena_block *next = arena->blocks->next;
		free(arena->blocks);
		arena->blocks = next;
	}
	arena->used = 0;
}
