/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "log_ring_scan.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fl_log_ring *ring;
static struct fl_arena arena;
static struct fl_log_line *lines;
static size_t n_lines;

static void open_ring(void)
{
	OK(fl_log_ring_open(dir, &ring, &err));
}

static void ring_set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/fl-unit-ring-XXXXXX");
	cr_assert_neq(mkdtemp(dir), NULL);
	open_ring();
}

static void ring_tear_down(void)
{
	fl_log_ring_close(ring);
	fl_arena_free(&arena);
	(void)unlink(in_dir("log.ring"));
	(void)rmdir(dir);
}

TestSuite(ring, .init = ring_set_up, .fini = ring_tear_down);

static void load(void)
{
	fl_arena_free(&arena);
	arena = FL_ARENA(4 << 20);
	OK(fl_log_ring_lines(ring, &arena, &lines, &n_lines, &err));
}

static void append(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char text[1100];
		int n = snprintf(text, sizeof(text), "line %u ", i);
		memset(text + n, '.', i % 211);
		text[n + (int)(i % 211)] = '\0';
		fl_log_ring_append(ring, 1000 + (int64_t)i, i % 8, text);
	}
}

/* All that is there are lines of append(), ascending without gaps, up to `last`. Returns the first.
 */
static unsigned expect_up_to(unsigned last)
{
	load();
	cr_assert_gt(n_lines, 0);
	unsigned first = last + 1 - (unsigned)n_lines;
	for (size_t i = 0; i < n_lines; i++) {
		char want[32];
		int n = snprintf(want, sizeof(want), "line %u ", first + (unsigned)i);
		cr_assert_eq(strncmp(lines[i].text, want, (size_t)n), 0, "%zu of %zu: %s", i,
			     n_lines, lines[i].text);
		cr_assert_eq(lines[i].utc, 1000 + (int64_t)(first + i));
		cr_assert_eq(lines[i].level, (first + i) % 8);
		cr_assert_eq(strlen(lines[i].text), (size_t)n + (first + i) % 211);
	}
	return first;
}

Test(ring, is_empty_at_first_and_of_fixed_size)
{
	load();
	cr_assert_eq(n_lines, 0);
	cr_assert_eq(size_of("log.ring"), 256 * 1024);
	append(0, 5000);
	cr_assert_eq(size_of("log.ring"), 256 * 1024);
}

Test(ring, keeps_the_newest_in_order)
{
	append(0, 20);
	cr_assert_eq(expect_up_to(19), 0);
	append(20, 10000);
	unsigned first = expect_up_to(9999);
	cr_assert_gt(first, 0);
	cr_assert_gt(n_lines, 1500, "256 KiB of lines of 150 bytes");
}

/* Looked at after every few lines, over two turns: nothing of the turn before shows behind the
 * newest. */
Test(ring, has_no_gap_at_any_time)
{
	append(0, 1500);
	for (unsigned at = 1500; at < 4500; at += 5) {
		append(at, at + 5);
		expect_up_to(at + 4);
	}
}

/* The end of the file is too short for a long line and holds whole short ones of the turn before.
 */
Test(ring, lines_left_at_the_end_of_the_file_are_blanked)
{
	char text[1001];
	unsigned at = 0;
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned i = 0; i < (turn == 0 ? 6553 : 6540); i++)
			fl_log_ring_append(ring, at++, 6, "8 bytes.");
	}
	memset(text, 'l', 1000);
	text[1000] = '\0';
	fl_log_ring_append(ring, at, 6, text);
	load();
	cr_assert_gt(n_lines, 6500);
	cr_assert_eq(lines[n_lines - 1].utc, at);
	for (size_t i = 1; i < n_lines; i++)
		cr_assert_eq(lines[i].utc, lines[i - 1].utc + 1, "%zu", i);
}

Test(ring, goes_on_after_every_restart)
{
	unsigned at = 0;
	for (unsigned round = 0; round < 40; round++) {
		append(at, at + 317);
		at += 317;
		fl_log_ring_close(ring);
		open_ring();
		expect_up_to(at - 1);
	}
}

Test(ring, survives_a_kill)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		append(0, 3000);
		(void)kill(getpid(), SIGKILL);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	fl_log_ring_close(ring);
	open_ring();
	expect_up_to(2999);
}

Test(ring, long_lines_are_cut_and_not_within_a_character)
{
	char text[2001];
	memset(text, 'x', 2000);
	text[2000] = '\0';
	memcpy(text + 998, "\xe2\x82\xac", 3); /* the euro sign, over the limit */
	fl_log_ring_append(ring, 1, 3, text);
	load();
	cr_assert_eq(strlen(lines[0].text), 998);
	memset(text, (char)0x80, 2000); /* no UTF-8 at all */
	fl_log_ring_append(ring, 1, 3, text);
	load();
	cr_assert_geq(strlen(lines[1].text), 990);
	fl_log_ring_append(ring, 1, 3, "");
	load();
	cr_assert_str_eq(lines[2].text, "");
}

Test(ring, control_characters_are_replaced)
{
	fl_log_ring_append(ring, 1, 3, "a\nb\x1b[31mc\x7f");
	load();
	cr_assert_str_eq(lines[0].text, "a?b?[31mc?");
}

static void damage(size_t offset, const void *data, size_t len)
{
	FL_AUTO_FD fd = open(in_dir("log.ring"), O_WRONLY | O_CLOEXEC);
	OK(fl_pwrite_all(fd, data, len, offset, &err));
}

/* Every line that is given out is one that was written, whatever lies in the file; and the ring
 * goes on. */
static void expect_only_true_lines(unsigned last)
{
	load();
	unsigned before = 0;
	for (size_t i = 0; i < n_lines; i++) {
		unsigned number = 0;
		cr_assert_eq(sscanf(lines[i].text, "line %u ", &number), 1, "%s", lines[i].text);
		cr_assert(number <= last && (i == 0 || number > before));
		cr_assert_eq(lines[i].utc, 1000 + (int64_t)number);
		before = number;
	}
}

Test(ring, damage_costs_the_lines_it_hits)
{
	uint8_t zero[512] = {0};
	append(0, 4000);
	load();
	size_t whole = n_lines;
	for (size_t at = 0; at < RING_SIZE; at += 64 * 1024)
		damage(at, zero, sizeof(zero)); /* torn sectors */
	expect_only_true_lines(3999);
	cr_assert_gt(n_lines, whole - 40);
	fl_log_ring_close(ring);
	open_ring();
	append(4000, 4010);
	expect_only_true_lines(4009);
}

Test(ring, every_flipped_bit_of_a_record)
{
	append(0, 3);
	struct fl_buf data = FL_BUF(RING_SIZE);
	OK(fl_file_read(in_dir("log.ring"), &data, &err));
	struct ring_record second;
	cr_assert(ring_next(data.data, data.len, 8, &second) && second.seq == 2);
	for (size_t bit = 0; bit < second.size * 8; bit++) {
		uint8_t byte = data.data[second.offset + bit / 8];
		uint8_t wrong = (uint8_t)(byte ^ 1U << bit % 8);
		damage(second.offset + bit / 8, &wrong, 1);
		expect_only_true_lines(2);
		cr_assert_geq(n_lines, 2);
		damage(second.offset + bit / 8, &byte, 1);
	}
	fl_buf_free(&data);
}

Test(ring, cut_grown_and_strange_files)
{
	append(0, 2000);
	fl_log_ring_close(ring);
	cr_assert_eq(truncate(in_dir("log.ring"), 1000), 0);
	open_ring();
	expect_only_true_lines(1999);
	cr_assert_eq(size_of("log.ring"), RING_SIZE);
	fl_log_ring_close(ring);
	cr_assert_eq(truncate(in_dir("log.ring"), 3 * (off_t)RING_SIZE), 0);
	open_ring();
	cr_assert_eq(size_of("log.ring"), RING_SIZE);
	fl_log_ring_close(ring);
	char *garbage = malloc(RING_SIZE);
	unsigned seed = 7;
	for (size_t i = 0; i < RING_SIZE; i++)
		garbage[i] = (char)rand_r(&seed);
	put_file("log.ring", garbage, RING_SIZE);
	free(garbage);
	open_ring();
	load();
	cr_assert_eq(n_lines, 0);
	append(0, 10);
	expect_up_to(9);
}

/* A line that holds the bytes of a record does not become one when its own head is overwritten. */
Test(ring, a_line_cannot_pose_as_a_record)
{
	uint8_t forged[RING_RECORD_MAX + 1];
	size_t size = ring_encode(500, 1, 0, "line 77 forged", forged);
	forged[size] = '\0';
	for (size_t i = 0; i < size; i++)
		forged[i] = forged[i] == 0 ? ' ' : forged[i];
	fl_log_ring_append(ring, 1, 3, (const char *)forged);
	uint8_t zero[32] = {0};
	damage(0, zero, sizeof(zero));
	load();
	cr_assert_eq(n_lines, 0);
}

Test(ring, no_file_and_no_memory)
{
	fl_log_ring_close(ring);
	ring = NULL;
	cr_assert_eq(unlink(in_dir("log.ring")), 0);
	cr_assert_eq(mkdir(in_dir("log.ring"), 0700), 0);
	cr_assert_neq(fl_log_ring_open(dir, &ring, &err), FL_OK);
	cr_assert_eq(rmdir(in_dir("log.ring")), 0);
	cr_assert_eq(mkfifo(in_dir("log.ring"), 0600), 0);
	cr_assert_eq(fl_log_ring_open(dir, &ring, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(unlink(in_dir("log.ring")), 0);
	cr_assert_eq(symlink("/tmp/elsewhere", in_dir("log.ring")), 0);
	cr_assert_neq(fl_log_ring_open(dir, &ring, &err), FL_OK);
	cr_assert_eq(ring, NULL);
	cr_assert_eq(unlink(in_dir("log.ring")), 0);
	open_ring();
	append(0, 100);
	struct fl_arena small = FL_ARENA(500);
	cr_assert_eq(fl_log_ring_lines(ring, &small, &lines, &n_lines, &err), FL_E_TOO_LARGE);
	cr_assert_eq(fl_log_ring_lines(ring, &small, &lines, &n_lines, NULL), FL_E_TOO_LARGE);
	fl_arena_free(&small);
}

static void *write_many(void *arg)
{
	for (unsigned i = 0; i < 500; i++) {
		char text[64];
		snprintf(text, sizeof(text), "thread %c %u", *(const char *)arg, i);
		fl_log_ring_append(ring, 0, 6, text);
	}
	return NULL;
}

Test(ring, any_thread)
{
	pthread_t threads[4];
	static const char names[] = "abcd";
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(
			pthread_create(&threads[i], NULL, write_many, (void *)(uintptr_t)&names[i]),
			0);
	for (size_t i = 0; i < 20; i++)
		load();
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	load();
	cr_assert_eq(n_lines, 2000);
	unsigned next[4] = {0};
	for (size_t i = 0; i < n_lines; i++) {
		unsigned number = 0;
		char name = 0;
		cr_assert_eq(sscanf(lines[i].text, "thread %c %u", &name, &number), 2);
		cr_assert_eq(number, next[name - 'a']++, "each thread's lines are in its order");
	}
}
