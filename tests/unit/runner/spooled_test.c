/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a spooled artifact by offset: never a byte that isn't the signed one, whatever the file
 * does meanwhile. */
#include "spooled.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct artifact {
	uint8_t *bytes;
	size_t len;
	int fd, tree_fd;
	struct fl_digest root;
	struct spooled spooled;
};

static void make(struct artifact *a, size_t len)
{
	struct fl_err err;
	struct fl_tree_builder *b = NULL;
	struct fl_buf tree = FL_BUF((size_t)1 << 22);
	uint64_t size;
	*a = (struct artifact){.bytes = malloc(len + 1), .len = len};
	for (size_t i = 0; i < len; i++)
		a->bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	cr_assert_eq(fl_tree_builder_new(&b, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_add(b, a->bytes, len, &err), FL_OK);
	cr_assert_eq(fl_tree_builder_finish(b, &a->root, &size, &tree, &err), FL_OK);
	fl_tree_builder_free(b);
	a->fd = memfd_create("artifact", MFD_CLOEXEC);
	a->tree_fd = memfd_create("tree", MFD_CLOEXEC);
	cr_assert_eq(fl_pwrite_all(a->fd, a->bytes, len, 0, &err), FL_OK);
	cr_assert_eq(fl_pwrite_all(a->tree_fd, tree.data, tree.len, 0, &err), FL_OK);
	fl_buf_free(&tree);
	cr_assert_eq(spooled_init(&a->spooled, a->fd, a->tree_fd, len, &a->root, &err), FL_OK);
}

static void done(struct artifact *a)
{
	spooled_done(&a->spooled);
	fl_close(&a->fd);
	fl_close(&a->tree_fd);
	free(a->bytes);
}

static enum fl_rc read_at(struct artifact *a, uint64_t offset, size_t len)
{
	struct fl_err err;
	uint8_t *out = malloc(len + 1);
	enum fl_rc rc = spooled_read(&a->spooled, offset, out, len, &err);
	if (rc == FL_OK)
		cr_assert_eq(memcmp(out, a->bytes + offset, len), 0);
	free(out);
	return rc;
}

Test(runner_spooled, any_place_in_any_order)
{
	struct artifact a;
	make(&a, 5 * FL_CHUNK_SIZE + 77);
	srand(4);
	for (unsigned i = 0; i < 500; i++) {
		size_t offset = (size_t)rand() % a.len;
		size_t len = (size_t)rand() % (i % 2 == 0 ? 20 : a.len);
		len = len < a.len - offset ? len : a.len - offset;
		cr_assert_eq(read_at(&a, offset, len), FL_OK);
	}
	cr_assert_eq(read_at(&a, 0, a.len), FL_OK);
	cr_assert_eq(read_at(&a, a.len, 0), FL_OK);
	done(&a);
}

/* Two levels: back and forth over the border of two pages. */
Test(runner_spooled, pages_replace_each_other)
{
	struct artifact a;
	const size_t border = (size_t)FL_TREE_FANOUT * FL_CHUNK_SIZE;
	make(&a, border + 3 * FL_CHUNK_SIZE);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(read_at(&a, border - 10, 20), FL_OK);
		cr_assert_eq(read_at(&a, 0, 1), FL_OK);
		cr_assert_eq(read_at(&a, a.len - 1, 1), FL_OK);
	}
	done(&a);
}

Test(runner_spooled, past_the_end)
{
	struct artifact a;
	make(&a, FL_CHUNK_SIZE + 1);
	cr_assert_eq(read_at(&a, a.len, 1), FL_E_FORMAT);
	cr_assert_eq(read_at(&a, a.len - 1, 2), FL_E_FORMAT);
	cr_assert_eq(read_at(&a, UINT64_MAX, 2), FL_E_FORMAT);
	cr_assert_eq(read_at(&a, UINT64_MAX - 1, 1), FL_E_FORMAT);
	cr_assert_eq(read_at(&a, a.len - 1, 1), FL_OK, "it goes on");
	done(&a);
	make(&a, 0);
	cr_assert_eq(read_at(&a, 0, 0), FL_OK);
	cr_assert_eq(read_at(&a, 0, 1), FL_E_FORMAT);
	done(&a);
}

/* What is held was checked; what is read again is checked again. */
Test(runner_spooled, a_file_that_changes)
{
	struct artifact a;
	struct fl_err err;
	uint8_t wrong;
	make(&a, 3 * FL_CHUNK_SIZE);
	cr_assert_eq(read_at(&a, 10, 10), FL_OK);
	wrong = (uint8_t)~a.bytes[15];
	cr_assert_eq(fl_pwrite_all(a.fd, &wrong, 1, 15, &err), FL_OK);
	cr_assert_eq(read_at(&a, 10, 10), FL_OK, "from what is held");
	cr_assert_eq(read_at(&a, FL_CHUNK_SIZE, 10), FL_OK);
	cr_assert_eq(read_at(&a, 10, 10), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(read_at(&a, 100, 10), FL_E_CHUNK_MISMATCH, "nothing of a wrong chunk");
	cr_assert_eq(read_at(&a, FL_CHUNK_SIZE - 1, 2), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(read_at(&a, FL_CHUNK_SIZE, 10), FL_OK, "the others are as they were");
	cr_assert_eq(ftruncate(a.fd, 2 * FL_CHUNK_SIZE + 5), 0);
	cr_assert_eq(read_at(&a, 2 * FL_CHUNK_SIZE, 1), FL_E_TRUNCATED);
	done(&a);
}

Test(runner_spooled, a_tree_that_lies)
{
	struct artifact a;
	struct fl_err err;
	make(&a, 3 * FL_CHUNK_SIZE);
	cr_assert_eq(fl_pwrite_all(a.tree_fd, "?", 1, 40, &err), FL_OK);
	cr_assert_eq(read_at(&a, 0, 1), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(ftruncate(a.tree_fd, 95), 0);
	cr_assert_eq(read_at(&a, 0, 1), FL_E_TRUNCATED);
	done(&a);
}
