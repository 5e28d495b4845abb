/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs as files:
 *
 *   DIR/blobs/sha256-wide1/<root>, DIR/trees/sha256-wide1/<root>   whole and durable, or not there
 *   DIR/tmp/<number>                                               uploads on their way; emptied at the start
 */
#include "blob/blob.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/tree.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct files {
	char dir[PATH_MAX - 256];
	uint64_t next_temporary;
};

struct fl_blob_upload {
	const struct files *files;
	enum fl_blob_kind kind;
	struct fl_digest root;
	uint64_t size; /* of the content */
	uint64_t done; /* bytes of this object so far */
	uint64_t expected;
	int fd; /* owned */
	char temporary[PATH_MAX];
	struct fl_tree_builder *builder; /* payload: owned */
	struct fl_tree *tree;		 /* tree object: owned; checks page by page */
	struct fl_buf page;		 /* tree object: the page being filled */
	uint64_t next_page;
};

const char *fl_blob_kind_name(enum fl_blob_kind kind)
{
	return kind == FL_BLOB_PAYLOAD ? "blobs" : "trees";
}

static void folder_of(const struct files *files, enum fl_blob_kind kind, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s/sha256-wide1", files->dir, fl_blob_kind_name(kind));
}

static void path_of(const struct files *files, enum fl_blob_kind kind, const struct fl_digest *root,
		    char out[PATH_MAX])
{
	char hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(root->b, sizeof(root->b), hex);
	snprintf(out, PATH_MAX, "%s/%s/sha256-wide1/%s", files->dir, fl_blob_kind_name(kind), hex);
}

static bool has(void *self, enum fl_blob_kind kind, const struct fl_digest *root)
{
	char path[PATH_MAX];
	path_of(self, kind, root, path);
	if (access(path, R_OK) != 0)
		return false;
	(void)utimensat(AT_FDCWD, path, NULL, 0);
	return true;
}

static enum fl_rc open_blob(void *self, enum fl_blob_kind kind, const struct fl_digest *root,
			    int *fd, uint64_t *size, struct fl_err *err)
{
	char path[PATH_MAX];
	path_of(self, kind, root, path);
	FL_AUTO_FD opened = open(path, O_RDONLY | O_CLOEXEC);
	if (opened < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'", path);
	struct stat st;
	if (fstat(opened, &st) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "stat '%s'", path);
	*size = (uint64_t)st.st_size;
	*fd = opened;
	opened = -1;
	return FL_OK;
}

static void upload_free(struct fl_blob_upload *upload)
{
	if (upload == NULL)
		return;
	if (upload->temporary[0] != '\0')
		unlink(upload->temporary);
	fl_close(&upload->fd);
	fl_tree_builder_free(upload->builder);
	fl_tree_free(upload->tree);
	fl_buf_free(&upload->page);
	free(upload);
}

static enum fl_rc prepare(struct fl_blob_upload *upload, struct fl_err *err)
{
	struct fl_tree_shape shape;
	enum fl_rc rc = fl_tree_shape(upload->size, &shape, err);
	if (rc != FL_OK)
		return rc;
	upload->expected = upload->kind == FL_BLOB_TREE ? shape.object_len : upload->size;
	if (upload->kind == FL_BLOB_PAYLOAD)
		return fl_tree_builder_new(&upload->builder, err);
	upload->page = FL_BUF(FL_CHUNK_SIZE);
	return fl_tree_new(upload->size, &upload->root, &upload->tree, err);
}

static enum fl_rc upload_new(void *self, enum fl_blob_kind kind, const struct fl_digest *root,
			     uint64_t size, struct fl_blob_upload **ret, struct fl_err *err)
{
	struct files *files = self;
	struct fl_blob_upload *upload = calloc(1, sizeof(*upload));
	if (upload == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "upload");
	*upload = (struct fl_blob_upload){
		.files = files, .kind = kind, .root = *root, .size = size, .fd = -1};
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/tmp/%llu", files->dir,
		 (unsigned long long)files->next_temporary++);
	enum fl_rc rc = prepare(upload, err);
	if (rc == FL_OK) {
		upload->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (upload->fd < 0)
			rc = fl_fail(err, fl_rc_from_errno(errno), errno, "create '%s'", path);
		else
			memcpy(upload->temporary, path, sizeof(path));
	}
	if (rc != FL_OK) {
		upload_free(upload);
		return rc;
	}
	*ret = upload;
	return FL_OK;
}

/* A tree object is checked page by page while it arrives. */
static enum fl_rc add_pages(struct fl_blob_upload *upload, const uint8_t *data, size_t len,
			    struct fl_err *err)
{
	const struct fl_tree_shape *shape = fl_tree_get_shape(upload->tree);
	while (len > 0) {
		size_t want = fl_tree_page_len(shape, upload->next_page) - upload->page.len;
		size_t part = len < want ? len : want;
		enum fl_rc rc = fl_buf_append(&upload->page, data, part, err);
		if (rc == FL_OK && part == want) {
			rc = fl_tree_put_page(upload->tree, upload->next_page++, upload->page.data,
					      upload->page.len, err);
			fl_buf_clear(&upload->page);
		}
		if (rc != FL_OK)
			return rc;
		data += part;
		len -= part;
	}
	return FL_OK;
}

static enum fl_rc upload_add(struct fl_blob_upload *upload, const void *data, size_t len,
			     struct fl_err *err)
{
	if (len > upload->expected - upload->done)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "more than the announced %llu bytes",
			       (unsigned long long)upload->expected);
	enum fl_rc rc = upload->kind == FL_BLOB_PAYLOAD
				? fl_tree_builder_add(upload->builder, data, len, err)
				: add_pages(upload, data, len, err);
	if (rc == FL_OK)
		rc = fl_write_all(upload->fd, data, len, err);
	if (rc == FL_OK)
		upload->done += len;
	return rc;
}

static enum fl_rc check_whole(struct fl_blob_upload *upload, struct fl_err *err)
{
	if (upload->done != upload->expected)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "%llu bytes instead of %llu",
			       (unsigned long long)upload->done, (unsigned long long)upload->expected);
	if (upload->kind == FL_BLOB_TREE)
		return FL_OK; /* every page was checked as it came */
	struct fl_digest root;
	uint64_t size;
	enum fl_rc rc = fl_tree_builder_finish(upload->builder, &root, &size, NULL, err);
	if (rc == FL_OK && (!fl_digest_equal(&root, &upload->root) || size != upload->size))
		rc = fl_fail(err, FL_E_CHUNK_MISMATCH, 0, "the bytes have another root");
	return rc;
}

static enum fl_rc sync_folder(const char *folder, struct fl_err *err)
{
	FL_AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "flush '%s'", folder);
	return FL_OK;
}

static enum fl_rc upload_keep(struct fl_blob_upload *upload, struct fl_err *err)
{
	enum fl_rc rc = check_whole(upload, err);
	if (rc != FL_OK)
		return rc;
	char path[PATH_MAX], folder[PATH_MAX];
	path_of(upload->files, upload->kind, &upload->root, path);
	folder_of(upload->files, upload->kind, folder);
	if (fchmod(upload->fd, 0644) != 0 || fsync(upload->fd) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "flush '%s'", upload->temporary);
	if (rename(upload->temporary, path) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "rename to '%s'", path);
	upload->temporary[0] = '\0';
	return sync_folder(folder, err);
}

static bool is_old(int folder, const char *name, uint64_t before_s)
{
	struct stat st;
	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_mtime >= 0 && (uint64_t)st.st_mtime < before_s;
}

static enum fl_rc sweep_folder(const struct files *files, enum fl_blob_kind kind,
			       const struct fl_blob_sweep *sweep, uint64_t *removed, struct fl_err *err)
{
	char path[PATH_MAX];
	folder_of(files, kind, path);
	DIR *dir = opendir(path);
	if (dir == NULL)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "read '%s'", path);
	for (const struct dirent *e = readdir(dir); e != NULL && *removed < sweep->max; e = readdir(dir)) {
		struct fl_digest root;
		if (fl_hex_decode(e->d_name, strlen(e->d_name), root.b, sizeof(root.b)) &&
		    is_old(dirfd(dir), e->d_name, sweep->before_s) && !sweep->used(sweep->ctx, &root) &&
		    unlinkat(dirfd(dir), e->d_name, 0) == 0)
			++*removed;
	}
	closedir(dir);
	return FL_OK;
}

static enum fl_rc sweep_unused(void *self, const struct fl_blob_sweep *sweep, uint64_t *removed,
			       struct fl_err *err)
{
	uint64_t n = 0;
	enum fl_rc rc = sweep_folder(self, FL_BLOB_PAYLOAD, sweep, &n, err);
	if (rc == FL_OK)
		rc = sweep_folder(self, FL_BLOB_TREE, sweep, &n, err);
	*removed = n;
	return rc;
}

static void close_files(void *self)
{
	free(self);
}

static const struct fl_blob_ops files_ops = {
	has, open_blob, upload_new, upload_add, upload_keep, upload_free, sweep_unused, close_files,
};

/* What a crash left in tmp/. */
static enum fl_rc sweep(const struct files *files, struct fl_err *err)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%s/tmp", files->dir);
	DIR *dir = opendir(folder);
	if (dir == NULL)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "read '%s'", folder);
	for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
		if (e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	closedir(dir);
	return FL_OK;
}

enum fl_rc fl_blob_open_files(const char *dir, struct fl_blob *ret, struct fl_err *err)
{
	struct files *files = calloc(1, sizeof(*files));
	if (files == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "blobs");
	int n = snprintf(files->dir, sizeof(files->dir), "%s", dir);
	enum fl_rc rc = FL_OK;
	if (n < 0 || (size_t)n >= sizeof(files->dir))
		rc = fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", dir);
	char folder[PATH_MAX];
	for (int kind = FL_BLOB_PAYLOAD; kind <= FL_BLOB_TREE && rc == FL_OK; kind++) {
		folder_of(files, (enum fl_blob_kind)kind, folder);
		rc = fl_dir_make(folder, 0755, err);
	}
	if (rc == FL_OK) {
		snprintf(folder, sizeof(folder), "%s/tmp", files->dir);
		rc = fl_dir_make(folder, 0700, err);
	}
	if (rc == FL_OK)
		rc = sweep(files, err);
	if (rc != FL_OK) {
		free(files);
		return rc;
	}
	*ret = (struct fl_blob){&files_ops, files};
	return FL_OK;
}
