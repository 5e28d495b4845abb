/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL does not ask of an Ed25519 public key. It takes any 32 bytes, and under a key of
 * small order (the identity, for one) a single signature verifies every message.
 */
#include "key_private.h"

#include <openssl/bn.h>
#include <string.h>

/* The y of the eight points whose order divides 8, little-endian; two of them share each y but 1
 * and p - 1. */
static const uint8_t small_order[][32] = {
	{0},
	{1},
	{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
	 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
	 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
	{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
	 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
	 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

/* 2^255 - 19 and the curve's d, big-endian */
static const char prime_hex[] = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed";
static const char d_hex[] = "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3";

static bool has_small_order(const uint8_t y[32])
{
	for (size_t i = 0; i < sizeof(small_order) / sizeof(small_order[0]); i++) {
		if (memcmp(y, small_order[i], 32) == 0)
			return true;
	}
	return false;
}

/*
 * x² = (y² - 1) / (d·y² + 1) must have a root: with numerator u and denominator v, u / v is a
 * square just when u·v is one. Needs seven numbers from the context's frame.
 */
static bool on_curve(const BIGNUM *y, const BIGNUM *prime, BN_CTX *ctx)
{
	BIGNUM *d = BN_CTX_get(ctx);
	BIGNUM *yy = BN_CTX_get(ctx);
	BIGNUM *u = BN_CTX_get(ctx);
	BIGNUM *v = BN_CTX_get(ctx);
	return v != NULL && fl_evp_ok(BN_hex2bn(&d, d_hex) == sizeof(d_hex) - 1) &&
	       fl_evp_ok(BN_mod_sqr(yy, y, prime, ctx)) &&
	       fl_evp_ok(BN_mod_sub(u, yy, BN_value_one(), prime, ctx)) &&
	       fl_evp_ok(BN_mod_mul(v, d, yy, prime, ctx)) &&
	       fl_evp_ok(BN_mod_add(v, v, BN_value_one(), prime, ctx)) &&
	       fl_evp_ok(BN_mod_mul(u, u, v, prime, ctx)) && BN_kronecker(u, prime, ctx) == 1;
}

bool fl_ed25519_point_valid(const uint8_t y[32])
{
	uint8_t bytes[32];
	memcpy(bytes, y, sizeof(bytes));
	bytes[31] &= 0x7f; /* without the sign of x */
	if (has_small_order(bytes))
		return false;
	BN_CTX *ctx = BN_CTX_new();
	if (!fl_evp_got(ctx))
		return false;
	BN_CTX_start(ctx);
	BIGNUM *prime = BN_CTX_get(ctx);
	BIGNUM *number = BN_CTX_get(ctx);
	bool ok = number != NULL &&
		  fl_evp_ok(BN_hex2bn(&prime, prime_hex) == sizeof(prime_hex) - 1) &&
		  BN_lebin2bn(bytes, sizeof(bytes), number) != NULL && BN_cmp(number, prime) < 0 &&
		  on_curve(number, prime, ctx);
	BN_CTX_end(ctx);
	BN_CTX_free(ctx);
	return ok;
}
