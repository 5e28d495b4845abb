/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search. In windows: the blocks of as many groups as the table of wanted hashes has room for.
 *
 *   collect   every block of the window: is it where it was? otherwise it is wanted
 *   scan      every place of every base: is it wanted?
 *   resolve   what was wanted gets its place, or none
 *
 * Only the plan grows with the image; it is a file.
 */
#include "layout.h"
#include "places.h"

#include <fairlead/base/file.h>
#include <fairlead/blocks/search.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_SIZE	 65536u
#define GROUP_BLOCKS_MAX (FL_BLOCKS_GROUP * FL_BLOCKS_PER_FRAME_MAX)

/* Bytes of a base; less than a block when nobody is at work on them. */
struct piece {
	uint64_t at;
	size_t len;
	uint8_t data[FL_BLOCKS_BLOCK_SIZE + READ_SIZE];
};

struct search {
	struct fl_blocks_index *index;
	const struct fl_blocks_task *task;
	struct fl_blocks_found found;
	uint32_t n_groups, group_blocks;
	bool lacked; /* the last frame looked at */
	uint64_t sizes[FL_BLOCKS_BASES_MAX];
	struct piece piece;
	uint8_t places[GROUP_BLOCKS_MAX * PLACE_SIZE]; /* of one group */
	struct wanted wanted;
};

static enum fl_rc passed(struct search *s, struct fl_err *err)
{
	return s->task->passed == NULL ? FL_OK : s->task->passed(s->task->ctx, err);
}

/* Adds up to READ_SIZE bytes to the piece; false when what follows it can't be read. */
static bool read_on(struct search *s, unsigned base)
{
	struct piece *p = &s->piece;
	const uint64_t at = p->at + p->len;
	const uint64_t left = s->sizes[base] > at ? s->sizes[base] - at : 0;
	const size_t len = left < READ_SIZE ? (size_t)left : READ_SIZE;
	FL_BUG_ON(p->len > FL_BLOCKS_BLOCK_SIZE);
	if (len == 0 ||
	    fl_pread_all(s->task->bases.fds[base], p->data + p->len, len, at, NULL) != FL_OK)
		return false;
	p->len += len;
	return true;
}

/* ---- the groups of the index ---- */

static uint32_t group_end(const struct search *s, uint32_t group)
{
	const uint32_t n = fl_blocks_index_frames(s->index);
	return group + 1 < s->n_groups ? (group + 1) * FL_BLOCKS_GROUP : n;
}

static uint64_t first_block(const struct search *s, uint32_t k)
{
	return (uint64_t)k * (fl_blocks_index_claim(s->index)->frame_size / FL_BLOCKS_BLOCK_SIZE);
}

/* Is the block of that hash where it was, in the first base? */
static bool stayed(struct search *s, uint64_t block, uint64_t hash)
{
	struct piece *p = &s->piece;
	const uint64_t at = block * FL_BLOCKS_BLOCK_SIZE;
	if (at < p->at || at + FL_BLOCKS_BLOCK_SIZE > p->at + p->len) {
		p->at = at;
		p->len = 0;
		if (!read_on(s, 0) || p->len < FL_BLOCKS_BLOCK_SIZE)
			return false;
	}
	return block_hash(p->data + (at - p->at)) == hash;
}

static void collect_frame(struct search *s, uint32_t k, const struct fl_blocks_frame *frame,
			  uint8_t *places)
{
	const uint64_t first = first_block(s, k);
	for (uint32_t b = 0; b < frame->n_blocks; b++) {
		const bool here = stayed(s, first + b, frame->blocks[b]);
		put_be(places + (size_t)b * PLACE_SIZE,
		       here ? place_of(0, (first + b) * FL_BLOCKS_BLOCK_SIZE) : NOWHERE,
		       PLACE_SIZE);
		if (!here)
			wanted_add(&s->wanted, frame->blocks[b]);
	}
}

static void resolve_frame(struct search *s, const struct fl_blocks_frame *frame, uint8_t *places)
{
	bool lacks = false;
	for (uint32_t b = 0; b < frame->n_blocks; b++) {
		uint8_t *p = places + (size_t)b * PLACE_SIZE;
		uint64_t place = get_be(p, PLACE_SIZE);
		if (place == NOWHERE) {
			const uint32_t n = wanted_find(&s->wanted, frame->blocks[b]);
			if (n != WANTED_MAX) /* else the index is another one by now */
				place = s->wanted.places[n];
			put_be(p, place, PLACE_SIZE);
		}
		s->found.blocks_found += place != NOWHERE;
		lacks = lacks || place == NOWHERE;
	}
	s->found.blocks += frame->n_blocks;
	s->found.frames_lacking += lacks;
	s->found.bytes_lacking += lacks ? frame->length : 0;
	s->found.runs_lacking += lacks && !s->lacked;
	s->lacked = lacks;
}

static enum fl_rc collect(struct search *s, uint32_t group, struct fl_err *err)
{
	const uint32_t first = group * FL_BLOCKS_GROUP, end = group_end(s, group);
	size_t len = 0;
	enum fl_rc rc = passed(s, err);
	for (uint32_t k = first; rc == FL_OK && k < end; k++) {
		struct fl_blocks_frame frame;
		rc = fl_blocks_index_frame(s->index, k, &frame, err);
		if (rc != FL_OK)
			return rc;
		collect_frame(s, k, &frame, s->places + len);
		len += (size_t)frame.n_blocks * PLACE_SIZE;
	}
	return rc == FL_OK ? fl_pwrite_all(s->task->plan, s->places, len,
					   first_block(s, first) * PLACE_SIZE, err)
			   : rc;
}

static enum fl_rc resolve(struct search *s, uint32_t group, struct fl_err *err)
{
	const uint32_t first = group * FL_BLOCKS_GROUP, end = group_end(s, group);
	const uint64_t image_size = fl_blocks_index_claim(s->index)->image_size;
	const uint64_t n_blocks = frames_of(image_size, FL_BLOCKS_BLOCK_SIZE);
	const uint64_t at = first_block(s, first);
	const uint64_t behind = first_block(s, end) < n_blocks ? first_block(s, end) : n_blocks;
	const size_t len = (size_t)(behind - at) * PLACE_SIZE;
	enum fl_rc rc = fl_pread_all(s->task->plan, s->places, len, at * PLACE_SIZE, err);
	for (uint32_t k = first; rc == FL_OK && k < end; k++) {
		struct fl_blocks_frame frame;
		rc = fl_blocks_index_frame(s->index, k, &frame, err);
		if (rc == FL_OK)
			resolve_frame(s, &frame, s->places + (first_block(s, k) - at) * PLACE_SIZE);
	}
	return rc == FL_OK ? fl_pwrite_all(s->task->plan, s->places, len, at * PLACE_SIZE, err)
			   : rc;
}

/* ---- the bases ---- */

/* Looks at every block that begins in the piece and lies in it; returns where the next begins. */
static size_t look(struct search *s, unsigned base)
{
	const struct piece *p = &s->piece;
	size_t i = 0;
	while (i + FL_BLOCKS_BLOCK_SIZE <= p->len) {
		uint64_t rolled = roll_start(p->data + i);
		for (;;) {
			const uint32_t n = wanted_maybe(&s->wanted, rolled)
						   ? wanted_find(&s->wanted, rolled >> ROLL_SHIFT)
						   : WANTED_MAX;
			if (n != WANTED_MAX) {
				wanted_found(&s->wanted, n, place_of(base, p->at + i));
				i += FL_BLOCKS_BLOCK_SIZE;
				break;
			}
			if (i + FL_BLOCKS_BLOCK_SIZE == p->len)
				return i + 1;
			rolled = roll_on(rolled, p->data[i], p->data[i + FL_BLOCKS_BLOCK_SIZE]);
			i++;
		}
	}
	return i;
}

static void drop_front(struct piece *p, size_t n)
{
	memmove(p->data, p->data + n, p->len - n);
	p->at += n;
	p->len -= n;
}

static enum fl_rc scan(struct search *s, unsigned base, struct fl_err *err)
{
	struct piece *p = &s->piece;
	enum fl_rc rc = FL_OK;
	p->at = 0;
	p->len = 0;
	while (rc == FL_OK && s->wanted.n_open > 0 && p->at + p->len < s->sizes[base]) {
		if (read_on(s, base)) {
			drop_front(p, look(s, base));
		} else { /* a hole: what lies behind it may be good */
			p->at += p->len + READ_SIZE;
			p->len = 0;
		}
		rc = passed(s, err);
	}
	return rc;
}

/* ---- the windows ---- */

static enum fl_rc scan_all(struct search *s, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	wanted_sort(&s->wanted);
	s->found.passes += s->wanted.n > 0;
	for (unsigned i = 0; rc == FL_OK && i < s->task->bases.n; i++)
		rc = scan(s, i, err);
	return rc;
}

/* Returns in *end the first group that had no room. */
static enum fl_rc search_window(struct search *s, uint32_t first, uint32_t *end, struct fl_err *err)
{
	uint32_t g = first;
	enum fl_rc rc = FL_OK;
	wanted_clear(&s->wanted);
	for (; rc == FL_OK && g < s->n_groups && s->wanted.n + s->group_blocks <= WANTED_MAX; g++)
		rc = collect(s, g, err);
	if (rc == FL_OK)
		rc = scan_all(s, err);
	for (uint32_t i = first; rc == FL_OK && i < g; i++)
		rc = resolve(s, i, err);
	*end = g;
	return rc;
}

static enum fl_rc measure_bases(struct search *s, struct fl_err *err)
{
	const struct fl_blocks_bases *bases = &s->task->bases;
	if (bases->n == 0 || bases->n > FL_BLOCKS_BASES_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "%u bases", bases->n);
	for (unsigned i = 0; i < bases->n; i++) {
		const off_t end = lseek(bases->fds[i], 0, SEEK_END);
		if (end < 0)
			return fl_fail(err, fl_rc_from_errno(errno), errno, "size of base %u", i);
		s->sizes[i] = (uint64_t)end < PLACE_AT_MAX ? (uint64_t)end : PLACE_AT_MAX;
	}
	return FL_OK;
}

static enum fl_rc search_all(struct search *s, struct fl_err *err)
{
	const uint32_t n = fl_blocks_index_frames(s->index);
	s->group_blocks = (uint32_t)first_block(s, FL_BLOCKS_GROUP);
	s->n_groups = n / FL_BLOCKS_GROUP + (n % FL_BLOCKS_GROUP != 0);
	enum fl_rc rc = measure_bases(s, err);
	for (uint32_t g = 0; rc == FL_OK && g < s->n_groups;)
		rc = search_window(s, g, &g, err);
	return rc;
}

enum fl_rc fl_blocks_search(struct fl_blocks_index *index, const struct fl_blocks_task *task,
			    struct fl_blocks_found *ret, struct fl_err *err)
{
	struct search *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "search");
	s->index = index;
	s->task = task;
	enum fl_rc rc = search_all(s, err);
	if (rc == FL_OK)
		*ret = s->found;
	free(s);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "search the bases");
}
