/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of an object's items (enum fl_ipc_object: pages of a tree, or chunks) means in bytes. */
#include "fetch.h"

struct fl_pages *fl_fetch_pages(struct fl_fetch *f, uint64_t object)
{
	return &f->pages[object == FL_OBJECT_INSTALLED_TREE ? FL_OBJECT_INSTALLED_TREE
							    : FL_OBJECT_TRANSPORT_TREE];
}

static const struct fl_tree_shape *shape_of(struct fl_fetch *f, uint64_t object)
{
	return fl_tree_get_shape(fl_fetch_pages(f, object)->tree);
}

uint64_t fl_fetch_item_offset(struct fl_fetch *f, uint64_t object, uint64_t index)
{
	return object == FL_OBJECT_TRANSPORT ? index * FL_CHUNK_SIZE
					     : fl_tree_page_offset(shape_of(f, object), index);
}

uint32_t fl_fetch_item_len(struct fl_fetch *f, uint64_t object, uint64_t index)
{
	return object == FL_OBJECT_TRANSPORT ? fl_tree_chunk_len(shape_of(f, object), index)
					     : fl_tree_page_len(shape_of(f, object), index);
}

uint64_t fl_fetch_item_count(struct fl_fetch *f, uint64_t object)
{
	const struct fl_tree_shape *shape = shape_of(f, object);
	return object == FL_OBJECT_TRANSPORT ? shape->n_chunks : shape->n_pages;
}
