/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: Ed25519 (RFC 8032) and ECDSA P-256 with SHA-256 (FIPS 186-5), signatures 64 bytes raw. A key is found by
 * a URI; `file:PATH` (PEM, PKCS#8) now, hardware keys later behind the same calls.
 */
#ifndef FAIRLEAD_TRUST_KEY_H
#define FAIRLEAD_TRUST_KEY_H

#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_SIG_SIZE 64
#define FL_SPKI_MAX 128

enum fl_alg {
	FL_ALG_ED25519 = 1,
	FL_ALG_P256 = 2,
};

/* "ed25519", "ecdsa-p256-sha256" */
const char *fl_alg_name(enum fl_alg alg);
bool fl_alg_from_name(const char *name, enum fl_alg *ret);

struct fl_pubkey {
	enum fl_alg alg;
	size_t spki_len;
	uint8_t spki[FL_SPKI_MAX]; /* DER SubjectPublicKeyInfo (RFC 5280) */
	struct fl_digest keyid;	   /* SHA-256 of spki */
};

/* Refuses other algorithms, small-order Ed25519 points, points off the curve, trailing bytes. */
enum fl_rc fl_pubkey_from_spki(const void *spki, size_t len, struct fl_pubkey *ret,
			       struct fl_err *err) FL_CHECKED;
/* From a PEM file ("PUBLIC KEY"). */
enum fl_rc fl_pubkey_load(const char *path, struct fl_pubkey *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_pubkey_save(const struct fl_pubkey *key, const char *path, struct fl_err *err) FL_CHECKED;
/* FL_OK only for a valid signature, FL_E_SIGNATURE otherwise. Pure. */
enum fl_rc fl_pubkey_verify(const struct fl_pubkey *key, const void *msg, size_t len,
			    const uint8_t sig[FL_SIG_SIZE], struct fl_err *err) FL_CHECKED;

struct fl_key; /* a private key */

/* *ret: returned owned, free with fl_key_free. */
enum fl_rc fl_key_generate(enum fl_alg alg, struct fl_key **ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_key_load(const char *uri, struct fl_key **ret, struct fl_err *err) FL_CHECKED;
/* Writes PEM to path, mode 0600; FL_E_EXISTS rather than replacing a key. */
enum fl_rc fl_key_save(const struct fl_key *key, const char *path, struct fl_err *err) FL_CHECKED;
const struct fl_pubkey *fl_key_public(const struct fl_key *key);
enum fl_rc fl_key_sign(const struct fl_key *key, const void *msg, size_t len,
		       uint8_t sig[FL_SIG_SIZE], struct fl_err *err) FL_CHECKED;
void fl_key_free(struct fl_key *key);

#ifdef __cplusplus
}
#endif
#endif
