/* SPDX-License-Identifier: Apache-2.0 */
/* The releases that devices can be sent to, each verified when it came and complete in the blob store. */
#ifndef FLEET_RELEASES_RELEASES_H
#define FLEET_RELEASES_RELEASES_H

#include "blob/blob.h"
#include "releases/roots.h"

struct fl_releases {
	struct fl_db *db;	     /* kept */
	const struct fl_blob *blob;  /* kept */
	struct fl_roots *roots;	     /* kept */
	const struct fl_clock *clock; /* kept */
};

/*
 * Verifies and keeps a release. *created: it was not there. FL_E_SIGNATURE, FL_E_SCOPE, FL_E_KEY_REVOKED,
 * FL_E_CONFLICT when a blob or a tree is missing, …
 */
enum fl_rc fl_releases_add(struct fl_releases *rel, const char *actor, const void *text, size_t len,
			   struct fl_digest *digest, bool *created, struct fl_err *err) FL_CHECKED;
/* The envelope's text, appended. FL_E_NOT_FOUND. */
enum fl_rc fl_releases_get(struct fl_releases *rel, const struct fl_digest *digest,
			   struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* The same, decoded into the arena. */
enum fl_rc fl_releases_decode(struct fl_releases *rel, const struct fl_digest *digest,
			      struct fl_arena *arena, struct fl_release *ret, struct fl_err *err)
	FL_CHECKED;
/* Appends {"releases":[…]}, newest first. */
enum fl_rc fl_releases_list(struct fl_releases *rel, struct fl_buf *out, struct fl_err *err)
	FL_CHECKED;
/* Appends the root of every payload and tree that a release names, FL_DIGEST_SIZE bytes each, in no order, some twice. */
enum fl_rc fl_releases_roots(struct fl_releases *rel, struct fl_buf *out, struct fl_err *err)
	FL_CHECKED;

#define FL_RELEASE_MEMORY ((size_t)8 * 1024 * 1024)

#endif
