/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the target already. */
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>

enum fl_rc transfer_progress(struct transfer *t, const char *step, bool now, struct fl_err *err)
{
	uint64_t total = t->task->installed_size;
	uint64_t done = t->done_bytes;
	if (t->host->checkpoint > done)
		done = t->host->checkpoint < total ? t->host->checkpoint : total;
	const struct fl_ipc_progress progress = {step, done, total, t->kept_bytes};
	return channel_progress(t->channel, &progress, now, err);
}

static enum fl_rc load_pages(struct transfer *t, uint64_t chunk, struct fl_err *err)
{
	uint64_t page;
	while (!fl_tree_ready(t->installed, chunk, &page)) {
		struct fl_bytes data;
		enum fl_rc rc =
			channel_take(t->channel, FL_OBJECT_INSTALLED_TREE, page, &data, err);
		if (rc == FL_OK)
			rc = fl_tree_put_page(t->installed, page, data.data, data.len, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "installed tree");
	}
	return FL_OK;
}

static void mark(struct transfer *t, uint64_t chunk)
{
	uint32_t len = fl_tree_chunk_len(&t->image.installed, chunk);
	bit_set(t->right, chunk);
	t->kept_bytes += len;
	t->done_bytes += len;
}

/* FL_E_IO: the place cannot be read, which may be healed by writing to it. Then *wrong, and it is
 * logged. */
static enum fl_rc read_chunk(struct transfer *t, uint64_t chunk, uint8_t *data, bool *wrong,
			     struct fl_err *err)
{
	uint32_t len = fl_tree_chunk_len(&t->image.installed, chunk);
	enum fl_rc rc = plugin_read(t->plugin, t->task, chunk * FL_CHUNK_SIZE, data, len, err);
	if (rc != FL_E_IO || t->plugin->verdict->cls != FL_CLASS_RETRY)
		return rc;
	char line[128];
	(void)snprintf(line, sizeof(line), "chunk %llu is written anew: %.80s",
		       (unsigned long long)chunk, t->plugin->verdict->text);
	control_log(t->channel->control, FL_LEVEL_WARNING, line);
	verdict_ok(t->plugin->verdict, "");
	*wrong = true;
	return FL_OK;
}

static enum fl_rc scan_chunk(struct transfer *t, uint64_t chunk, uint8_t *data, struct fl_err *err)
{
	uint32_t len = fl_tree_chunk_len(&t->image.installed, chunk);
	bool wrong = false;
	enum fl_rc rc = load_pages(t, chunk, err);
	if (rc == FL_OK)
		rc = read_chunk(t, chunk, data, &wrong, err);
	if (rc != FL_OK)
		return rc;
	rc = wrong ? FL_E_CHUNK_MISMATCH : fl_tree_check(t->installed, chunk, data, len, err);
	if (rc == FL_OK)
		mark(t, chunk);
	else if (rc != FL_E_CHUNK_MISMATCH)
		return rc;
	control_alive(t->channel->control);
	return transfer_progress(t, "hashing", false, err);
}

static enum fl_rc scan_all(struct transfer *t, uint8_t *data, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (uint64_t chunk = 0; chunk < t->image.installed.n_chunks && rc == FL_OK; chunk++) {
		rc = cancelled(t->channel->control)
			     ? fl_fail(err, FL_E_CANCELLED, 0, "no longer wanted")
			     : scan_chunk(t, chunk, data, err);
	}
	return rc;
}

static enum fl_rc scan_random(struct transfer *t, struct fl_err *err)
{
	const struct need whole = {FL_OBJECT_INSTALLED_TREE, 0, t->image.installed.n_pages};
	uint8_t *data = malloc(FL_CHUNK_SIZE);
	if (data == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "chunk");
	enum fl_rc rc = channel_need(t->channel, &whole, err);
	if (rc == FL_OK)
		rc = scan_all(t, data, err);
	free(data);
	return rc;
}

/* The top page alone: the plan asks for the others where it needs them. */
static enum fl_rc scan_sequential(struct transfer *t, uint64_t resume_offset, struct fl_err *err)
{
	const struct need top = {FL_OBJECT_INSTALLED_TREE, 0, 1};
	struct fl_bytes data;
	enum fl_rc rc = channel_need(t->channel, &top, err);
	if (rc == FL_OK)
		rc = channel_take(t->channel, FL_OBJECT_INSTALLED_TREE, 0, &data, err);
	if (rc == FL_OK)
		rc = fl_tree_put_page(t->installed, 0, data.data, data.len, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "installed tree");
	for (uint64_t i = 0; i < t->image.installed.n_chunks; i++) {
		if (i * FL_CHUNK_SIZE + fl_tree_chunk_len(&t->image.installed, i) <= resume_offset)
			mark(t, i);
	}
	return FL_OK;
}

enum fl_rc transfer_scan(struct transfer *transfer, uint64_t resume_offset, struct fl_err *err)
{
	return plugin_can(transfer->plugin, FL_CAP_RANDOM)
		       ? scan_random(transfer, err)
		       : scan_sequential(transfer, resume_offset, err);
}
