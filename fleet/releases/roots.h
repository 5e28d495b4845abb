/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of root documents: the newest, decoded, and every envelope since the first that this fleet was given. */
#ifndef FLEET_RELEASES_ROOTS_H
#define FLEET_RELEASES_ROOTS_H

#include "bus/bus.h"
#include "db/db.h"

#include <fairlead/base/clock.h>
#include <fairlead/trust/verify.h>

struct fl_roots {
	struct fl_db *db;	      /* kept */
	const struct fl_bus *bus;     /* kept; NULL while a fleet is made */
	const struct fl_clock *clock; /* kept */
	struct fl_arena arena;	      /* of `current` */
	struct fl_root current;
};

/* Reads and verifies the chain. FL_E_NOT_FOUND without any root. End with fl_roots_done. */
enum fl_rc fl_roots_load(struct fl_roots *roots, struct fl_err *err) FL_CHECKED;
void fl_roots_done(struct fl_roots *roots);
/* The first root (roots->current.version 0) or the next one. FL_E_ROOT_VERSION, FL_E_SIGNATURE, FL_E_ENVELOPE … */
enum fl_rc fl_roots_add(struct fl_roots *roots, const char *actor, const void *text, size_t len,
			struct fl_err *err) FL_CHECKED;
/* The envelope's text of one version (0: the newest), appended. FL_E_NOT_FOUND. */
enum fl_rc fl_roots_get(struct fl_roots *roots, uint64_t version, struct fl_buf *out,
			struct fl_err *err) FL_CHECKED;

#endif
