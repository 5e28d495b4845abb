/* SPDX-License-Identifier: Apache-2.0 */
/* Who of a root document's keys signed an envelope, and whether that is enough for a role. Pure. */
#ifndef FAIRLEAD_TRUST_SRC_SIGNERS_H
#define FAIRLEAD_TRUST_SRC_SIGNERS_H

#include <fairlead/trust/documents.h>

struct fl_signers {
	const struct fl_root *root; /* borrowed, like env */
	const struct fl_envelope *env;
	uint64_t valid;	  /* bit i: the root's key i signed validly and is not revoked */
	uint64_t revoked; /* bit i: the same, but revoked */
};

/* Checks every signature that names a key of the root. */
struct fl_signers fl_signers_of(const struct fl_root *root, const struct fl_envelope *env);

/* May this entry of the role sign what `what` describes? */
typedef bool fl_role_covers(const struct fl_role *role, const void *what);

/*
 * Did the threshold of one entry named `role` that covers `what` sign? covers NULL: any entry will
 * do. FL_E_KEY_UNKNOWN, FL_E_KEY_REVOKED, FL_E_SIGNATURE (too few), FL_E_SCOPE (not these keys'
 * business).
 */
enum fl_rc fl_signers_check(const struct fl_signers *signers, const char *role,
			    fl_role_covers *covers, const void *what,
			    struct fl_err *err) FL_CHECKED;

/* FL_E_DOC_TYPE unless it is an envelope of that type. */
enum fl_rc fl_signers_expect_type(const struct fl_envelope *env, enum fl_doc_type type,
				  struct fl_err *err) FL_CHECKED;

/* Is name in the list? An absent list holds every name. */
bool fl_scope_lists(const char *const *names, size_t n, const char *name);

#endif
