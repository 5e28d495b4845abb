/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a release claims of its content, computed anew from the bytes. */
#include "content.h"

#include <fairlead/artifact/frames.h>
#include <fairlead/base/file.h>
#include <fairlead/trust/tree.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static enum fl_rc open_content(const char *dir, enum fl_tools_content content,
			       const struct fl_digest *root, int *ret, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = fl_tools_content_path(dir, content, root, path, err);
	if (rc != FL_OK)
		return rc;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	*ret = fd;
	return FL_OK;
}

static enum fl_rc compare(const struct fl_tools_ref *found, const struct fl_digest *root,
			  uint64_t size, struct fl_err *err)
{
	if (found->size != size)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "%llu bytes, not %llu",
			       (unsigned long long)found->size, (unsigned long long)size);
	if (!fl_digest_equal(&found->root, root))
		return fl_fail(err, FL_E_CHUNK_MISMATCH, 0, "its bytes have another digest");
	return FL_OK;
}

/* Does the tree object that is kept for that root equal the computed one? */
static enum fl_rc compare_object(const char *dir, const struct fl_digest *root,
				 const struct fl_buf *computed, struct fl_err *err)
{
	struct fl_buf kept = FL_BUF(FL_TOOLS_OBJECT_MAX);
	FL_AUTO_FD fd = -1;
	enum fl_rc rc = open_content(dir, FL_TOOLS_TREE, root, &fd, err);
	if (rc == FL_OK)
		rc = fl_file_read_fd(fd, &kept, err);
	if (rc == FL_OK &&
	    (kept.len != computed->len || memcmp(kept.data, computed->data, kept.len) != 0))
		rc = fl_fail(err, FL_E_CHUNK_MISMATCH, 0,
			     "its tree object is not the computed one");
	fl_buf_free(&kept);
	return rc;
}

static enum fl_rc check_transport(const char *dir, int blob, const struct fl_artifact *artifact,
				  struct fl_err *err)
{
	struct fl_tools_ref found;
	struct fl_buf object = FL_BUF(FL_TOOLS_OBJECT_MAX);
	enum fl_rc rc = fl_tools_tree_of(blob, &found, &object, err);
	if (rc == FL_OK)
		rc = compare(&found, &artifact->tree->root, artifact->size, err);
	if (rc == FL_OK)
		rc = compare_object(dir, &artifact->tree->root, &object, err);
	fl_buf_free(&object);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "transport");
}

/* What one pass over the frames needs. */
struct unpacking {
	int blob;
	struct fl_frames *frames;
	struct fl_frames_decoder *decoder;
	struct fl_tree_builder *builder;
	uint8_t *in, *out;
};

static void unpacking_done(struct unpacking *u)
{
	fl_frames_free(u->frames);
	fl_frames_decoder_free(u->decoder);
	fl_tree_builder_free(u->builder);
	free(u->in);
	free(u->out);
}

static enum fl_rc unpacking_init(struct unpacking *u, const struct fl_frames_claim *claim,
				 struct fl_err *err)
{
	enum fl_rc rc = fl_frames_new(claim, &u->frames, err);
	if (rc == FL_OK)
		rc = fl_frames_decoder_new(&u->decoder, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_new(&u->builder, err);
	if (rc != FL_OK)
		return rc;
	u->in = malloc(fl_frames_length_max(claim->frame_size));
	u->out = malloc(claim->frame_size);
	if (u->in == NULL || u->out == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "frame of %u bytes", claim->frame_size);
	return FL_OK;
}

static enum fl_rc read_table(struct unpacking *u, struct fl_err *err)
{
	uint8_t block[4096];
	uint64_t left = fl_frames_table_size(u->frames);
	enum fl_rc rc = FL_OK;
	for (uint64_t at = 0; rc == FL_OK && left > 0;) {
		size_t n = left < sizeof(block) ? (size_t)left : sizeof(block);
		rc = fl_pread_all(u->blob, block, n, at, err);
		if (rc == FL_OK)
			rc = fl_frames_feed(u->frames, block, n, err);
		at += n;
		left -= n;
	}
	return rc;
}

static enum fl_rc unpack_frame(struct unpacking *u, uint32_t k, struct fl_err *err)
{
	uint64_t offset = 0;
	uint32_t length = 0;
	fl_frames_locate(u->frames, k, &offset, &length);
	uint32_t image_len = fl_frames_image_len(u->frames, k);
	enum fl_rc rc = fl_pread_all(u->blob, u->in, length, offset, err);
	if (rc == FL_OK)
		rc = fl_frames_decode(u->decoder, u->in, length, u->out, image_len, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_add(u->builder, u->out, image_len, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "frame %u", k);
}

static enum fl_rc unpack(struct unpacking *u, struct fl_tools_ref *ret, struct fl_buf *object,
			 struct fl_err *err)
{
	enum fl_rc rc = read_table(u, err);
	if (rc == FL_OK && !fl_frames_complete(u->frames))
		rc = fl_fail(err, FL_E_FORMAT, 0, "the table of frames is not sound");
	for (uint32_t k = 0; rc == FL_OK && k < fl_frames_count(u->frames); k++)
		rc = unpack_frame(u, k, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_finish(u->builder, &ret->root, &ret->size, object, err);
	return rc;
}

static enum fl_rc check_installed(const char *dir, int blob, const struct fl_artifact *artifact,
				  const struct fl_installed_ref *installed, struct fl_err *err)
{
	const struct fl_frames_claim claim = {installed->size, artifact->size,
					      (uint32_t)artifact->frame};
	struct unpacking u = {.blob = blob};
	struct fl_tools_ref found = {0};
	struct fl_buf object = FL_BUF(FL_TOOLS_OBJECT_MAX);
	enum fl_rc rc = unpacking_init(&u, &claim, err);
	if (rc == FL_OK)
		rc = unpack(&u, &found, &object, err);
	if (rc == FL_OK)
		rc = compare(&found, &installed->tree->root, installed->size, err);
	if (rc == FL_OK)
		rc = compare_object(dir, &installed->tree->root, &object, err);
	unpacking_done(&u);
	fl_buf_free(&object);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "installed");
}

/* The image that the frames make is the installed one. Of another format only its decoder can tell, on what it needs. */
static enum fl_rc check_frames(const char *dir, int blob, const struct fl_artifact *artifact,
			       const struct fl_installed_ref *installed, struct fl_err *err)
{
	if (strcmp(artifact->format, FL_FRAMES_FORMAT) != 0)
		return FL_OK;
	if (artifact->frame == 0 || artifact->frame > FL_FRAMES_SIZE_MAX)
		return fl_fail(err, FL_E_FORMAT, 0, "frames of %llu bytes",
			       (unsigned long long)artifact->frame);
	return check_installed(dir, blob, artifact, installed, err);
}

enum fl_rc fl_tools_content_check(const char *dir, const struct fl_artifact *artifact,
				  const struct fl_installed_ref *installed, struct fl_err *err)
{
	FL_AUTO_FD blob = -1;
	enum fl_rc rc = open_content(dir, FL_TOOLS_BLOB, &artifact->tree->root, &blob, err);
	if (rc == FL_OK)
		rc = check_transport(dir, blob, artifact, err);
	return rc == FL_OK ? check_frames(dir, blob, artifact, installed, err) : rc;
}
