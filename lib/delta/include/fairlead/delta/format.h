/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format "delta" (docs/internals/delta.md): what the writer (lib/delta) and the reader
 * (plugins/delta) must agree on. Plain C, no dependencies.
 *
 *   file     "FLDT", u8 version, header, then the packed bytes of the streams, without gaps
 *   header   varints: source size, image size; number of regions, and of each: type, length;
 *            number of streams, and of each: packing, size unpacked, size packed
 *   varint   LEB128: 7 bits per byte, the least first, bit 7 set on all but the last; below 2^63
 *
 * The image is a row of records, until it is complete:
 *
 *   MOVES    literal length, cover length, and with a cover its place: the distance from the end
 *            of the cover before (at first: from 0), as zigzag (0, -1, 1, -2, … = 0, 1, 2, 3, …)
 *   LITERALS that many bytes of the image
 *   SAMES,   in turns until the cover is full: a run of bytes as in the source (only the first may
 *   ADDS     be empty), a run of bytes that are the sum of source and DIFFERENCES, modulo 256
 */
#ifndef FAIRLEAD_DELTA_FORMAT_H
#define FAIRLEAD_DELTA_FORMAT_H

#include <stdint.h>

#define FL_DELTA_FORMAT	    "delta"
#define FL_DELTA_MAGIC	    "FLDT"
#define FL_DELTA_VERSION    1u
#define FL_DELTA_HEADER_MAX 1024u /* magic and version included */
#define FL_DELTA_VARINT_MAX 9u

#define FL_DELTA_REGIONS_MAX 64u
/* The only type of region of this version: image bytes as they are. A reader refuses others. */
#define FL_DELTA_REGION_PLAIN 0u

enum fl_delta_stream {
	FL_DELTA_MOVES,
	FL_DELTA_SAMES,
	FL_DELTA_ADDS,
	FL_DELTA_DIFFERENCES,
	FL_DELTA_LITERALS,
	FL_DELTA_STREAMS,
};

/* Packing of a stream: 0, as it is; 1 + d, LZMA2 whose dictionary size has the code d of the .xz
 * format (section 5.3.1): (2 | (d & 1)) << (d / 2 + 11). */
#define FL_DELTA_STORED	     0u
#define FL_DELTA_PACKING_MAX 23u /* 8 MiB */

/* Of a stream that is packed: the dictionary, what liblzma needs beside it, the buffers. */
#define FL_DELTA_INPUT_BUFFER  16384u
#define FL_DELTA_OUTPUT_BUFFER 16384u
#define FL_DELTA_LZMA_BYTES    65536u
/* Beside the streams: a chunk of output, a window of the source. */
#define FL_DELTA_FIXED_BYTES 131072u

#define FL_DELTA_MEMORY_MAX (12u << 20)

static inline uint32_t fl_delta_dictionary(uint32_t packing)
{
	uint32_t d = packing - 1;
	return packing == FL_DELTA_STORED ? 0 : (2u | (d & 1u)) << (d / 2 + 11);
}

/* What a reader needs for a stream. */
static inline uint32_t fl_delta_stream_bytes(uint32_t packing)
{
	uint32_t lzma =
		packing == FL_DELTA_STORED ? 0 : fl_delta_dictionary(packing) + FL_DELTA_LZMA_BYTES;
	return lzma + FL_DELTA_INPUT_BUFFER + FL_DELTA_OUTPUT_BUFFER;
}

#endif
