/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates and requests share: PEM in and out, names, signing. */
#ifndef FAIRLEAD_TRUST_SRC_PKI_H
#define FAIRLEAD_TRUST_SRC_PKI_H

#include <fairlead/base/buf.h>
#include <fairlead/trust/pki.h>

#include "key_private.h"

#include <openssl/x509.h>

/* A borrowed view of a PEM text as a BIO: returned owned. FL_E_TOO_LARGE past FL_PEM_MAX. */
enum fl_rc fl_pki_open(const void *pem, size_t len, BIO **ret, struct fl_err *err) FL_CHECKED;
/* Appends what was written to the memory BIO. */
enum fl_rc fl_pki_append(BIO *bio, struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* A name of one CN; returned owned, NULL when it cannot be made. */
X509_NAME *fl_pki_name(const char *common_name);
/* The only CN of a name, 1 to 64 printable ASCII characters. */
bool fl_pki_common_name(const X509_NAME *name, char out[FL_NAME_MAX + 1]);
bool fl_pki_common_name_valid(const char *common_name);
/* The digest a signature by this key is made with: NULL for Ed25519, which hashes by itself. */
const EVP_MD *fl_pki_md(const struct fl_key *key);

#endif
