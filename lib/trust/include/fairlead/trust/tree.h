/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash tree sha256-wide1 (docs/formats.md, section 4): its shape, a verifier that holds at most one page per
 * level (its memory is flat in the size of the content), and a builder, which keeps 32 bytes per chunk.
 */
#ifndef FAIRLEAD_TRUST_TREE_H
#define FAIRLEAD_TRUST_TREE_H

#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_CHUNK_SIZE	 65536u
#define FL_TREE_FANOUT	 (FL_CHUNK_SIZE / FL_DIGEST_SIZE)
#define FL_TREE_SIZE_MAX (UINT64_C(256) << 30)

/* The shape that follows from the size alone. */
struct fl_tree_shape {
	uint64_t size;
	uint64_t n_chunks;
	uint64_t n_pages;    /* in the tree object: 1, or 1 + level-1 pages */
	uint64_t object_len; /* bytes of the tree object */
};

/* FL_E_TOO_LARGE past FL_TREE_SIZE_MAX. */
enum fl_rc fl_tree_shape(uint64_t size, struct fl_tree_shape *ret, struct fl_err *err) FL_CHECKED;
/* Length of chunk i (the last may be shorter; size 0 has one of length 0). */
uint32_t fl_tree_chunk_len(const struct fl_tree_shape *shape, uint64_t chunk);
/* Place and length of page p (0 = top) in the tree object. */
uint64_t fl_tree_page_offset(const struct fl_tree_shape *shape, uint64_t page);
uint32_t fl_tree_page_len(const struct fl_tree_shape *shape, uint64_t page);
/* The last page that must have been given before chunk i can be checked (0: the top page alone is enough). */
uint64_t fl_tree_page_of_chunk(const struct fl_tree_shape *shape, uint64_t chunk);

struct fl_tree; /* a verifier for one root */

/* *ret: returned owned, free with fl_tree_free. */
enum fl_rc fl_tree_new(uint64_t size, const struct fl_digest *root, struct fl_tree **ret,
		       struct fl_err *err) FL_CHECKED;
void fl_tree_free(struct fl_tree *tree);
const struct fl_tree_shape *fl_tree_get_shape(const struct fl_tree *tree);
/* Is the page that chunk i hangs on loaded? When not, *page is the one to give next: 0 before any other. */
bool fl_tree_ready(const struct fl_tree *tree, uint64_t chunk, uint64_t *page);
/* Checks and keeps a page (a level-1 page replaces the one before). FL_E_CHUNK_MISMATCH. */
enum fl_rc fl_tree_put_page(struct fl_tree *tree, uint64_t page, const void *data, size_t len,
			    struct fl_err *err) FL_CHECKED;
/* Checks chunk i; its page must be loaded (fl_tree_ready), which is a bug otherwise. FL_E_CHUNK_MISMATCH. */
enum fl_rc fl_tree_check(const struct fl_tree *tree, uint64_t chunk, const void *data, size_t len,
			 struct fl_err *err) FL_CHECKED;

/* Builds the tree of a stream. */
struct fl_tree_builder;

enum fl_rc fl_tree_builder_new(struct fl_tree_builder **ret, struct fl_err *err) FL_CHECKED;
void fl_tree_builder_free(struct fl_tree_builder *builder);
/* The next bytes, any length. */
enum fl_rc fl_tree_builder_add(struct fl_tree_builder *builder, const void *data, size_t len,
			       struct fl_err *err) FL_CHECKED;
/* Ends the stream: the root, the size, and (object may be NULL) the tree object appended to *object. */
enum fl_rc fl_tree_builder_finish(struct fl_tree_builder *builder, struct fl_digest *root,
				  uint64_t *size, struct fl_buf *object, struct fl_err *err)
	FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
