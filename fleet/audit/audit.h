/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of every mutating act, one row each, chained: hash = SHA-256(prev ‖ the row as a JSON array). A row that is changed,
 * removed or put between others breaks the chain at that place; cutting off the end shows only against a copy of the
 * last hash.
 */
#ifndef FLEET_AUDIT_AUDIT_H
#define FLEET_AUDIT_AUDIT_H

#include "db/db.h"

#include <fairlead/base/buf.h>

struct fl_audit_entry {
	uint64_t utc;
	const char *actor;  /* token's name, "device:<id>", "system" */
	const char *action; /* "job.create", "device.revoke", … */
	const char *object; /* what it was done to */
	const char *detail; /* "" when there is nothing to add */
};

/* Within the transaction of the act itself. */
enum fl_rc fl_audit_add(struct fl_db *db, const struct fl_audit_entry *entry, struct fl_err *err)
	FL_CHECKED;
/* Checks the whole chain; out (may be NULL) gets one line per entry. FL_E_CORRUPT names the first bad one. */
enum fl_rc fl_audit_verify(struct fl_db *db, struct fl_buf *out, uint64_t *n, struct fl_err *err)
	FL_CHECKED;

#endif
