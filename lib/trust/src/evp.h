/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that reads OpenSSL's return values. Many of its functions return 1 for yes, 0 for
 * no and a negative number for malformed input, so `if (EVP_DigestVerify(…))` takes a malformed
 * signature for a valid one.
 */
#ifndef FAIRLEAD_TRUST_SRC_EVP_H
#define FAIRLEAD_TRUST_SRC_EVP_H

#include <fairlead/base/err.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* Did it succeed? Leaves nothing in the thread's error queue, which TLS code would read as its own.
 */
static inline bool fl_evp_ok(int ret)
{
	if (ret == 1)
		return true;
	ERR_clear_error();
	return false;
}

/* The same for functions that return a pointer. */
static inline bool fl_evp_got(const void *ret)
{
	if (ret != NULL)
		return true;
	ERR_clear_error();
	return false;
}

static inline void fl_evp_pkey_cleanup(EVP_PKEY **pkey)
{
	EVP_PKEY_free(*pkey);
}

static inline void fl_evp_bio_cleanup(BIO **bio)
{
	BIO_free_all(*bio);
}

#define FL_AUTO_PKEY FL_CLEANUP(fl_evp_pkey_cleanup) EVP_PKEY *
#define FL_AUTO_BIO  FL_CLEANUP(fl_evp_bio_cleanup) BIO *

#endif
