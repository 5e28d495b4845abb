/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of the log ring. Records are written one behind the other with one pwrite each; at the
 * end of the file the rest is zeroed and the next goes to the start, over the oldest:
 *
 *   | newest … | cut | oldest …            | 0 |
 *              ^ pos: the next record
 *
 * A kill loses nothing that was written, a power cut what the kernel had not yet written back; what
 * is torn, or bitten by the record in front of it, has no valid checksum and is skipped.
 */
#include <fairlead/store/store.h>

#include "log_ring_scan.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fl_log_ring {
	pthread_mutex_t lock; /* of all below */
	int fd;
	uint64_t seq; /* of the next record */
	size_t pos;
};

static enum fl_rc fail_errno(struct fl_err *err, const char *what)
{
	int e = errno;
	return fl_fail(err, fl_rc_from_errno(e), e, "%s", what);
}

static enum fl_rc check_file(int fd, struct fl_err *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fail_errno(err, "open log.ring");
	if (!S_ISREG(st.st_mode))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "log.ring is no file");
	if (st.st_size != (off_t)RING_SIZE && ftruncate(fd, (off_t)RING_SIZE) != 0)
		return fail_errno(err, "size log.ring");
	/* Where the file system can, its room is taken now; a full disk then costs no line. */
	(void)fallocate(fd, 0, 0, (off_t)RING_SIZE);
	return FL_OK;
}

/* *fd is set also when the file will not do: closing the ring closes it. */
static enum fl_rc open_file(const char *dir, int *fd, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_dir_make(dir, 0700, err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), dir, "log.ring", err);
	if (rc != FL_OK)
		return rc;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	return *fd < 0 ? fail_errno(err, "open log.ring") : check_file(*fd, err);
}

static enum fl_rc read_file(int fd, uint8_t **ret, struct fl_err *err)
{
	uint8_t *ring = malloc(RING_SIZE);
	if (ring == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "%zu bytes", RING_SIZE);
	enum fl_rc rc = fl_pread_all(fd, ring, RING_SIZE, 0, err);
	if (rc != FL_OK) {
		free(ring);
		return rc;
	}
	*ret = ring;
	return FL_OK;
}

/* Goes on behind the newest record. */
static enum fl_rc find_end(struct fl_log_ring *ring, struct fl_err *err)
{
	uint8_t *data = NULL;
	struct ring_record r;
	enum fl_rc rc = read_file(ring->fd, &data, err);
	if (rc != FL_OK)
		return rc;
	for (size_t at = 0; ring_next(data, RING_SIZE, at, &r); at = r.offset + r.size) {
		if (r.seq >= ring->seq) {
			ring->seq = r.seq + 1;
			ring->pos = r.offset + r.size;
		}
	}
	free(data);
	return FL_OK;
}

enum fl_rc fl_log_ring_open(const char *dir, struct fl_log_ring **ret, struct fl_err *err)
{
	struct fl_log_ring *ring = calloc(1, sizeof(*ring));
	if (ring == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "log ring");
	ring->fd = -1;
	ring->seq = 1;
	(void)pthread_mutex_init(&ring->lock, NULL);
	enum fl_rc rc = open_file(dir, &ring->fd, err);
	if (rc == FL_OK)
		rc = find_end(ring, err);
	if (rc != FL_OK) {
		fl_log_ring_close(ring);
		return fl_wrap(err, rc, "log ring in '%s'", dir);
	}
	*ret = ring;
	return FL_OK;
}

void fl_log_ring_close(struct fl_log_ring *ring)
{
	if (ring == NULL)
		return;
	fl_close(&ring->fd);
	(void)pthread_mutex_destroy(&ring->lock);
	free(ring);
}

/* Room for size bytes at ring->pos: the end of the file is blanked when they do not fit in front of
 * it. */
static bool make_room(struct fl_log_ring *ring, size_t size)
{
	static const uint8_t zeroes[RING_RECORD_MAX];
	size_t rest = RING_SIZE - ring->pos;
	if (size <= rest)
		return true;
	if (fl_pwrite_all(ring->fd, zeroes, rest, ring->pos, NULL) != FL_OK)
		return false;
	ring->pos = 0;
	return true;
}

void fl_log_ring_append(struct fl_log_ring *ring, int64_t utc, unsigned level, const char *text)
{
	uint8_t record[RING_RECORD_MAX];
	(void)pthread_mutex_lock(&ring->lock);
	size_t size = ring_encode(ring->seq, utc, level, text, record);
	if (make_room(ring, size) &&
	    fl_pwrite_all(ring->fd, record, size, ring->pos, NULL) == FL_OK) {
		ring->pos += size;
		ring->seq++;
	}
	(void)pthread_mutex_unlock(&ring->lock);
}

static size_t count(const uint8_t *data)
{
	struct ring_record r;
	size_t n = 0;
	for (size_t at = 0; ring_next(data, RING_SIZE, at, &r); at = r.offset + r.size)
		n++;
	return n;
}

static enum fl_rc copy_line(struct fl_arena *arena, const struct ring_record *r,
			    struct fl_log_line *line, struct fl_err *err)
{
	const char *text = fl_arena_copy(arena, r->text, r->text_len, err);
	if (text == NULL)
		return err->rc;
	*line = (struct fl_log_line){r->utc, r->level, text};
	return FL_OK;
}

struct lines {
	struct fl_log_line *items;
	size_t n;
	size_t room;
};

/* The records that begin in [from, to) of the file. */
static enum fl_rc copy_range(struct fl_arena *arena, const uint8_t *data, size_t from, size_t to,
			     struct lines *lines, struct fl_err *err)
{
	struct ring_record r;
	enum fl_rc rc = FL_OK;
	size_t at = from;
	while (rc == FL_OK && lines->n < lines->room && ring_next(data, RING_SIZE, at, &r) &&
	       r.offset < to) {
		rc = copy_line(arena, &r, &lines->items[lines->n++], err);
		at = r.offset + r.size;
	}
	return rc;
}

static enum fl_rc copy_all(struct fl_arena *arena, const uint8_t *data, size_t pos,
			   struct lines *lines, struct fl_err *err)
{
	lines->room = count(data);
	lines->items = fl_arena_alloc(arena, lines->room * sizeof(*lines->items), err);
	if (lines->items == NULL)
		return err->rc;
	enum fl_rc rc = copy_range(arena, data, pos, RING_SIZE, lines, err);
	return rc == FL_OK ? copy_range(arena, data, 0, pos, lines, err) : rc;
}

enum fl_rc fl_log_ring_lines(struct fl_log_ring *ring, struct fl_arena *arena,
			     struct fl_log_line **ret, size_t *n, struct fl_err *err)
{
	struct fl_err local;
	struct fl_err *e = err == NULL ? &local : err; /* the arena's failures are told by it */
	uint8_t *data = NULL;
	(void)pthread_mutex_lock(&ring->lock);
	size_t pos = ring->pos;
	enum fl_rc rc = read_file(ring->fd, &data, e);
	(void)pthread_mutex_unlock(&ring->lock);
	if (rc != FL_OK)
		return fl_wrap(e, rc, "read the log");
	struct lines lines = {0};
	rc = copy_all(arena, data, pos, &lines, e);
	free(data);
	if (rc != FL_OK)
		return fl_wrap(e, rc, "read the log");
	*ret = lines.items;
	*n = lines.n;
	return FL_OK;
}
