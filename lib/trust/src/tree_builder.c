/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the tree of a stream. It keeps the hash of every chunk (32 bytes in 65,536) because the
 * tree object may be asked for at the end. A chunk is held back until its length is known, since
 * the length stands in front of what is hashed; whole chunks of the input are hashed where they
 * lie.
 */
#include "tree_hash.h"

#include <fairlead/base/buf.h>

#include <stdlib.h>
#include <string.h>

#define LEAVES_MAX ((size_t)(FL_TREE_SIZE_MAX / FL_CHUNK_SIZE * FL_DIGEST_SIZE))

struct fl_tree_builder {
	uint64_t size;
	uint64_t n_leaves;
	struct fl_buf leaves; /* their hashes */
	size_t held;
	uint8_t chunk[FL_CHUNK_SIZE];
};

enum fl_rc fl_tree_builder_new(struct fl_tree_builder **ret, struct fl_err *err)
{
	struct fl_tree_builder *builder = malloc(sizeof(*builder));
	if (builder == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "hash tree");
	builder->size = 0;
	builder->n_leaves = 0;
	builder->leaves = FL_BUF(LEAVES_MAX);
	builder->held = 0;
	*ret = builder;
	return FL_OK;
}

void fl_tree_builder_free(struct fl_tree_builder *builder)
{
	if (builder == NULL)
		return;
	fl_buf_free(&builder->leaves);
	free(builder);
}

static enum fl_rc add_leaf(struct fl_tree_builder *builder, const void *data, size_t len,
			   struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = fl_tree_hash_leaf(builder->n_leaves, data, (uint32_t)len, &digest, err);
	if (rc == FL_OK)
		rc = fl_buf_append(&builder->leaves, digest.b, sizeof(digest.b), err);
	if (rc == FL_OK)
		builder->n_leaves++;
	return rc;
}

/* Takes what fills the held chunk; a full one becomes a leaf. */
static enum fl_rc fill(struct fl_tree_builder *builder, const uint8_t **p, size_t *len,
		       struct fl_err *err)
{
	size_t n = FL_CHUNK_SIZE - builder->held;
	if (n > *len)
		n = *len;
	memcpy(builder->chunk + builder->held, *p, n);
	builder->held += n;
	*p += n;
	*len -= n;
	if (builder->held < FL_CHUNK_SIZE)
		return FL_OK;
	builder->held = 0;
	return add_leaf(builder, builder->chunk, FL_CHUNK_SIZE, err);
}

enum fl_rc fl_tree_builder_add(struct fl_tree_builder *builder, const void *data, size_t len,
			       struct fl_err *err)
{
	const uint8_t *p = data;
	if (len > FL_TREE_SIZE_MAX || builder->size > FL_TREE_SIZE_MAX - len)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "content of more than 256 GiB");
	builder->size += len;
	enum fl_rc rc = FL_OK;
	while (rc == FL_OK && len > 0) {
		if (builder->held > 0 || len < FL_CHUNK_SIZE) {
			rc = fill(builder, &p, &len, err);
			continue;
		}
		rc = add_leaf(builder, p, FL_CHUNK_SIZE, err);
		p += FL_CHUNK_SIZE;
		len -= FL_CHUNK_SIZE;
	}
	return rc;
}

/* The top page of a tree with two levels: the hashes of its level-1 pages. */
static enum fl_rc build_top(const struct fl_tree_builder *builder,
			    const struct fl_tree_shape *shape, struct fl_buf *top,
			    struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (uint64_t page = 1; rc == FL_OK && page < shape->n_pages; page++) {
		const uint8_t *leaves = builder->leaves.data + (page - 1) * FL_CHUNK_SIZE;
		struct fl_digest digest;
		rc = fl_tree_hash_page(1, page - 1, leaves, fl_tree_page_len(shape, page), &digest,
				       err);
		if (rc == FL_OK)
			rc = fl_buf_append(top, digest.b, sizeof(digest.b), err);
	}
	return rc;
}

static enum fl_rc finish(struct fl_tree_builder *builder, struct fl_buf *top,
			 struct fl_digest *root, struct fl_err *err)
{
	struct fl_tree_shape shape;
	enum fl_rc rc = fl_tree_shape(builder->size, &shape, err);
	if (rc == FL_OK && builder->n_leaves < shape.n_chunks)
		rc = add_leaf(builder, builder->chunk, builder->held, err);
	if (rc == FL_OK && shape.n_pages > 1)
		rc = build_top(builder, &shape, top, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_buf *page = shape.n_pages > 1 ? top : &builder->leaves;
	struct fl_digest digest;
	rc = fl_tree_hash_page(fl_tree_levels(&shape), 0, page->data, (uint32_t)page->len, &digest,
			       err);
	return rc == FL_OK ? fl_tree_hash_root(shape.size, &digest, root, err) : rc;
}

enum fl_rc fl_tree_builder_finish(struct fl_tree_builder *builder, struct fl_digest *root,
				  uint64_t *size, struct fl_buf *object, struct fl_err *err)
{
	struct fl_buf top = FL_BUF(FL_CHUNK_SIZE);
	struct fl_digest digest;
	enum fl_rc rc = finish(builder, &top, &digest, err);
	if (rc == FL_OK && object != NULL)
		rc = fl_buf_reserve(object, top.len + builder->leaves.len, err);
	if (rc == FL_OK && object != NULL)
		rc = fl_buf_append(object, top.data, top.len, err);
	if (rc == FL_OK && object != NULL)
		rc = fl_buf_append(object, builder->leaves.data, builder->leaves.len, err);
	if (rc == FL_OK) {
		*root = digest;
		*size = builder->size;
	}
	fl_buf_free(&top);
	return rc;
}
