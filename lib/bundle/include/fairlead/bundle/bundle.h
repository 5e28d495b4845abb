/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An offline bundle (docs/formats.md, section 10): one file with the root documents, the release, the job, and the content of
 * the release. The index stands in front; everything is read where it stands, nothing is unpacked.
 *
 * The index says what ought to be where. It is checked for its form and against the size of the file, and is believed in
 * nothing else: a document counts by its signatures, a tree and a blob by the root that the signed release names.
 */
#ifndef FAIRLEAD_BUNDLE_BUNDLE_H
#define FAIRLEAD_BUNDLE_BUNDLE_H

#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BUNDLE_ROOTS_MAX   64u
#define FL_BUNDLE_ENTRIES_MAX 4096u

enum fl_bundle_kind {
	FL_BUNDLE_ROOT = 1, /* ascending versions */
	FL_BUNDLE_RELEASE,  /* one */
	FL_BUNDLE_JOB,	    /* one */
	FL_BUNDLE_TREE,	    /* a tree object */
	FL_BUNDLE_BLOB,	    /* the bytes below a tree */
};

/* digest: of a document the SHA-256 of the envelope's text, of a tree and a blob the root of the tree. */
struct fl_bundle_entry {
	enum fl_bundle_kind kind;
	uint64_t offset, size;
	struct fl_digest digest;
};

struct fl_bundle;

/*
 * Reads the index. fd: borrowed until fl_bundle_free, its offset is neither used nor moved. *ret: returned owned. FL_E_FORMAT: no
 * bundle, or a damaged index; FL_E_TRUNCATED: the file is shorter than it says; FL_E_IO: it cannot be read.
 */
enum fl_rc fl_bundle_open(int fd, struct fl_bundle **ret, struct fl_err *err) FL_CHECKED;
void fl_bundle_free(struct fl_bundle *bundle);

size_t fl_bundle_count(const struct fl_bundle *bundle);
/* In the order of the file. Borrowed from the bundle. */
const struct fl_bundle_entry *fl_bundle_entry(const struct fl_bundle *bundle, size_t i);
/* NULL: it has none. */
const struct fl_bundle_entry *fl_bundle_find(const struct fl_bundle *bundle, enum fl_bundle_kind kind,
					     const struct fl_digest *digest);
/* The first of a kind; NULL: none, which of a release and a job does not happen. */
const struct fl_bundle_entry *fl_bundle_first(const struct fl_bundle *bundle, enum fl_bundle_kind kind);

/* The text of a document's envelope, appended. FL_E_CORRUPT: not what the index says. Verifies nothing else. */
enum fl_rc fl_bundle_read_document(const struct fl_bundle *bundle, const struct fl_bundle_entry *entry,
				   struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/*
 * len bytes from `offset` within the entry, as they stand: whoever wants them checks them against the tree. FL_E_TRUNCATED past
 * the end of the entry or of the file.
 */
enum fl_rc fl_bundle_pread(const struct fl_bundle *bundle, const struct fl_bundle_entry *entry,
			   uint64_t offset, void *data, size_t len, struct fl_err *err) FL_CHECKED;

/* What goes into a bundle: text (a document) or the path of a file. */
struct fl_bundle_item {
	enum fl_bundle_kind kind;
	uint64_t version;	 /* of a root */
	struct fl_bytes text;	 /* of a document */
	const char *path;	 /* of a tree or a blob */
	struct fl_digest digest; /* of a tree or a blob */
};
/*
 * Writes a bundle to fd, an empty file, and makes it durable. The items are put in order; a tree or a blob that stands twice is
 * written once. FL_E_INVALID_ARGUMENT where the reader would refuse the outcome.
 */
enum fl_rc fl_bundle_write(int fd, struct fl_bundle_item *items, size_t n, struct fl_err *err)
	FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
