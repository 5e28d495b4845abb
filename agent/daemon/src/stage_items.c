/* SPDX-License-Identifier: Apache-2.0 */
/* What a runner's need means in bytes of an object. */
#include "stage.h"

struct fl_pages *fl_stage_pages(struct fl_stage *s, uint64_t object)
{
	return &s->pages[object == FL_OBJECT_INSTALLED_TREE ? FL_OBJECT_INSTALLED_TREE
							    : FL_OBJECT_TRANSPORT_TREE];
}

static const struct fl_tree_shape *shape_of(struct fl_stage *s, uint64_t object)
{
	return fl_tree_get_shape(fl_stage_pages(s, object)->tree);
}

uint64_t fl_stage_item_offset(struct fl_stage *s, uint64_t object, uint64_t index)
{
	return object == FL_OBJECT_TRANSPORT ? index * FL_CHUNK_SIZE
					     : fl_tree_page_offset(shape_of(s, object), index);
}

uint32_t fl_stage_item_len(struct fl_stage *s, uint64_t object, uint64_t index)
{
	return object == FL_OBJECT_TRANSPORT ? fl_tree_chunk_len(shape_of(s, object), index)
					     : fl_tree_page_len(shape_of(s, object), index);
}

uint64_t fl_stage_item_count(struct fl_stage *s, uint64_t object)
{
	const struct fl_tree_shape *shape = shape_of(s, object);
	return object == FL_OBJECT_TRANSPORT ? shape->n_chunks : shape->n_pages;
}
