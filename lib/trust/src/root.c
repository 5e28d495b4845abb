/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of root documents: each is let in by the one before and answers for itself. */
#include "signers.h"

#include <fairlead/trust/verify.h>

/* Of the root's own codes only one speaks of signatures: whatever lacks, this is not the next root.
 */
static enum fl_rc check_signers(const struct fl_root *root, const struct fl_envelope *env,
				struct fl_err *err)
{
	const struct fl_signers signers = fl_signers_of(root, env);
	if (fl_signers_check(&signers, "root", NULL, NULL, err) == FL_OK)
		return FL_OK;
	return fl_wrap(err, FL_E_SIGNATURE, "root keys of version %llu",
		       (unsigned long long)root->version);
}

static enum fl_rc check_follows(const struct fl_root *current, const struct fl_root *next,
				struct fl_err *err)
{
	if (next->version != current->version + 1)
		return fl_fail(
			err, FL_E_ROOT_VERSION, 0, "version %llu does not follow version %llu",
			(unsigned long long)next->version, (unsigned long long)current->version);
	if (next->epoch < current->epoch)
		return fl_fail(err, FL_E_ROOT_VERSION, 0, "epoch %llu is below epoch %llu",
			       (unsigned long long)next->epoch, (unsigned long long)current->epoch);
	return FL_OK;
}

static enum fl_rc verify(const struct fl_root *current, const struct fl_envelope *next,
			 struct fl_arena *arena, struct fl_root *ret, struct fl_err *err)
{
	struct fl_root root;
	enum fl_rc rc = fl_signers_expect_type(next, FL_DOC_ROOT, err);
	if (rc == FL_OK && current != NULL)
		rc = check_signers(current, next, err);
	if (rc == FL_OK)
		rc = fl_root_decode(next->payload, arena, &root, err);
	if (rc == FL_OK && current != NULL)
		rc = check_follows(current, &root, err);
	if (rc == FL_OK)
		rc = check_signers(&root, next, err);
	if (rc == FL_OK)
		*ret = root;
	return rc;
}

enum fl_rc fl_verify_root(const struct fl_root *current, const struct fl_envelope *next,
			  struct fl_arena *arena, struct fl_root *ret, struct fl_err *err)
{
	enum fl_rc rc = verify(current, next, arena, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "verify root");
}
