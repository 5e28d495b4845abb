/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blob seam: payloads and their tree objects, named by the root of their tree, immutable. Behind it: files
 * (files.c), laid out as docs/formats.md, section 5 says, so that any static server may serve the same folder.
 */
#ifndef FLEET_BLOB_BLOB_H
#define FLEET_BLOB_BLOB_H

#include <fairlead/base/encode.h>

enum fl_blob_kind { FL_BLOB_PAYLOAD, FL_BLOB_TREE };

/* "blobs", "trees" */
const char *fl_blob_kind_name(enum fl_blob_kind kind);

/* One upload: bytes are written to a temporary file and hashed on the way. */
struct fl_blob_upload;

/* Removes objects that have not been of use since before_s (UTC) and that used() doesn't know; at most `max` of them. */
struct fl_blob_sweep {
	uint64_t before_s, max;
	bool (*used)(void *ctx, const struct fl_digest *root);
	void *ctx;
};

struct fl_blob_ops {
	/* Somebody asks because it is to be used: it is new again for sweep. */
	bool (*has)(void *self, enum fl_blob_kind kind, const struct fl_digest *root);
	/* *fd: returned owned. FL_E_NOT_FOUND. */
	enum fl_rc (*open)(void *self, enum fl_blob_kind kind, const struct fl_digest *root, int *fd,
			   uint64_t *size, struct fl_err *err);
	/* `size`: of the content whose tree has that root, also for tree objects. *ret: owned, end with upload_free. */
	enum fl_rc (*upload_new)(void *self, enum fl_blob_kind kind, const struct fl_digest *root,
				 uint64_t size, struct fl_blob_upload **ret, struct fl_err *err);
	enum fl_rc (*upload_add)(struct fl_blob_upload *upload, const void *data, size_t len,
				 struct fl_err *err);
	/*
	 * Ends the upload: FL_E_CHUNK_MISMATCH or FL_E_SIZE_MISMATCH when it isn't what was announced; durable under its
	 * name on FL_OK. Blocks for as long as the medium takes: any thread, nobody else may touch the upload meanwhile.
	 */
	enum fl_rc (*upload_keep)(struct fl_blob_upload *upload, struct fl_err *err);
	/* Removes what was not kept. */
	void (*upload_free)(struct fl_blob_upload *upload);
	enum fl_rc (*sweep)(void *self, const struct fl_blob_sweep *sweep, uint64_t *removed,
			    struct fl_err *err);
	void (*close)(void *self);
};

struct fl_blob {
	const struct fl_blob_ops *ops;
	void *self;
};

/* dir must exist. Removes what unfinished uploads left. *ret: end with ret->ops->close. */
enum fl_rc fl_blob_open_files(const char *dir, struct fl_blob *ret, struct fl_err *err) FL_CHECKED;

#endif
