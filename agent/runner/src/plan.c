/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

void plan_init(struct plan *plan, const struct plan_image *image, uint64_t installed_page,
	       uint64_t table_size)
{
	*plan = (struct plan){.image = *image,
			      .installed_page = installed_page,
			      .chunk_end = (table_size + FL_CHUNK_SIZE - 1) / FL_CHUNK_SIZE};
}

void plan_frames(struct plan *plan, const struct fl_frames *frames)
{
	plan->frames = frames;
}

bool plan_frame_lacks(const struct plan_image *image, uint32_t k, uint64_t *first, uint64_t *end)
{
	uint64_t per_frame = image->frame_size / FL_CHUNK_SIZE;
	*first = k * per_frame;
	*end = *first + per_frame;
	if (*end > image->installed.n_chunks)
		*end = image->installed.n_chunks;
	for (uint64_t i = *first; i < *end; i++) {
		if (!bit_get(image->right, i))
			return true;
	}
	return false;
}

/* Moves to the next frame that lacks something. chunk only grows: what two frames share is asked
 * for once. */
static bool next_frame(struct plan *p)
{
	uint32_t n = p->frames == NULL ? 0 : fl_frames_count(p->frames);
	while (p->frame < n) {
		uint32_t k = p->frame++;
		if (!plan_frame_lacks(&p->image, k, &p->leaf, &p->leaf_end))
			continue;
		uint64_t offset;
		uint32_t length;
		fl_frames_locate(p->frames, k, &offset, &length);
		if (p->chunk < offset / FL_CHUNK_SIZE)
			p->chunk = offset / FL_CHUNK_SIZE;
		p->chunk_end = (offset + length - 1) / FL_CHUNK_SIZE + 1;
		return true;
	}
	return false;
}

static bool chunk_step(struct plan *p, struct need *step)
{
	uint64_t page = fl_tree_page_of_chunk(&p->image.transport, p->chunk);
	if (!p->has_top) {
		p->has_top = true;
		*step = (struct need){FL_OBJECT_TRANSPORT_TREE, 0, 1};
	} else if (page != p->transport_page) {
		p->transport_page = page;
		*step = (struct need){FL_OBJECT_TRANSPORT_TREE, page, 1};
	} else {
		*step = (struct need){FL_OBJECT_TRANSPORT, p->chunk++, 1};
	}
	return true;
}

/* The page of the next installed chunk that lacks and hangs on another than the one held. */
static bool leaf_step(struct plan *p, struct need *step)
{
	for (; p->leaf < p->leaf_end; p->leaf++) {
		uint64_t page = fl_tree_page_of_chunk(&p->image.installed, p->leaf);
		if (bit_get(p->image.right, p->leaf) || page == p->installed_page)
			continue;
		p->installed_page = page;
		*step = (struct need){FL_OBJECT_INSTALLED_TREE, page, 1};
		return true;
	}
	return false;
}

static bool next_step(struct plan *p, struct need *step)
{
	do {
		if (p->chunk < p->chunk_end)
			return chunk_step(p, step);
		if (leaf_step(p, step))
			return true;
	} while (next_frame(p));
	return false;
}

bool plan_next(struct plan *plan, struct need *run)
{
	struct need next = plan->ahead;
	plan->ahead.count = 0;
	if (next.count == 0 && !next_step(plan, &next))
		return false;
	*run = next;
	while (run->count < CHANNEL_PIECES_MAX && next_step(plan, &next)) {
		if (next.object != run->object || next.first != run->first + run->count) {
			plan->ahead = next;
			break;
		}
		run->count++;
	}
	return true;
}
