/* SPDX-License-Identifier: Apache-2.0 */
#include "key_private.h"

#include <fairlead/trust/digest.h>

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/*
 * The only two forms of a SubjectPublicKeyInfo we take, up to the point itself (RFC 8410; RFC 5480
 * with the named curve and an uncompressed point). One form per key, so that a key has one
 * identifier.
 */
static const uint8_t ed25519_head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
				       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const uint8_t p256_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
				    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
				    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

static const struct alg {
	enum fl_alg alg;
	const char *name;
	const uint8_t *head;
	size_t head_len;
	size_t point_len;
} algs[] = {
	{FL_ALG_ED25519, "ed25519", ed25519_head, sizeof(ed25519_head), 32},
	{FL_ALG_P256, "ecdsa-p256-sha256", p256_head, sizeof(p256_head), 64},
};

#define N_ALGS (sizeof(algs) / sizeof(algs[0]))

const char *fl_alg_name(enum fl_alg alg)
{
	FL_BUG_ON(alg != FL_ALG_ED25519 && alg != FL_ALG_P256);
	return algs[alg - FL_ALG_ED25519].name;
}

bool fl_alg_from_name(const char *name, enum fl_alg *ret)
{
	for (size_t i = 0; i < N_ALGS; i++) {
		if (strcmp(algs[i].name, name) == 0) {
			*ret = algs[i].alg;
			return true;
		}
	}
	return false;
}

static const struct alg *alg_of_spki(const uint8_t *spki, size_t len)
{
	for (size_t i = 0; i < N_ALGS; i++) {
		const struct alg *a = &algs[i];
		if (len == a->head_len + a->point_len && memcmp(spki, a->head, a->head_len) == 0)
			return a;
	}
	return NULL;
}

EVP_PKEY *fl_pubkey_to_evp(const struct fl_pubkey *key)
{
	const uint8_t *p = key->spki;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)key->spki_len);
	return fl_evp_got(pkey) ? pkey : NULL;
}

static bool point_valid(const struct fl_pubkey *key)
{
	if (key->alg == FL_ALG_ED25519)
		return fl_ed25519_point_valid(key->spki + sizeof(ed25519_head));
	FL_AUTO_PKEY pkey = fl_pubkey_to_evp(key); /* refuses points off the curve */
	return pkey != NULL;
}

enum fl_rc fl_pubkey_from_spki(const void *spki, size_t len, struct fl_pubkey *ret,
			       struct fl_err *err)
{
	const struct alg *a = alg_of_spki(spki, len);
	if (a == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0,
			       "neither an Ed25519 nor an uncompressed P-256 public key");
	struct fl_pubkey key = {.alg = a->alg, .spki_len = len};
	memcpy(key.spki, spki, len);
	if (!point_valid(&key))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "not a valid %s public key", a->name);
	enum fl_rc rc = fl_sha256(NULL, 0, spki, len, &key.keyid, err);
	if (rc == FL_OK)
		*ret = key;
	return rc;
}

enum fl_rc fl_pubkey_from_evp(EVP_PKEY *pkey, struct fl_pubkey *ret, struct fl_err *err)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);
	if (len <= 0) {
		ERR_clear_error();
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "public key without DER form");
	}
	enum fl_rc rc = fl_pubkey_from_spki(der, (size_t)len, ret, err);
	OPENSSL_free(der);
	return rc;
}

#define DER_SIG_MAX 80 /* SEQUENCE of two INTEGERs of at most 33 bytes: 72 */

/* Raw r‖s → DER; its length, 0 on failure. */
static size_t sig_to_der(const uint8_t raw[FL_SIG_SIZE], uint8_t der[DER_SIG_MAX])
{
	size_t len = 0;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, FL_SIG_SIZE / 2, NULL);
	BIGNUM *s = BN_bin2bn(raw + FL_SIG_SIZE / 2, FL_SIG_SIZE / 2, NULL);
	if (sig != NULL && r != NULL && s != NULL && fl_evp_ok(ECDSA_SIG_set0(sig, r, s))) {
		r = NULL; /* taken by sig */
		s = NULL;
		int n = i2d_ECDSA_SIG(sig, NULL);
		if (n > 0 && n <= DER_SIG_MAX && i2d_ECDSA_SIG(sig, &der) == n)
			len = (size_t)n;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len;
}

static bool sig_from_der(const uint8_t *der, size_t len, uint8_t raw[FL_SIG_SIZE])
{
	const uint8_t *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
	bool ok = fl_evp_got(sig) && p == der + len &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, FL_SIG_SIZE / 2) == FL_SIG_SIZE / 2 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + FL_SIG_SIZE / 2, FL_SIG_SIZE / 2) ==
			  FL_SIG_SIZE / 2;
	ECDSA_SIG_free(sig);
	return ok;
}

/* Ed25519 hashes by itself and takes no digest's name. */
static const char *md_name(enum fl_alg alg)
{
	return alg == FL_ALG_P256 ? "SHA256" : NULL;
}

static bool verify(EVP_PKEY *pkey, enum fl_alg alg, const void *msg, size_t len,
		   const uint8_t raw[FL_SIG_SIZE])
{
	uint8_t der[DER_SIG_MAX];
	size_t sig_len = alg == FL_ALG_P256 ? sig_to_der(raw, der) : FL_SIG_SIZE;
	const uint8_t *sig = alg == FL_ALG_P256 ? der : raw;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = sig_len > 0 && fl_evp_got(ctx) &&
		  fl_evp_ok(EVP_DigestVerifyInit_ex(ctx, NULL, md_name(alg), NULL, NULL, pkey,
						    NULL)) &&
		  fl_evp_ok(EVP_DigestVerify(ctx, sig, sig_len, msg, len));
	EVP_MD_CTX_free(ctx);
	return ok;
}

enum fl_rc fl_pubkey_verify(const struct fl_pubkey *key, const void *msg, size_t len,
			    const uint8_t sig[FL_SIG_SIZE], struct fl_err *err)
{
	FL_AUTO_PKEY pkey = fl_pubkey_to_evp(key);
	if (pkey == NULL || !verify(pkey, key->alg, msg, len, sig))
		return fl_fail(err, FL_E_SIGNATURE, 0, "not a valid %s signature",
			       fl_alg_name(key->alg));
	return FL_OK;
}

enum fl_rc fl_key_sign(const struct fl_key *key, const void *msg, size_t len,
		       uint8_t sig[FL_SIG_SIZE], struct fl_err *err)
{
	uint8_t out[DER_SIG_MAX];
	uint8_t raw[FL_SIG_SIZE];
	size_t out_len = sizeof(out);
	const enum fl_alg alg = key->pub.alg;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = fl_evp_got(ctx) &&
		  fl_evp_ok(EVP_DigestSignInit_ex(ctx, NULL, md_name(alg), NULL, NULL, key->pkey,
						  NULL)) &&
		  fl_evp_ok(EVP_DigestSign(ctx, out, &out_len, msg, len));
	EVP_MD_CTX_free(ctx);
	if (ok && alg == FL_ALG_P256)
		ok = sig_from_der(out, out_len, raw);
	else
		ok = ok && out_len == FL_SIG_SIZE;
	if (!ok)
		return fl_fail(err, FL_E_INTERNAL, 0, "%s could not sign", fl_alg_name(alg));
	memcpy(sig, alg == FL_ALG_P256 ? raw : out, FL_SIG_SIZE);
	return FL_OK;
}

enum fl_rc fl_key_wrap(EVP_PKEY *pkey, struct fl_key **ret, struct fl_err *err)
{
	struct fl_key *key = calloc(1, sizeof(*key));
	if (key == NULL) {
		EVP_PKEY_free(pkey);
		return fl_fail(err, FL_E_NO_MEMORY, 0, "key");
	}
	key->pkey = pkey;
	enum fl_rc rc = fl_pubkey_from_evp(pkey, &key->pub, err);
	if (rc != FL_OK) {
		fl_key_free(key);
		return rc;
	}
	*ret = key;
	return FL_OK;
}

enum fl_rc fl_key_generate(enum fl_alg alg, struct fl_key **ret, struct fl_err *err)
{
	EVP_PKEY *pkey = alg == FL_ALG_P256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
					    : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!fl_evp_got(pkey))
		return fl_fail(err, FL_E_INTERNAL, 0, "a %s key could not be made",
			       fl_alg_name(alg));
	return fl_key_wrap(pkey, ret, err);
}

const struct fl_pubkey *fl_key_public(const struct fl_key *key)
{
	return &key->pub;
}

void fl_key_free(struct fl_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}
