/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One zstd frame. libzstd's one-shot call would also take several frames, skippable ones, frames of
 * versions before 1.0 and any window; so the frame's header is looked at first (RFC 8878,
 * section 3.1.1).
 */
#include "layout.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct fl_frames_decoder {
	ZSTD_DCtx *ctx;
	ZSTD_DDict *dictionary; /* owned, NULL: none */
};

enum fl_rc fl_frames_decoder_new(struct fl_frames_decoder **ret, struct fl_err *err)
{
	struct fl_frames_decoder *d = calloc(1, sizeof(*d));
	if (d != NULL)
		d->ctx = ZSTD_createDCtx();
	if (d == NULL || d->ctx == NULL) {
		fl_frames_decoder_free(d);
		return fl_fail(err, FL_E_NO_MEMORY, 0, "zstd");
	}
	*ret = d;
	return FL_OK;
}

void fl_frames_decoder_free(struct fl_frames_decoder *decoder)
{
	if (decoder == NULL)
		return;
	(void)ZSTD_freeDCtx(decoder->ctx);
	(void)ZSTD_freeDDict(decoder->dictionary);
	free(decoder);
}

enum fl_rc fl_frames_decoder_set_dictionary(struct fl_frames_decoder *decoder, const void *data,
					    size_t len, struct fl_err *err)
{
	ZSTD_DDict *dictionary = ZSTD_createDDict(data, len);
	if (dictionary == NULL)
		return fl_fail(err, FL_E_FORMAT, 0, "zstd dictionary of %zu bytes", len);
	(void)ZSTD_freeDDict(decoder->dictionary);
	decoder->dictionary = dictionary;
	return FL_OK;
}

/* The frame header descriptor and the window descriptor behind it. */
static enum fl_rc check_descriptor(const uint8_t *in, size_t len, struct fl_err *err)
{
	static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	if (len < 6 || memcmp(in, magic, sizeof(magic)) != 0)
		return fl_fail(err, FL_E_FORMAT, 0, "no zstd frame");
	uint8_t descriptor = in[4];
	bool single_segment = (descriptor & 0x20) != 0;
	if ((descriptor & 0x03) != 0)
		return fl_fail(err, FL_E_FORMAT, 0, "zstd frame with a dictionary");
	unsigned exponent = in[5] >> 3;
	unsigned mantissa = in[5] & 7;
	unsigned log = 10 + exponent + (mantissa != 0);
	if (!single_segment && log > FL_FRAMES_WINDOW_LOG)
		return fl_fail(err, FL_E_FORMAT, 0, "zstd frame with a window past 2^%d bytes",
			       FL_FRAMES_WINDOW_LOG);
	return FL_OK;
}

static enum fl_rc check_header(const void *in, size_t in_len, size_t out_len, struct fl_err *err)
{
	enum fl_rc rc = check_descriptor(in, in_len, err);
	if (rc != FL_OK)
		return rc;
	unsigned long long content = ZSTD_getFrameContentSize(in, in_len);
	if (content == ZSTD_CONTENTSIZE_ERROR)
		return fl_fail(err, FL_E_FORMAT, 0, "zstd frame with a bad header");
	if (content != ZSTD_CONTENTSIZE_UNKNOWN && content != out_len)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "zstd frame of %llu bytes, not %zu",
			       content, out_len);
	size_t used = ZSTD_findFrameCompressedSize(in, in_len);
	if (ZSTD_isError(used))
		return fl_fail(err, FL_E_FORMAT, 0, "zstd frame: %s", ZSTD_getErrorName(used));
	if (used != in_len)
		return fl_fail(err, FL_E_FORMAT, 0, "%zu bytes behind the zstd frame",
			       in_len - used);
	return FL_OK;
}

enum fl_rc fl_frames_decode(struct fl_frames_decoder *decoder, const void *in, size_t in_len,
			    void *out, size_t out_len, struct fl_err *err)
{
	enum fl_rc rc = check_header(in, in_len, out_len, err);
	if (rc != FL_OK)
		return rc;
	size_t n = ZSTD_decompress_usingDDict(decoder->ctx, out, out_len, in, in_len,
					      decoder->dictionary);
	if (ZSTD_isError(n))
		return fl_fail(err,
			       ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall
				       ? FL_E_SIZE_MISMATCH
				       : FL_E_FORMAT,
			       0, "zstd frame: %s", ZSTD_getErrorName(n));
	if (n != out_len)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "zstd frame of %zu bytes, not %zu", n,
			       out_len);
	return FL_OK;
}
