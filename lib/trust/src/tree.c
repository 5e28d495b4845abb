/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash tree sha256-wide1:
 *
 *                         root = H(chunk size, size, top)
 *                          │
 *   page 0                top page                        (levels: 1, or 2 past 2,048 chunks)
 *                       ┌──┴──────────┐
 *   page 1…            page           page                level 1
 *                    ┌──┴──┐        ┌──┴──┐
 *   chunks           0 … 2047    2048 … 4095
 *
 * The verifier holds the top page and one level-1 page, each checked before it is kept.
 */
#include "tree_hash.h"

#include <fairlead/trust/digest.h>

#include <stdlib.h>
#include <string.h>

enum { TAG_LEAF = 0, TAG_PAGE = 1, TAG_ROOT = 2 };

#define HEAD_SIZE 14 /* tag ‖ level ‖ u64be index ‖ u32be len */

static void put_be(uint8_t *out, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static enum fl_rc hash(uint8_t tag, uint8_t level, uint64_t index, const void *data, uint32_t len,
		       struct fl_digest *ret, struct fl_err *err)
{
	uint8_t head[HEAD_SIZE] = {tag, level};
	put_be(head + 2, index, 8);
	put_be(head + 10, len, 4);
	return fl_sha256(head, sizeof(head), data, len, ret, err);
}

enum fl_rc fl_tree_hash_leaf(uint64_t index, const void *data, uint32_t len, struct fl_digest *ret,
			     struct fl_err *err)
{
	return hash(TAG_LEAF, 0, index, data, len, ret, err);
}

enum fl_rc fl_tree_hash_page(uint8_t level, uint64_t index, const void *page, uint32_t len,
			     struct fl_digest *ret, struct fl_err *err)
{
	return hash(TAG_PAGE, level, index, page, len, ret, err);
}

enum fl_rc fl_tree_hash_root(uint64_t size, const struct fl_digest *top, struct fl_digest *ret,
			     struct fl_err *err)
{
	uint8_t body[4 + 8 + FL_DIGEST_SIZE];
	put_be(body, FL_CHUNK_SIZE, 4);
	put_be(body + 4, size, 8);
	memcpy(body + 12, top->b, FL_DIGEST_SIZE);
	return hash(TAG_ROOT, 0, 0, body, sizeof(body), ret, err);
}

enum fl_rc fl_tree_shape(uint64_t size, struct fl_tree_shape *ret, struct fl_err *err)
{
	if (size > FL_TREE_SIZE_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "content of more than 256 GiB");
	uint64_t chunks = size == 0 ? 1 : (size + FL_CHUNK_SIZE - 1) / FL_CHUNK_SIZE;
	uint64_t pages = (chunks + FL_TREE_FANOUT - 1) / FL_TREE_FANOUT;
	struct fl_tree_shape shape = {.size = size, .n_chunks = chunks, .n_pages = 1};
	shape.object_len = chunks * FL_DIGEST_SIZE;
	if (pages > 1) {
		shape.n_pages += pages;
		shape.object_len += pages * FL_DIGEST_SIZE;
	}
	*ret = shape;
	return FL_OK;
}

uint8_t fl_tree_levels(const struct fl_tree_shape *shape)
{
	return shape->n_pages == 1 ? 1 : 2;
}

uint32_t fl_tree_chunk_len(const struct fl_tree_shape *shape, uint64_t chunk)
{
	FL_BUG_ON(chunk >= shape->n_chunks);
	uint64_t left = shape->size - chunk * FL_CHUNK_SIZE;
	return left < FL_CHUNK_SIZE ? (uint32_t)left : FL_CHUNK_SIZE;
}

/* Hashes of the whole level that page belongs to, in bytes. */
static uint64_t level_len(const struct fl_tree_shape *shape, uint64_t page)
{
	bool leaves = shape->n_pages == 1 || page > 0;
	return (leaves ? shape->n_chunks : shape->n_pages - 1) * FL_DIGEST_SIZE;
}

uint64_t fl_tree_page_offset(const struct fl_tree_shape *shape, uint64_t page)
{
	FL_BUG_ON(page >= shape->n_pages);
	return page == 0 ? 0 : level_len(shape, 0) + (page - 1) * FL_CHUNK_SIZE;
}

uint32_t fl_tree_page_len(const struct fl_tree_shape *shape, uint64_t page)
{
	FL_BUG_ON(page >= shape->n_pages);
	uint64_t left = level_len(shape, page) - (page == 0 ? 0 : (page - 1) * FL_CHUNK_SIZE);
	return left < FL_CHUNK_SIZE ? (uint32_t)left : FL_CHUNK_SIZE;
}

uint64_t fl_tree_page_of_chunk(const struct fl_tree_shape *shape, uint64_t chunk)
{
	return shape->n_pages == 1 ? 0 : 1 + chunk / FL_TREE_FANOUT;
}

struct fl_tree {
	struct fl_tree_shape shape;
	struct fl_digest root;
	bool has_top;
	uint64_t page; /* the level-1 page held; 0: none */
	uint8_t *top;  /* within data */
	uint8_t *leaves;
	uint8_t data[];
};

enum fl_rc fl_tree_new(uint64_t size, const struct fl_digest *root, struct fl_tree **ret,
		       struct fl_err *err)
{
	struct fl_tree_shape shape;
	enum fl_rc rc = fl_tree_shape(size, &shape, err);
	if (rc != FL_OK)
		return rc;
	size_t top_len = fl_tree_page_len(&shape, 0);
	size_t leaves_len = shape.n_pages > 1 ? FL_CHUNK_SIZE : 0;
	struct fl_tree *tree = calloc(1, sizeof(*tree) + top_len + leaves_len);
	if (tree == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "hash tree");
	tree->shape = shape;
	tree->root = *root;
	tree->top = tree->data;
	tree->leaves = leaves_len > 0 ? tree->data + top_len : tree->top;
	*ret = tree;
	return FL_OK;
}

void fl_tree_free(struct fl_tree *tree)
{
	free(tree);
}

const struct fl_tree_shape *fl_tree_get_shape(const struct fl_tree *tree)
{
	return &tree->shape;
}

bool fl_tree_ready(const struct fl_tree *tree, uint64_t chunk, uint64_t *page)
{
	uint64_t need = fl_tree_page_of_chunk(&tree->shape, chunk);
	if (!tree->has_top)
		need = 0;
	else if (need == tree->page)
		return true;
	*page = need;
	return false;
}

static enum fl_rc mismatch(struct fl_err *err, const char *what, uint64_t index)
{
	return fl_fail(err, FL_E_CHUNK_MISMATCH, 0, "%s %llu is not the signed one", what,
		       (unsigned long long)index);
}

static enum fl_rc put_top(struct fl_tree *tree, const void *data, uint32_t len, struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = fl_tree_hash_page(fl_tree_levels(&tree->shape), 0, data, len, &digest, err);
	if (rc == FL_OK)
		rc = fl_tree_hash_root(tree->shape.size, &digest, &digest, err);
	if (rc != FL_OK)
		return rc;
	if (!fl_digest_equal(&digest, &tree->root))
		return mismatch(err, "tree page", 0);
	memcpy(tree->top, data, len);
	tree->has_top = true;
	return FL_OK;
}

enum fl_rc fl_tree_put_page(struct fl_tree *tree, uint64_t page, const void *data, size_t len,
			    struct fl_err *err)
{
	if (page >= tree->shape.n_pages || len != fl_tree_page_len(&tree->shape, page))
		return mismatch(err, "tree page", page);
	if (page == 0)
		return put_top(tree, data, (uint32_t)len, err);
	if (!tree->has_top)
		return fl_fail(err, FL_E_CHUNK_MISMATCH, 0, "a tree page before the top page");
	struct fl_digest digest;
	enum fl_rc rc = fl_tree_hash_page(1, page - 1, data, (uint32_t)len, &digest, err);
	if (rc != FL_OK)
		return rc;
	if (memcmp(digest.b, tree->top + (page - 1) * FL_DIGEST_SIZE, FL_DIGEST_SIZE) != 0)
		return mismatch(err, "tree page", page);
	memcpy(tree->leaves, data, len);
	tree->page = page;
	return FL_OK;
}

enum fl_rc fl_tree_check(const struct fl_tree *tree, uint64_t chunk, const void *data, size_t len,
			 struct fl_err *err)
{
	uint64_t page = 0;
	if (chunk >= tree->shape.n_chunks || len != fl_tree_chunk_len(&tree->shape, chunk))
		return mismatch(err, "chunk", chunk);
	FL_BUG_ON(!fl_tree_ready(tree, chunk, &page));
	struct fl_digest digest;
	enum fl_rc rc = fl_tree_hash_leaf(chunk, data, (uint32_t)len, &digest, err);
	if (rc != FL_OK)
		return rc;
	const uint8_t *want = tree->leaves + chunk % FL_TREE_FANOUT * FL_DIGEST_SIZE;
	return memcmp(digest.b, want, FL_DIGEST_SIZE) == 0 ? FL_OK : mismatch(err, "chunk", chunk);
}
