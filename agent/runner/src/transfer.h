/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The activity `stage`: what lacks in the target is fetched, verified, unpacked, verified and
 * handed to the handler.
 *
 *   scan    target chunk  -> installed tree -> right or not, a bit each
 *   fetch   piece         -> transport tree -> frame          packed.c
 *   unpack  frame         -> zstd           -> chunks
 *   or      piece of a decoder, lacking chunks only           decoded.c
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
	struct plugin *plugin; /* borrowed, like the next five */
	const struct host *host;
	const struct fl_task *task;
	struct channel *channel;
	struct channel *decoder; /* NULL: the artifact is zstd-frames */
	const struct transfer_claim *claim;
	struct plan_image image;
	struct fl_tree *installed; /* owned, like all below */
	uint8_t *right;		   /* a bit per installed chunk */
	struct assembly assembly;
	struct fl_frames *frames;
	struct fl_frames_decoder *unpacker;
	uint8_t *packed, *plain;
	uint64_t kept_bytes, done_bytes;
};

/* The whole activity; the claim and the task come from signed documents. */
enum fl_rc transfer_run(struct transfer *transfer, struct fl_err *err) FL_CHECKED;
void transfer_done(struct transfer *transfer);

/* Stages one lacking chunk, which was compared with the installed tree. */
enum fl_rc transfer_stage_chunk(struct transfer *transfer, uint64_t chunk, const uint8_t *data,
				struct fl_err *err) FL_CHECKED;
/* Makes a frame durable whose chunks came to staged bytes, and tells how far it is. */
enum fl_rc transfer_flush(struct transfer *transfer, uint64_t offset, uint64_t len, uint64_t staged,
			  struct fl_err *err) FL_CHECKED;

/* ---- packed.c ---- */

/* FL_E_FORMAT: no such artifact can be. */
enum fl_rc packed_set_up(struct transfer *transfer, struct fl_err *err) FL_CHECKED;
enum fl_rc packed_stage(struct transfer *transfer, struct fl_err *err) FL_CHECKED;

/* ---- decoded.c ---- */

/* FL_E_CHUNK_MISMATCH, with the number of the first, when the decoder made chunks wrong; the others
 * are staged. */
enum fl_rc decoded_stage(struct transfer *transfer, struct fl_err *err) FL_CHECKED;

/* ---- scan.c ---- */

/* Fills right and kept_bytes: by hashing the target, or, of a sequential one, by what its plan
 * says. */
enum fl_rc transfer_scan(struct transfer *transfer, uint64_t resume_offset,
			 struct fl_err *err) FL_CHECKED;
enum fl_rc transfer_progress(struct transfer *transfer, const char *step, bool now,
			     struct fl_err *err) FL_CHECKED;

#endif
