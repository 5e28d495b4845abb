/* SPDX-License-Identifier: Apache-2.0 */
/* The documents beside the anchor. */
#ifndef FAIRLEAD_ANCHOR_DOCUMENTS_H
#define FAIRLEAD_ANCHOR_DOCUMENTS_H

#include <fairlead/anchor/file.h>

enum fl_rc fl_documents_keep(const char *dir, const struct fl_envelope *env, struct fl_err *err)
	FL_CHECKED;
enum fl_rc fl_documents_fetch(const char *dir, const struct fl_anchor_id *id,
			      struct fl_arena *arena, struct fl_envelope *ret,
			      struct fl_digest *digest, struct fl_err *err) FL_CHECKED;
/* Removes every document that none of the n anchors names, and what cut-off writes left behind. */
void fl_documents_sweep(const char *dir, const struct fl_anchor *const *anchors, size_t n);

#endif
