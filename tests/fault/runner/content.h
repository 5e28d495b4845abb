/* SPDX-License-Identifier: Apache-2.0 */
/* An image, its transport and both trees: what a release would sign. */
#ifndef FAULT_RUNNER_CONTENT_H
#define FAULT_RUNNER_CONTENT_H

#include <fairlead/artifact/frames.h>
#include <fairlead/trust/tree.h>

struct content {
	uint8_t *image;
	size_t image_len;
	struct fl_buf transport, installed_tree, transport_tree;
	struct fl_digest installed_root, transport_root;
	uint32_t frame_size;
};

/* A source, and the artifact of the test decoder (plugins/patch.h) that makes the image out of it.
 */
struct patch {
	uint8_t *source;
	size_t source_len;
	struct fl_buf bytes, tree;
	struct fl_digest root;
};

/* Most of the image is somewhere in the source, and every literal_every-th run isn't; owned by *p.
 */
void patch_make(struct patch *p, const struct content *c, unsigned literal_every);
/* Signs the bytes anew as they stand now. */
void patch_sign(struct patch *p);
void patch_free(struct patch *p);

/* Noise with the given number of different bytes per chunk, so that it packs more or less; owned by
 * *c. */
void content_make(struct content *c, size_t image_len, uint32_t frame_size, unsigned seed);
/* Incompressible all over: the transport is as long as the image. */
void content_make_dense(struct content *c, size_t image_len, uint32_t frame_size);
/* Packs and signs the image anew as it stands now. */
void content_sign_all(struct content *c);
/* Signs the transport anew as it stands now. */
void content_sign_transport(struct content *c);
void content_free(struct content *c);
/* Where frame k lies in the transport. */
void content_frame(const struct content *c, uint32_t k, uint64_t *offset, uint32_t *length);
uint32_t content_frames(const struct content *c);
/* Transport chunks that must be fetched when exactly these frames lack something (a byte per
 * frame), with the table. */
uint64_t content_chunks_for(const struct content *c, const uint8_t *lacks);
/* A file in memory, or on disk, that holds data, then zeros up to size; never -1. */
int target_file(const void *data, size_t len, uint64_t size);
int target_on_disk(const void *data, size_t len, uint64_t size);
/* Does the target hold the image? */
bool target_is(int fd, const struct content *c);

#endif
