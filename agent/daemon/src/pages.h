/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of a tree on this side of the link: fetched once, kept in the spool, and checked against the signed root
 * each time they are read, so that what stands in the spool need not be believed.
 */
#ifndef FAIRLEAD_DAEMON_PAGES_H
#define FAIRLEAD_DAEMON_PAGES_H

#include <fairlead/trust/tree.h>

struct fl_pages {
	struct fl_tree *tree; /* owned */
	int fd;		      /* the spool's file; -1: not kept */
};

/* The spool keeps them. */
enum fl_rc fl_pages_open(struct fl_pages *pages, const char *spool_dir, uint64_t size,
			 const struct fl_digest *root, struct fl_err *err) FL_CHECKED;
void fl_pages_close(struct fl_pages *pages);

/* Reads page p from the spool into buf (FL_CHUNK_SIZE) and loads it into the verifier; false: it must be fetched. */
bool fl_pages_kept(struct fl_pages *pages, uint64_t page, uint8_t *buf);
/* Checks a fetched page, loads it, and keeps it. */
enum fl_rc fl_pages_take(struct fl_pages *pages, uint64_t page, const void *data, size_t len,
			 struct fl_err *err) FL_CHECKED;

#endif
