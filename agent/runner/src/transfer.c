/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer.h"

#include <stdlib.h>
#include <time.h>

#define FLUSHES_PER_REST 4 /* the rest takes a quarter of the time of the flush */
#define REST_MAX_NS	 100000000

void transfer_done(struct transfer *t)
{
	assembly_done(&t->assembly);
	fl_tree_free(t->installed);
	fl_frames_free(t->frames);
	fl_frames_decoder_free(t->unpacker);
	free(t->right);
	free(t->packed);
	free(t->plain);
}

static enum fl_rc set_up(struct transfer *t, struct fl_err *err)
{
	enum fl_rc rc = t->decoder == NULL ? packed_set_up(t, err) : FL_OK;
	if (rc == FL_OK)
		rc = fl_tree_shape(t->task->installed_size, &t->image.installed, err);
	if (rc == FL_OK)
		rc = fl_tree_new(t->task->installed_size, &t->claim->installed_root, &t->installed,
				 err);
	if (rc != FL_OK)
		return rc;
	t->right = calloc(1, (size_t)(t->image.installed.n_chunks / 8 + 1));
	if (t->right == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "chunks");
	t->image.right = t->right;
	return FL_OK;
}

enum fl_rc transfer_stage_chunk(struct transfer *transfer, uint64_t chunk, const uint8_t *data,
				struct fl_err *err)
{
	struct transfer *t = transfer;
	uint32_t len = fl_tree_chunk_len(&t->image.installed, chunk);
	enum fl_rc rc = plugin_stage(t->plugin, t->task, chunk * FL_CHUNK_SIZE, data, len, err);
	if (rc == FL_OK)
		control_alive(t->channel->control);
	return rc;
}

/* Others get at the device between two flushes, the longer the slower it is. */
static void pace(const struct timespec *begin)
{
	struct timespec end;
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	const int64_t took_ns =
		(end.tv_sec - begin->tv_sec) * 1000000000 + end.tv_nsec - begin->tv_nsec;
	const int64_t rest_ns =
		took_ns / FLUSHES_PER_REST < REST_MAX_NS ? took_ns / FLUSHES_PER_REST : REST_MAX_NS;
	(void)nanosleep(&(struct timespec){0, rest_ns}, NULL);
}

enum fl_rc transfer_flush(struct transfer *transfer, uint64_t offset, uint64_t len, uint64_t staged,
			  struct fl_err *err)
{
	struct timespec begin;
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	enum fl_rc rc = plugin_flush(transfer->plugin, transfer->task, offset, len, err);
	if (rc != FL_OK)
		return rc;
	pace(&begin);
	transfer->done_bytes += staged;
	return transfer_progress(transfer, "staging", false, err);
}

static enum fl_rc finish(struct transfer *t, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	if ((t->task->flags & FL_TASK_ZERO_TAIL) != 0)
		rc = plugin_zero_tail(t->plugin, t->task, t->task->installed_size, err);
	if (rc == FL_OK)
		rc = plugin_flush(t->plugin, t->task, 0, t->task->installed_size, err);
	return rc == FL_OK ? transfer_progress(t, "staging", true, err) : rc;
}

enum fl_rc transfer_run(struct transfer *transfer, struct fl_err *err)
{
	struct fl_plan plan;
	enum fl_rc rc = plugin_prepare(transfer->plugin, transfer->task, &plan, err);
	if (rc == FL_OK)
		rc = set_up(transfer, err);
	if (rc == FL_OK)
		rc = transfer_scan(transfer, plan.resume_offset, err);
	if (rc == FL_OK)
		rc = transfer_progress(transfer, "hashing", true, err);
	if (rc == FL_OK && transfer->decoder != NULL)
		rc = decoded_stage(transfer, err);
	else if (rc == FL_OK && transfer->done_bytes < transfer->task->installed_size)
		rc = packed_stage(transfer, err);
	return rc == FL_OK ? finish(transfer, err) : rc;
}
