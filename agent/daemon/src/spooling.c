/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   chunk: lies in a hole, or isn't what the tree says ──▶ fetched, with those after it that lack, too
 *          is what the tree says                        ──▶ the next one
 *
 * A turn of the loop looks at a MiB at most. Each MiB is flushed beside the loop: a power cut costs no more than two.
 */
#include "agent.h"
#include "spool.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOKS_PER_TURN 16
#define SYNC_BYTES     ((uint64_t)1024 * 1024)

struct fl_spooling_sync {
	uv_fs_t request;
	int fd; /* its own */
	struct fl_spooling *spooling; /* NULL: it was stopped */
};

static const struct fl_tree_shape *shape_of(const struct fl_spooling *s)
{
	return fl_tree_get_shape(s->fetch->pages[FL_OBJECT_TRANSPORT_TREE].tree);
}

/* ---- flushing ----------------------------------------------------------------------------------------------- */

static void on_synced(uv_fs_t *request)
{
	struct fl_spooling_sync *sync = request->data;
	if (sync->spooling != NULL)
		sync->spooling->sync = NULL;
	uv_fs_req_cleanup(request);
	fl_close(&sync->fd);
	free(sync);
}

/* Whether it succeeds is seen by the hashes. */
static void sync_some(struct fl_spooling *s, uint64_t bytes)
{
	s->unsynced += bytes;
	if (s->unsynced < SYNC_BYTES || s->sync != NULL)
		return;
	struct fl_spooling_sync *sync = calloc(1, sizeof(*sync));
	if (sync == NULL)
		return;
	sync->fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	sync->spooling = s;
	sync->request.data = sync;
	if (sync->fd < 0 ||
	    uv_fs_fdatasync(&s->fetch->agent->loop, &sync->request, sync->fd, on_synced) != 0) {
		fl_close(&sync->fd);
		free(sync);
		return;
	}
	s->sync = sync;
	s->unsynced = 0;
}

/* ---- what lacks --------------------------------------------------------------------------------------------- */

/* Nothing was ever written there: a file of that size begins as one hole. */
static bool in_hole(const struct fl_spooling *s, uint64_t offset, uint32_t len)
{
	const off_t data = lseek(s->fd, (off_t)offset, SEEK_DATA);
	return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + len;
}

static bool stands(const struct fl_spooling *s, uint64_t chunk)
{
	struct fl_fetch *f = s->fetch;
	const uint64_t offset = fl_fetch_item_offset(f, FL_OBJECT_TRANSPORT, chunk);
	const uint32_t len = fl_fetch_item_len(f, FL_OBJECT_TRANSPORT, chunk);
	struct fl_err err = {0};
	return !in_hole(s, offset, len) && fl_pread_all(s->fd, f->chunk, len, offset, &err) == FL_OK &&
	       fl_tree_check(f->pages[FL_OBJECT_TRANSPORT_TREE].tree, chunk, f->chunk, len, &err) == FL_OK;
}

/* How many from s->next on, all on the page that is loaded. */
static uint64_t count_lacking(const struct fl_spooling *s)
{
	const struct fl_tree_shape *shape = shape_of(s);
	const uint64_t page = fl_tree_page_of_chunk(shape, s->next);
	uint64_t n = 1;
	unsigned looks = 0;
	for (uint64_t chunk = s->next + 1; chunk < shape->n_chunks; chunk++, n++) {
		const uint64_t offset = chunk * FL_CHUNK_SIZE;
		if (fl_tree_page_of_chunk(shape, chunk) != page)
			break;
		if (!in_hole(s, offset, fl_tree_chunk_len(shape, chunk)) &&
		    (++looks == LOOKS_PER_TURN || stands(s, chunk)))
			break;
	}
	return n;
}

static void on_turn(uv_timer_t *timer);

static void end(struct fl_spooling *s, const struct fl_err *why)
{
	void *ctx = s->ctx;
	const struct fl_err copy = *why;
	fl_spooling_stop(s);
	s->done(ctx, &copy);
}

/* True: the page that s->next hangs on is loaded. Otherwise it is being fetched. */
static bool has_page(struct fl_spooling *s)
{
	struct fl_pages *pages = &s->fetch->pages[FL_OBJECT_TRANSPORT_TREE];
	uint64_t page = 0;
	while (!fl_tree_ready(pages->tree, s->next, &page)) {
		if (fl_pages_kept(pages, page, s->fetch->chunk))
			continue;
		fl_fetch_run(s->fetch, FL_OBJECT_TRANSPORT_TREE, page, 1);
		return false;
	}
	return true;
}

static void on_turn(uv_timer_t *timer)
{
	struct fl_spooling *s = timer->data;
	const struct fl_err ok = {0};
	const uint64_t n = shape_of(s)->size == 0 ? 0 : shape_of(s)->n_chunks;
	for (unsigned i = 0; i < LOOKS_PER_TURN && s->next < n; i++) {
		if (!has_page(s))
			return;
		if (!stands(s, s->next)) {
			fl_fetch_run(s->fetch, FL_OBJECT_TRANSPORT, s->next, count_lacking(s));
			return;
		}
		s->next++;
	}
	s->progress(s->ctx, s->next == n ? shape_of(s)->size : s->next * FL_CHUNK_SIZE);
	if (s->next == n)
		end(s, &ok);
	else
		uv_timer_start(s->turn, on_turn, 0, 0);
}

/* ---- what comes --------------------------------------------------------------------------------------------- */

static bool has_room(void *ctx)
{
	(void)ctx;
	return true;
}

static enum fl_rc on_item(void *ctx, const void *data, size_t len, struct fl_err *err)
{
	struct fl_spooling *s = ctx;
	if (s->fetch->object != FL_OBJECT_TRANSPORT)
		return FL_OK; /* the pages keep themselves */
	enum fl_rc rc = fl_pwrite_all(s->fd, data, len, s->fetch->next * FL_CHUNK_SIZE, err);
	if (rc != FL_OK)
		return rc;
	s->next = s->fetch->next + 1;
	sync_some(s, len);
	s->progress(s->ctx, s->fetch->next * FL_CHUNK_SIZE + len);
	return FL_OK;
}

static void on_run(void *ctx)
{
	struct fl_spooling *s = ctx;
	uv_timer_start(s->turn, on_turn, 0, 0);
}

static void on_failed(void *ctx, const struct fl_err *why)
{
	end(ctx, why);
}

static bool on_bytes(void *ctx, const char *address, size_t len, struct fl_err *err)
{
	struct fl_spooling *s = ctx;
	return s->on_bytes == NULL || s->on_bytes(s->ctx, address, len, err);
}

static const struct fl_fetch_taker taker = {
	.has_room = has_room, .on_item = on_item, .on_run = on_run, .on_failed = on_failed, .on_bytes = on_bytes};

/* ---- start and end ------------------------------------------------------------------------------------------ */

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

enum fl_rc fl_spooling_start(struct fl_spooling *s, struct fl_fetch *fetch, struct fl_err *err)
{
	const struct fl_artifact *artifact = fetch->what.artifact;
	s->fetch = fetch;
	s->fd = -1;
	s->next = s->unsynced = 0;
	s->sync = NULL;
	enum fl_rc rc =
		fl_spool_reserve(fetch->agent, &artifact->tree->root, artifact->size, &s->fd, err);
	if (rc != FL_OK)
		return rc;
	s->turn = calloc(1, sizeof(*s->turn));
	if (s->turn == NULL) {
		fl_close(&s->fd);
		return fl_fail(err, FL_E_NO_MEMORY, 0, "spool");
	}
	FL_BUG_ON(uv_timer_init(&fetch->agent->loop, s->turn) != 0);
	s->turn->data = s;
	fl_fetch_hand_to(fetch, &taker, s);
	uv_timer_start(s->turn, on_turn, 0, 0);
	return FL_OK;
}

void fl_spooling_stop(struct fl_spooling *s)
{
	if (s->turn == NULL)
		return;
	uv_close((uv_handle_t *)s->turn, free_handle);
	s->turn = NULL;
	if (s->sync != NULL)
		s->sync->spooling = NULL;
	fl_close(&s->fd);
}

static enum fl_rc open_kept(const struct fl_fetch *f, enum fl_spool_kind kind, int *ret, struct fl_err *err)
{
	char path[FL_SPOOL_PATH_MAX];
	fl_spool_path(f->agent->config.spool_dir, kind, &f->what.artifact->tree->root, path);
	*ret = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *ret >= 0 ? FL_OK : fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
}

enum fl_rc fl_spooling_open(const struct fl_fetch *f, int *blob, int *tree, struct fl_err *err)
{
	enum fl_rc rc = open_kept(f, FL_SPOOL_BLOB, blob, err);
	if (rc == FL_OK)
		rc = open_kept(f, FL_SPOOL_TREE, tree, err);
	if (rc != FL_OK)
		fl_close(blob);
	return rc;
}
