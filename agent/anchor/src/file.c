/* SPDX-License-Identifier: Apache-2.0 */
/* The two records: read both, believe the newer valid one, write the other. The only file here that touches a medium. */
#include <fairlead/anchor/file.h>

#include "documents.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE (2 * FL_ANCHOR_RECORD)

struct fl_anchor_file {
	int fd;
	unsigned next; /* the record that is written next: never the one that was believed */
	uint64_t seq;  /* of the record that was believed */
	struct fl_anchor last; /* its content */
	char dir[PATH_MAX];
};

static enum fl_rc fail_errno(struct fl_err *err, const char *what)
{
	int e = errno;
	return fl_fail(err, fl_rc_from_errno(e), e, "%s", what);
}

/* Blocks of its own for both records, so that a write in place changes nothing but their content. *made: it had none. */
static enum fl_rc preallocate(int fd, bool *made, struct fl_err *err)
{
	static const uint8_t zeros[FILE_SIZE];
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fail_errno(err, "stat");
	*made = st.st_size < (off_t)FILE_SIZE;
	if (!*made)
		return FL_OK;
	uint64_t from = (uint64_t)st.st_size;
	enum fl_rc rc = fl_pwrite_all(fd, zeros, FILE_SIZE - (size_t)from, from, err);
	if (rc == FL_OK && fsync(fd) != 0)
		rc = fail_errno(err, "sync");
	return rc;
}

static enum fl_rc sync_dir(const char *dir, struct fl_err *err)
{
	FL_AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		return fail_errno(err, "sync directory");
	return FL_OK;
}

static enum fl_rc open_dir(struct fl_anchor_file *f, const char *dir, struct fl_err *err)
{
	struct stat st;
	if (strlen(dir) >= sizeof(f->dir))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path");
	memcpy(f->dir, dir, strlen(dir) + 1);
	enum fl_rc rc = fl_dir_make(dir, 0700, err);
	if (rc != FL_OK)
		return rc;
	if (stat(dir, &st) != 0)
		return fail_errno(err, "stat");
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return fl_fail(err, FL_E_CONFIG, 0, "others may write to it");
	return FL_OK;
}

static enum fl_rc open_file(struct fl_anchor_file *f, struct fl_err *err)
{
	char path[PATH_MAX];
	bool made;
	enum fl_rc rc = fl_path_join(path, sizeof(path), f->dir, "anchor", err);
	if (rc != FL_OK)
		return rc;
	f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0 && errno == EROFS) /* what it says is needed all the same: a trial must end */
		f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd < 0)
		return fail_errno(err, "open");
	if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
		return fail_errno(err, "lock");
	rc = preallocate(f->fd, &made, err);
	if (rc != FL_OK)
		return rc;
	/* The name of an older file was synced when it was made, or is now; that it cannot be is no reason not to read. */
	rc = sync_dir(f->dir, err);
	return made ? rc : FL_OK;
}

struct reading {
	bool valid;
	bool empty; /* never written */
	uint64_t seq;
	struct fl_anchor anchor;
};

/* A record that cannot be read counts as a damaged one. */
static void read_record(int fd, unsigned place, struct reading *r)
{
	static const uint8_t zeros[FL_ANCHOR_RECORD];
	uint8_t record[FL_ANCHOR_RECORD];
	struct fl_err err;
	memset(r, 0, sizeof(*r));
	if (fl_pread_all(fd, record, sizeof(record), place * FL_ANCHOR_RECORD, &err) != FL_OK)
		return;
	r->empty = memcmp(record, zeros, sizeof(record)) == 0;
	r->valid = fl_anchor_decode(record, &r->anchor, &r->seq, &err) == FL_OK;
}

static enum fl_anchor_found choose(struct fl_anchor_file *f)
{
	struct reading r[2];
	read_record(f->fd, 0, &r[0]);
	read_record(f->fd, 1, &r[1]);
	if (!r[0].valid && !r[1].valid) {
		fl_anchor_init(&f->last);
		return FL_ANCHOR_LOST;
	}
	unsigned best = !r[0].valid || (r[1].valid && r[1].seq > r[0].seq) ? 1 : 0;
	f->last = r[best].anchor;
	f->seq = r[best].seq;
	f->next = 1 - best;
	return r[1 - best].valid || r[1 - best].empty ? FL_ANCHOR_OK : FL_ANCHOR_OLDER;
}

enum fl_rc fl_anchor_open(const char *dir, struct fl_anchor_file **ret, struct fl_anchor *anchor,
			  enum fl_anchor_found *found, struct fl_err *err)
{
	struct fl_anchor_file *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "anchor");
	f->fd = -1;
	enum fl_rc rc = open_dir(f, dir, err);
	if (rc == FL_OK)
		rc = open_file(f, err);
	if (rc != FL_OK) {
		fl_anchor_close(f);
		return fl_wrap(err, rc, "anchor in '%s'", dir);
	}
	*found = choose(f);
	*anchor = f->last;
	*ret = f;
	return FL_OK;
}

void fl_anchor_close(struct fl_anchor_file *file)
{
	if (file == NULL)
		return;
	fl_close(&file->fd);
	free(file);
}

enum fl_rc fl_anchor_save(struct fl_anchor_file *file, const struct fl_anchor *anchor,
			  struct fl_err *err)
{
	uint8_t record[FL_ANCHOR_RECORD];
	enum fl_rc rc = fl_anchor_encode(anchor, file->seq + 1, record, err);
	if (rc == FL_OK)
		rc = fl_pwrite_all(file->fd, record, sizeof(record),
				   file->next * FL_ANCHOR_RECORD, err);
	if (rc == FL_OK && fdatasync(file->fd) != 0)
		rc = fail_errno(err, "sync");
	if (rc != FL_OK)
		return fl_wrap(err, rc, "save the anchor");
	const struct fl_anchor *const named[] = {anchor, &file->last};
	fl_documents_sweep(file->dir, named, 2);
	file->last = *anchor;
	file->seq++;
	file->next = 1 - file->next;
	return FL_OK;
}

enum fl_rc fl_anchor_keep(struct fl_anchor_file *file, const struct fl_envelope *env,
			  struct fl_err *err)
{
	return fl_documents_keep(file->dir, env, err);
}

enum fl_rc fl_anchor_fetch(const struct fl_anchor_file *file, const struct fl_anchor_id *id,
			   struct fl_arena *arena, struct fl_envelope *ret,
			   struct fl_digest *digest, struct fl_err *err)
{
	return fl_documents_fetch(file->dir, id, arena, ret, digest, err);
}
