/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging out of a decoder: it is asked, ahead of the work, for the runs that lack and for nothing
 * else; each chunk is compared with the installed tree before the handler sees it. A wrong one is
 * reported and left out, for it can come out of another artifact; what is behind it is not lost,
 * unless the target can only be appended to.
 */
#include "transfer.h"

#define FLUSH_CHUNKS (FL_FRAMES_SIZE_DEFAULT / FL_CHUNK_SIZE)

struct decoded {
	struct transfer *transfer;
	uint64_t asked;	       /* chunks before it have been asked for */
	struct fl_ipc_bad run; /* wrong ones, not reported yet */
	uint64_t n_bad, first_bad;
};

static bool next_run(const struct transfer *t, uint64_t *at, struct need *run)
{
	const uint64_t n = t->image.installed.n_chunks;
	while (*at < n && bit_get(t->right, *at))
		(*at)++;
	*run = (struct need){FL_OBJECT_OUTPUT, *at, 0};
	while (*at < n && run->count < CHANNEL_PIECES_MAX && !bit_get(t->right, *at)) {
		(*at)++;
		run->count++;
	}
	return run->count > 0;
}

static enum fl_rc take_chunk(struct decoded *d, uint64_t chunk, struct fl_bytes *data,
			     struct fl_err *err)
{
	struct channel *decoder = d->transfer->decoder;
	struct need run;
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && channel_has_room(decoder) && next_run(d->transfer, &d->asked, &run))
		rc = channel_need(decoder, &run, err);
	return rc == FL_OK ? channel_take(decoder, FL_OBJECT_OUTPUT, chunk, data, err) : rc;
}

/* The scan has left one; of an image beyond 128 MiB there are more. */
static enum fl_rc load_page(struct transfer *t, uint64_t chunk, struct fl_err *err)
{
	uint64_t page;
	while (!fl_tree_ready(t->installed, chunk, &page)) {
		const struct need need = {FL_OBJECT_INSTALLED_TREE, page, 1};
		struct fl_bytes data;
		enum fl_rc rc = channel_need(t->channel, &need, err);
		if (rc == FL_OK)
			rc = channel_take(t->channel, FL_OBJECT_INSTALLED_TREE, page, &data, err);
		if (rc == FL_OK)
			rc = fl_tree_put_page(t->installed, page, data.data, data.len, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "installed tree");
	}
	return FL_OK;
}

static enum fl_rc report_run(struct decoded *d, struct fl_err *err)
{
	if (d->run.count == 0)
		return FL_OK;
	enum fl_rc rc = channel_send(d->transfer->channel, FL_FRAME_BAD, &d->run, err);
	d->run.count = 0;
	return rc;
}

static enum fl_rc note_bad(struct decoded *d, uint64_t chunk, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	if (d->n_bad++ == 0)
		d->first_bad = chunk;
	if (d->run.count > 0 && d->run.first + d->run.count != chunk)
		rc = report_run(d, err);
	if (d->run.count == 0)
		d->run.first = chunk;
	d->run.count++;
	return rc;
}

/* *staged: bytes of it that went to the handler. */
static enum fl_rc stage_chunk(struct decoded *d, uint64_t chunk, uint64_t *staged,
			      struct fl_err *err)
{
	struct transfer *t = d->transfer;
	struct fl_bytes data;
	if (cancelled(t->channel->control))
		return fl_fail(err, FL_E_CANCELLED, 0, "no longer wanted");
	enum fl_rc rc = load_page(t, chunk, err);
	if (rc == FL_OK)
		rc = take_chunk(d, chunk, &data, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_tree_check(t->installed, chunk, data.data, data.len, err);
	if (rc == FL_E_CHUNK_MISMATCH)
		return note_bad(d, chunk, err);
	if (rc == FL_OK)
		rc = transfer_stage_chunk(t, chunk, data.data, err);
	if (rc == FL_OK)
		*staged += data.len;
	return rc;
}

/* What can only be appended to ends before the first wrong chunk. */
static bool is_stuck(const struct decoded *d)
{
	return d->n_bad > 0 && !plugin_can(d->transfer->plugin, FL_CAP_RANDOM);
}

/* The chunks first…end - 1, then their flush. */
static enum fl_rc stage_frame(struct decoded *d, uint64_t first, uint64_t end, struct fl_err *err)
{
	struct transfer *t = d->transfer;
	uint64_t staged = 0;
	enum fl_rc rc = FL_OK;
	for (uint64_t i = first; i < end && rc == FL_OK && !is_stuck(d); i++) {
		if (!bit_get(t->right, i))
			rc = stage_chunk(d, i, &staged, err);
	}
	if (rc != FL_OK || staged == 0)
		return rc;
	const uint64_t offset = first * FL_CHUNK_SIZE;
	const uint64_t last =
		(end - 1) * FL_CHUNK_SIZE + fl_tree_chunk_len(&t->image.installed, end - 1);
	return transfer_flush(t, offset, last - offset, staged, err);
}

enum fl_rc decoded_stage(struct transfer *transfer, struct fl_err *err)
{
	struct decoded d = {.transfer = transfer};
	const struct fl_ipc_reply done = {"ok", NULL};
	const uint64_t n = transfer->image.installed.n_chunks;
	enum fl_rc rc = FL_OK;
	for (uint64_t i = 0; i < n && rc == FL_OK && !is_stuck(&d); i += FLUSH_CHUNKS)
		rc = stage_frame(&d, i, i + FLUSH_CHUNKS < n ? i + FLUSH_CHUNKS : n, err);
	if (rc == FL_OK)
		rc = report_run(&d, err);
	if (rc == FL_OK)
		rc = transfer_progress(transfer, "staging", true, err);
	if (rc != FL_OK)
		return rc;
	/* all that was wanted has come: whether the decoder still hears it does not matter */
	(void)!channel_send(transfer->decoder, FL_FRAME_END, &done, NULL);
	if (d.n_bad == 0)
		return FL_OK;
	return fl_fail(err, FL_E_CHUNK_MISMATCH, 0,
		       "the decoder made chunk %llu wrong, and %llu others",
		       (unsigned long long)d.first_bad, (unsigned long long)(d.n_bad - 1));
}
