/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum fl_rc flush(struct spool *s, struct fl_err *err)
{
	const uint64_t at = s->size - s->pending;
	enum fl_rc rc = fl_pwrite_all(s->fd, s->buffer, s->pending, at, err);
	if (rc == FL_OK)
		s->pending = 0;
	return rc;
}

static enum fl_rc append(struct spool *s, const uint8_t *data, uint64_t len, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && len > 0) {
		const size_t left = PENDING_MAX - s->pending;
		const size_t n = len < left ? (size_t)len : left;
		memcpy(s->buffer + s->pending, data, n);
		s->pending += n;
		s->size += n;
		data += n;
		len -= n;
		if (s->pending == PENDING_MAX)
			rc = flush(s, err);
	}
	return rc;
}

static enum fl_rc append_number(struct spool *s, uint64_t v, struct fl_err *err)
{
	uint8_t bytes[FL_DELTA_VARINT_MAX];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	return append(s, bytes, n, err);
}

enum fl_rc records_init(struct records *r, const char *dir, struct fl_err *err)
{
	*r = (struct records){0};
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++)
		r->spools[i].fd = -1;
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
		r->spools[i].fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (r->spools[i].fd < 0)
			return fl_fail(err, fl_rc_from_errno(errno), errno,
				       "temporary file in '%s'", dir);
		r->spools[i].buffer = malloc(PENDING_MAX);
		if (r->spools[i].buffer == NULL)
			return fl_fail(err, FL_E_NO_MEMORY, 0, "buffer");
	}
	return FL_OK;
}

void records_done(struct records *r)
{
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++) {
		fl_close(&r->spools[i].fd);
		free(r->spools[i].buffer);
	}
}

void records_begin(struct records *r, const struct match_pair *pair, unsigned same_min)
{
	for (size_t i = 0; i < FL_DELTA_STREAMS; i++)
		r->spools[i].size = r->spools[i].pending = 0;
	r->image = pair->image;
	r->source = pair->source;
	r->image_at = r->source_at = 0;
	r->same_min = same_min;
}

static uint64_t zigzag(uint64_t to, uint64_t from)
{
	return to >= from ? (to - from) << 1 : ((from - to) << 1) - 1;
}

/* Where the next run of at least `least` equal bytes begins, or len. */
static uint64_t end_of_differences(const uint8_t *a, const uint8_t *b, uint64_t at, uint64_t len,
				   unsigned least)
{
	uint64_t begin = at;
	for (; at < len; at++) {
		if (a[at] != b[at])
			begin = at + 1;
		else if (at + 1 - begin >= least)
			return begin;
	}
	return begin; /* equal bytes at the end are a run of their own, however few */
}

static uint64_t end_of_equals(const uint8_t *a, const uint8_t *b, uint64_t at, uint64_t len)
{
	uint64_t x, y;
	for (; at + 8 <= len; at += 8) {
		memcpy(&x, a + at, 8);
		memcpy(&y, b + at, 8);
		if (x != y)
			break;
	}
	while (at < len && a[at] == b[at])
		at++;
	return at;
}

static enum fl_rc add_differences(struct records *r, const uint8_t *a, const uint8_t *b,
				  uint64_t len, struct fl_err *err)
{
	uint8_t block[512];
	enum fl_rc rc = append_number(&r->spools[FL_DELTA_ADDS], len, err);
	for (uint64_t at = 0; rc == FL_OK && at < len;) {
		const size_t n = len - at < sizeof(block) ? (size_t)(len - at) : sizeof(block);
		for (size_t i = 0; i < n; i++)
			block[i] = (uint8_t)(a[at + i] - b[at + i]);
		rc = append(&r->spools[FL_DELTA_DIFFERENCES], block, n, err);
		at += n;
	}
	return rc;
}

static enum fl_rc add_cover(struct records *r, const struct cover *c, struct fl_err *err)
{
	const uint8_t *a = r->image + c->image, *b = r->source + c->source;
	enum fl_rc rc = FL_OK;
	for (uint64_t at = 0; rc == FL_OK && at < c->len;) {
		const uint64_t same = end_of_equals(a, b, at, c->len) - at;
		rc = append_number(&r->spools[FL_DELTA_SAMES], same, err);
		at += same;
		if (rc != FL_OK || at == c->len)
			break;
		const uint64_t end = end_of_differences(a, b, at, c->len, r->same_min);
		rc = add_differences(r, a + at, b + at, end - at, err);
		at = end;
	}
	return rc;
}

static enum fl_rc add_literals(struct records *r, uint64_t until, struct fl_err *err)
{
	const uint64_t len = until - r->image_at;
	enum fl_rc rc = append_number(&r->spools[FL_DELTA_MOVES], len, err);
	if (rc == FL_OK)
		rc = append(&r->spools[FL_DELTA_LITERALS], r->image + r->image_at, len, err);
	return rc;
}

enum fl_rc records_add(struct records *r, const struct cover *c, struct fl_err *err)
{
	enum fl_rc rc = add_literals(r, c->image, err);
	if (rc == FL_OK)
		rc = append_number(&r->spools[FL_DELTA_MOVES], c->len, err);
	if (rc == FL_OK)
		rc = append_number(&r->spools[FL_DELTA_MOVES], zigzag(c->source, r->source_at),
				   err);
	if (rc == FL_OK)
		rc = add_cover(r, c, err);
	r->image_at = c->image + c->len;
	r->source_at = c->source + c->len;
	return rc;
}

enum fl_rc records_finish(struct records *r, uint64_t image_len, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	if (r->image_at < image_len) {
		rc = add_literals(r, image_len, err);
		if (rc == FL_OK)
			rc = append_number(&r->spools[FL_DELTA_MOVES], 0, err);
	}
	for (size_t i = 0; rc == FL_OK && i < FL_DELTA_STREAMS; i++)
		rc = flush(&r->spools[i], err);
	return rc;
}
