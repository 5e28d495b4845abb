/* SPDX-License-Identifier: Apache-2.0 */
/* The three hashes of sha256-wide1, told apart by their first byte: leaf, page, root. */
#ifndef FAIRLEAD_TRUST_SRC_TREE_HASH_H
#define FAIRLEAD_TRUST_SRC_TREE_HASH_H

#include <fairlead/trust/tree.h>

enum fl_rc fl_tree_hash_leaf(uint64_t index, const void *data, uint32_t len, struct fl_digest *ret,
			     struct fl_err *err) FL_CHECKED;
/* level: 1 or 2; index: of the page within its level. */
enum fl_rc fl_tree_hash_page(uint8_t level, uint64_t index, const void *page, uint32_t len,
			     struct fl_digest *ret, struct fl_err *err) FL_CHECKED;
/* The root of content of that size whose top page has the hash `top`. */
enum fl_rc fl_tree_hash_root(uint64_t size, const struct fl_digest *top, struct fl_digest *ret,
			     struct fl_err *err) FL_CHECKED;
/* 1: the top page holds the leaves; 2: it holds the hashes of level-1 pages. */
uint8_t fl_tree_levels(const struct fl_tree_shape *shape);

#endif
