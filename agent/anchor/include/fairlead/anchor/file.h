/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The anchor on the medium: one preallocated file of two records that are written in turn, in place, and beside it
 * the documents that the records name, each in a file named by its digest (docs/internals/anchor.md).
 * One process at a time; not for threads.
 */
#ifndef FAIRLEAD_ANCHOR_FILE_H
#define FAIRLEAD_ANCHOR_FILE_H

#include <fairlead/anchor/anchor.h>
#include <fairlead/trust/envelope.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_anchor_found {
	FL_ANCHOR_OK,	 /* the newest record */
	FL_ANCHOR_OLDER, /* the other record is damaged: a write was cut off, or the medium forgets */
	FL_ANCHOR_LOST,	 /* no record: missing, or both damaged */
};

struct fl_anchor_file;

/*
 * Opens dir (made with mode 0700 when missing) and reads the anchor; when it is lost, *anchor is as fl_anchor_init leaves
 * it. FL_E_BUSY when another process has it open, FL_E_CONFIG when others than the owner may write to dir. *ret:
 * returned owned, free with fl_anchor_close.
 */
enum fl_rc fl_anchor_open(const char *dir, struct fl_anchor_file **ret, struct fl_anchor *anchor,
			  enum fl_anchor_found *found, struct fl_err *err) FL_CHECKED;
void fl_anchor_close(struct fl_anchor_file *file);

/*
 * Durable on return. Documents that neither this record nor the one before names are removed after that. On
 * failure the medium holds the record before, or this one: act on neither until a later save succeeded.
 */
enum fl_rc fl_anchor_save(struct fl_anchor_file *file, const struct fl_anchor *anchor,
			  struct fl_err *err) FL_CHECKED;

/* Keeps a document durably. Call it before the save that names it: the next save removes what nothing names. */
enum fl_rc fl_anchor_keep(struct fl_anchor_file *file, const struct fl_envelope *env,
			  struct fl_err *err) FL_CHECKED;
/*
 * A kept document, its payload owned by the arena; its signatures are not verified. FL_E_NOT_FOUND, FL_E_CORRUPT when it is not the
 * one its name says. *digest (may be NULL): its whole digest.
 */
enum fl_rc fl_anchor_fetch(const struct fl_anchor_file *file, const struct fl_anchor_id *id,
			   struct fl_arena *arena, struct fl_envelope *ret,
			   struct fl_digest *digest, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
