/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: what is written is read, where it stands; and no byte of one can change without being told. */
#include <fairlead/base/file.h>
#include <fairlead/bundle/bundle.h>
#include <fairlead/trust/digest.h>
#include <fairlead/trust/envelope.h>
#include <fairlead/trust/tree.h>

#include "scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD	  24
#define ENTRY	  48
#define BLOB_SIZE ((size_t)70000) /* two chunks */
#define N_ITEMS	  6

static struct fl_err err;
static char top[SCRATCH_MAX];
static char blob_path[64], tree_path[64];
static uint8_t blob[BLOB_SIZE];
static struct fl_digest root;

static void save(char path[64], const char *name, const void *data, size_t len)
{
	snprintf(path, 64, "%s/%s", top, name);
	cr_assert_eq(fl_file_replace(path, data, len, 0600, &err), FL_OK, "%s", err.msg);
}

static void set_up(void)
{
	struct fl_tree_builder *builder = NULL;
	struct fl_buf object = FL_BUF((size_t)1 << 20);
	uint64_t size = 0;
	scratch_make(top);
	for (size_t i = 0; i < BLOB_SIZE; i++)
		blob[i] = (uint8_t)(i * 7 + i / 251);
	cr_assert_eq(fl_tree_builder_new(&builder, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_add(builder, blob, sizeof(blob), &err), FL_OK);
	cr_assert_eq(fl_tree_builder_finish(builder, &root, &size, &object, &err), FL_OK);
	save(blob_path, "blob", blob, sizeof(blob));
	save(tree_path, "tree", object.data, object.len);
	fl_tree_builder_free(builder);
	fl_buf_free(&object);
}

static void tear_down(void)
{
	scratch_remove(top);
}

TestSuite(bundle, .init = set_up, .fini = tear_down);

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

/* As a caller gives them: in any order, the blob of two components twice. */
static void fill(struct fl_bundle_item items[N_ITEMS + 1])
{
	const struct fl_bundle_item all[N_ITEMS + 1] = {
		{.kind = FL_BUNDLE_BLOB, .path = blob_path, .digest = root},
		{.kind = FL_BUNDLE_JOB, .text = TEXT("a job")},
		{.kind = FL_BUNDLE_ROOT, .version = 3, .text = TEXT("root 3")},
		{.kind = FL_BUNDLE_TREE, .path = tree_path, .digest = root},
		{.kind = FL_BUNDLE_ROOT, .version = 2, .text = TEXT("root two")},
		{.kind = FL_BUNDLE_BLOB, .path = blob_path, .digest = root},
		{.kind = FL_BUNDLE_RELEASE, .text = TEXT("a release")},
	};
	memcpy(items, all, sizeof(all));
}

static int new_file(void)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

static int write_one(void)
{
	struct fl_bundle_item items[N_ITEMS + 1];
	int fd = new_file();
	fill(items);
	cr_assert_eq(fl_bundle_write(fd, items, N_ITEMS + 1, &err), FL_OK, "%s", err.msg);
	return fd;
}

static uint64_t size_of(int fd)
{
	struct stat st;
	cr_assert_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

static bool document_is(const struct fl_bundle *b, size_t i, const char *want)
{
	struct fl_buf text = FL_BUF((size_t)1024);
	const bool read = fl_bundle_read_document(b, fl_bundle_entry(b, i), &text, &err) == FL_OK;
	cr_assert(!read || strcmp(fl_buf_str(&text), want) == 0, "damage that nobody told");
	fl_buf_free(&text);
	return read;
}

/* As a device does it: the tree is checked against the signed root, the blob against the tree. */
static bool content_is_right(const struct fl_bundle *b)
{
	struct fl_tree *tree = NULL;
	uint8_t chunk[FL_CHUNK_SIZE];
	const struct fl_bundle_entry *t = fl_bundle_find(b, FL_BUNDLE_TREE, &root);
	const struct fl_bundle_entry *c = fl_bundle_find(b, FL_BUNDLE_BLOB, &root);
	if (t == NULL || c == NULL || c->size != BLOB_SIZE || t->size > sizeof(chunk))
		return false;
	cr_assert_eq(fl_tree_new(c->size, &root, &tree, &err), FL_OK);
	bool right = fl_bundle_pread(b, t, 0, chunk, (size_t)t->size, &err) == FL_OK &&
		     fl_tree_put_page(tree, 0, chunk, (size_t)t->size, &err) == FL_OK;
	for (uint64_t i = 0; i < 2 && right; i++) {
		const uint32_t len = fl_tree_chunk_len(fl_tree_get_shape(tree), i);
		right = fl_bundle_pread(b, c, i * FL_CHUNK_SIZE, chunk, len, &err) == FL_OK &&
			fl_tree_check(tree, i, chunk, len, &err) == FL_OK;
	}
	fl_tree_free(tree);
	return right;
}

static bool all_is_right(int fd)
{
	struct fl_bundle *b = NULL;
	bool right = fl_bundle_open(fd, &b, &err) == FL_OK && fl_bundle_count(b) == N_ITEMS &&
		     document_is(b, 0, "root two") && document_is(b, 1, "root 3") &&
		     document_is(b, 2, "a release") && document_is(b, 3, "a job") &&
		     content_is_right(b);
	fl_bundle_free(b);
	return right;
}

Test(bundle, is_read_where_it_stands)
{
	FL_AUTO_FD fd = write_one();
	struct fl_bundle *b = NULL;
	cr_assert(all_is_right(fd), "%s", err.msg);
	cr_assert_eq(fl_bundle_open(fd, &b, &err), FL_OK);
	const struct fl_bundle_entry *c = fl_bundle_first(b, FL_BUNDLE_BLOB);
	uint8_t part[10];
	cr_assert_eq(fl_bundle_pread(b, c, 65530, part, 10, &err), FL_OK);
	cr_assert_arr_eq(part, blob + 65530, 10);
	cr_assert_eq(fl_bundle_pread(b, c, BLOB_SIZE - 9, part, 10, &err), FL_E_TRUNCATED);
	cr_assert_eq(fl_bundle_pread(b, c, UINT64_MAX, part, 10, &err), FL_E_TRUNCATED);
	cr_assert_null(fl_bundle_find(b, FL_BUNDLE_TREE, &(struct fl_digest){{1}}));
	cr_assert_eq(lseek(fd, 0, SEEK_CUR), 0, "the descriptor's offset is the caller's own");
	fl_bundle_free(b);
}

/* In the index, a document, a tree, or a blob: whichever byte it is. */
Test(bundle, every_flipped_byte_is_told)
{
	FL_AUTO_FD fd = write_one();
	const uint64_t size = size_of(fd);
	for (uint64_t at = 0; at < size; at++) {
		uint8_t byte, bad;
		/* Of the blob, whose bytes are alike, every 97th and the ends of the chunks. */
		if (at > 2000 && at % 97 != 0 && at < size - 5000)
			continue;
		cr_assert_eq(fl_pread_all(fd, &byte, 1, at, &err), FL_OK);
		bad = byte ^ (uint8_t)(1u << at % 8);
		cr_assert_eq(fl_pwrite_all(fd, &bad, 1, at, &err), FL_OK);
		cr_assert_not(all_is_right(fd), "byte %llu", (unsigned long long)at);
		cr_assert_eq(fl_pwrite_all(fd, &byte, 1, at, &err), FL_OK);
	}
	cr_assert(all_is_right(fd));
}

Test(bundle, every_shorter_and_a_longer_file_is_told)
{
	FL_AUTO_FD fd = write_one();
	const uint64_t size = size_of(fd);
	struct fl_bundle *b = NULL;
	cr_assert_eq(ftruncate(fd, (off_t)size + 1), 0);
	cr_assert_eq(fl_bundle_open(fd, &b, &err), FL_E_FORMAT);
	cr_assert_str_eq(err.msg, "bundle: bytes behind the end");
	for (uint64_t len = size - 1; len > 0; len = len > 3000 ? len - 777 : len - 1) {
		cr_assert_eq(ftruncate(fd, (off_t)len), 0);
		enum fl_rc rc = fl_bundle_open(fd, &b, &err);
		cr_assert_eq(rc, len < HEAD + 32 ? FL_E_FORMAT : FL_E_TRUNCATED, "%llu bytes",
			     (unsigned long long)len);
	}
}

/* The file shrinks under the reader: an error, never a signal. */
Test(bundle, a_file_that_shrinks_is_an_error)
{
	FL_AUTO_FD fd = write_one();
	struct fl_bundle *b = NULL;
	uint8_t part[64];
	cr_assert_eq(fl_bundle_open(fd, &b, &err), FL_OK);
	const struct fl_bundle_entry *c = fl_bundle_first(b, FL_BUNDLE_BLOB);
	cr_assert_eq(ftruncate(fd, (off_t)c->offset + 10), 0);
	cr_assert_eq(fl_bundle_pread(b, c, 0, part, sizeof(part), &err), FL_E_TRUNCATED);
	fl_bundle_free(b);
}

/* Sets a number in the index, and the checksum right: what a hostile writer would. */
static void forge(int fd, uint64_t at, uint64_t value, int len)
{
	uint8_t bytes[8];
	uint8_t index[HEAD + N_ITEMS * ENTRY];
	struct fl_digest sum;
	for (int i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
	cr_assert_eq(fl_pwrite_all(fd, bytes, (size_t)len, at, &err), FL_OK);
	cr_assert_eq(fl_pread_all(fd, index, sizeof(index), 0, &err), FL_OK);
	cr_assert_eq(fl_sha256(NULL, 0, index, sizeof(index), &sum, &err), FL_OK);
	cr_assert_eq(fl_pwrite_all(fd, sum.b, sizeof(sum.b), sizeof(index), &err), FL_OK);
}

#define KIND_OF(i)   (uint64_t)(HEAD + (i) * ENTRY)
#define SIZE_OF(i)   (uint64_t)(HEAD + (i) * ENTRY + 8)
#define DIGEST_OF(i) (uint64_t)(HEAD + (i) * ENTRY + 16)

Test(bundle, a_hostile_index_is_refused)
{
	static const struct {
		const char *what;
		uint64_t at, value;
		int len;
	} cases[] = {
		{"another version", 8, 2, 4},
		{"no entry at all", 12, 0, 4},
		{"more entries than it may have", 12, FL_BUNDLE_ENTRIES_MAX + 1, 4},
		{"2^32 - 1 entries", 12, UINT32_MAX, 4},
		{"kind 0", KIND_OF(0), 0, 1},
		{"kind 6", KIND_OF(5), 6, 1},
		{"a byte behind the kind", KIND_OF(2) + 3, 1, 1},
		{"two releases", KIND_OF(3), FL_BUNDLE_RELEASE, 1},
		{"two jobs", KIND_OF(2), FL_BUNDLE_JOB, 1},
		{"no release", KIND_OF(2), FL_BUNDLE_ROOT, 1},
		{"no job", KIND_OF(3), FL_BUNDLE_TREE, 1},
		{"a tree behind a blob", KIND_OF(4), FL_BUNDLE_BLOB, 1},
		{"a root behind the job", KIND_OF(4), FL_BUNDLE_ROOT, 1},
		{"a document of 1 GiB", SIZE_OF(0), UINT64_C(1) << 30, 8},
		{"a tree of 1 GiB", SIZE_OF(4), UINT64_C(1) << 30, 8},
		{"a blob of 2^64 - 1 bytes", SIZE_OF(5), UINT64_MAX, 8},
		{"a blob one byte longer", SIZE_OF(5), BLOB_SIZE + 1, 8},
		{"a blob one byte shorter", SIZE_OF(5), BLOB_SIZE - 1, 8},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FL_AUTO_FD fd = write_one();
		struct fl_bundle *b = NULL;
		forge(fd, cases[i].at, cases[i].value, cases[i].len);
		cr_assert_eq(fl_bundle_open(fd, &b, &err), FL_E_FORMAT, "%s: %s", cases[i].what,
			     err.msg);
		cr_assert_null(b);
	}
}

Test(bundle, a_huge_size_that_the_file_only_claims_allocates_nothing)
{
	FL_AUTO_FD fd = write_one();
	struct fl_bundle *b = NULL;
	struct rusage before, after;
	cr_assert_eq(getrusage(RUSAGE_SELF, &before), 0);
	forge(fd, 16, UINT64_C(1) << 62, 8);
	cr_assert_eq(fl_bundle_open(fd, &b, &err), FL_E_TRUNCATED);
	cr_assert_eq(getrusage(RUSAGE_SELF, &after), 0);
	cr_assert_leq(after.ru_maxrss - before.ru_maxrss, 1024);
}

Test(bundle, what_is_no_file_is_refused)
{
	struct fl_bundle *b = NULL;
	int ends[2];
	FL_AUTO_FD folder = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FL_AUTO_FD empty = new_file();
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(fl_bundle_open(ends[0], &b, &err), FL_E_FORMAT);
	cr_assert_eq(fl_bundle_open(folder, &b, &err), FL_E_FORMAT);
	cr_assert_eq(fl_bundle_open(empty, &b, &err), FL_E_FORMAT);
	cr_assert_neq(fl_bundle_open(-1, &b, &err), FL_OK);
	fl_close(&ends[0]);
	fl_close(&ends[1]);
}

Test(bundle, nothing_is_written_that_the_reader_would_refuse)
{
	static const uint8_t large[FL_ENVELOPE_MAX + 1];
	struct fl_bundle_item items[N_ITEMS + 1];
	FL_AUTO_FD fd = new_file();
	fill(items);
	items[6].kind = FL_BUNDLE_JOB; /* no release, two jobs */
	cr_assert_eq(fl_bundle_write(fd, items, N_ITEMS + 1, &err), FL_E_INVALID_ARGUMENT);
	fill(items);
	cr_assert_eq(fl_bundle_write(fd, items, 0, &err), FL_E_INVALID_ARGUMENT);
	fill(items);
	items[1].text = (struct fl_bytes){large, sizeof(large)};
	cr_assert_eq(fl_bundle_write(fd, items, N_ITEMS + 1, &err), FL_E_INVALID_ARGUMENT);
	fill(items);
	cr_assert_eq(unlink(blob_path), 0);
	cr_assert_eq(fl_bundle_write(fd, items, N_ITEMS + 1, &err), FL_E_NOT_FOUND);
	cr_assert_eq(size_of(fd), 0);
}

Test(bundle, the_same_items_make_the_same_bytes)
{
	FL_AUTO_FD one = write_one();
	FL_AUTO_FD two = write_one();
	struct fl_buf a = FL_BUF((size_t)1 << 20), b = FL_BUF((size_t)1 << 20);
	cr_assert_eq(fl_file_read_fd(one, &a, &err), FL_OK);
	cr_assert_eq(fl_file_read_fd(two, &b, &err), FL_OK);
	cr_assert(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
	fl_buf_free(&a);
	fl_buf_free(&b);
}
