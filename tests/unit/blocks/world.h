/* SPDX-License-Identifier: Apache-2.0 */
/* An image, its frames and their index, and a base: files in memory. */
#ifndef BLOCKS_WORLD_H
#define BLOCKS_WORLD_H

#include <fairlead/blocks/create.h>
#include <fairlead/blocks/search.h>

#define BLOCK FL_BLOCKS_BLOCK_SIZE

struct world {
	uint8_t *image;
	size_t image_len;
	int image_fd, blocks_fd, index_fd, base_fd, plan_fd;
	struct fl_blocks_claim claim;
	struct fl_blocks_input input; /* of index_fd */
	struct fl_blocks_index *index;
};

/* A file in memory with these bytes. */
int file_of(const void *data, size_t len);
size_t file_len(int fd);
/* All of it; free with free. */
uint8_t *file_bytes(int fd);

/* Text, noise and nothing, in runs; the same for the same seed. */
void fill(uint8_t *data, size_t len, uint32_t seed);

/* An image of that length, packed. Nothing is opened yet, the base is empty. */
void world_make(struct world *w, size_t image_len, const struct fl_blocks_options *options);
void world_free(struct world *w);
void world_open(struct world *w);
void world_set_base(struct world *w, const void *data, size_t len);
/* The search in the base. */
struct fl_blocks_found world_search(struct world *w);
/* Reads frame k as a source would serve it; its length. */
size_t world_fetch(struct world *w, uint32_t k, void *out);
/*
 * What a device would make of it: the frames that lack from the file of frames, the others out of
 * the base. Is it the image?
 */
bool world_comes_right(struct world *w);

#endif
