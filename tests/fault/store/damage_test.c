/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flipped bits, cut and zeroed files: whatever the medium does, each row that the store gives out
 * is one that was put in. The others are dropped, or the database is set aside; and it takes
 * changes afterwards.
 */
#include "flow.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS ((size_t)30)

struct tally {
	unsigned cases, identical, dropped, set_aside;
};

/* ---- which lines are true ---- */

/* Sorted, for bsearch. */
struct truth {
	char *lines[4096];
	size_t n;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_lines(struct truth *t, const struct fl_buf *dump)
{
	char *copy = strdup(fl_buf_str(dump));
	for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		bool known = false;
		for (size_t i = 0; i < t->n && !known; i++)
			known = strcmp(t->lines[i], line) == 0;
		if (!known)
			t->lines[t->n++] = strdup(line);
	}
	free(copy);
}

/* What is true after the steps, and with `history` what was ever true before. */
static struct truth *truth_of(size_t steps, bool history)
{
	struct truth *t = calloc(1, sizeof(*t));
	struct fl_buf dump = FL_BUF(1 << 20);
	for (size_t n = history ? 0 : steps; n <= steps; n++) {
		flow_expect(n, &dump);
		add_lines(t, &dump);
	}
	if (fl_buf_append_str(&dump, "\nnumber 0\n", NULL) != FL_OK) /* lost */
		abort();
	add_lines(t, &dump);
	fl_buf_free(&dump);
	qsort(t->lines, t->n, sizeof(t->lines[0]), compare);
	return t;
}

static void truth_free(struct truth *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->lines[i]);
	free(t);
}

/* The first line that is not true, NULL when all are. */
static const char *lie(const struct truth *t, char *dump)
{
	for (char *line = strtok(dump, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (bsearch(&line, t->lines, t->n, sizeof(t->lines[0]), compare) == NULL)
			return line;
	}
	return NULL;
}

/* ---- one case ---- */

static void judge(const char *dir, const struct truth *t, const char *what, struct tally *tally)
{
	struct fl_store *store = NULL;
	struct fl_buf have = FL_BUF(1 << 20);
	struct fl_buf want = FL_BUF(1 << 20);
	struct fl_err err = {0};
	bool rebuilt = false;
	size_t damaged = 0;
	uint64_t value = 0;
	cr_assert_eq(fl_store_open(dir, &store, &rebuilt, &err), FL_OK, "%s: %s", what, err.msg);
	cr_assert_eq(flow_dump(store, &have, &damaged, &err), FL_OK, "%s: %s", what, err.msg);
	flow_expect(STEPS, &want);
	bool same = strcmp(fl_buf_str(&have), fl_buf_str(&want)) == 0;
	char *copy = strdup(fl_buf_str(&have));
	const char *wrong = lie(t, copy);
	cr_assert(wrong == NULL, "%s: never put: %.300s", what, wrong);
	cr_assert_eq(fl_store_number_set(store, "after", 7, &err), FL_OK, "%s: %s", what, err.msg);
	cr_assert(fl_store_number_get(store, "after", &value, &err) == FL_OK && value == 7, "%s",
		  what);
	fl_store_close(store);
	free(copy);
	fl_buf_free(&have);
	fl_buf_free(&want);
	tally->cases++;
	tally->identical += same ? 1 : 0;
	tally->set_aside += !same && rebuilt ? 1 : 0;
	tally->dropped += !same && !rebuilt ? 1 : 0;
}

/* ---- the databases ---- */

struct sample {
	char dir[64]; /* as it was */
	char work[64];
	const char *file; /* that is damaged */
	struct fl_buf data;
	struct truth *truth;
	struct tally tally;
};

/* A process that is killed leaves its log behind; one that closes does not. */
static void make(const char *dir, bool with_log)
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct fl_store *store = NULL;
		struct fl_err err;
		bool rebuilt = false;
		char from[64];
		if (flow_run(dir, 0, STEPS, false, NULL).acked != STEPS)
			abort();
		if (!with_log)
			flow_exit(0);
		/* The flow closes at its end: do its last steps over on a copy, and stop in the
		 * middle. */
		flow_new_dir(from);
		flow_clear_dir(dir, false);
		flow_run(from, 0, 10, false, NULL);
		flow_copy_dir(from, dir);
		flow_clear_dir(from, true);
		if (fl_store_open(dir, &store, &rebuilt, &err) != FL_OK)
			abort();
		flow_finish(dir, store, 10, STEPS);
		(void)kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(with_log ? WIFSIGNALED(status) : status == 0, "status %x", status);
}

static void read_file(struct sample *s)
{
	char path[128];
	struct fl_err err = {0};
	snprintf(path, sizeof(path), "%s/%s", s->dir, s->file);
	cr_assert_eq(fl_file_read(path, &s->data, &err), FL_OK, "%s", err.msg);
}

static struct sample sample(const char *file, bool with_log)
{
	struct sample s = {.file = file, .data = FL_BUF(4 << 20)};
	flow_new_dir(s.dir);
	flow_new_dir(s.work);
	make(s.dir, with_log);
	/* Damage to a log takes away its end: then an earlier state is true again. */
	s.truth = truth_of(STEPS, with_log);
	read_file(&s);
	return s;
}

static void done(struct sample *s, const char *name)
{
	struct tally t = s->tally;
	fprintf(stderr, "%s: %u cases: %u identical, %u with rows dropped, %u set aside\n", name,
		t.cases, t.identical, t.dropped, t.set_aside);
	cr_assert_eq(t.cases, t.identical + t.dropped + t.set_aside);
	truth_free(s->truth);
	fl_buf_free(&s->data);
	flow_clear_dir(s->dir, true);
	flow_clear_dir(s->work, true);
}

/* Judges the directory with the file's bytes as they are in s->data, up to len. */
static void try_bytes(struct sample *s, size_t len, const char *what)
{
	char path[128];
	flow_clear_dir(s->work, false);
	flow_copy_dir(s->dir, s->work);
	snprintf(path, sizeof(path), "%s/%s", s->work, s->file);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert(fd >= 0 && write(fd, s->data.data, len) == (ssize_t)len);
	(void)close(fd);
	judge(s->work, s->truth, what, &s->tally);
}

static void flip(struct sample *s, size_t bit)
{
	char what[64];
	snprintf(what, sizeof(what), "%s bit %zu", s->file, bit);
	s->data.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	try_bytes(s, s->data.len, what);
	s->data.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

/* Pages that hold something: free ones are zero, and a bit there says nothing. */
static bool page_used(const struct sample *s, size_t bit)
{
	size_t page = bit / 8 / 1024 * 1024;
	for (size_t i = page; i < page + 1024 && i < s->data.len; i++) {
		if (s->data.data[i] != 0)
			return true;
	}
	return false;
}

static void flip_many(struct sample *s, size_t from, size_t stride)
{
	for (size_t bit = from; bit < s->data.len * 8; bit += stride) {
		if (page_used(s, bit))
			flip(s, bit);
	}
}

Test(damage, flipped_bits_of_the_database)
{
	struct sample s = sample("state.db", false);
	flip_many(&s, 3, 131);
	cr_assert_gt(s.tally.cases, 1000);
	done(&s, "database, 1 bit");
}

Test(damage, every_bit_of_its_header_and_first_page_table)
{
	struct sample s = sample("state.db", false);
	for (size_t bit = 0; bit < 124 * 8; bit++)
		flip(&s, bit);
	done(&s, "header, 1 bit");
}

Test(damage, flipped_bits_beside_a_log)
{
	struct sample s = sample("state.db", true);
	flip_many(&s, 5, 1009);
	done(&s, "database with log, 1 bit");
}

Test(damage, flipped_bits_of_the_log)
{
	struct sample s = sample("state.db-wal", true);
	flip_many(&s, 1, 331);
	cr_assert_gt(s.tally.cases, 500);
	done(&s, "log, 1 bit");
}

static void cut_and_blank(struct sample *s)
{
	char what[64];
	for (size_t len = 0; len < s->data.len; len += 512) {
		snprintf(what, sizeof(what), "%s cut to %zu", s->file, len);
		try_bytes(s, len, what);
	}
	for (size_t at = 0; at + 512 <= s->data.len; at += 512) {
		uint8_t kept[1024];
		size_t len = s->data.len - at < 1024 ? s->data.len - at : 1024;
		memcpy(kept, s->data.data + at, len);
		memset(s->data.data + at, 0, len);
		snprintf(what, sizeof(what), "%s blank at %zu", s->file, at);
		try_bytes(s, s->data.len, what);
		memcpy(s->data.data + at, kept, len);
	}
}

Test(damage, cut_and_blank_database)
{
	struct sample s = sample("state.db", false);
	cut_and_blank(&s);
	done(&s, "database cut or blank");
}

Test(damage, cut_and_blank_log)
{
	struct sample s = sample("state.db-wal", true);
	cut_and_blank(&s);
	done(&s, "log cut or blank");
}

/*
 * A page in another's place: the checksums are good, the place is not. A page that was freed may
 * come back with rows of an earlier time; no checksum of a row can tell.
 */
Test(damage, swapped_pages)
{
	struct sample s = sample("state.db", false);
	truth_free(s.truth);
	s.truth = truth_of(STEPS, true);
	for (size_t a = 0; a < 20; a++) {
		for (size_t b = a + 1; b < 20; b++) {
			char what[64];
			uint8_t page[1024];
			uint8_t *pa = s.data.data + a * 1024;
			uint8_t *pb = s.data.data + b * 1024;
			memcpy(page, pa, 1024);
			memcpy(pa, pb, 1024);
			memcpy(pb, page, 1024);
			snprintf(what, sizeof(what), "pages %zu and %zu swapped", a, b);
			try_bytes(&s, s.data.len, what);
			memcpy(page, pa, 1024);
			memcpy(pa, pb, 1024);
			memcpy(pb, page, 1024);
		}
	}
	done(&s, "pages swapped");
}

Test(damage, garbage)
{
	struct sample s = sample("state.db", false);
	unsigned seed = 1;
	for (unsigned n = 0; n < 100; n++) {
		for (size_t i = 0; i < 2048; i++)
			s.data.data[(size_t)rand_r(&seed) % s.data.len] ^= (uint8_t)rand_r(&seed);
		try_bytes(&s, s.data.len, "garbage");
	}
	done(&s, "garbage");
}
