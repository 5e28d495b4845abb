/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of one frame: exactly one, exactly as long as it must be, and never more memory than
 * that. */
#include <fairlead/artifact/frames.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PLAIN_SIZE ((size_t)256 * 1024)

static struct fl_frames_decoder *decoder;
static uint8_t *plain, *packed, *out;
static size_t room;

static void set_up(void)
{
	struct fl_err err;
	cr_assert_eq(fl_frames_decoder_new(&decoder, &err), FL_OK);
	room = ZSTD_compressBound((size_t)32 << 20);
	plain = malloc((size_t)32 << 20);
	packed = malloc(room);
	out = malloc(PLAIN_SIZE);
	srand(7);
	for (size_t i = 0; i < PLAIN_SIZE; i++)
		plain[i] = (uint8_t)(rand() % 17);
}

static void tear_down(void)
{
	fl_frames_decoder_free(decoder);
	free(plain);
	free(packed);
	free(out);
}

TestSuite(artifact_frame, .init = set_up, .fini = tear_down);

static enum fl_rc decode(size_t in_len, size_t out_len)
{
	struct fl_err err;
	uint8_t *exact =
		malloc(in_len + 1); /* so that a sanitizer sees the first byte read past it */
	memcpy(exact, packed, in_len);
	enum fl_rc rc = fl_frames_decode(decoder, exact, in_len, out, out_len, &err);
	free(exact);
	return rc;
}

static size_t pack(ZSTD_CCtx *ctx, size_t len)
{
	size_t n = ZSTD_compress2(ctx, packed, room, plain, len);
	cr_assert_not(ZSTD_isError(n));
	ZSTD_freeCCtx(ctx);
	return n;
}

Test(artifact_frame, gives_back_what_was_packed)
{
	size_t n = pack(ZSTD_createCCtx(), PLAIN_SIZE);
	cr_assert_eq(decode(n, PLAIN_SIZE), FL_OK);
	cr_assert_eq(memcmp(out, plain, PLAIN_SIZE), 0);
	cr_assert_eq(decode(n, PLAIN_SIZE), FL_OK, "and once more with the same decoder");
}

Test(artifact_frame, another_length_than_expected)
{
	size_t n = pack(ZSTD_createCCtx(), PLAIN_SIZE / 2);
	cr_assert_eq(decode(n, PLAIN_SIZE / 2 - 1), FL_E_SIZE_MISMATCH);
	cr_assert_eq(decode(n, PLAIN_SIZE / 2 + 1), FL_E_SIZE_MISMATCH);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
	n = pack(ctx, PLAIN_SIZE / 2);
	cr_assert_eq(decode(n, PLAIN_SIZE / 2), FL_OK);
	cr_assert_eq(decode(n, PLAIN_SIZE / 2 - 1), FL_E_SIZE_MISMATCH);
	cr_assert_eq(decode(n, PLAIN_SIZE / 2 + 1), FL_E_SIZE_MISMATCH);
}

Test(artifact_frame, a_bomb_stops_at_the_expected_length)
{
	memset(plain, 0, (size_t)32 << 20);
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, 20);
	size_t n = pack(ctx, (size_t)32 << 20);
	cr_assert_lt(n, 8192);
	memset(out, 0xaa, PLAIN_SIZE);
	cr_assert_eq(decode(n, 65536), FL_E_SIZE_MISMATCH);
	for (size_t i = 65536; i < PLAIN_SIZE; i++)
		cr_assert_eq(out[i], 0xaa, "nothing is written past the expected length");
}

Test(artifact_frame, a_window_past_the_limit)
{
	for (int log = 22; log <= 25; log++) {
		ZSTD_CCtx *ctx = ZSTD_createCCtx();
		ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, log);
		ZSTD_inBuffer in = {plain, 1000, 0};
		ZSTD_outBuffer to = {packed, room, 0};
		size_t left = ZSTD_compressStream2(
			ctx, &to, &in, ZSTD_e_flush); /* size not known: window stated */
		cr_assert_eq(left, 0);
		left = ZSTD_compressStream2(ctx, &to, &in, ZSTD_e_end);
		cr_assert_eq(left, 0);
		ZSTD_freeCCtx(ctx);
		cr_expect_eq(decode(to.pos, 1000),
			     log <= FL_FRAMES_WINDOW_LOG ? FL_OK : FL_E_FORMAT, "window log %d",
			     log);
	}
}

Test(artifact_frame, exactly_one_frame)
{
	size_t n = pack(ZSTD_createCCtx(), 1000);
	packed[n] = 0;
	cr_assert_eq(decode(n + 1, 1000), FL_E_FORMAT, "a byte behind it");
	memmove(packed + n, packed, n);
	cr_assert_eq(decode(2 * n, 1000), FL_E_FORMAT, "two frames");
	cr_assert_eq(decode(2 * n, 2000), FL_E_SIZE_MISMATCH, "two frames of the right sum");
	uint8_t skippable[8 + 4] = {0x50, 0x2a, 0x4d, 0x18, 4};
	memcpy(packed + n, skippable, sizeof(skippable));
	cr_assert_eq(decode(n + sizeof(skippable), 1000), FL_E_FORMAT,
		     "a skippable frame behind it");
	memmove(packed + sizeof(skippable), packed, n);
	memcpy(packed, skippable, sizeof(skippable));
	cr_assert_eq(decode(n + sizeof(skippable), 1000), FL_E_FORMAT,
		     "a skippable frame before it");
	cr_assert_eq(decode(sizeof(skippable), 0), FL_E_FORMAT, "nothing but a skippable frame");
}

Test(artifact_frame, cut_anywhere)
{
	size_t n = pack(ZSTD_createCCtx(), 3000);
	for (size_t len = 0; len < n; len++)
		cr_expect_neq(decode(len, 3000), FL_OK, "%zu of %zu bytes", len, n);
}

Test(artifact_frame, a_dictionary_is_none)
{
	size_t n = pack(ZSTD_createCCtx(), 3000);
	packed[4] |= 1;
	cr_assert_eq(decode(n, 3000), FL_E_FORMAT);
}

Test(artifact_frame, frames_of_old_versions_are_none)
{
	static const uint8_t magics[][4] = {{0x1e, 0xb5, 0x2f, 0xfd},
					    {0x22, 0xb5, 0x2f, 0xfd},
					    {0x27, 0xb5, 0x2f, 0xfd},
					    {0x29, 0xb5, 0x2f, 0xfd}};
	size_t n = pack(ZSTD_createCCtx(), 3000);
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		memcpy(packed, magics[i], 4);
		cr_assert_eq(decode(n, 3000), FL_E_FORMAT);
	}
}

Test(artifact_frame, packed_with_a_dictionary)
{
	struct fl_err err;
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	memcpy(plain + 3000, plain, 3000); /* the dictionary has the frame's content */
	cr_assert_eq(ZSTD_CCtx_loadDictionary(ctx, plain + 3000, 3000), 0);
	size_t n = pack(ctx, 3000);
	cr_assert_lt(n, 100);
	cr_assert_neq(decode(n, 3000), FL_OK, "without it");
	cr_assert_eq(fl_frames_decoder_set_dictionary(decoder, plain + 3000, 3000, &err), FL_OK);
	cr_assert_eq(decode(n, 3000), FL_OK);
	cr_assert_eq(memcmp(out, plain, 3000), 0);
	cr_assert_eq(fl_frames_decoder_set_dictionary(decoder, plain + 3000, 1000, &err), FL_OK);
	cr_assert_neq(decode(n, 3000), FL_OK, "a shorter one takes its place");
	n = pack(ZSTD_createCCtx(), 3000);
	cr_assert_eq(decode(n, 3000), FL_OK, "a frame that uses none");
}

Test(artifact_frame, a_dictionary_that_is_none)
{
	struct fl_err err;
	uint8_t bad[64] = {0x37, 0xa4, 0x30, 0xec, 1, 2, 3, 4}; /* zstd's magic, and no tables */
	cr_assert_eq(fl_frames_decoder_set_dictionary(decoder, bad, sizeof(bad), &err),
		     FL_E_FORMAT);
	size_t n = pack(ZSTD_createCCtx(), 1000);
	cr_assert_eq(decode(n, 1000), FL_OK, "as before");
}
