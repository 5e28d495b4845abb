/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder's runner alone: the ABI, the contract, what it is given, and who asks it. */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_LEN ((size_t)20 * FL_CHUNK_SIZE + 5)
#define CHUNKS	  21u

static struct content content;
static struct patch patch;
static const struct fl_ipc_need all = {FL_OBJECT_OUTPUT, 0, CHUNKS};

static void set_up(void)
{
	content_make_dense(&content, IMAGE_LEN, 4 * FL_CHUNK_SIZE);
	patch_make(&patch, &content, 3);
}

static void tear_down(void)
{
	patch_free(&patch);
	content_free(&content);
}

TestSuite(runner_decoder, .init = set_up, .fini = tear_down, .timeout = 60);

static struct decoding with(const char *plugin, const char *params)
{
	return (struct decoding){
		.plugin = plugin, .patch = &patch, .params = params, .needs = &all, .n_needs = 1};
}

static void expect(const struct decoding *d, const char *result, const char *code,
		   struct outcome *out)
{
	play_decoder_expect(d, &content, result, code, out);
}

Test(runner_decoder, abi)
{
	static const struct {
		const char *plugin, *result, *code, *text;
	} rows[] = {
		{PLUGINS "/unfit_decoder_major.so", "permanent", "plugin_abi",
		 "decoder ABI 2.7, this runner speaks 1.0"},
		{PLUGINS "/unfit_decoder_size.so", "permanent", "plugin_abi", "24 bytes"},
		{PLUGINS "/unfit_no_decoder.so", "permanent", "plugin_abi",
		 "no 'fl_decoder_plugin': it is no decoder"},
		{PLUGINS "/good.so", "permanent", "plugin_abi", "no 'fl_decoder_plugin'"},
		{PLUGINS "/unfit_no_decode.so", "permanent", "plugin_abi",
		 "lacks the call 'decode'"},
		{PLUGINS "/unfit_no_hello.so", "permanent", "incompatible", "not on this machine"},
		{PLUGINS "/unfit_hungry.so", "permanent", "too_large",
		 "the release grants 1048576"},
		{PLUGINS "/unfit_no_formats.so", "permanent", "format", "does not know 'patch'"},
		{PLUGINS "/none.so", "permanent", "plugin_missing", "none.so"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome out;
		struct decoding d = with(rows[i].plugin, NULL);
		expect(&d, rows[i].result, rows[i].code, &out);
		cr_assert_not_null(strstr(out.text, rows[i].text), "%s", out.text);
		cr_assert_not(out.ready);
		cr_assert_eq(out.served[FL_OBJECT_OUTPUT], 0);
	}
	/* nor is a decoder a handler */
	FL_AUTO_FD target = target_file("", 0, IMAGE_LEN);
	struct play p = {.plugin = PLUGINS "/patch.so", .content = &content, .target = target};
	play_expect(&p, "permanent", "plugin_abi", NULL);
}

Test(runner_decoder, a_newer_minor_and_another_format)
{
	struct outcome out;
	struct decoding d = with(PLUGINS "/unfit_reads_in_hello.so", NULL);
	expect(&d, "ok", "ok", &out);
	cr_assert(out.served[FL_OBJECT_OUTPUT] == CHUNKS && out.wrong == 0);
	cr_assert_str_eq(out.version, "2.0");
	cr_assert(outcome_has(out.capabilities, "other") && outcome_has(out.capabilities, "patch"));
	d.format = "bsdiff";
	expect(&d, "permanent", "format", NULL);
}

/* What breaks the contract ends it; not one chunk leaves that isn't the next. */
Test(runner_decoder, contract)
{
	static const struct {
		const char *params, *result, *code;
		uint64_t sent;
	} rows[] = {
		{"none 0", "ok", "ok", CHUNKS},
		{"short 0", "permanent", "size_mismatch", 0},
		{"short 20", "permanent", "size_mismatch", 20},
		{"cut 5", "permanent", "size_mismatch", 5},
		{"cut 20", "permanent", "size_mismatch", 20},
		{"long 5", "permanent", "size_mismatch", 5},
		{"long 20", "permanent", "size_mismatch", 20},
		{"past 5", "permanent", "size_mismatch", 5},
		{"far 5", "permanent", "size_mismatch", 5},
		{"order 5", "permanent", "plugin_contract", 5},
		{"between 5", "permanent", "plugin_contract", 5},
		{"twice 5", "permanent", "plugin_contract", 6},
		{"twice 20", "permanent", "plugin_contract", CHUNKS},
		{"unasked 5", "permanent", "plugin_contract", 0},
		{"source_past 5", "permanent", "format", 5},
		{"source_wrap 5", "permanent", "format", 5},
		{"input_past 5", "permanent", "format", 5},
		{"input_wrap 5", "permanent", "format", 5},
		{"ignore 5", "permanent", "format", 5},
		{"refuse 5", "permanent", "format", 5},
		{"unsafe 5", "retry", "plugin_failed", 5},
		{"person 5", "retry", "plugin_failed", 5},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome out;
		struct decoding d = with(PLUGINS "/misdecode.so", rows[i].params);
		/* alone it cannot know that all has come */
		d.no_end = strcmp(rows[i].result, "ok") != 0;
		play_decoder(&d, &content, &out);
		cr_expect(out.has_result && strcmp(out.result, rows[i].result) == 0 &&
				  strcmp(out.code, rows[i].code) == 0,
			  "%s: %s %s (%s)", rows[i].params, out.result, out.code, out.text);
		cr_expect_eq(out.served[FL_OBJECT_OUTPUT], rows[i].sent, "%s: %lu", rows[i].params,
			     (unsigned long)out.served[FL_OBJECT_OUTPUT]);
		cr_expect_eq(out.wrong, 0, "%s", rows[i].params);
		/* a need that was never read cuts off what was said at the end */
		if (strncmp(rows[i].params, "unasked", 7) == 0)
			continue;
		cr_expect_str_eq(out.end_code, strcmp(rows[i].code, "ok") == 0 ? "" : rows[i].code,
				 "the other runner is told: %s", rows[i].params);
	}
}

Test(runner_decoder, slow_but_alive)
{
	struct outcome out;
	struct decoding d = with(PLUGINS "/misdecode.so", "slow 1000");
	d.patience_ms = 1500;
	expect(&d, "ok", "ok", &out);
	cr_assert_not(out.hung);
}

/* ---- memory ---- */

static unsigned long kib_of(const struct outcome *out)
{
	unsigned long kib = 0;
	const char *line = strstr(out->log, " KiB\n");
	cr_assert_not_null(line, "%s", out->log);
	while (line > out->log && line[-1] != '\n')
		line--;
	cr_assert_eq(sscanf(line, "%lu KiB", &kib), 1, "%s", out->log);
	return kib;
}

Test(runner_decoder, the_hosts_memory_ends_at_the_limit)
{
	for (uint64_t mib = 1; mib <= 16; mib *= 4) {
		struct outcome out;
		struct decoding d = with(PLUGINS "/misdecode.so", "hog 3");
		d.mem_max = mib << 20;
		expect(&d, "retry", "no_memory", &out);
		/* pieces of 4,096 + 32, beside the chunk that it has */
		unsigned long pieces =
			(unsigned long)(d.mem_max - FL_CHUNK_SIZE - 32) / (4096 + 32);
		cr_assert_eq(kib_of(&out), pieces * 4, "%lu KiB of %lu MiB", kib_of(&out),
			     (unsigned long)mib);
		cr_assert_not_null(strstr(out.log, "more memory than the release grants"));
	}
}

/* A decoder that holds all of its memory leaves enough for the host. */
Test(runner_decoder, all_of_it_can_be_held)
{
	const char *const params[] = {"greedy 3", "greedy 4"};
	for (uint64_t mib = 1; mib <= 64; mib *= 4) {
		for (size_t i = 0; i < 2; i++) {
			struct outcome out;
			struct decoding d = with(PLUGINS "/misdecode.so", params[i]);
			d.mem_max = mib << 20;
			expect(&d, "ok", "ok", &out);
			cr_assert(out.served[FL_OBJECT_OUTPUT] == CHUNKS && out.wrong == 0);
		}
	}
}

#ifndef FL_SANITIZED /* there the address space isn't limited */
Test(runner_decoder, so_does_the_process)
{
	for (uint64_t mib = 1; mib <= 16; mib *= 4) {
		struct outcome out;
		struct decoding d = with(PLUGINS "/misdecode.so", "malloc 3");
		d.mem_max = mib << 20;
		expect(&d, "retry", "no_memory", &out);
		cr_assert_lt(kib_of(&out), (mib + 2) * 1024);
		d = with(PLUGINS "/misdecode.so", "hog 3");
		d.mem_max = mib << 20;
		expect(&d, "retry", "no_memory", &out);
		cr_assert_gt(kib_of(&out), mib * 1024 * 9 / 10, "what is granted can be had");
	}
	struct outcome out;
	struct decoding d = with(PLUGINS "/misdecode.so", "last_byte 3");
	expect(&d, "retry", "no_memory", &out);
	cr_assert_str_eq(out.end_code, "no_memory", "the other runner is told too");
	d = with(PLUGINS "/misdecode.so", "stack 3");
	play_decoder(&d, &content, &out);
	cr_assert_not(out.has_result);
	cr_assert_neq(out.status, 0);
}
#endif

/* ---- what it is given ---- */

static int read_only(int fd)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A copy of buf with one byte changed, or cut. */
static int spoiled(const struct fl_buf *buf, size_t flip, size_t len)
{
	uint8_t *copy = malloc(buf->len + 1);
	memcpy(copy, buf->data, buf->len);
	if (flip < buf->len)
		copy[flip] ^= 1;
	FL_AUTO_FD fd = target_file(copy, len, len);
	free(copy);
	return read_only(fd);
}

Test(runner_decoder, input_that_lies)
{
	for (size_t at = 0; at < patch.bytes.len; at += 50021) {
		struct outcome out;
		FL_AUTO_FD input = spoiled(&patch.bytes, at, patch.bytes.len);
		struct decoding d = with(PLUGINS "/patch.so", NULL);
		d.input = input;
		d.no_end = true;
		expect(&d, "retry", "chunk_mismatch", &out);
		cr_assert_eq(out.wrong, 0);
	}
	for (size_t at = 0; at < patch.tree.len; at += 37) {
		FL_AUTO_FD tree = spoiled(&patch.tree, at, patch.tree.len);
		struct decoding d = with(PLUGINS "/patch.so", NULL);
		d.input_tree = tree;
		d.no_end = true;
		expect(&d, "retry", "chunk_mismatch", NULL);
	}
	FL_AUTO_FD shorter = spoiled(&patch.bytes, SIZE_MAX, patch.bytes.len - 1);
	FL_AUTO_FD short_tree = spoiled(&patch.tree, SIZE_MAX, patch.tree.len - 1);
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	d.no_end = true;
	d.input = shorter;
	expect(&d, "retry", "truncated", NULL);
	d.input = 0;
	d.input_tree = short_tree;
	expect(&d, "retry", "truncated", NULL);
}

/* Signed, and still nonsense: the decoder sees the signed bytes, and reads past the ends. */
Test(runner_decoder, signed_input_that_is_wrong)
{
	struct outcome out;
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	d.no_end = true;
	patch.bytes.data[0] ^= 1;
	patch_sign(&patch);
	expect(&d, "permanent", "format", &out);
	cr_assert_str_eq(out.text, "decode: no patch");
	patch.bytes.data[0] ^= 1;
	patch.bytes.data[4 + 5 + 3] ^= 1; /* the first copy: from far behind the source */
	patch_sign(&patch);
	expect(&d, "permanent", "format", &out);
	cr_assert_not_null(strstr(out.text, "source: "), "%s", out.text);
	patch.bytes.data[4 + 5 + 3] ^= 1;
	patch.bytes.len -= 20;
	patch_sign(&patch);
	expect(&d, "permanent", "format", &out);
	cr_assert_not_null(strstr(out.text, "input: "), "%s", out.text);
	cr_assert_eq(out.wrong, 0);
}

Test(runner_decoder, a_source_of_another_size)
{
	struct outcome out;
	FL_AUTO_FD target = target_file(patch.source, patch.source_len - 1, patch.source_len - 1);
	FL_AUTO_FD shorter = read_only(target);
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	d.no_end = true;
	d.source = shorter;
	expect(&d, "retry", "truncated", &out);
	cr_assert_not(out.ready);
	d.source = 0;
	d.source_size = patch.source_len / 2; /* signed; what is behind it does not exist */
	expect(&d, "permanent", "format", NULL);
}

/* What can't be read any more is no reason to lose the rest. */
Test(runner_decoder, a_source_that_ends_while_it_is_read)
{
	struct outcome out;
	FL_AUTO_FD file = target_file(patch.source, patch.source_len, patch.source_len);
	FL_AUTO_FD source = read_only(file);
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	d.source = source;
	d.shrink = file;
	expect(&d, "retry", "io", &out);
	cr_assert_eq(out.served[FL_OBJECT_OUTPUT], CHUNKS);
	cr_assert_gt(out.wrong, 0);
	cr_assert_lt(out.wrong, CHUNKS);
	cr_assert_not_null(strstr(out.text, "source: "), "%s", out.text);
}

Test(runner_decoder, a_wrong_source_makes_wrong_chunks)
{
	struct outcome out;
	patch.source[3 * FL_CHUNK_SIZE] ^= 1;
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	expect(&d, "ok", "ok", &out);
	cr_assert_eq(out.served[FL_OBJECT_OUTPUT], CHUNKS);
	cr_assert_leq(out.wrong, 1);
}

Test(runner_decoder, what_isnt_right_about_the_start)
{
	FL_AUTO_FD writable = target_file(patch.bytes.data, patch.bytes.len, patch.bytes.len);
	FL_AUTO_FD null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct decoding good = with(PLUGINS "/patch.so", NULL);
	struct decoding rows[9];
	for (size_t i = 0; i < 9; i++)
		rows[i] = good;
	rows[0].input = writable;
	rows[1].input = null;
	rows[2].no_tree = true;
	rows[3].no_source = true;
	rows[4].extra_fd = true;
	rows[5].no_memory = true;
	rows[6].input_tree = writable;
	rows[7].source = writable;
	rows[8].source = null;
	for (size_t i = 0; i < 9; i++) {
		struct outcome out;
		play_decoder(&rows[i], &content, &out);
		cr_expect(out.has_result && strcmp(out.code, "invalid_argument") == 0,
			  "%zu: %s (%s)", i, out.code, out.text);
		cr_expect_not(out.ready);
	}
}

/* ---- who asks ---- */

static void expect_needs(const struct fl_ipc_need *needs, size_t n, const char *result,
			 const char *code, uint64_t sent)
{
	struct outcome out;
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	d.needs = needs;
	d.n_needs = n;
	expect(&d, result, code, &out);
	cr_assert_eq(out.served[FL_OBJECT_OUTPUT], sent);
	cr_assert_eq(out.wrong, 0);
}

Test(runner_decoder, runs_with_holes)
{
	const struct fl_ipc_need runs[] = {{FL_OBJECT_OUTPUT, 1, 2},
					   {FL_OBJECT_OUTPUT, 3, 1},
					   {FL_OBJECT_OUTPUT, 9, 4},
					   {FL_OBJECT_OUTPUT, 20, 1}};
	expect_needs(runs, 4, "ok", "ok", 8);
	expect_needs(NULL, 0, "ok", "ok", 0);
}

Test(runner_decoder, needs_that_lie)
{
	const struct fl_ipc_need rows[][2] = {
		{{FL_OBJECT_OUTPUT, 2, 2}, {FL_OBJECT_OUTPUT, 1, 1}},	 /* backwards */
		{{FL_OBJECT_OUTPUT, 2, 2}, {FL_OBJECT_OUTPUT, 3, 1}},	 /* the same again */
		{{FL_OBJECT_OUTPUT, 2, 2}, {FL_OBJECT_OUTPUT, 4, 18}},	 /* past the end */
		{{FL_OBJECT_OUTPUT, 2, 2}, {FL_OBJECT_OUTPUT, 21, 1}},	 /* behind it */
		{{FL_OBJECT_OUTPUT, 2, 2}, {FL_OBJECT_OUTPUT, 4, 0}},	 /* nothing */
		{{FL_OBJECT_OUTPUT, 2, 2}, {FL_OBJECT_TRANSPORT, 4, 1}}, /* of something else */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_needs(rows[i], 2, "retry", "protocol", 2);
}

Test(runner_decoder, the_other_side_is_gone)
{
	struct decoding d = with(PLUGINS "/patch.so", NULL);
	d.n_needs = 0;
	d.no_end = true;
	expect(&d, "retry", "peer_closed", NULL);
}

/* ---- the sandbox ---- */

Test(runner_decoder, nothing_gets_out)
{
	struct outcome out;
	unsigned denied = 0;
	struct decoding d = with(PLUGINS "/undecode.so", NULL);
	d.require_sandbox = true;
	expect(&d, "ok", "ok", &out);
	for (const char *p = out.log; (p = strstr(p, " denied\n")) != NULL; p++)
		denied++;
	cr_assert_null(strstr(out.log, "OPEN"), "%s", out.log);
	cr_assert_eq(denied, 31 + 33 + 10, "%s", out.log);
	cr_assert_eq(out.wrong, 0);
	const char *const names[] = {"no_new_privs", "pid_namespace", "no_capabilities",
				     "rlimits",	     "seccomp",	      "no_network"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect(outcome_has(out.protections, names[i]), "%s in%s", names[i],
			  out.protections);
}
