/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a release in its folder, named by its digest (docs/formats.md, section 5):
 * DIR/blobs/sha256-wide1/<root> and DIR/trees/sha256-wide1/<root>.
 */
#ifndef FL_TOOLS_CONTENT_H
#define FL_TOOLS_CONTENT_H

#include <fairlead/trust/documents.h>

#include <stdint.h>

#define FL_TOOLS_PATH_MAX 4096
/* The tree object of the largest image (256 GiB): every leaf, every level-1 page hash. */
#define FL_TOOLS_OBJECT_MAX ((size_t)160 * 1024 * 1024)

struct fl_tools_ref {
	struct fl_digest root;
	uint64_t size; /* of the content, not of the tree object */
};

enum fl_tools_content { FL_TOOLS_BLOB, FL_TOOLS_TREE };

/* "blobs", "trees" */
const char *fl_tools_content_name(enum fl_tools_content content);
enum fl_rc fl_tools_content_path(const char *dir, enum fl_tools_content content,
				 const struct fl_digest *root, char out[FL_TOOLS_PATH_MAX],
				 struct fl_err *err) FL_CHECKED;
enum fl_rc fl_tools_content_make_dirs(const char *dir, struct fl_err *err) FL_CHECKED;

/* The tree of all of fd; the tree object is appended to *object. */
enum fl_rc fl_tools_tree_of(int fd, struct fl_tools_ref *ret, struct fl_buf *object,
			    struct fl_err *err) FL_CHECKED;
/*
 * A blob in the making has no final name. Keeping it gives it that of its root, and adds its tree;
 * dropping is for what was begun and not kept. One at a time in a folder.
 */
enum fl_rc fl_tools_blob_begin(const char *dir, int *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_tools_blob_keep(const char *dir, int fd, struct fl_tools_ref *ret,
			      struct fl_err *err) FL_CHECKED;
void fl_tools_blob_drop(const char *dir);
/* Threads to pack with: one per processor, at most 16. */
unsigned fl_tools_workers(void);
/*
 * Packs an image as zstd-frames into dir: its blob, the tree of that, and the tree of the image.
 * *installed is of the image, *transport of the blob.
 */
enum fl_rc fl_tools_content_pack(const char *dir, const char *image, uint32_t frame_size, int level,
				 struct fl_tools_ref *installed, struct fl_tools_ref *transport,
				 struct fl_err *err) FL_CHECKED;
/*
 * Computes everything that an artifact's references claim anew from the bytes: the blob's size and
 * tree, its tree object, and of zstd-frames the image that they make, with its tree object. (A delta
 * was decoded when it was made; here its source lacks.) FL_E_CHUNK_MISMATCH, FL_E_SIZE_MISMATCH,
 * FL_E_FORMAT.
 */
enum fl_rc fl_tools_content_check(const char *dir, const struct fl_artifact *artifact,
				  const struct fl_installed_ref *installed,
				  struct fl_err *err) FL_CHECKED;

#endif
