/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that lies, and artifacts that are signed but wrong. */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define MIB	  ((size_t)1 << 20)
#define IMAGE_LEN (4 * MIB + 4321)

static struct content content;

static void set_up(void)
{
	content_make(&content, IMAGE_LEN, 4 * FL_CHUNK_SIZE, 3);
}

static void tear_down(void)
{
	content_free(&content);
}

TestSuite(runner_tamper, .init = set_up, .fini = tear_down, .timeout = 120);

/* Which piece to lie about, and how. */
struct lie {
	uint64_t object, index;
	enum { FLIP, CUT, EMPTY, LONGER, OTHER_INDEX, OTHER_OBJECT, DO } kind;
	size_t byte;
	enum tamper what; /* for DO */
	bool told;
};

static enum tamper tell(void *ctx, struct fl_ipc_piece *piece, uint8_t *data)
{
	struct lie *lie = ctx;
	if (piece->object != lie->object || piece->index != lie->index || lie->told)
		return SEND;
	lie->told = true;
	if (lie->kind == FLIP)
		data[lie->byte % piece->data.len] ^= 0x10;
	if (lie->kind == CUT)
		piece->data.len--;
	if (lie->kind == EMPTY)
		piece->data.len = 0;
	if (lie->kind == LONGER && piece->data.len < FL_CHUNK_SIZE)
		data[piece->data.len++] = 0;
	if (lie->kind == OTHER_INDEX)
		piece->index++;
	if (lie->kind == OTHER_OBJECT)
		piece->object = FL_OBJECT_TRANSPORT - piece->object;
	return lie->kind == DO ? lie->what : SEND;
}

/* Nothing wrong was written: every chunk is the old one (0x77…) or the right one. */
static void check_target(int target)
{
	static uint8_t now[FL_CHUNK_SIZE], old[FL_CHUNK_SIZE];
	memset(old, 0x77, sizeof(old));
	for (size_t at = 0; at < IMAGE_LEN; at += FL_CHUNK_SIZE) {
		struct fl_err err;
		size_t len = IMAGE_LEN - at < FL_CHUNK_SIZE ? IMAGE_LEN - at : FL_CHUNK_SIZE;
		cr_assert_eq(fl_pread_all(target, now, len, at, &err), FL_OK);
		cr_assert(memcmp(now, content.image + at, len) == 0 || memcmp(now, old, len) == 0,
			  "chunk %zu is neither old nor right", at / FL_CHUNK_SIZE);
	}
}

static int old_target(void)
{
	uint8_t *old = malloc(IMAGE_LEN);
	memset(old, 0x77, IMAGE_LEN);
	int fd = target_file(old, IMAGE_LEN, IMAGE_LEN);
	free(old);
	return fd;
}

static void expect_lie(struct lie lie, const char *code)
{
	FL_AUTO_FD target = old_target();
	struct outcome out;
	struct play p = {.plugin = ROOTFS,
			 .content = &content,
			 .target = target,
			 .tamper = tell,
			 .tamper_ctx = &lie};
	play_expect(&p, "retry", code, &out);
	cr_assert(lie.told);
	check_target(target);
	p.tamper = NULL;
	play_expect(&p, "ok", "ok", NULL);
	cr_assert(target_is(target, &content), "an honest agent finishes the job");
}

Test(runner_tamper, a_flipped_bit_in_any_chunk)
{
	for (uint64_t i = 0; i <= content.transport.len / FL_CHUNK_SIZE; i++)
		expect_lie(
			(struct lie){FL_OBJECT_TRANSPORT, i, FLIP, (size_t)i * 1031, SEND, false},
			"chunk_mismatch");
}

Test(runner_tamper, a_flipped_bit_in_a_tree_page)
{
	for (size_t byte = 0; byte < 700; byte += 99) {
		expect_lie((struct lie){FL_OBJECT_INSTALLED_TREE, 0, FLIP, byte, SEND, false},
			   "chunk_mismatch");
		expect_lie((struct lie){FL_OBJECT_TRANSPORT_TREE, 0, FLIP, byte, SEND, false},
			   "chunk_mismatch");
	}
}

Test(runner_tamper, pieces_of_another_length)
{
	uint64_t last = content.transport.len / FL_CHUNK_SIZE;
	for (uint64_t object = 0; object < 3; object++) {
		expect_lie((struct lie){object, 0, CUT, 0, SEND, false}, "chunk_mismatch");
		expect_lie((struct lie){object, 0, EMPTY, 0, SEND, false}, "chunk_mismatch");
		expect_lie((struct lie){object, object == 2 ? last : 0, LONGER, 0, SEND, false},
			   "chunk_mismatch");
	}
}

Test(runner_tamper, another_piece_than_asked_for)
{
	for (uint64_t object = 0; object < 3; object++) {
		expect_lie((struct lie){object, 0, OTHER_INDEX, 0, SEND, false}, "protocol");
		if (object != FL_OBJECT_TRANSPORT_TREE)
			expect_lie((struct lie){object, 0, OTHER_OBJECT, 0, SEND, false},
				   "protocol");
		expect_lie((struct lie){object, 0, DO, 0, SEND_GARBAGE, false}, "protocol");
		expect_lie((struct lie){object, 0, DO, 0, CLOSE, false}, "peer_closed");
		expect_lie((struct lie){object, 0, DO, 0, SEND_END, false}, "no_source");
	}
	expect_lie((struct lie){FL_OBJECT_TRANSPORT, 3, DO, 0, SEND_TWICE, false}, "protocol");
	expect_lie((struct lie){FL_OBJECT_TRANSPORT, 3, DO, 0, DROP, false}, "protocol");
}

/* Whatever reason an agent gives, the release is not to blame. */
Test(runner_tamper, an_agent_cannot_condemn_a_release)
{
	static const struct {
		const char *said, *code;
	} rows[] = {{"format", "no_source"},	{"plugin_abi", "no_source"},
		    {"ok", "no_source"},	{"made_up", "no_source"},
		    {"", "no_source"},		{"http_status", "http_status"},
		    {"cancelled", "cancelled"}, {"network", "network"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lie lie = {FL_OBJECT_TRANSPORT, 2, DO, 0, SEND_END, false};
		FL_AUTO_FD target = old_target();
		struct play p = {.plugin = ROOTFS,
				 .content = &content,
				 .target = target,
				 .tamper = tell,
				 .tamper_ctx = &lie,
				 .end_code = rows[i].said};
		play_expect(&p, "retry", rows[i].code, NULL);
	}
}

/* The release signs what follows: the transport is what its tree says, and still wrong. */
static void expect_bad_artifact(struct content *c, const char *code)
{
	FL_AUTO_FD target = old_target();
	struct play p = {.plugin = ROOTFS, .content = c, .target = target};
	content_sign_transport(c);
	play_expect(&p, "permanent", code, NULL);
	check_target(target);
}

Test(runner_tamper, a_signed_table_that_is_none)
{
	const size_t bytes[] = {0, 7, 15, 19, 23, 24 + 7, 24 + 11, 24 + 12 + 7};
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		content.transport.data[bytes[i]] ^= 1;
		expect_bad_artifact(&content, bytes[i] == 15 ? "size_mismatch" : "format");
		content.transport.data[bytes[i]] ^= 1;
	}
}

Test(runner_tamper, a_signed_frame_that_is_none)
{
	uint64_t offset;
	uint32_t length;
	content_frame(&content, 2, &offset, &length);
	content.transport.data[offset] ^= 1;
	expect_bad_artifact(&content, "format");
	content.transport.data[offset] ^= 1;
}

/* Puts a frame of the same length as frame k in its place, padded by more blocks: here only what
 * fits. */
static void replace_frame(uint32_t k, const void *plain, size_t plain_len)
{
	uint64_t offset;
	uint32_t length;
	content_frame(&content, k, &offset, &length);
	size_t room = ZSTD_compressBound(plain_len);
	uint8_t *packed = malloc(room);
	size_t n = ZSTD_compress(packed, room, plain, plain_len, 1);
	cr_assert_not(ZSTD_isError(n));
	uint32_t grow = (uint32_t)n - length;
	struct fl_err err;
	struct fl_buf now = FL_BUF((size_t)1 << 30);
	cr_assert_eq(fl_buf_append(&now, content.transport.data, (size_t)offset, &err), FL_OK);
	cr_assert_eq(fl_buf_append(&now, packed, n, &err), FL_OK);
	cr_assert_eq(fl_buf_append(&now, content.transport.data + offset + length,
				   content.transport.len - (size_t)offset - length, &err),
		     FL_OK);
	for (uint32_t i = k; i < content_frames(&content); i++) {
		uint8_t *entry =
			now.data + FL_FRAMES_HEADER_SIZE + (size_t)i * FL_FRAMES_ENTRY_SIZE;
		uint64_t at;
		uint32_t len;
		content_frame(&content, i, &at, &len);
		at = i == k ? at : at + (uint64_t)(int64_t)(int32_t)grow;
		len = i == k ? (uint32_t)n : len;
		for (int b = 0; b < 8; b++)
			entry[b] = (uint8_t)(at >> (56 - 8 * b));
		for (int b = 0; b < 4; b++)
			entry[8 + b] = (uint8_t)(len >> (24 - 8 * b));
	}
	fl_buf_free(&content.transport);
	content.transport = now;
	free(packed);
}

Test(runner_tamper, a_signed_frame_of_another_image)
{
	uint8_t *plain = malloc(content.frame_size);
	memcpy(plain, content.image + content.frame_size, content.frame_size);
	plain[content.frame_size - 1] ^= 1;
	replace_frame(1, plain, content.frame_size);
	expect_bad_artifact(&content, "format");
	free(plain);
}

Test(runner_tamper, a_signed_frame_of_another_size)
{
	uint8_t *plain = calloc(1, 64 * MIB);
	replace_frame(1, plain, content.frame_size - 1);
	expect_bad_artifact(&content, "size_mismatch");
	replace_frame(1, plain, 64 * MIB);
	expect_bad_artifact(&content, "size_mismatch");
	free(plain);
}

/* A runner that waits for the agent is no hung plugin: it says every second that it lives. */
Test(runner_tamper, an_agent_that_stalls)
{
	struct lie lie = {FL_OBJECT_TRANSPORT, 3, DO, 0, STALL, false};
	FL_AUTO_FD target = old_target();
	struct outcome out;
	struct play p = {.plugin = ROOTFS,
			 .content = &content,
			 .target = target,
			 .tamper = tell,
			 .tamper_ctx = &lie,
			 .patience_ms = 2500,
			 .term_after_ms = 5000};
	play_expect(&p, "retry", "cancelled", &out);
	cr_assert_not(out.hung);
	cr_assert_geq(out.keepalives, 4);
	check_target(target);
}
