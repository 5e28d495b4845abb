/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of zstd-frames. Input: u8 length of the pieces, u8 flags, then a whole file. The claim
 * is taken from the file's own header, so that the parser is entered; bit 0 of the flags makes the
 * claim lie.
 */
#include <fairlead/artifact/frames.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t get(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	for (size_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static void unpack(const struct fl_frames *f, const uint8_t *file)
{
	struct fl_err err;
	struct fl_frames_decoder *decoder = NULL;
	if (fl_frames_decoder_new(&decoder, &err) != FL_OK)
		return;
	uint32_t n = fl_frames_count(f) < 8 ? fl_frames_count(f) : 8;
	for (uint32_t k = 0; k < n; k++) {
		uint64_t offset;
		uint32_t length;
		fl_frames_locate(f, k, &offset, &length);
		uint32_t out_len = fl_frames_image_len(f, k);
		uint8_t *out = malloc(out_len);
		if (out != NULL &&
		    fl_frames_decode(decoder, file + offset, length, out, out_len, &err) == FL_OK)
			(void)fl_frames_length_max(
				out[out_len - 1]); /* every byte of it was written */
		free(out);
	}
	fl_frames_decoder_free(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 + FL_FRAMES_HEADER_SIZE)
		return 0;
	size_t piece = data[0] == 0 ? 1 : data[0];
	bool lie = (data[1] & 1) != 0;
	const uint8_t *file = data + 2;
	size_t file_len = size - 2;
	struct fl_frames_claim claim = {get(file + 8, 8) + lie, file_len,
					(uint32_t)get(file + 16, 4)};
	struct fl_frames *f = NULL;
	struct fl_err err;
	enum fl_rc rc = fl_frames_new(&claim, &f, &err);
	size_t table = rc == FL_OK ? (size_t)fl_frames_table_size(f) : 0;
	for (size_t at = 0; at < table && rc == FL_OK; at += piece)
		rc = fl_frames_feed(f, file + at, table - at < piece ? table - at : piece, &err);
	if (rc == FL_OK && f != NULL) {
		if (!fl_frames_complete(f) || lie)
			abort();
		unpack(f, file);
	}
	fl_frames_free(f);
	return 0;
}
