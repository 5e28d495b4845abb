/* SPDX-License-Identifier: Apache-2.0 */
/* A delta on its way into a target, through the real runners: what is wrong costs what it touches.
 */
#include "harness.h"

#include <fairlead/base/file.h>
#include <fairlead/delta/create.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_LEN ((size_t)24 * FL_CHUNK_SIZE + 99)
#define CHUNKS	  25u
#define SHIFT	  4096u

static struct content content;
static struct patch delta;
static uint64_t mem_max;

/* The source is the image, a page farther behind, with a byte changed in every 700. */
static void make_source(void)
{
	delta.source_len = IMAGE_LEN + SHIFT;
	delta.source = malloc(delta.source_len);
	memset(delta.source, 0x5a, SHIFT);
	memcpy(delta.source + SHIFT, content.image, IMAGE_LEN);
	for (size_t i = 0; i < delta.source_len; i += 700)
		delta.source[i]++;
}

static void set_up(void)
{
	struct fl_err err;
	struct fl_delta_made made;
	content_make(&content, IMAGE_LEN, 4 * FL_CHUNK_SIZE, 11);
	delta = (struct patch){.bytes = FL_BUF((size_t)1 << 24), .tree = FL_BUF((size_t)1 << 20)};
	make_source();
	FL_AUTO_FD source = target_file(delta.source, delta.source_len, delta.source_len);
	FL_AUTO_FD image = target_file(content.image, IMAGE_LEN, IMAGE_LEN);
	FL_AUTO_FD out = target_file("", 0, 0);
	cr_assert_eq(fl_delta_create(source, image, out, "/tmp", &made, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_eq(fl_file_read_fd(out, &delta.bytes, &err), FL_OK, "%s", err.msg);
	cr_assert_lt(delta.bytes.len, IMAGE_LEN / 50);
	patch_sign(&delta);
	mem_max = made.memory_bytes;
}

static void tear_down(void)
{
	patch_free(&delta);
	content_free(&content);
}

TestSuite(fault_delta, .init = set_up, .fini = tear_down, .timeout = 120);

static struct decoding decoding(struct outcome *outcome)
{
	return (struct decoding){.plugin = DELTA,
				 .patch = &delta,
				 .format = "delta",
				 .mem_max = mem_max,
				 .outcome = outcome};
}

static struct play into(int target, const struct decoding *d)
{
	return (struct play){
		.plugin = ROOTFS, .content = &content, .target = target, .decoding = d};
}

static void expect_decoder(const struct outcome *out, const char *result, const char *code)
{
	cr_assert(out->has_result, "the decoder has no result; status %x", out->status);
	cr_assert(strcmp(out->result, result) == 0 && strcmp(out->code, code) == 0,
		  "decoder: %s %s (%s) instead of %s %s", out->result, out->code, out->text, result,
		  code);
}

/* Chunks of the target that aren't the image's; each is still what stood there, zeros. */
static unsigned lacking(int target)
{
	static uint8_t now[FL_CHUNK_SIZE];
	static const uint8_t zeros[FL_CHUNK_SIZE];
	unsigned n = 0;
	struct fl_err err;
	for (size_t at = 0; at < IMAGE_LEN; at += FL_CHUNK_SIZE) {
		size_t len = IMAGE_LEN - at < FL_CHUNK_SIZE ? IMAGE_LEN - at : FL_CHUNK_SIZE;
		cr_assert_eq(fl_pread_all(target, now, len, at, &err), FL_OK);
		const bool right = memcmp(now, content.image + at, len) == 0;
		cr_assert(right || memcmp(now, zeros, len) == 0, "a wrong chunk was staged");
		n += !right;
	}
	return n;
}

Test(fault_delta, the_whole_image_in_the_memory_it_states)
{
	struct outcome decoder;
	struct decoding d = decoding(&decoder);
	d.require_sandbox = true;
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = into(target, &d);
	play_expect(&p, "ok", "ok", NULL);
	expect_decoder(&decoder, "ok", "ok");
	cr_assert(target_is(target, &content));
}

Test(fault_delta, less_memory_than_it_states)
{
	struct outcome out, decoder;
	struct decoding d = decoding(&decoder);
	d.mem_max = mem_max - 1;
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = into(target, &d);
	play(&p, &out); /* no_source, or peer_closed where it ended before it was asked */
	cr_assert(out.has_result && strcmp(out.result, "retry") == 0);
	expect_decoder(&decoder, "permanent", "too_large");
}

/* One sector of the source is gone: the chunk made of it is named, the others are staged. */
Test(fault_delta, a_bad_source_chunk_costs_that_chunk)
{
	const unsigned chunks[] = {0, 12, CHUNKS - 1};
	for (size_t i = 0; i < 3; i++) {
		struct outcome out, decoder;
		struct decoding d = decoding(&decoder);
		const size_t sector = chunks[i] * FL_CHUNK_SIZE + SHIFT;
		const size_t len = chunks[i] == CHUNKS - 1 ? 90 : 512;
		for (size_t k = sector; k < sector + len; k++)
			delta.source[k] ^= 0xff;
		FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
		struct play p = into(target, &d);
		play_expect(&p, "retry", "chunk_mismatch", &out);
		expect_decoder(&decoder, "ok", "ok");
		cr_assert(out.n_bad == 1 && out.bad[0] == chunks[i], "%zu bad", out.n_bad);
		cr_assert_eq(lacking(target), 1);
		for (size_t k = sector; k < sector + len; k++)
			delta.source[k] ^= 0xff;
	}
}

Test(fault_delta, another_source)
{
	struct outcome out, decoder;
	struct decoding d = decoding(&decoder);
	memset(delta.source, 0x33, delta.source_len);
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = into(target, &d);
	play_expect(&p, "retry", "chunk_mismatch", &out);
	expect_decoder(&decoder, "ok", "ok");
	(void)lacking(target);
}

/* What was staged stays; the next process makes the rest out of the same bytes. */
Test(fault_delta, killed_and_once_more)
{
	struct outcome out, decoder;
	struct decoding d = decoding(&decoder);
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = into(target, &d);
	p.kill_after_pieces = 5;
	for (unsigned i = 0; i < 3; i++)
		play(&p, &out);
	(void)lacking(target);
	p.kill_after_pieces = 0;
	play_expect(&p, "ok", "ok", &out);
	expect_decoder(&decoder, "ok", "ok");
	cr_assert(target_is(target, &content));
}

/* Somebody signed it: whatever it holds, the decoder ends by itself, and nothing wrong is staged.
 */
Test(fault_delta, signed_and_malformed)
{
	for (size_t at = 0; at < delta.bytes.len; at = at < 64 ? at + 3 : at * 5 / 4) {
		struct outcome out, decoder;
		struct decoding d = decoding(&decoder);
		FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
		struct play p = into(target, &d);
		delta.bytes.data[at] ^= 0x11;
		patch_sign(&delta);
		play(&p, &out);
		cr_assert(decoder.has_result, "byte %zu: status %x", at, decoder.status);
		cr_assert(strcmp(decoder.result, "ok") == 0 ||
				  strcmp(decoder.result, "permanent") == 0,
			  "byte %zu: %s %s (%s)", at, decoder.result, decoder.code, decoder.text);
		cr_assert(out.has_result && strcmp(out.result, "permanent") != 0);
		(void)lacking(target);
		delta.bytes.data[at] ^= 0x11;
	}
}
