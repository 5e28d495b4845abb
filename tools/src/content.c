/* SPDX-License-Identifier: Apache-2.0 */
#include "content.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/base/file.h>
#include <fairlead/trust/tree.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ALG	    "sha256-wide1"
#define BLOCK	    ((size_t)1 << 20)
#define WORKERS_MAX 16

const char *fl_tools_content_name(enum fl_tools_content content)
{
	return content == FL_TOOLS_BLOB ? "blobs" : "trees";
}

enum fl_rc fl_tools_content_path(const char *dir, enum fl_tools_content content,
				 const struct fl_digest *root, char out[FL_TOOLS_PATH_MAX],
				 struct fl_err *err)
{
	char hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(root->b, sizeof(root->b), hex);
	int n = snprintf(out, FL_TOOLS_PATH_MAX, "%s/%s/" ALG "/%s", dir,
			 fl_tools_content_name(content), hex);
	if (n < 0 || n >= FL_TOOLS_PATH_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", dir);
	return FL_OK;
}

enum fl_rc fl_tools_content_make_dirs(const char *dir, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), dir, "blobs/" ALG, err);
	if (rc == FL_OK)
		rc = fl_dir_make(path, 0755, err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), dir, "trees/" ALG, err);
	return rc == FL_OK ? fl_dir_make(path, 0755, err) : rc;
}

/* Adds all of fd to the builder through a block of BLOCK bytes. */
static enum fl_rc add_all(int fd, struct fl_tree_builder *builder, uint8_t *block,
			  struct fl_err *err)
{
	off_t at = 0;
	for (;;) {
		ssize_t n = pread(fd, block, BLOCK, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail(err, FL_E_IO, errno, "read");
		if (n == 0)
			return FL_OK;
		enum fl_rc rc = fl_tree_builder_add(builder, block, (size_t)n, err);
		if (rc != FL_OK)
			return rc;
		at += n;
	}
}

enum fl_rc fl_tools_tree_of(int fd, struct fl_tools_ref *ret, struct fl_buf *object,
			    struct fl_err *err)
{
	struct fl_tree_builder *builder = NULL;
	enum fl_rc rc = fl_tree_builder_new(&builder, err);
	if (rc != FL_OK)
		return rc;
	uint8_t *block = malloc(BLOCK);
	rc = block == NULL ? fl_fail(err, FL_E_NO_MEMORY, 0, "block")
			   : add_all(fd, builder, block, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_finish(builder, &ret->root, &ret->size, object, err);
	free(block);
	fl_tree_builder_free(builder);
	return rc;
}

/* The tree of a whole file, kept in dir. */
static enum fl_rc add_tree(const char *dir, int fd, struct fl_tools_ref *ret, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	struct fl_buf object = FL_BUF(FL_TOOLS_OBJECT_MAX);
	enum fl_rc rc = fl_tools_tree_of(fd, ret, &object, err);
	if (rc == FL_OK)
		rc = fl_tools_content_path(dir, FL_TOOLS_TREE, &ret->root, path, err);
	if (rc == FL_OK)
		rc = fl_file_replace(path, object.data, object.len, 0644, err);
	fl_buf_free(&object);
	return rc;
}

unsigned fl_tools_workers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

static enum fl_rc half_path(const char *dir, char out[FL_TOOLS_PATH_MAX], struct fl_err *err)
{
	return fl_path_join(out, FL_TOOLS_PATH_MAX, dir, "blobs/" ALG "/.packing", err);
}

enum fl_rc fl_tools_blob_begin(const char *dir, int *ret, struct fl_err *err)
{
	char half[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = half_path(dir, half, err);
	if (rc != FL_OK)
		return rc;
	int fd = open(half, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "create '%s'", half);
	*ret = fd;
	return FL_OK;
}

enum fl_rc fl_tools_blob_keep(const char *dir, int fd, struct fl_tools_ref *ret, struct fl_err *err)
{
	char half[FL_TOOLS_PATH_MAX], path[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = half_path(dir, half, err);
	if (rc == FL_OK)
		rc = add_tree(dir, fd, ret, err);
	if (rc == FL_OK)
		rc = fl_tools_content_path(dir, FL_TOOLS_BLOB, &ret->root, path, err);
	if (rc == FL_OK && (fsync(fd) != 0 || rename(half, path) != 0))
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	return rc;
}

void fl_tools_blob_drop(const char *dir)
{
	char half[FL_TOOLS_PATH_MAX];
	if (half_path(dir, half, NULL) == FL_OK)
		(void)unlink(half);
}

static enum fl_rc add_blob(const char *dir, int image, const struct fl_frames_options *options,
			   struct fl_tools_ref *ret, struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	uint64_t size = 0;
	enum fl_rc rc = fl_tools_blob_begin(dir, &fd, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_frames_write(image, fd, options, &size, err);
	if (rc == FL_OK)
		rc = fl_tools_blob_keep(dir, fd, ret, err);
	if (rc != FL_OK)
		fl_tools_blob_drop(dir);
	return rc;
}

enum fl_rc fl_tools_content_pack(const char *dir, const char *image, uint32_t frame_size, int level,
				 struct fl_tools_ref *installed, struct fl_tools_ref *transport,
				 struct fl_err *err)
{
	FL_AUTO_FD fd = open(image, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "image '%s'", image);
	const struct fl_frames_options options = {frame_size, level, fl_tools_workers()};
	enum fl_rc rc = add_tree(dir, fd, installed, err);
	if (rc == FL_OK)
		rc = add_blob(dir, fd, &options, transport, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "pack '%s'", image);
}
