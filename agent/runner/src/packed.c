/* SPDX-License-Identifier: Apache-2.0 */
/* Staging out of zstd-frames: which frames lack something, what they unpack to. */
#include "transfer.h"

#include <stdlib.h>

#define TABLE_STEP ((size_t)FL_CHUNK_SIZE)

enum fl_rc packed_set_up(struct transfer *t, struct fl_err *err)
{
	const struct transfer_claim *c = t->claim;
	const struct fl_frames_claim frames = {t->task->installed_size, c->transport_size,
					       c->frame_size};
	enum fl_rc rc = fl_frames_new(&frames, &t->frames, err);
	if (rc == FL_OK)
		rc = fl_tree_shape(c->transport_size, &t->image.transport, err);
	if (rc != FL_OK)
		return rc;
	t->packed = malloc(fl_frames_length_max(c->frame_size));
	t->plain = malloc(c->frame_size);
	if (t->packed == NULL || t->plain == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "frame");
	t->image.frame_size = c->frame_size;
	rc = fl_frames_decoder_new(&t->unpacker, err);
	return rc == FL_OK
		       ? assembly_init(&t->assembly, t->channel, &c->transport_root, &t->image, err)
		       : rc;
}

static uint64_t page_held(const struct transfer *t)
{
	uint64_t last = t->image.installed.n_chunks - 1;
	return plugin_can(t->plugin, FL_CAP_RANDOM)
		       ? fl_tree_page_of_chunk(&t->image.installed, last)
		       : 0;
}

static enum fl_rc read_table(struct transfer *t, struct fl_err *err)
{
	uint64_t size = fl_frames_table_size(t->frames);
	plan_init(&t->assembly.plan, &t->image, page_held(t), size);
	for (uint64_t at = 0; at < size;) {
		uint64_t left = size - at;
		size_t n = left < TABLE_STEP ? (size_t)left : TABLE_STEP;
		enum fl_rc rc = assembly_read(&t->assembly, at, t->packed, n, err);
		if (rc == FL_OK)
			rc = fl_frames_feed(t->frames, t->packed, n, err);
		if (rc != FL_OK)
			return rc;
		at += n;
	}
	plan_frames(&t->assembly.plan, t->frames);
	return FL_OK;
}

static enum fl_rc load_installed_page(struct transfer *t, uint64_t chunk, struct fl_err *err)
{
	uint64_t page;
	if (fl_tree_ready(t->installed, chunk, &page))
		return FL_OK;
	struct fl_bytes data;
	enum fl_rc rc = assembly_take(&t->assembly, FL_OBJECT_INSTALLED_TREE, page, &data, err);
	if (rc == FL_OK)
		rc = fl_tree_put_page(t->installed, page, data.data, data.len, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "installed tree");
}

/* The transport was the signed one: what it unpacks to cannot be blamed on its way here. */
static enum fl_rc check_plain(struct transfer *t, uint64_t chunk, const uint8_t *data, uint32_t len,
			      struct fl_err *err)
{
	enum fl_rc rc = fl_tree_check(t->installed, chunk, data, len, err);
	if (rc == FL_E_CHUNK_MISMATCH)
		return fl_fail(err, FL_E_FORMAT, 0, "unpacked chunk %llu is not the signed one",
			       (unsigned long long)chunk);
	return rc;
}

static enum fl_rc stage_chunk(struct transfer *t, uint64_t chunk, const uint8_t *data,
			      struct fl_err *err)
{
	uint32_t len = fl_tree_chunk_len(&t->image.installed, chunk);
	enum fl_rc rc = load_installed_page(t, chunk, err);
	if (rc == FL_OK)
		rc = check_plain(t, chunk, data, len, err);
	return rc == FL_OK ? transfer_stage_chunk(t, chunk, data, err) : rc;
}

static enum fl_rc load_frame(struct transfer *t, uint32_t k, struct fl_err *err)
{
	uint64_t offset;
	uint32_t length;
	fl_frames_locate(t->frames, k, &offset, &length);
	enum fl_rc rc = assembly_read(&t->assembly, offset, t->packed, length, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_frames_decode(t->unpacker, t->packed, length, t->plain,
			      fl_frames_image_len(t->frames, k), err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "frame %u", k);
}

static enum fl_rc stage_frame(struct transfer *t, uint32_t k, struct fl_err *err)
{
	uint64_t first, end, staged = 0;
	if (!plan_frame_lacks(&t->image, k, &first, &end))
		return FL_OK;
	if (cancelled(t->channel->control))
		return fl_fail(err, FL_E_CANCELLED, 0, "no longer wanted");
	enum fl_rc rc = load_frame(t, k, err);
	for (uint64_t i = first; i < end && rc == FL_OK; i++) {
		if (bit_get(t->right, i))
			continue;
		rc = stage_chunk(t, i, t->plain + (i - first) * FL_CHUNK_SIZE, err);
		staged += fl_tree_chunk_len(&t->image.installed, i);
	}
	return rc == FL_OK ? transfer_flush(t, (uint64_t)k * t->image.frame_size,
					    fl_frames_image_len(t->frames, k), staged, err)
			   : rc;
}

enum fl_rc packed_stage(struct transfer *t, struct fl_err *err)
{
	enum fl_rc rc = read_table(t, err);
	for (uint32_t k = 0; k < fl_frames_count(t->frames) && rc == FL_OK; k++)
		rc = stage_frame(t, k, err);
	return rc;
}
