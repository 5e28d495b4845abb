/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport format `zstd-frames` (docs/formats.md, section 6): a table, then independent zstd
 * frames (RFC 8878), one per run of F bytes of the image. Reading is made of two parts that know
 * nothing of files: a parser that takes the table in pieces of any length, and a decoder of one
 * frame. Whoever feeds them has verified the bytes against the transport tree; still, nothing here
 * trusts them.
 */
#ifndef FAIRLEAD_ARTIFACT_FRAMES_H
#define FAIRLEAD_ARTIFACT_FRAMES_H

#include <fairlead/base/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_FRAMES_FORMAT       "zstd-frames"
#define FL_FRAMES_HEADER_SIZE  24u
#define FL_FRAMES_ENTRY_SIZE   12u
#define FL_FRAMES_MAX	       262144u
#define FL_FRAMES_UNIT	       65536u /* F is a multiple of it */
#define FL_FRAMES_SIZE_DEFAULT (1u << 20)
#define FL_FRAMES_SIZE_MAX     (8u << 20)
#define FL_FRAMES_WINDOW_LOG   23

/* What the signed release says of an artifact, in bytes. */
struct fl_frames_claim {
	uint64_t image_size;
	uint64_t transport_size;
	uint32_t frame_size; /* F */
};

struct fl_frames; /* a table, being read or complete */

/*
 * A parser for the table of that artifact. *ret: returned owned, free with fl_frames_free.
 * FL_E_FORMAT when no such artifact can exist: F out of range, more than FL_FRAMES_MAX frames, no
 * room for the table. Memory: 5 bytes per frame.
 */
enum fl_rc fl_frames_new(const struct fl_frames_claim *claim, struct fl_frames **ret,
			 struct fl_err *err) FL_CHECKED;
void fl_frames_free(struct fl_frames *frames);
/* Bytes from the start of the file that hold the table: feed exactly these. */
uint64_t fl_frames_table_size(const struct fl_frames *frames);
uint32_t fl_frames_count(const struct fl_frames *frames);
/*
 * The next bytes from the start of the file, any length up to what lacks of the table (more is a
 * bug). FL_E_FORMAT: not such a table, or not the claimed one; SIZE_MISMATCH: of another image.
 * After a failure only fl_frames_free.
 */
enum fl_rc fl_frames_feed(struct fl_frames *frames, const void *data, size_t len,
			  struct fl_err *err) FL_CHECKED;
/* Was the whole table fed, and is it sound: ascending without gaps, from its end to the end of the
 * file? */
bool fl_frames_complete(const struct fl_frames *frames);
/* Where frame k lies in the file. The table must be complete and k < count (a bug otherwise). */
void fl_frames_locate(const struct fl_frames *frames, uint32_t k, uint64_t *offset,
		      uint32_t *length);
/* Bytes of image that frame k yields; they start at k × F. */
uint32_t fl_frames_image_len(const struct fl_frames *frames, uint32_t k);
/* No frame of an artifact with this F is longer than this in the file. */
size_t fl_frames_length_max(uint32_t frame_size);

struct fl_frames_decoder;

/* *ret: returned owned, free with fl_frames_decoder_free. */
enum fl_rc fl_frames_decoder_new(struct fl_frames_decoder **ret, struct fl_err *err) FL_CHECKED;
void fl_frames_decoder_free(struct fl_frames_decoder *decoder);
/*
 * From now on frames are unpacked with this dictionary (of zstd's format or any bytes; copied).
 * FL_E_FORMAT: one that zstd refuses.
 */
enum fl_rc fl_frames_decoder_set_dictionary(struct fl_frames_decoder *decoder, const void *data,
					    size_t len, struct fl_err *err) FL_CHECKED;
/*
 * Unpacks one frame into out. in must be exactly one zstd frame (none that names a dictionary,
 * window log ≤ FL_FRAMES_WINDOW_LOG, no skippable frame, nothing behind it) that yields exactly
 * out_len bytes.
 * Never writes past out_len, whatever the frame claims. FL_E_FORMAT, FL_E_SIZE_MISMATCH; out is
 * then undefined.
 */
enum fl_rc fl_frames_decode(struct fl_frames_decoder *decoder, const void *in, size_t in_len,
			    void *out, size_t out_len, struct fl_err *err) FL_CHECKED;

struct fl_frames_options {
	uint32_t frame_size; /* 0: FL_FRAMES_SIZE_DEFAULT */
	int level;	     /* of zstd, 1…22; 0: 19 */
	unsigned workers;    /* threads, 1…16; 0: 1. The output does not depend on it */
};

/*
 * Packs all of in (a file or a block device) into out, a file, from its start: what stood there is
 * replaced. The same image and options give the same bytes with the same libzstd. Memory: 2 frames
 * per worker and the compressor's own. *transport_size: the length of out. Not durable on return.
 */
enum fl_rc fl_frames_write(int in, int out, const struct fl_frames_options *options,
			   uint64_t *transport_size, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
