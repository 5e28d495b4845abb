/* SPDX-License-Identifier: Apache-2.0 */
#include "signers.h"

#include "documents.h"

#include <string.h>

_Static_assert(FL_ROOT_KEYS_MAX <= 64, "a bit per key of the root");

static bool among(const struct fl_digest *digests, size_t n, const struct fl_digest *digest)
{
	for (size_t i = 0; i < n; i++) {
		if (fl_digest_equal(&digests[i], digest))
			return true;
	}
	return false;
}

static bool is_revoked(const struct fl_root *root, const struct fl_digest *keyid)
{
	return root->revoked != NULL &&
	       among(root->revoked->keyids.items, root->revoked->keyids.n, keyid);
}

static bool names_key(const struct fl_envelope *env, const struct fl_digest *keyid)
{
	for (size_t i = 0; i < env->n_sigs; i++) {
		if (fl_digest_equal(&env->sigs[i].keyid, keyid))
			return true;
	}
	return false;
}

static bool key_signed(const struct fl_envelope *env, const struct fl_root_key *key)
{
	struct fl_pubkey pub;
	if (!names_key(env, &key->keyid) ||
	    fl_pubkey_from_spki(key->spki.data, key->spki.len, &pub, NULL) != FL_OK)
		return false;
	const struct fl_pubkey *keys[] = {&pub};
	return fl_envelope_count_valid(env, keys, 1) == 1;
}

struct fl_signers fl_signers_of(const struct fl_root *root, const struct fl_envelope *env)
{
	struct fl_signers signers = {.root = root, .env = env};
	FL_BUG_ON(root->keys.n > FL_ROOT_KEYS_MAX);
	for (size_t i = 0; i < root->keys.n; i++) {
		const struct fl_root_key *key = &root->keys.items[i];
		if (!key_signed(env, key))
			continue;
		if (is_revoked(root, &key->keyid))
			signers.revoked |= UINT64_C(1) << i;
		else
			signers.valid |= UINT64_C(1) << i;
	}
	return signers;
}

/* The keys of an entry that signed, each once, however often the entry names them. */
static unsigned count(const struct fl_signers *signers, const struct fl_role *role)
{
	unsigned n = 0;
	for (size_t i = 0; i < signers->root->keys.n; i++) {
		bool valid = (signers->valid >> i & 1) != 0;
		if (valid &&
		    among(role->keyids.items, role->keyids.n, &signers->root->keys.items[i].keyid))
			n++;
	}
	return n;
}

/* Nobody's signature counts: why? */
static enum fl_rc refuse_unsigned(const struct fl_signers *signers, struct fl_err *err)
{
	const struct fl_envelope *env = signers->env;
	bool known = false;
	bool revoked = signers->revoked != 0;
	for (size_t i = 0; i < env->n_sigs && !revoked; i++) {
		const struct fl_digest *keyid = &env->sigs[i].keyid;
		for (size_t k = 0; k < signers->root->keys.n; k++)
			known |= fl_digest_equal(&signers->root->keys.items[k].keyid, keyid);
	}
	for (size_t i = 0; i < env->n_sigs && !known; i++)
		revoked |= is_revoked(signers->root, &env->sigs[i].keyid);
	if (revoked)
		return fl_fail(err, FL_E_KEY_REVOKED, 0, "signed by revoked keys only");
	if (known)
		return fl_fail(err, FL_E_SIGNATURE, 0, "no valid signature");
	return fl_fail(err, FL_E_KEY_UNKNOWN, 0, "no signature by a key of root version %llu",
		       (unsigned long long)signers->root->version);
}

enum fl_rc fl_signers_check(const struct fl_signers *signers, const char *role,
			    fl_role_covers *covers, const void *what, struct fl_err *err)
{
	unsigned most = 0;
	unsigned threshold = 0;
	for (size_t i = 0; i < signers->root->roles.n; i++) {
		const struct fl_role *entry = &signers->root->roles.items[i];
		if (strcmp(entry->role, role) != 0 || (covers != NULL && !covers(entry, what)))
			continue;
		unsigned n = count(signers, entry);
		if (n > 0 && n >= entry->threshold)
			return FL_OK;
		if (n > most) {
			most = n;
			threshold = (unsigned)entry->threshold;
		}
	}
	if (signers->valid == 0)
		return refuse_unsigned(signers, err);
	if (most > 0)
		return fl_fail(err, FL_E_SIGNATURE, 0, "signed by %u of the %u %s keys it needs",
			       most, threshold, role);
	return fl_fail(err, FL_E_SCOPE, 0, "the keys that signed may not sign this as %s", role);
}

enum fl_rc fl_signers_expect_type(const struct fl_envelope *env, enum fl_doc_type type,
				  struct fl_err *err)
{
	if (env->type != type)
		return fl_fail(err, FL_E_DOC_TYPE, 0, "not a %s", fl_doc_type_name(type));
	if (env->n_sigs > FL_SIGS_MAX)
		return fl_fail(err, FL_E_ENVELOPE, 0, "more than %d signatures", FL_SIGS_MAX);
	if (env->payload.len > fl_doc_type_max(type))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "a %s of more than %zu bytes",
			       fl_doc_type_name(type), fl_doc_type_max(type));
	return FL_OK;
}

bool fl_scope_lists(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (name != NULL && strcmp(names[i], name) == 0)
			return true;
	}
	return n == 0;
}
