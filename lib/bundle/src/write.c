/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)1 << 20)

static int compare(const void *left, const void *right)
{
	const struct fl_bundle_item *a = left, *b = right;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == FL_BUNDLE_ROOT)
		return a->version < b->version ? -1 : a->version > b->version;
	return memcmp(a->digest.b, b->digest.b, sizeof(a->digest.b));
}

/* Components of the same content share it. */
static size_t drop_twins(struct fl_bundle_item *items, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		const bool twin = kept > 0 && items[i].kind >= FL_BUNDLE_TREE &&
				  compare(&items[kept - 1], &items[i]) == 0;
		if (!twin)
			items[kept++] = items[i];
	}
	return kept;
}

static enum fl_rc measure(const struct fl_bundle_item *item, struct fl_bundle_entry *ret,
			  struct fl_err *err)
{
	struct stat st;
	*ret = (struct fl_bundle_entry){.kind = item->kind, .size = item->text.len,
					.digest = item->digest};
	if (item->path == NULL)
		return fl_sha256(NULL, 0, item->text.data, item->text.len, &ret->digest, err);
	if (stat(item->path, &st) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", item->path);
	ret->size = (uint64_t)st.st_size;
	return FL_OK;
}

static enum fl_rc write_index(int fd, const struct fl_bundle_entry *entries, size_t n, uint64_t end,
			      struct fl_err *err)
{
	const struct bundle_head head = {(uint32_t)n, end};
	const size_t size = bundle_index_size(n);
	struct fl_digest sum;
	uint8_t *index = calloc(1, size);
	if (index == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "index");
	bundle_put_head(index, &head);
	for (size_t i = 0; i < n; i++)
		bundle_put_entry(index + BUNDLE_HEAD_SIZE + i * BUNDLE_ENTRY_SIZE, &entries[i]);
	enum fl_rc rc = fl_sha256(NULL, 0, index, size - FL_DIGEST_SIZE, &sum, err);
	if (rc == FL_OK) {
		memcpy(index + size - FL_DIGEST_SIZE, sum.b, sizeof(sum.b));
		rc = fl_pwrite_all(fd, index, size, 0, err);
	}
	free(index);
	return rc;
}

/* Exactly the bytes that were measured: a file that changes meanwhile is told, not packed. */
static enum fl_rc copy_file(int fd, const char *path, const struct fl_bundle_entry *entry,
			    uint8_t *block, struct fl_err *err)
{
	FL_AUTO_FD in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "'%s'", path);
	enum fl_rc rc = FL_OK;
	for (uint64_t done = 0; done < entry->size && rc == FL_OK; done += BLOCK) {
		const uint64_t left = entry->size - done;
		const size_t len = left < BLOCK ? (size_t)left : BLOCK;
		rc = fl_pread_all(in, block, len, done, err);
		if (rc == FL_OK)
			rc = fl_pwrite_all(fd, block, len, entry->offset + done, err);
	}
	return rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", path);
}

static enum fl_rc write_content(int fd, const struct fl_bundle_item *items,
				const struct fl_bundle_entry *entries, size_t n, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	uint8_t *block = malloc(BLOCK);
	if (block == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "block");
	for (size_t i = 0; i < n && rc == FL_OK; i++)
		rc = items[i].path != NULL
			     ? copy_file(fd, items[i].path, &entries[i], block, err)
			     : fl_pwrite_all(fd, items[i].text.data, items[i].text.len,
					     entries[i].offset, err);
	free(block);
	return rc;
}

enum fl_rc fl_bundle_write(int fd, struct fl_bundle_item *items, size_t n, struct fl_err *err)
{
	if (n == 0 || n > FL_BUNDLE_ENTRIES_MAX)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "bundle: %zu entries, at most %u", n,
			       FL_BUNDLE_ENTRIES_MAX);
	struct fl_bundle_entry *entries = calloc(n, sizeof(*entries));
	if (entries == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "bundle");
	uint64_t end = 0;
	qsort(items, n, sizeof(*items), compare);
	n = drop_twins(items, n);
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < n && rc == FL_OK; i++)
		rc = measure(&items[i], &entries[i], err);
	if (rc == FL_OK && bundle_lay_out(entries, n, &end, err) != FL_OK)
		rc = fl_wrap(err, FL_E_INVALID_ARGUMENT, "bundle");
	if (rc == FL_OK)
		rc = write_content(fd, items, entries, n, err);
	if (rc == FL_OK)
		rc = write_index(fd, entries, n, end, err);
	if (rc == FL_OK && fsync(fd) != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "bundle");
	free(entries);
	return rc;
}
