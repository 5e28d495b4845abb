/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <fairlead/trust/envelope.h>
#include <fairlead/trust/tree.h>

#include <string.h>

#define VERSION 1u

static const uint8_t magic[8] = {'F', 'L', 'B', 'U', 'N', 'D', 'L', 'E'};

#define SIZE_AT	  8
#define DIGEST_AT 16

/* What each kind may hold: the tree object of the largest image, and that image as it is transferred. */
static const uint64_t size_max[] = {
	[FL_BUNDLE_ROOT] = FL_ENVELOPE_MAX,
	[FL_BUNDLE_RELEASE] = FL_ENVELOPE_MAX,
	[FL_BUNDLE_JOB] = FL_ENVELOPE_MAX,
	[FL_BUNDLE_TREE] = FL_TREE_SIZE_MAX / FL_TREE_FANOUT + FL_CHUNK_SIZE,
	[FL_BUNDLE_BLOB] = FL_TREE_SIZE_MAX,
};

static void put(uint8_t *p, uint64_t v, int len)
{
	for (int i = len - 1; i >= 0; i--)
		*p++ = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, int len)
{
	uint64_t v = 0;
	for (int i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

void bundle_put_head(uint8_t *p, const struct bundle_head *head)
{
	memcpy(p, magic, sizeof(magic));
	put(p + 8, VERSION, 4);
	put(p + 12, head->n, 4);
	put(p + 16, head->file_size, 8);
}

enum fl_rc bundle_get_head(const uint8_t p[BUNDLE_HEAD_SIZE], struct bundle_head *ret,
			   struct fl_err *err)
{
	if (memcmp(p, magic, sizeof(magic)) != 0)
		return fl_fail(err, FL_E_FORMAT, 0, "not a bundle");
	if (get(p + 8, 4) != VERSION)
		return fl_fail(err, FL_E_FORMAT, 0, "a bundle of version %u, this program reads %u",
			       (unsigned)get(p + 8, 4), VERSION);
	const struct bundle_head head = {(uint32_t)get(p + 12, 4), get(p + 16, 8)};
	if (head.n > FL_BUNDLE_ENTRIES_MAX)
		return fl_fail(err, FL_E_FORMAT, 0, "%u entries, at most %u", head.n,
			       FL_BUNDLE_ENTRIES_MAX);
	*ret = head;
	return FL_OK;
}

void bundle_put_entry(uint8_t *p, const struct fl_bundle_entry *entry)
{
	memset(p, 0, SIZE_AT);
	p[0] = (uint8_t)entry->kind;
	put(p + SIZE_AT, entry->size, 8);
	memcpy(p + DIGEST_AT, entry->digest.b, sizeof(entry->digest.b));
}

enum fl_rc bundle_get_entry(const uint8_t p[BUNDLE_ENTRY_SIZE], struct fl_bundle_entry *ret,
			    struct fl_err *err)
{
	if (p[0] < FL_BUNDLE_ROOT || p[0] > FL_BUNDLE_BLOB || get(p + 1, SIZE_AT - 1) != 0)
		return fl_fail(err, FL_E_FORMAT, 0, "an entry of an unknown kind");
	struct fl_bundle_entry entry = {.kind = (enum fl_bundle_kind)p[0], .size = get(p + SIZE_AT, 8)};
	memcpy(entry.digest.b, p + DIGEST_AT, sizeof(entry.digest.b));
	*ret = entry;
	return FL_OK;
}

/* Kinds ascend; trees and blobs ascend by their digests too, so that none stands twice. */
static bool in_order(const struct fl_bundle_entry *a, const struct fl_bundle_entry *b)
{
	if (a->kind != b->kind || a->kind == FL_BUNDLE_ROOT)
		return a->kind <= b->kind;
	return a->kind >= FL_BUNDLE_TREE &&
	       memcmp(a->digest.b, b->digest.b, sizeof(a->digest.b)) < 0;
}

static size_t count_kind(const struct fl_bundle_entry *entries, size_t n, enum fl_bundle_kind kind)
{
	size_t found = 0;
	for (size_t i = 0; i < n; i++)
		found += entries[i].kind == kind;
	return found;
}

static enum fl_rc check_kinds(const struct fl_bundle_entry *entries, size_t n, struct fl_err *err)
{
	for (size_t i = 1; i < n; i++) {
		if (!in_order(&entries[i - 1], &entries[i]))
			return fl_fail(err, FL_E_FORMAT, 0, "entry %zu is out of order", i);
	}
	if (count_kind(entries, n, FL_BUNDLE_RELEASE) != 1 ||
	    count_kind(entries, n, FL_BUNDLE_JOB) != 1)
		return fl_fail(err, FL_E_FORMAT, 0, "not one release and one job");
	if (count_kind(entries, n, FL_BUNDLE_ROOT) > FL_BUNDLE_ROOTS_MAX)
		return fl_fail(err, FL_E_FORMAT, 0, "more than %u root documents",
			       FL_BUNDLE_ROOTS_MAX);
	return FL_OK;
}

enum fl_rc bundle_lay_out(struct fl_bundle_entry *entries, size_t n, uint64_t *ret_end,
			  struct fl_err *err)
{
	uint64_t at = bundle_index_size(n);
	enum fl_rc rc = check_kinds(entries, n, err);
	for (size_t i = 0; i < n && rc == FL_OK; i++) {
		if (entries[i].size > size_max[entries[i].kind])
			rc = fl_fail(err, FL_E_FORMAT, 0, "entry %zu is larger than its kind may be",
				     i);
		entries[i].offset = at;
		at += entries[i].size; /* 4096 entries of 256 GiB: far below 2^64 */
	}
	if (rc == FL_OK)
		*ret_end = at;
	return rc;
}
