/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks create: an image → its small frames and their index in DIR/blobs, DIR/trees. Nothing is
 * kept that wasn't unpacked and found to be the image.
 */
#include "commands.h"
#include "content.h"
#include "output.h"

#include <fairlead/base/file.h>
#include <fairlead/blocks/create.h>
#include <fairlead/trust/digest.h>
#include <fairlead/trust/tree.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LEVEL_DEFAULT 19

struct report {
	struct fl_digest installed, blocks, index;
	uint64_t image_size, blocks_size, index_size, frame;
};

static const struct fl_field report_fields[] = {
	FL_REQ(struct report, image_size, U64, FL_U53_MAX, NULL, "bytes of the image"),
	FL_REQ(struct report, installed, DIGEST, 0, NULL, "tree of the image"),
	FL_REQ(struct report, blocks_size, U64, FL_U53_MAX, NULL, "bytes of all frames"),
	FL_REQ(struct report, blocks, DIGEST, 0, NULL, "tree of the frames"),
	FL_REQ(struct report, index_size, U64, FL_U53_MAX, NULL, "bytes of the block index"),
	FL_REQ(struct report, index, DIGEST, 0, NULL, "tree of the block index"),
	FL_REQ(struct report, frame, U64, FL_U53_MAX, NULL, "bytes of image per frame"),
};
static const struct fl_schema report_schema =
	FL_SCHEMA("blocks", struct report, report_fields, "blocks and their index");

/* ---- the check ---- */

static enum fl_rc unpack_frame(struct fl_blocks_index *index, int blocks, uint32_t k,
			       struct fl_tree_builder *builder, struct fl_err *err)
{
	uint8_t packed[2 * FL_BLOCKS_FRAME_MAX], out[FL_BLOCKS_FRAME_MAX];
	struct fl_blocks_frame frame;
	enum fl_rc rc = fl_blocks_index_frame(index, k, &frame, err);
	if (rc != FL_OK)
		return rc;
	if (frame.length > sizeof(packed))
		return fl_fail(err, FL_E_FORMAT, 0, "frame %u of %u bytes", k, frame.length);
	rc = fl_pread_all(blocks, packed, frame.length, frame.offset, err);
	if (rc == FL_OK)
		rc = fl_blocks_decode(index, k, packed, frame.length, out, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_add(builder, out, frame.image_len, err);
	return rc;
}

static enum fl_rc unpack(struct fl_blocks_index *index, int blocks, struct fl_tools_ref *ret,
			 struct fl_err *err)
{
	struct fl_tree_builder *builder = NULL;
	enum fl_rc rc = fl_tree_builder_new(&builder, err);
	for (uint32_t k = 0; rc == FL_OK && k < fl_blocks_index_frames(index); k++)
		rc = unpack_frame(index, blocks, k, builder, err);
	if (rc == FL_OK)
		rc = fl_tree_builder_finish(builder, &ret->root, &ret->size, NULL, err);
	fl_tree_builder_free(builder);
	return rc;
}

/* Do all frames together yield the image? */
static enum fl_rc check(int blocks, int index_fd, const struct fl_blocks_claim *claim,
			const struct fl_digest *image, struct fl_err *err)
{
	const struct fl_blocks_input input = {fl_blocks_read_fd, &index_fd};
	struct fl_blocks_index *index = NULL;
	struct fl_tools_ref found;
	enum fl_rc rc = fl_blocks_index_open(claim, &input, &index, err);
	if (rc == FL_OK)
		rc = unpack(index, blocks, &found, err);
	if (rc == FL_OK && !fl_digest_equal(&found.root, image))
		rc = fl_fail(err, FL_E_INTERNAL, 0, "they yield another image");
	fl_blocks_index_free(index);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "check");
}

/* ---- making ---- */

static enum fl_rc copy(int from, int to, uint64_t len, struct fl_err *err)
{
	uint8_t block[65536];
	enum fl_rc rc = FL_OK;
	for (uint64_t at = 0; rc == FL_OK && at < len; at += sizeof(block)) {
		const size_t n = len - at < sizeof(block) ? (size_t)(len - at) : sizeof(block);
		rc = fl_pread_all(from, block, n, at, err);
		if (rc == FL_OK)
			rc = fl_pwrite_all(to, block, n, at, err);
	}
	return rc;
}

static enum fl_rc keep_index(const char *dir, int index, uint64_t len, struct fl_tools_ref *ret,
			     struct fl_err *err)
{
	FL_AUTO_FD fd = -1;
	enum fl_rc rc = fl_tools_blob_begin(dir, &fd, err);
	if (rc != FL_OK)
		return rc;
	rc = copy(index, fd, len, err);
	return rc == FL_OK ? fl_tools_blob_keep(dir, fd, ret, err) : rc;
}

static enum fl_rc keep_both(const char *dir, int image, int index,
			    const struct fl_blocks_options *options, struct report *r,
			    struct fl_err *err)
{
	FL_AUTO_FD blocks = -1;
	struct fl_blocks_claim claim;
	struct fl_tools_ref ref;
	enum fl_rc rc = fl_tools_blob_begin(dir, &blocks, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_blocks_create(image, blocks, index, options, &claim, err);
	if (rc == FL_OK)
		rc = check(blocks, index, &claim, &r->installed, err);
	if (rc == FL_OK)
		rc = fl_tools_blob_keep(dir, blocks, &ref, err);
	if (rc != FL_OK)
		return rc;
	r->blocks = ref.root;
	r->blocks_size = ref.size;
	r->frame = claim.frame_size;
	rc = keep_index(dir, index, claim.index_size, &ref, err);
	r->index = ref.root;
	r->index_size = ref.size;
	return rc;
}

static enum fl_rc make(const char *dir, const char *path, const struct fl_blocks_options *options,
		       struct report *r, struct fl_err *err)
{
	struct fl_tools_ref ref;
	FL_AUTO_FD image = open(path, O_RDONLY | O_CLOEXEC);
	if (image < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "image '%s'", path);
	enum fl_rc rc = fl_tools_content_make_dirs(dir, err);
	if (rc != FL_OK)
		return rc;
	FL_AUTO_FD index = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (index < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "temporary file in '%s'", dir);
	rc = fl_tools_tree_of(image, &ref, NULL, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "image '%s'", path);
	r->installed = ref.root;
	r->image_size = ref.size;
	rc = keep_both(dir, image, index, options, r, err);
	if (rc != FL_OK)
		fl_tools_blob_drop(dir);
	return rc;
}

static enum fl_rc print(const struct fl_tools_call *call, const struct report *r,
			struct fl_err *err)
{
	char text[FL_DIGEST_TEXT_SIZE];
	if (call->json)
		return fl_tools_json(call->out, &report_schema, r, err);
	fl_digest_format(&r->installed, text);
	(void)fprintf(call->out, "image   %llu bytes, %s\n", (unsigned long long)r->image_size,
		      text);
	fl_digest_format(&r->blocks, text);
	(void)fprintf(call->out, "blocks  %llu bytes, %s\n", (unsigned long long)r->blocks_size,
		      text);
	fl_digest_format(&r->index, text);
	(void)fprintf(call->out, "index   %llu bytes, %s\n", (unsigned long long)r->index_size,
		      text);
	return FL_OK;
}

enum fl_rc fl_tools_blocks_create(struct fl_tools_call *call, struct fl_err *err)
{
	struct report r = {0};
	uint64_t level = LEVEL_DEFAULT, frame = FL_BLOCKS_FRAME_DEFAULT;
	enum fl_rc rc = fl_tools_u64(call, "level", 1, 22, &level, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(call, "frame", FL_BLOCKS_BLOCK_SIZE, FL_BLOCKS_FRAME_MAX, &frame,
				  err);
	const struct fl_blocks_options options = {
		.frame_size = (uint32_t)frame, .level = (int)level, .workers = fl_tools_workers()};
	if (rc == FL_OK)
		rc = make(fl_tools_opt(call, "output", NULL), call->args[0], &options, &r, err);
	return rc == FL_OK ? print(call, &r, err) : fl_wrap(err, rc, "create blocks");
}
