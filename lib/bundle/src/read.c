/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fl_bundle {
	int fd; /* borrowed */
	size_t n;
	struct fl_bundle_entry entries[];
};

static enum fl_rc size_of(int fd, uint64_t *ret, struct fl_err *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "size");
	if (!S_ISREG(st.st_mode))
		return fl_fail(err, FL_E_FORMAT, 0, "not a file");
	*ret = (uint64_t)st.st_size;
	return FL_OK;
}

static enum fl_rc check_size(uint64_t is, uint64_t said, struct fl_err *err)
{
	if (is < said)
		return fl_fail(err, FL_E_TRUNCATED, 0, "the file has %llu of its %llu bytes",
			       (unsigned long long)is, (unsigned long long)said);
	return is == said ? FL_OK : fl_fail(err, FL_E_FORMAT, 0, "bytes behind the end");
}

static enum fl_rc check_sum(const uint8_t *index, size_t size, struct fl_err *err)
{
	struct fl_digest sum;
	const size_t covered = size - FL_DIGEST_SIZE;
	enum fl_rc rc = fl_sha256(NULL, 0, index, covered, &sum, err);
	if (rc == FL_OK && memcmp(sum.b, index + covered, sizeof(sum.b)) != 0)
		rc = fl_fail(err, FL_E_FORMAT, 0, "the index is damaged");
	return rc;
}

static enum fl_rc take_entries(struct fl_bundle *bundle, const uint8_t *index,
			       const struct bundle_head *head, struct fl_err *err)
{
	uint64_t end = 0;
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < head->n && rc == FL_OK; i++)
		rc = bundle_get_entry(index + BUNDLE_HEAD_SIZE + i * BUNDLE_ENTRY_SIZE,
				      &bundle->entries[i], err);
	bundle->n = head->n;
	if (rc == FL_OK)
		rc = bundle_lay_out(bundle->entries, bundle->n, &end, err);
	if (rc == FL_OK && end != head->file_size)
		rc = fl_fail(err, FL_E_FORMAT, 0, "the entries do not fill the file");
	return rc;
}

static enum fl_rc read_index(int fd, const struct bundle_head *head, struct fl_bundle *bundle,
			     struct fl_err *err)
{
	const size_t size = bundle_index_size(head->n);
	uint8_t *index = malloc(size);
	if (index == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "index");
	enum fl_rc rc = fl_pread_all(fd, index, size, 0, err);
	if (rc == FL_OK)
		rc = check_sum(index, size, err);
	if (rc == FL_OK)
		rc = take_entries(bundle, index, head, err);
	free(index);
	return rc;
}

static enum fl_rc read_head(int fd, struct bundle_head *ret, struct fl_err *err)
{
	uint8_t head[BUNDLE_HEAD_SIZE];
	uint64_t size = 0;
	enum fl_rc rc = size_of(fd, &size, err);
	if (rc == FL_OK && size < bundle_index_size(0))
		return fl_fail(err, FL_E_FORMAT, 0, "not a bundle");
	if (rc == FL_OK)
		rc = fl_pread_all(fd, head, sizeof(head), 0, err);
	if (rc == FL_OK)
		rc = bundle_get_head(head, ret, err);
	return rc == FL_OK ? check_size(size, ret->file_size, err) : rc;
}

enum fl_rc fl_bundle_open(int fd, struct fl_bundle **ret, struct fl_err *err)
{
	struct bundle_head head;
	struct fl_bundle *bundle = NULL;
	enum fl_rc rc = read_head(fd, &head, err);
	if (rc == FL_OK) {
		bundle = calloc(1, sizeof(*bundle) + head.n * sizeof(bundle->entries[0]));
		rc = bundle == NULL ? fl_fail(err, FL_E_NO_MEMORY, 0, "index") : FL_OK;
	}
	if (rc == FL_OK) {
		bundle->fd = fd;
		rc = read_index(fd, &head, bundle, err);
	}
	if (rc != FL_OK) {
		fl_bundle_free(bundle);
		return fl_wrap(err, rc, "bundle");
	}
	*ret = bundle;
	return FL_OK;
}

void fl_bundle_free(struct fl_bundle *bundle)
{
	free(bundle);
}

size_t fl_bundle_count(const struct fl_bundle *bundle)
{
	return bundle->n;
}

const struct fl_bundle_entry *fl_bundle_entry(const struct fl_bundle *bundle, size_t i)
{
	FL_BUG_ON(i >= bundle->n);
	return &bundle->entries[i];
}

const struct fl_bundle_entry *fl_bundle_find(const struct fl_bundle *bundle, enum fl_bundle_kind kind,
					     const struct fl_digest *digest)
{
	for (size_t i = 0; i < bundle->n; i++) {
		const struct fl_bundle_entry *e = &bundle->entries[i];
		if (e->kind == kind && fl_digest_equal(&e->digest, digest))
			return e;
	}
	return NULL;
}

const struct fl_bundle_entry *fl_bundle_first(const struct fl_bundle *bundle, enum fl_bundle_kind kind)
{
	for (size_t i = 0; i < bundle->n; i++) {
		if (bundle->entries[i].kind == kind)
			return &bundle->entries[i];
	}
	return NULL;
}

enum fl_rc fl_bundle_read_document(const struct fl_bundle *bundle, const struct fl_bundle_entry *entry,
				   struct fl_buf *out, struct fl_err *err)
{
	struct fl_digest digest;
	const size_t len = (size_t)entry->size; /* of a document: at most FL_ENVELOPE_MAX */
	FL_BUG_ON(entry->kind >= FL_BUNDLE_TREE);
	enum fl_rc rc = fl_buf_reserve(out, len, err);
	if (rc == FL_OK)
		rc = fl_bundle_pread(bundle, entry, 0, out->data + out->len, len, err);
	if (rc == FL_OK)
		rc = fl_sha256(NULL, 0, out->data + out->len, len, &digest, err);
	if (rc == FL_OK && !fl_digest_equal(&digest, &entry->digest))
		rc = fl_fail(err, FL_E_CORRUPT, 0, "bundle: a document is damaged");
	if (rc != FL_OK)
		return rc;
	out->len += len;
	out->data[out->len] = 0;
	return FL_OK;
}

enum fl_rc fl_bundle_pread(const struct fl_bundle *bundle, const struct fl_bundle_entry *entry,
			   uint64_t offset, void *data, size_t len, struct fl_err *err)
{
	if (offset > entry->size || len > entry->size - offset)
		return fl_fail(err, FL_E_TRUNCATED, 0, "bundle: past the end of an entry");
	enum fl_rc rc = fl_pread_all(bundle->fd, data, len, entry->offset + offset, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "bundle");
}
