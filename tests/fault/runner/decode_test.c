/* SPDX-License-Identifier: Apache-2.0 */
/* Content that a decoder makes: its runner and the handler's, joined. */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB	  ((size_t)1 << 20)
#define IMAGE_LEN ((size_t)40 * FL_CHUNK_SIZE + 99)
#define CHUNKS	  41u
#define OLD	  0x77

static struct content content;
static struct patch patch;

static void set_up(void)
{
	content_make(&content, IMAGE_LEN, 4 * FL_CHUNK_SIZE, 9);
	patch_make(&patch, &content, 3);
}

static void tear_down(void)
{
	patch_free(&patch);
	content_free(&content);
}

TestSuite(runner_decode, .init = set_up, .fini = tear_down, .timeout = 120);

static int old_target(void)
{
	uint8_t *old = malloc(IMAGE_LEN);
	memset(old, OLD, IMAGE_LEN);
	int fd = target_file(old, IMAGE_LEN, IMAGE_LEN);
	free(old);
	return fd;
}

/* Every chunk of it is the old one or the right one; how many are right. */
static unsigned count_right(int target)
{
	static uint8_t now[FL_CHUNK_SIZE], old[FL_CHUNK_SIZE];
	unsigned right = 0;
	struct fl_err err;
	memset(old, OLD, sizeof(old));
	for (size_t at = 0; at < IMAGE_LEN; at += FL_CHUNK_SIZE) {
		size_t len = IMAGE_LEN - at < FL_CHUNK_SIZE ? IMAGE_LEN - at : FL_CHUNK_SIZE;
		cr_assert_eq(fl_pread_all(target, now, len, at, &err), FL_OK);
		bool is_right = memcmp(now, content.image + at, len) == 0;
		cr_assert(is_right || memcmp(now, old, len) == 0,
			  "chunk %zu is neither old nor right", at / FL_CHUNK_SIZE);
		right += is_right;
	}
	return right;
}

static struct play with(const struct decoding *decoding, int target)
{
	return (struct play){
		.plugin = ROOTFS, .content = &content, .target = target, .decoding = decoding};
}

static unsigned written(const struct outcome *decoder)
{
	unsigned n = 0;
	const char *line = strstr(decoder->log, "wrote ");
	cr_assert_not_null(line, "%s", decoder->log);
	cr_assert_eq(sscanf(line, "wrote %u chunks", &n), 1);
	return n;
}

static void expect_decoder(const struct outcome *out, const char *result, const char *code)
{
	cr_assert(out->has_result, "the decoder has no result; status %x", out->status);
	cr_assert(strcmp(out->result, result) == 0 && strcmp(out->code, code) == 0,
		  "decoder: %s %s (%s) instead of %s %s", out->result, out->code, out->text, result,
		  code);
}

/* An honest decoder finishes what is there. */
static void finish(int target, struct outcome *decoder)
{
	struct decoding d = {.plugin = PLUGINS "/patch.so", .patch = &patch, .outcome = decoder};
	struct play p = with(&d, target);
	play_expect(&p, "ok", "ok", NULL);
	expect_decoder(decoder, "ok", "ok");
	cr_assert(target_is(target, &content));
}

Test(runner_decode, the_whole_image)
{
	struct outcome out, decoder;
	struct decoding d = {.plugin = PLUGINS "/patch.so",
			     .patch = &patch,
			     .require_sandbox = true,
			     .outcome = &decoder};
	FL_AUTO_FD target = old_target();
	struct play p = with(&d, target);
	p.require_sandbox = true;
	play_expect(&p, "ok", "ok", &out);
	expect_decoder(&decoder, "ok", "ok");
	cr_assert(target_is(target, &content));
	cr_assert_eq(written(&decoder), CHUNKS);
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT] + out.served[FL_OBJECT_TRANSPORT_TREE], 0,
		     "the agent has nothing to do with it");
	cr_assert_eq(out.progress.done_bytes, IMAGE_LEN);
	cr_assert(outcome_has(decoder.capabilities, "patch"));
	cr_assert_eq(decoder.deadline_ms, 1500);
	cr_assert_str_eq(decoder.version, "1");
	cr_assert_not_null(strstr(decoder.protections, " memory:1048576 "), "%s",
			   decoder.protections);
	cr_assert_null(strstr(out.protections, " memory:"));
}

Test(runner_decode, only_what_lacks)
{
	for (unsigned round = 0; round < 5; round++) {
		struct outcome decoder;
		struct fl_err err;
		uint8_t lacks[CHUNKS] = {0};
		unsigned n = 0;
		FL_AUTO_FD target = target_file(content.image, IMAGE_LEN, IMAGE_LEN);
		for (unsigned i = 0; i < 3 * round; i++) {
			size_t at = (size_t)(i * 7919 + round * 104729) * 131 % IMAGE_LEN;
			uint8_t wrong = (uint8_t)~content.image[at];
			cr_assert_eq(fl_pwrite_all(target, &wrong, 1, at, &err), FL_OK);
			lacks[at / FL_CHUNK_SIZE] = 1;
		}
		for (unsigned i = 0; i < CHUNKS; i++)
			n += lacks[i];
		finish(target, &decoder);
		cr_assert_eq(written(&decoder), n, "round %u", round);
	}
}

Test(runner_decode, sizes_at_the_edges)
{
	const size_t sizes[] = {0,
				1,
				FL_CHUNK_SIZE - 1,
				FL_CHUNK_SIZE,
				FL_CHUNK_SIZE + 1,
				16 * FL_CHUNK_SIZE,
				16 * FL_CHUNK_SIZE + 1};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct content c;
		struct patch small;
		struct outcome decoder;
		content_make(&c, sizes[i], FL_CHUNK_SIZE, 5);
		patch_make(&small, &c, 2);
		struct decoding d = {.plugin = PLUGINS "/patch.so",
				     .patch = &small,
				     .no_source = sizes[i] == 0,
				     .outcome = &decoder};
		FL_AUTO_FD target = target_file("", 0, MIB + 1);
		struct play p = with(&d, target);
		p.content = &c;
		play_expect(&p, "ok", "ok", NULL);
		expect_decoder(&decoder, "ok", "ok");
		cr_assert(target_is(target, &c), "%zu bytes", sizes[i]);
		patch_free(&small);
		content_free(&c);
	}
}

/* Pages of the installed tree and of the input's that are not the first. */
Test(runner_decode, trees_of_two_levels)
{
	struct content c;
	struct patch large;
	struct outcome decoder;
	const size_t len = 140 * MIB + 5;
	content_make_dense(&c, len, (uint32_t)MIB);
	patch_make(&large, &c, 1);
	cr_assert_gt(large.bytes.len, 128 * MIB);
	uint8_t *old = malloc(len);
	memcpy(old, c.image, len);
	memset(old + 20 * MIB, OLD, 5 * MIB);
	memset(old + 128 * MIB - 1, OLD, 2);
	FL_AUTO_FD target = target_file(old, len, len);
	struct decoding d = {.plugin = PLUGINS "/patch.so", .patch = &large, .outcome = &decoder};
	struct play p = with(&d, target);
	p.content = &c;
	play_expect(&p, "ok", "ok", NULL);
	expect_decoder(&decoder, "ok", "ok");
	cr_assert(target_is(target, &c));
	cr_assert_eq(written(&decoder), 82);
	free(old);
	patch_free(&large);
	content_free(&c);
}

/* A kill costs the frame at hand; the decoder begins from nothing and makes the rest. */
Test(runner_decode, killed_and_once_more)
{
	struct outcome out, decoder;
	struct decoding d = {.plugin = PLUGINS "/misdecode.so",
			     .params = "slow 1000",
			     .patch = &patch,
			     .outcome = &decoder};
	FL_AUTO_FD target = old_target();
	struct play p = with(&d, target);
	p.kill_after_ms = 600;
	play(&p, &out);
	cr_assert_not(out.has_result);
	expect_decoder(&decoder, "retry", "peer_closed");
	unsigned right = count_right(target);
	cr_assert_lt(right, CHUNKS);
	finish(target, &decoder);
	cr_assert_eq(written(&decoder), CHUNKS - right);
}

Test(runner_decode, a_cancel)
{
	struct outcome out, decoder;
	struct decoding d = {.plugin = PLUGINS "/misdecode.so",
			     .params = "slow 1000",
			     .patch = &patch,
			     .outcome = &decoder};
	FL_AUTO_FD target = old_target();
	struct play p = with(&d, target);
	p.term_after_ms = 300;
	play_expect(&p, "retry", "cancelled", &out);
	expect_decoder(&decoder, "retry", "peer_closed");
	(void)count_right(target);
}

/* One chunk is wrong: it is named and not staged, all others are, and `full` costs one frame. */
Test(runner_decode, a_wrong_chunk_costs_that_chunk)
{
	const char *const params[] = {"flip 0", "flip 17", "flip 40"};
	const uint64_t chunks[] = {0, 17, 40};
	for (size_t i = 0; i < 3; i++) {
		struct outcome out, decoder;
		uint8_t lacks[16] = {0};
		char text[64];
		struct decoding d = {.plugin = PLUGINS "/misdecode.so",
				     .params = params[i],
				     .patch = &patch,
				     .outcome = &decoder};
		FL_AUTO_FD target = old_target();
		struct play p = with(&d, target);
		play_expect(&p, "retry", "chunk_mismatch", &out);
		expect_decoder(&decoder, "ok", "ok");
		(void)snprintf(text, sizeof(text), "chunk %u wrong", (unsigned)chunks[i]);
		cr_assert_not_null(strstr(out.text, text), "%s", out.text);
		cr_assert(out.n_bad == 1 && out.bad[0] == chunks[i]);
		cr_assert_eq(count_right(target), CHUNKS - 1);
		p.decoding = NULL;
		play_expect(&p, "ok", "ok", &out);
		cr_assert(target_is(target, &content));
		lacks[chunks[i] / 4] = 1;
		cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], content_chunks_for(&content, lacks));
	}
}

Test(runner_decode, many_wrong_chunks)
{
	struct outcome out, decoder;
	struct decoding d = {.plugin = PLUGINS "/misdecode.so",
			     .params = "flips 1",
			     .patch = &patch,
			     .outcome = &decoder};
	FL_AUTO_FD target = old_target();
	struct play p = with(&d, target);
	play_expect(&p, "retry", "chunk_mismatch", &out);
	expect_decoder(&decoder, "ok", "ok");
	cr_assert(out.n_bad == 14 && out.n_bad_runs == 14, "%zu %zu", out.n_bad, out.n_bad_runs);
	for (size_t i = 0; i < out.n_bad; i++)
		cr_assert_eq(out.bad[i], 3 * i + 1);
	cr_assert_eq(count_right(target), CHUNKS - 14);
	cr_assert_eq(out.progress.done_bytes, (CHUNKS - 14) * FL_CHUNK_SIZE);
}

/* A target that can only be appended to ends before the first wrong chunk. */
Test(runner_decode, a_wrong_chunk_of_a_sequential_target)
{
	struct outcome out, decoder;
	struct decoding d = {.plugin = PLUGINS "/misdecode.so",
			     .params = "flip 21",
			     .patch = &patch,
			     .outcome = &decoder};
	FL_AUTO_FD target = target_file("", 0, 0);
	struct play p = with(&d, target);
	p.plugin = PLUGINS "/sequential.so";
	play_expect(&p, "retry", "chunk_mismatch", &out);
	cr_assert(out.n_bad == 1 && out.bad[0] == 21);
	cr_assert_eq(lseek(target, 0, SEEK_END), 21 * FL_CHUNK_SIZE);
	p.decoding = NULL;
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(target, &content));
	cr_assert_eq(out.progress.kept_bytes, 21 * FL_CHUNK_SIZE);
}

/* Whatever a decoder does, the release isn't condemned, and nothing wrong is staged. */
Test(runner_decode, a_decoder_that_fails)
{
	static const struct {
		const char *params, *result, *code; /* of the decoder; NULL: none */
	} rows[] = {
		{"short 7", "permanent", "size_mismatch"},
		{"order 7", "permanent", "plugin_contract"},
		{"past 7", "permanent", "size_mismatch"},
		{"source_past 7", "permanent", "format"},
		{"refuse 7", "permanent", "format"},
		{"unsafe 7", "retry", "plugin_failed"},
		{"hog 7", "retry", "no_memory"},
		{"crash 7", NULL, NULL},
		{"exit 7", NULL, NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome out, decoder;
		struct decoding d = {.plugin = PLUGINS "/misdecode.so",
				     .params = rows[i].params,
				     .patch = &patch,
				     .outcome = &decoder};
		FL_AUTO_FD target = old_target();
		struct play p = with(&d, target);
		play_expect(&p, "retry", rows[i].code == NULL ? "peer_closed" : "no_source", &out);
		if (rows[i].code != NULL)
			expect_decoder(&decoder, rows[i].result, rows[i].code);
		else
			cr_assert_not(decoder.has_result);
		cr_assert_eq(out.n_bad, 0);
		(void)count_right(target);
		finish(target, &decoder);
	}
}

/* Its own runner is silent and can be killed; the other waits, and says that it lives. */
Test(runner_decode, a_decoder_that_hangs)
{
	const char *const params[] = {"hang 7", "reread 7", "resource 7"};
	for (size_t i = 0; i < 3; i++) {
		struct outcome out, decoder;
		struct decoding d = {.plugin = PLUGINS "/misdecode.so",
				     .params = params[i],
				     .patch = &patch,
				     .patience_ms = 1500,
				     .outcome = &decoder};
		FL_AUTO_FD target = old_target();
		struct play p = with(&d, target);
		p.patience_ms = 2500;
		play_expect(&p, "retry", "peer_closed", &out);
		cr_assert_not(out.hung);
		cr_assert(decoder.hung && !decoder.has_result, "%s", params[i]);
		cr_assert(WIFEXITED(decoder.status) && WEXITSTATUS(decoder.status) == 128 + 9);
		(void)count_right(target);
	}
}

/* ---- a decoder that is played: what a taken-over one could send ---- */

struct lie {
	uint64_t index;
	enum { FLIP, CUT, EMPTY, LONGER, OTHER_INDEX, OTHER_OBJECT, DO } kind;
	enum tamper what; /* for DO */
	bool told;
};

static enum tamper tell(void *ctx, struct fl_ipc_piece *piece, uint8_t *data)
{
	struct lie *lie = ctx;
	if (piece->object != FL_OBJECT_OUTPUT || piece->index != lie->index || lie->told)
		return SEND;
	lie->told = true;
	if (lie->kind == FLIP)
		data[0] ^= 0x10;
	if (lie->kind == CUT)
		piece->data.len--;
	if (lie->kind == EMPTY)
		piece->data.len = 0;
	if (lie->kind == LONGER)
		data[piece->data.len++] = 0;
	if (lie->kind == OTHER_INDEX)
		piece->index++;
	if (lie->kind == OTHER_OBJECT)
		piece->object = FL_OBJECT_TRANSPORT;
	return lie->kind == DO ? lie->what : SEND;
}

static void expect_lie(struct lie lie, const char *code, size_t n_bad)
{
	struct outcome out, decoder;
	struct decoding played = {.plugin = NULL};
	FL_AUTO_FD target = old_target();
	struct play p = with(&played, target);
	p.tamper = tell;
	p.tamper_ctx = &lie;
	play_expect(&p, "retry", code, &out);
	cr_assert(lie.told);
	cr_assert_eq(out.n_bad, n_bad);
	cr_assert(n_bad == 0 || count_right(target) == CHUNKS - n_bad);
	(void)count_right(target);
	finish(target, &decoder);
}

Test(runner_decode, pieces_that_lie)
{
	for (uint64_t i = 0; i < CHUNKS; i += 8)
		expect_lie((struct lie){i, FLIP, SEND, false}, "chunk_mismatch", 1);
	expect_lie((struct lie){3, CUT, SEND, false}, "chunk_mismatch", 1);
	expect_lie((struct lie){3, EMPTY, SEND, false}, "chunk_mismatch", 1);
	expect_lie((struct lie){40, LONGER, SEND, false}, "chunk_mismatch", 1);
	expect_lie((struct lie){3, OTHER_INDEX, SEND, false}, "protocol", 0);
	expect_lie((struct lie){3, OTHER_OBJECT, SEND, false}, "protocol", 0);
	expect_lie((struct lie){3, DO, SEND_GARBAGE, false}, "protocol", 0);
	expect_lie((struct lie){3, DO, SEND_TWICE, false}, "protocol", 0);
	expect_lie((struct lie){3, DO, DROP, false}, "protocol", 0);
	expect_lie((struct lie){3, DO, CLOSE, false}, "peer_closed", 0);
}

/* No reason it gives is taken for the runner's own, and none condemns the release. */
Test(runner_decode, reasons_that_lie)
{
	const char *const codes[] = {"format", "chunk_mismatch", "cancelled", "ok", "made_up"};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct lie lie = {2, DO, SEND_END, false};
		struct decoding played = {.plugin = NULL};
		FL_AUTO_FD target = old_target();
		struct play p = with(&played, target);
		p.tamper = tell;
		p.tamper_ctx = &lie;
		p.end_code = codes[i];
		play_expect(&p, "retry", "no_source", NULL);
	}
}

Test(runner_decode, a_decoder_that_stalls_is_no_hung_handler)
{
	struct lie lie = {5, DO, STALL, false};
	struct decoding played = {.plugin = NULL};
	struct outcome out;
	FL_AUTO_FD target = old_target();
	struct play p = with(&played, target);
	p.tamper = tell;
	p.tamper_ctx = &lie;
	p.patience_ms = 2500;
	p.term_after_ms = 3500;
	play_expect(&p, "retry", "cancelled", &out);
	cr_assert_not(out.hung);
	cr_assert_geq(out.keepalives, 3);
	(void)count_right(target);
}

/* The runner asks for no chunk twice, at most for four runs ahead, and says when it has all. */
Test(runner_decode, what_is_asked_for)
{
	struct outcome out;
	struct fl_err err;
	struct decoding played = {.plugin = NULL};
	FL_AUTO_FD target = target_file(content.image, IMAGE_LEN, IMAGE_LEN);
	for (size_t i = 1; i < CHUNKS; i += 4)
		cr_assert_eq(fl_pwrite_all(target, "not this", 8, i * FL_CHUNK_SIZE, &err), FL_OK);
	struct play p = with(&played, target);
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(target, &content));
	cr_assert_eq(out.served[FL_OBJECT_OUTPUT], 10);
	cr_assert_eq(out.served[FL_OBJECT_INSTALLED_TREE], 1);
	cr_assert_eq(out.needs, 1 + 10);
	cr_assert_str_eq(out.end_code, "ok");
}
