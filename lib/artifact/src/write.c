/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer. Frames are packed in rounds of one per worker and written in their order, so that the
 * output does not depend on the number of workers; the table, whose size is known beforehand, is
 * written last.
 */
#include "layout.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define WORKERS_MAX   16u
#define LEVEL_DEFAULT 19

struct worker {
	ZSTD_CCtx *ctx;	 /* owned */
	uint8_t *plain;	 /* owned, one frame */
	uint8_t *packed; /* owned, `room` */
	size_t room, plain_len, packed_len;
	pthread_t thread;
	bool started;
};

struct writer {
	int in, out;
	uint64_t image_size;
	uint32_t frame_size;
	uint64_t n;
	uint8_t *table; /* owned */
	size_t table_size;
	uint64_t end; /* of what was written */
	struct worker workers[WORKERS_MAX];
	unsigned n_workers;
};

static void *pack(void *arg)
{
	struct worker *w = arg;
	w->packed_len = ZSTD_compress2(w->ctx, w->packed, w->room, w->plain, w->plain_len);
	return NULL;
}

static bool set(ZSTD_CCtx *ctx, ZSTD_cParameter parameter, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, parameter, value));
}

static enum fl_rc worker_init(struct worker *w, uint32_t frame_size, int level, struct fl_err *err)
{
	w->room = fl_frames_length_max(frame_size);
	w->ctx = ZSTD_createCCtx();
	w->plain = malloc(frame_size);
	w->packed = malloc(w->room);
	if (w->ctx == NULL || w->plain == NULL || w->packed == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "zstd");
	if (!set(w->ctx, ZSTD_c_compressionLevel, level) ||
	    !set(w->ctx, ZSTD_c_contentSizeFlag, 1) || !set(w->ctx, ZSTD_c_checksumFlag, 0))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "zstd level %d", level);
	return FL_OK;
}

static void writer_done(struct writer *wr)
{
	for (unsigned i = 0; i < wr->n_workers; i++) {
		(void)ZSTD_freeCCtx(wr->workers[i].ctx);
		free(wr->workers[i].plain);
		free(wr->workers[i].packed);
	}
	free(wr->table);
}

static enum fl_rc image_size_of(int fd, uint64_t *ret, struct fl_err *err)
{
	off_t end = lseek(fd, 0, SEEK_END); /* a block device tells its size this way too */
	if (end < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "size of the image");
	*ret = (uint64_t)end;
	return FL_OK;
}

static void fill_header(struct writer *wr)
{
	memcpy(wr->table, FRAMES_MAGIC, 4);
	put_u32(wr->table + 4, FRAMES_VERSION);
	put_u64(wr->table + 8, wr->image_size);
	put_u32(wr->table + 16, wr->frame_size);
	put_u32(wr->table + 20, (uint32_t)wr->n);
}

static enum fl_rc writer_init(struct writer *wr, const struct fl_frames_options *options,
			      struct fl_err *err)
{
	int level = options->level == 0 ? LEVEL_DEFAULT : options->level;
	unsigned workers = options->workers == 0 ? 1 : options->workers;
	wr->frame_size = options->frame_size == 0 ? FL_FRAMES_SIZE_DEFAULT : options->frame_size;
	if (!frame_size_valid(wr->frame_size) || level < 1 || level > 22 || workers > WORKERS_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "frames of %u bytes, level %d, %u workers", wr->frame_size, level,
			       workers);
	enum fl_rc rc = image_size_of(wr->in, &wr->image_size, err);
	if (rc != FL_OK)
		return rc;
	wr->n = frames_of(wr->image_size, wr->frame_size);
	if (wr->n > FL_FRAMES_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "an image of more than %u frames",
			       FL_FRAMES_MAX);
	wr->table_size = FL_FRAMES_HEADER_SIZE + (size_t)wr->n * FL_FRAMES_ENTRY_SIZE;
	wr->end = wr->table_size;
	wr->table = calloc(1, wr->table_size);
	if (wr->table == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "frame table");
	fill_header(wr);
	wr->n_workers = workers;
	for (unsigned i = 0; i < workers && rc == FL_OK; i++)
		rc = worker_init(&wr->workers[i], wr->frame_size, level, err);
	return rc;
}

static enum fl_rc write_frame(struct writer *wr, uint64_t k, const struct worker *w,
			      struct fl_err *err)
{
	if (ZSTD_isError(w->packed_len))
		return fl_fail(err, FL_E_INTERNAL, 0, "zstd: %s", ZSTD_getErrorName(w->packed_len));
	uint8_t *entry = wr->table + FL_FRAMES_HEADER_SIZE + (size_t)k * FL_FRAMES_ENTRY_SIZE;
	put_u64(entry, wr->end);
	put_u32(entry + 8, (uint32_t)w->packed_len);
	enum fl_rc rc = fl_pwrite_all(wr->out, w->packed, w->packed_len, wr->end, err);
	if (rc == FL_OK)
		wr->end += w->packed_len;
	return rc;
}

/* Reads and starts packing `count` frames from the first on; the last is packed by this thread. */
static enum fl_rc start_round(struct writer *wr, uint64_t first, unsigned count, struct fl_err *err)
{
	for (unsigned i = 0; i < count; i++) {
		struct worker *w = &wr->workers[i];
		w->plain_len = frame_image_len(wr->image_size, wr->frame_size, first + i);
		enum fl_rc rc = fl_pread_all(wr->in, w->plain, w->plain_len,
					     (first + i) * wr->frame_size, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "image");
		w->started = i + 1 < count && pthread_create(&w->thread, NULL, pack, w) == 0;
		if (!w->started)
			(void)pack(w);
	}
	return FL_OK;
}

static void join_round(struct writer *wr)
{
	for (unsigned i = 0; i < wr->n_workers; i++) {
		if (wr->workers[i].started)
			(void)pthread_join(wr->workers[i].thread, NULL);
		wr->workers[i].started = false;
	}
}

static enum fl_rc write_round(struct writer *wr, uint64_t first, struct fl_err *err)
{
	uint64_t left = wr->n - first;
	unsigned count = left < wr->n_workers ? (unsigned)left : wr->n_workers;
	enum fl_rc rc = start_round(wr, first, count, err);
	join_round(wr);
	for (unsigned i = 0; i < count && rc == FL_OK; i++)
		rc = write_frame(wr, first + i, &wr->workers[i], err);
	return rc;
}

static enum fl_rc write_all(struct writer *wr, struct fl_err *err)
{
	if (ftruncate(wr->out, 0) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "truncate");
	enum fl_rc rc = FL_OK;
	for (uint64_t k = 0; k < wr->n && rc == FL_OK; k += wr->n_workers)
		rc = write_round(wr, k, err);
	return rc == FL_OK ? fl_pwrite_all(wr->out, wr->table, wr->table_size, 0, err) : rc;
}

enum fl_rc fl_frames_write(int in, int out, const struct fl_frames_options *options,
			   uint64_t *transport_size, struct fl_err *err)
{
	struct writer wr = {.in = in, .out = out};
	enum fl_rc rc = writer_init(&wr, options, err);
	if (rc == FL_OK)
		rc = write_all(&wr, err);
	if (rc == FL_OK)
		*transport_size = wr.end;
	writer_done(&wr);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "pack image");
}
