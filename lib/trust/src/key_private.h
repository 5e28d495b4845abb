/* SPDX-License-Identifier: Apache-2.0 */
/* What a private key is inside lib/trust; certificates and TLS contexts need OpenSSL's object. */
#ifndef FAIRLEAD_TRUST_SRC_KEY_PRIVATE_H
#define FAIRLEAD_TRUST_SRC_KEY_PRIVATE_H

#include <fairlead/trust/key.h>

#include "evp.h"

struct fl_key {
	EVP_PKEY *pkey; /* owned */
	struct fl_pubkey pub;
};

/* pkey: taken, also on failure. *ret: returned owned. */
enum fl_rc fl_key_wrap(EVP_PKEY *pkey, struct fl_key **ret, struct fl_err *err) FL_CHECKED;
/* The public key of a certificate, a request or a private key; every check of fl_pubkey_from_spki.
 */
enum fl_rc fl_pubkey_from_evp(EVP_PKEY *pkey, struct fl_pubkey *ret, struct fl_err *err) FL_CHECKED;
/* OpenSSL's object for a public key: returned owned, NULL when it cannot be made. */
EVP_PKEY *fl_pubkey_to_evp(const struct fl_pubkey *key);
/* Is y the compressed form (RFC 8032, 5.1.2) of a point of edwards25519, canonical and not of small
 * order? */
bool fl_ed25519_point_valid(const uint8_t y[32]);

#endif
