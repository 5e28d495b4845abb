/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plan asks for is what the work takes, in the same order: were it not, the runner would
 * wait for a piece that nobody was asked for. The work is modelled here on its own, over images of
 * random shape with random holes.
 */
#include "plan.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 40000

struct sequence {
	struct need steps[STEPS_MAX];
	size_t n;
};

static void add(struct sequence *s, enum fl_ipc_object object, uint64_t first)
{
	cr_assert_lt(s->n, STEPS_MAX);
	s->steps[s->n++] = (struct need){object, first, 1};
}

static void put(uint8_t *p, uint64_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

/* A table with frames of random length; *transport_size is where it ends. */
static struct fl_frames *make_frames(uint64_t image_size, uint32_t frame_size,
				     uint64_t *transport_size)
{
	uint32_t n = (uint32_t)((image_size + frame_size - 1) / frame_size);
	size_t len = FL_FRAMES_HEADER_SIZE + (size_t)n * FL_FRAMES_ENTRY_SIZE;
	uint8_t *table = calloc(1, len);
	uint64_t at = len;
	memcpy(table, "FLZF", 4);
	put(table + 4, 1, 4);
	put(table + 8, image_size, 8);
	put(table + 16, frame_size, 4);
	put(table + 20, n, 4);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t length = 1 + (uint32_t)rand() % (rand() % 5 == 0 ? 20 : frame_size);
		put(table + FL_FRAMES_HEADER_SIZE + (size_t)k * FL_FRAMES_ENTRY_SIZE, at, 8);
		put(table + FL_FRAMES_HEADER_SIZE + (size_t)k * FL_FRAMES_ENTRY_SIZE + 8, length,
		    4);
		at += length;
	}
	struct fl_frames *f = NULL;
	struct fl_err err;
	struct fl_frames_claim claim = {image_size, at, frame_size};
	cr_assert_eq(fl_frames_new(&claim, &f, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_frames_feed(f, table, len, &err), FL_OK, "%s", err.msg);
	*transport_size = at;
	free(table);
	return f;
}

/* What the work takes: state of both trees, and the chunk it carries from frame to frame. */
struct model {
	const struct plan_image *image;
	const struct fl_frames *frames;
	struct sequence *out;
	bool has_top;
	uint64_t transport_page, installed_page, carried;
};

static void take_bytes(struct model *m, uint64_t offset, uint64_t len)
{
	for (uint64_t c = offset / FL_CHUNK_SIZE; c <= (offset + len - 1) / FL_CHUNK_SIZE; c++) {
		if (c == m->carried)
			continue;
		uint64_t page = fl_tree_page_of_chunk(&m->image->transport, c);
		if (!m->has_top)
			add(m->out, FL_OBJECT_TRANSPORT_TREE, 0);
		m->has_top = true;
		if (page != m->transport_page)
			add(m->out, FL_OBJECT_TRANSPORT_TREE, page);
		m->transport_page = page;
		add(m->out, FL_OBJECT_TRANSPORT, c);
		m->carried = c;
	}
}

static void model_run(struct model *m)
{
	uint64_t per_frame = m->image->frame_size / FL_CHUNK_SIZE;
	take_bytes(m, 0, fl_frames_table_size(m->frames));
	for (uint32_t k = 0; k < fl_frames_count(m->frames); k++) {
		uint64_t offset, first = k * per_frame, end = first + per_frame, lacking = 0;
		uint32_t length;
		end = end < m->image->installed.n_chunks ? end : m->image->installed.n_chunks;
		for (uint64_t i = first; i < end; i++)
			lacking += !bit_get(m->image->right, i);
		if (lacking == 0)
			continue;
		fl_frames_locate(m->frames, k, &offset, &length);
		take_bytes(m, offset, length);
		for (uint64_t i = first; i < end; i++) {
			uint64_t page = fl_tree_page_of_chunk(&m->image->installed, i);
			if (bit_get(m->image->right, i) || page == m->installed_page)
				continue;
			m->installed_page = page;
			add(m->out, FL_OBJECT_INSTALLED_TREE, page);
		}
	}
}

static void flatten(struct plan *plan, const struct fl_frames *frames, struct sequence *out)
{
	struct need run;
	bool opened = false;
	for (;;) {
		if (!plan_next(plan, &run)) {
			if (opened)
				return;
			opened = true;
			plan_frames(plan, frames);
			continue;
		}
		cr_assert_gt(run.count, 0);
		cr_assert_leq(run.count, CHANNEL_PIECES_MAX);
		for (uint64_t i = 0; i < run.count; i++)
			add(out, run.object, run.first + i);
	}
}

static void compare(uint64_t image_size, uint32_t frame_size, unsigned holes_of_100, unsigned seed)
{
	static struct sequence planned, taken;
	struct plan_image image = {.frame_size = frame_size};
	struct fl_err err;
	uint64_t transport_size;
	srand(seed);
	struct fl_frames *frames = make_frames(image_size, frame_size, &transport_size);
	cr_assert_eq(fl_tree_shape(image_size, &image.installed, &err), FL_OK);
	cr_assert_eq(fl_tree_shape(transport_size, &image.transport, &err), FL_OK);
	uint8_t *right = calloc(1, (size_t)image.installed.n_chunks / 8 + 1);
	for (uint64_t i = 0; i < image.installed.n_chunks; i++) {
		if ((unsigned)rand() % 100 >= holes_of_100)
			bit_set(right, i);
	}
	image.right = right;
	uint64_t held = fl_tree_page_of_chunk(&image.installed, image.installed.n_chunks - 1);
	struct plan plan;
	planned.n = taken.n = 0;
	struct model model = {.image = &image,
			      .frames = frames,
			      .out = &taken,
			      .installed_page = held,
			      .carried = UINT64_MAX};
	model_run(&model);
	plan_init(&plan, &image, held, fl_frames_table_size(frames));
	flatten(&plan, frames, &planned);
	cr_assert_eq(planned.n, taken.n, "%zu planned, %zu taken; seed %u", planned.n, taken.n,
		     seed);
	for (size_t i = 0; i < planned.n; i++)
		cr_assert(planned.steps[i].object == taken.steps[i].object &&
				  planned.steps[i].first == taken.steps[i].first,
			  "step %zu, seed %u", i, seed);
	free(right);
	fl_frames_free(frames);
}

Test(runner_plan, asks_for_what_is_taken)
{
	const uint32_t frame_sizes[] = {1, 3, 7, 16, 100, 128};
	const unsigned holes[] = {0, 1, 10, 50, 100};
	for (unsigned seed = 0; seed < 300; seed++) {
		uint64_t image = (uint64_t)(rand() % 6000) * FL_CHUNK_SIZE +
				 (unsigned)rand() % FL_CHUNK_SIZE + 1;
		compare(image, frame_sizes[seed % 6] * FL_CHUNK_SIZE, holes[seed % 5], seed);
	}
}

Test(runner_plan, one_need_for_one_range)
{
	struct plan_image image = {.frame_size = 16 * FL_CHUNK_SIZE};
	struct fl_err err;
	struct plan plan;
	struct need run;
	uint8_t right[32] = {0};
	uint64_t transport_size, image_size = 200 * FL_CHUNK_SIZE;
	struct fl_frames *frames = make_frames(image_size, image.frame_size, &transport_size);
	cr_assert_eq(fl_tree_shape(image_size, &image.installed, &err), FL_OK);
	cr_assert_eq(fl_tree_shape(transport_size, &image.transport, &err), FL_OK);
	image.right = right;
	plan_init(&plan, &image, 0, fl_frames_table_size(frames));
	cr_assert(plan_next(&plan, &run));
	cr_assert(run.object == FL_OBJECT_TRANSPORT_TREE && run.first == 0 && run.count == 1);
	cr_assert(plan_next(&plan, &run));
	cr_assert(run.object == FL_OBJECT_TRANSPORT && run.first == 0 && run.count == 1,
		  "the table's chunk");
	cr_assert_not(plan_next(&plan, &run));
	plan_frames(&plan, frames);
	cr_assert(plan_next(&plan, &run));
	cr_assert(run.object == FL_OBJECT_TRANSPORT && run.first == 1 &&
		  run.count == image.transport.n_chunks - 1);
	cr_assert_not(plan_next(&plan, &run));
	fl_frames_free(frames);
}
