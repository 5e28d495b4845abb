/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The activity `stage`: what lacks in the target is fetched, verified, unpacked, verified and
 * handed to the handler.
 *
 *   scan    target chunk  -> installed tree -> right or not, a bit each
 *   fetch   piece         -> transport tree -> frame
 *   unpack  frame         -> zstd           -> chunks
 *   write   lacking chunk -> installed tree -> stage ... flush
 *
 * No byte of frame k + 1 is staged before frame k is flushed: a kill or a power cut costs at most
 * one frame and one chunk. Memory: one frame packed, one unpacked, three chunks, one page per level
 * of each tree, a bit per chunk of the image.
 */
#ifndef FL_RUNNER_TRANSFER_H
#define FL_RUNNER_TRANSFER_H

#include "assembly.h"
#include "host.h"
#include "plugin.h"

struct transfer_claim {
	struct fl_digest installed_root, transport_root;
	uint64_t transport_size;
	uint32_t frame_size;
};

struct transfer {
	struct plugin *plugin; /* borrowed, like the next four */
	const struct host *host;
	const struct fl_task *task;
	struct channel *channel;
	const struct transfer_claim *claim;
	struct plan_image image;
	struct fl_tree *installed; /* owned, like all below */
	uint8_t *right;		   /* a bit per installed chunk */
	struct assembly assembly;
	struct fl_frames *frames;
	struct fl_frames_decoder *decoder;
	uint8_t *packed, *plain;
	uint64_t kept_bytes, done_bytes;
};

/* The whole activity; the claim and the task come from signed documents. */
enum fl_rc transfer_run(struct transfer *transfer, struct fl_err *err) FL_CHECKED;
void transfer_done(struct transfer *transfer);

/* ---- scan.c ---- */

/* Fills right and kept_bytes: by hashing the target, or, of a sequential one, by what its plan
 * says. */
enum fl_rc transfer_scan(struct transfer *transfer, uint64_t resume_offset,
			 struct fl_err *err) FL_CHECKED;
enum fl_rc transfer_progress(struct transfer *transfer, const char *step, bool now,
			     struct fl_err *err) FL_CHECKED;

#endif
