/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins: the ABI check, the order of calls, what they return, and how those that misbehave end.
 */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_LEN ((size_t)20 * FL_CHUNK_SIZE + 5)
#define FRAME	  (4u * FL_CHUNK_SIZE)

static struct content content;
static int target;

static void set_up(void)
{
	content_make_dense(&content, IMAGE_LEN, FRAME);
	target = target_file("", 0, IMAGE_LEN);
}

static void tear_down(void)
{
	content_free(&content);
	close(target);
}

TestSuite(runner_plugin, .init = set_up, .fini = tear_down, .timeout = 60);

static struct play with(const char *plugin)
{
	return (struct play){.plugin = plugin, .content = &content, .target = target};
}

Test(runner_plugin, abi)
{
	static const struct {
		const char *plugin, *code, *text;
	} rows[] = {
		{PLUGINS "/abi_major.so", "plugin_abi", "handler ABI 2.99, this runner speaks 1.0"},
		{PLUGINS "/abi_size.so", "plugin_abi", "24 bytes"},
		{PLUGINS "/no_symbol.so", "plugin_abi", "no 'fl_handler_plugin'"},
		{PLUGINS "/undefined.so", "plugin_abi", "test_undefined_symbol"},
		{PLUGINS "/no_call.so", "plugin_abi", "lacks the call 'read'"},
		{PLUGINS "/no_hello.so", "incompatible", "not on this machine"},
		{PLUGINS "/none.so", "plugin_missing", "none.so"},
		{"none.so", "invalid_argument", "no path"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome out;
		struct play p = with(rows[i].plugin);
		play_expect(&p, "permanent", rows[i].code, &out);
		cr_assert_not_null(strstr(out.text, rows[i].text), "%s", out.text);
		cr_assert_not(out.ready);
	}
}

/* No byte of a frame is staged before the frame before it is flushed, and at the end all is. */
Test(runner_plugin, every_frame_is_flushed_before_the_next)
{
	struct outcome out;
	struct play p = with(PLUGINS "/good.so");
	unsigned long long at, len, open_frame = 0, flushed_to = 0, staged = 0, flushes = 0;
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(target, &content));
	cr_assert_str_eq(out.version, "1.2.3");
	for (char *line = strtok(out.log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (sscanf(line, "stage %llu %llu", &at, &len) == 2) {
			cr_assert_eq(at, staged, "ascending, without holes here");
			open_frame = at / FRAME;
			cr_assert_geq(flushed_to, open_frame * FRAME,
				      "frame %llu before the one before it is flushed", open_frame);
			staged = at + len;
		} else if (sscanf(line, "flush %llu %llu", &at, &len) == 2) {
			cr_assert_leq(at, flushed_to);
			flushed_to = at + len;
			cr_assert_leq(flushed_to, staged);
			flushes++;
		}
	}
	cr_assert_eq(staged, IMAGE_LEN);
	cr_assert_eq(flushed_to, IMAGE_LEN);
	cr_assert_eq(flushes, 6 + 1, "each frame, and the whole at the end");
	play_expect(&p, "ok", "ok", &out);
	cr_assert_not_null(strstr(out.log, "flush 0 1310725\n"),
			   "also when all was there already: %s", out.log);
	cr_assert_null(strstr(out.log, "stage"));
}

Test(runner_plugin, results_and_classes)
{
	static const struct {
		const char *activity, *result, *code, *text;
	} rows[] = {
		{"activate", "ok", "ok", ""},
		{"commit", "needs_user", "needs_user", "commit: press the?button"},
		{"rollback", "unsafe", "io", "rollback: the device smokes"},
		{"check", "retry", "plugin_failed", "check: returned a class that does not exist"},
		{"cleanup", "retry", "no_space", "cleanup: none left"},
		{"verify", "permanent", "plugin_refused", "verify: yyyy"},
		{"restart", "ok", "ok", "nothing to do"},
		{"enumerate", "ok", "ok", ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome out;
		struct play p = with(PLUGINS "/good.so");
		p.activity = rows[i].activity;
		play_expect(&p, rows[i].result, rows[i].code, &out);
		cr_assert(strncmp(out.text, rows[i].text, strlen(rows[i].text)) == 0, "%s: %s",
			  rows[i].activity, out.text);
		if (strcmp(rows[i].activity, "enumerate") == 0)
			cr_assert(out.n_slots == 2 && strstr(out.log, "meter\ndisplay\n") != NULL);
	}
}

Test(runner_plugin, a_crash_ends_without_a_result)
{
	struct outcome out;
	struct play p = with(PLUGINS "/crash.so");
	play(&p, &out);
	cr_assert(out.ready);
	cr_assert_not(out.has_result);
	cr_assert_neq(out.status, 0, "the outer process tells that the inner one died");
	cr_assert_lt(out.all_dead_ms, 1000);
}

/* The deadline it asked for is 1.5 s; nothing that the runner does may hide its silence. */
Test(runner_plugin, a_hang_is_silent_and_can_be_killed)
{
	struct outcome out;
	struct play p = with(PLUGINS "/hang.so");
	p.patience_ms = 1500;
	play(&p, &out);
	cr_assert_eq(out.deadline_ms, 1500);
	cr_assert(out.hung);
	cr_assert_not(out.has_result);
	cr_assert(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 128 + 9, "status %x",
		  out.status);
}

Test(runner_plugin, slow_but_alive)
{
	struct outcome out;
	struct play p = with(PLUGINS "/chatter.so");
	p.patience_ms = 1500;
	play_expect(&p, "ok", "ok", &out);
	cr_assert_not(out.hung);
	cr_assert_geq(out.keepalives, 2);
}

Test(runner_plugin, a_cancel_waits_for_the_end_of_an_erase)
{
	struct outcome out;
	struct play p = with(PLUGINS "/inhibit.so");
	p.term_after_ms = 500;
	play_expect(&p, "retry", "cancelled", &out);
	cr_assert_str_eq(out.text, "stage: seen 0 times while inhibited");
	cr_assert_not_null(strstr(out.log, "erasing\n"));
	cr_assert_not(out.hung);
}

static enum tamper end_at_once(void *ctx, struct fl_ipc_piece *piece, uint8_t *data)
{
	(void)ctx;
	(void)data;
	return piece->object == FL_OBJECT_TRANSPORT ? SEND_END : SEND;
}

/* A handler that doesn't look at the size itself is stopped before anything is fetched. */
Test(runner_plugin, room_that_isnt_enough)
{
	struct outcome out;
	FL_AUTO_FD small = target_file("", 0, IMAGE_LEN - 1);
	struct play p = with(PLUGINS "/good.so");
	p.target = small;
	play_expect(&p, "permanent", "slot_too_small", &out);
	cr_assert_eq(out.needs, 0);
}

/* The image is zeros there: what cannot be read must not be taken for them. */
Test(runner_plugin, a_bad_block_is_written_anew)
{
	struct outcome out;
	struct content c;
	content_make(&c, 5 * FL_CHUNK_SIZE, FL_CHUNK_SIZE, 1);
	memset(c.image, 0, c.image_len);
	content_sign_all(&c);
	FL_AUTO_FD zeros = target_file("", 0, c.image_len);
	struct play p = {.plugin = PLUGINS "/badblock.so", .content = &c, .target = zeros};
	play_expect(&p, "ok", "ok", &out);
	cr_assert_eq(out.progress.kept_bytes, 4 * FL_CHUNK_SIZE);
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], 1);
	cr_assert_str_eq(out.log, "chunk 4 is written anew: read: bad block\n");
	/* what was tolerated is not what ends it */
	p.tamper = end_at_once;
	play_expect(&p, "retry", "no_source", NULL);
	content_free(&c);
	p = with(PLUGINS "/badblock.so");
	play_expect(&p, "unsafe", "io", &out);
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], 0);
}

Test(runner_plugin, a_flood_of_lines_ends)
{
	struct outcome out;
	struct play p = with(PLUGINS "/flood.so");
	play_expect(&p, "ok", "ok", &out);
	cr_assert_eq(out.log_lines, 1001);
}

/* The runner believes it; whoever reads the target back does not. */
Test(runner_plugin, a_lie_shows_in_the_target)
{
	struct outcome out;
	struct fl_err err;
	struct fl_tree *tree = NULL;
	static uint8_t chunk[FL_CHUNK_SIZE];
	struct play p = with(PLUGINS "/liar.so");
	play_expect(&p, "ok", "ok", &out);
	cr_assert_eq(fl_tree_new(IMAGE_LEN, &content.installed_root, &tree, &err), FL_OK);
	cr_assert_eq(fl_tree_put_page(tree, 0, content.installed_tree.data,
				      content.installed_tree.len, &err),
		     FL_OK);
	cr_assert_eq(fl_pread_all(target, chunk, sizeof(chunk), 0, &err), FL_OK);
	cr_assert_eq(fl_tree_check(tree, 0, chunk, sizeof(chunk), &err), FL_E_CHUNK_MISMATCH);
	fl_tree_free(tree);
}

#ifndef FL_SANITIZED /* there the address space isn't limited */
Test(runner_plugin, memory_without_end)
{
	struct outcome out;
	struct play p = with(PLUGINS "/memory.so");
	play_expect(&p, "retry", "no_memory", &out);
	unsigned long mib = 0;
	cr_assert_eq(sscanf(out.text, "stage: %lu MiB", &mib), 1, "%s", out.text);
	cr_assert_lt(mib, 256);
}
#endif

Test(runner_plugin, a_sequential_target_goes_on_where_it_was)
{
	struct outcome out;
	FL_AUTO_FD empty = target_file("", 0, 0);
	struct play p = with(PLUGINS "/sequential.so");
	p.target = empty;
	p.kill_after_pieces = 14;
	play(&p, &out);
	p.kill_after_pieces = 0;
	struct stat st;
	cr_assert_eq(fstat(empty, &st), 0);
	uint64_t whole = content.transport.len / FL_CHUNK_SIZE + 1;
	play_expect(&p, "ok", "ok", &out);
	cr_assert(target_is(empty, &content));
	cr_assert_leq(out.served[FL_OBJECT_TRANSPORT], whole);
	cr_assert_geq(out.progress.kept_bytes + FL_CHUNK_SIZE, (uint64_t)st.st_size);
	cr_assert_eq(out.progress.done_bytes, IMAGE_LEN);
	play_expect(&p, "ok", "ok", &out);
	cr_assert_eq(out.served[FL_OBJECT_TRANSPORT], 0);
}
