/* SPDX-License-Identifier: Apache-2.0 */
/* A release while `release create` makes it: first from the options alone, then with what the
 * images say. */
#ifndef FL_TOOLS_RELEASE_DRAFT_H
#define FL_TOOLS_RELEASE_DRAFT_H

#include "release.h"

struct fl_tools_draft {
	const struct fl_tools_call *call;
	const char *dir;
	uint32_t frame_size;
	int level;
	struct fl_arena arena;
	struct fl_release doc;
	struct fl_compat compat;
	struct fl_health health;
	struct fl_soak soak;
	struct fl_set set;
	struct fl_component components[FL_TOOLS_COMPONENTS_MAX];
	struct fl_installed_ref installed[FL_TOOLS_COMPONENTS_MAX]; /* slot_fill and verity_root; the rest comes with the bytes */
	const char *images[FL_TOOLS_COMPONENTS_MAX];
	const char *order[FL_TOOLS_COMPONENTS_MAX];
};

/* Fills in everything that the options tell, and refuses what no device would take. d->call and
 * d->arena are set. */
enum fl_rc fl_tools_draft_options(struct fl_tools_draft *d, struct fl_err *err) FL_CHECKED;
/* Fills in installed and artifacts of component i, and adds their bytes to d->dir. */
enum fl_rc fl_tools_draft_pack(struct fl_tools_draft *d, size_t i, struct fl_err *err) FL_CHECKED;

#endif
