/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer. Frames are packed in rounds of one batch per worker, and written in their order, so
 * that the output does not depend on the number of workers. The index's header is written last.
 */
#include "block_hash.h"
#include "dictionary.h"
#include "layout.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/base/file.h>
#include <fairlead/blocks/create.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#define BATCH	      64u /* frames; a group is some batches */
#define WORKERS_MAX   16u
#define LEVEL_DEFAULT 19

struct worker {
	ZSTD_CCtx *ctx;	 /* owned */
	uint8_t *plain;	 /* owned, a batch */
	uint8_t *packed; /* owned, a batch */
	uint32_t frame_size;
	uint64_t first; /* frame */
	uint32_t n;	/* frames */
	size_t plain_len, packed_len;
	uint8_t records[BATCH * RECORD_SIZE_MAX];
	pthread_t thread;
	bool started;
	enum fl_rc rc;
	struct fl_err err;
};

struct creation {
	int image, blocks, index;
	struct fl_blocks_claim claim;
	uint64_t n;	     /* frames */
	uint8_t *dictionary; /* owned */
	size_t dictionary_len;
	ZSTD_CDict *prepared; /* owned, NULL: no dictionary */
	unsigned n_workers;
	struct worker workers[WORKERS_MAX];
};

/* ---- a batch ---- */

/* Of the frame's blocks; the image's last one is filled up with zeros. */
static void put_block_hashes(uint8_t *record, const uint8_t *frame, size_t len)
{
	for (size_t at = 0; at < len; at += FL_BLOCKS_BLOCK_SIZE, record += BLOCK_HASH_SIZE) {
		uint8_t block[FL_BLOCKS_BLOCK_SIZE] = {0};
		const size_t left = len - at;
		memcpy(block, frame + at, left < sizeof(block) ? left : sizeof(block));
		put_be(record, block_hash(block), BLOCK_HASH_SIZE);
	}
}

static enum fl_rc pack_frame(struct worker *w, uint32_t i, struct fl_err *err)
{
	const size_t at = (size_t)i * w->frame_size;
	const size_t left = w->plain_len - at;
	const size_t len = left < w->frame_size ? left : w->frame_size;
	uint8_t *packed = w->packed + w->packed_len;
	uint8_t *record = w->records + (size_t)i * record_size(w->frame_size);
	const size_t n = ZSTD_compress2(w->ctx, packed, fl_frames_length_max(w->frame_size),
					w->plain + at, len);
	if (ZSTD_isError(n))
		return fl_fail(err, FL_E_INTERNAL, 0, "zstd: %s", ZSTD_getErrorName(n));
	memset(record, 0, record_size(w->frame_size));
	put_be(record, n, LENGTH_SIZE);
	put_block_hashes(record + LENGTH_SIZE + FL_BLOCKS_HASH_SIZE, w->plain + at, len);
	w->packed_len += n;
	return frame_hash(w->first + i, packed, n, record + LENGTH_SIZE, err);
}

static void *pack(void *arg)
{
	struct worker *w = arg;
	w->packed_len = 0;
	w->rc = FL_OK;
	for (uint32_t i = 0; w->rc == FL_OK && i < w->n; i++)
		w->rc = pack_frame(w, i, &w->err);
	return NULL;
}

static enum fl_rc write_batch(struct creation *c, const struct worker *w, struct fl_err *err)
{
	const uint64_t groups_at = HEADER_SIZE + c->dictionary_len;
	const uint64_t at = groups_at + record_at(c->claim.frame_size, w->first);
	uint8_t head[GROUP_HEAD_SIZE];
	enum fl_rc rc = FL_OK;
	if (w->rc != FL_OK) {
		*err = w->err;
		return w->rc;
	}
	put_be(head, c->claim.blocks_size, sizeof(head));
	if (w->first % FL_BLOCKS_GROUP == 0)
		rc = fl_pwrite_all(c->index, head, sizeof(head), at - sizeof(head), err);
	if (rc == FL_OK)
		rc = fl_pwrite_all(c->index, w->records,
				   (size_t)w->n * record_size(c->claim.frame_size), at, err);
	if (rc == FL_OK)
		rc = fl_pwrite_all(c->blocks, w->packed, w->packed_len, c->claim.blocks_size, err);
	c->claim.blocks_size += w->packed_len;
	return rc;
}

/* ---- rounds ---- */

/* Reads and starts packing `count` batches; the last is packed by this thread. */
static enum fl_rc start_round(struct creation *c, uint64_t first, unsigned count,
			      struct fl_err *err)
{
	for (unsigned i = 0; i < count; i++) {
		struct worker *w = &c->workers[i];
		const uint64_t left = c->n - first - (uint64_t)i * BATCH;
		w->first = first + (uint64_t)i * BATCH;
		w->n = left < BATCH ? (uint32_t)left : BATCH;
		const uint64_t at = w->first * w->frame_size;
		const uint64_t len = c->claim.image_size - at;
		w->plain_len = (size_t)w->n * w->frame_size;
		w->plain_len = len < w->plain_len ? (size_t)len : w->plain_len;
		enum fl_rc rc = fl_pread_all(c->image, w->plain, w->plain_len, at, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "image");
		w->started = i + 1 < count && pthread_create(&w->thread, NULL, pack, w) == 0;
		if (!w->started)
			(void)pack(w);
	}
	return FL_OK;
}

static void join_round(struct creation *c)
{
	for (unsigned i = 0; i < c->n_workers; i++) {
		if (c->workers[i].started)
			(void)pthread_join(c->workers[i].thread, NULL);
		c->workers[i].started = false;
	}
}

static enum fl_rc write_round(struct creation *c, uint64_t first, struct fl_err *err)
{
	const uint64_t batches = (c->n - first + BATCH - 1) / BATCH;
	const unsigned count = batches < c->n_workers ? (unsigned)batches : c->n_workers;
	enum fl_rc rc = start_round(c, first, count, err);
	join_round(c);
	for (unsigned i = 0; rc == FL_OK && i < count; i++)
		rc = write_batch(c, &c->workers[i], err);
	return rc;
}

/* ---- the whole ---- */

static enum fl_rc write_header(struct creation *c, struct fl_err *err)
{
	uint8_t p[HEADER_SIZE] = INDEX_MAGIC;
	put_be(p + 4, INDEX_VERSION, 4);
	put_be(p + 8, c->claim.image_size, 8);
	put_be(p + 16, c->claim.blocks_size, 8);
	put_be(p + 24, c->claim.frame_size, 4);
	put_be(p + 28, c->dictionary_len, 4);
	enum fl_rc rc = fl_pwrite_all(c->index, p, sizeof(p), 0, err);
	return rc == FL_OK
		       ? fl_pwrite_all(c->index, c->dictionary, c->dictionary_len, HEADER_SIZE, err)
		       : rc;
}

static enum fl_rc write_all(struct creation *c, struct fl_err *err)
{
	if (ftruncate(c->blocks, 0) != 0 || ftruncate(c->index, 0) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "truncate");
	enum fl_rc rc = FL_OK;
	for (uint64_t k = 0; rc == FL_OK && k < c->n; k += (uint64_t)c->n_workers * BATCH)
		rc = write_round(c, k, err);
	c->claim.index_size =
		HEADER_SIZE + c->dictionary_len + groups_size(c->n, c->claim.frame_size);
	return rc == FL_OK ? write_header(c, err) : rc;
}

static bool set(ZSTD_CCtx *ctx, ZSTD_cParameter parameter, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, parameter, value));
}

static enum fl_rc worker_init(struct worker *w, const struct creation *c, int level,
			      struct fl_err *err)
{
	w->frame_size = c->claim.frame_size;
	w->ctx = ZSTD_createCCtx();
	w->plain = malloc((size_t)BATCH * w->frame_size);
	w->packed = malloc(BATCH * fl_frames_length_max(w->frame_size));
	if (w->ctx == NULL || w->plain == NULL || w->packed == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "zstd");
	if (!set(w->ctx, ZSTD_c_compressionLevel, level) ||
	    !set(w->ctx, ZSTD_c_contentSizeFlag, 1) || !set(w->ctx, ZSTD_c_checksumFlag, 0) ||
	    !set(w->ctx, ZSTD_c_dictIDFlag, 0) ||
	    ZSTD_isError(ZSTD_CCtx_refCDict(w->ctx, c->prepared)))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "zstd level %d", level);
	return FL_OK;
}

static enum fl_rc make_dictionary(struct creation *c, uint32_t max, int level, struct fl_err *err)
{
	c->dictionary = malloc(max);
	if (c->dictionary == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "dictionary");
	enum fl_rc rc = dictionary_train(c->image, c->claim.image_size, c->claim.frame_size, max,
					 c->dictionary, &c->dictionary_len, err);
	if (rc != FL_OK || c->dictionary_len == 0)
		return rc;
	c->prepared = ZSTD_createCDict(c->dictionary, c->dictionary_len, level);
	return c->prepared != NULL ? FL_OK : fl_fail(err, FL_E_NO_MEMORY, 0, "dictionary");
}

static enum fl_rc init(struct creation *c, const struct fl_blocks_options *options,
		       struct fl_err *err)
{
	const int level = options->level == 0 ? LEVEL_DEFAULT : options->level;
	const unsigned workers = options->workers == 0 ? 1 : options->workers;
	const uint32_t dictionary_max = options->dictionary_max == 0 ? FL_BLOCKS_DICTIONARY_DEFAULT
								     : options->dictionary_max;
	const off_t end = lseek(c->image, 0, SEEK_END); /* a block device tells its size, too */
	c->claim.frame_size =
		options->frame_size == 0 ? FL_BLOCKS_FRAME_DEFAULT : options->frame_size;
	if (!frame_size_valid(c->claim.frame_size) || level < 1 || level > 22 ||
	    workers > WORKERS_MAX || dictionary_max > FL_BLOCKS_DICTIONARY_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "frames of %u bytes, level %d, %u workers, a dictionary of %u bytes",
			       c->claim.frame_size, level, workers, dictionary_max);
	if (end < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "size of the image");
	c->claim.image_size = (uint64_t)end;
	if (c->claim.image_size > FL_BLOCKS_IMAGE_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "an image of more than 256 GiB");
	c->n = frames_of(c->claim.image_size, c->claim.frame_size);
	enum fl_rc rc = make_dictionary(c, dictionary_max, level, err);
	c->n_workers = workers;
	for (unsigned i = 0; rc == FL_OK && i < workers; i++)
		rc = worker_init(&c->workers[i], c, level, err);
	return rc;
}

static void done(struct creation *c)
{
	for (unsigned i = 0; i < c->n_workers; i++) {
		(void)ZSTD_freeCCtx(c->workers[i].ctx);
		free(c->workers[i].plain);
		free(c->workers[i].packed);
	}
	(void)ZSTD_freeCDict(c->prepared);
	free(c->dictionary);
	free(c);
}

enum fl_rc fl_blocks_create(int image, int blocks, int index,
			    const struct fl_blocks_options *options, struct fl_blocks_claim *ret,
			    struct fl_err *err)
{
	struct creation *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "blocks");
	c->image = image;
	c->blocks = blocks;
	c->index = index;
	enum fl_rc rc = init(c, options, err);
	if (rc == FL_OK)
		rc = write_all(c, err);
	if (rc == FL_OK)
		*ret = c->claim;
	done(c);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "pack blocks");
}
