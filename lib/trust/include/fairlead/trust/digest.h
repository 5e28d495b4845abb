/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4). */
#ifndef FAIRLEAD_TRUST_DIGEST_H
#define FAIRLEAD_TRUST_DIGEST_H

#include <fairlead/base/encode.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The digest of the concatenation of two runs of bytes (either may be empty). Any thread. */
enum fl_rc fl_sha256(const void *head, size_t head_len, const void *data, size_t len,
		     struct fl_digest *ret, struct fl_err *err) FL_CHECKED;

#define FL_DIGEST_TEXT_SIZE 72 /* "sha256:" + 64 hex + zero byte */
/* "sha256:<64 hex>" */
void fl_digest_format(const struct fl_digest *digest, char out[FL_DIGEST_TEXT_SIZE]);
bool fl_digest_parse(const char *text, struct fl_digest *ret);

#ifdef __cplusplus
}
#endif
#endif
