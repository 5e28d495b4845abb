/* SPDX-License-Identifier: Apache-2.0 */
/* Text forms of bytes (hexadecimal, base64: RFC 4648 section 4, canonical) and the names that may become paths. */
#ifndef FAIRLEAD_BASE_ENCODE_H
#define FAIRLEAD_BASE_ENCODE_H

#include <fairlead/base/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_DIGEST_SIZE     32
#define FL_DIGEST_HEX_SIZE 65 /* with the final zero */

struct fl_digest {
	uint8_t b[FL_DIGEST_SIZE]; /* SHA-256 (FIPS 180-4) */
};

bool fl_digest_equal(const struct fl_digest *a, const struct fl_digest *b);
bool fl_digest_is_zero(const struct fl_digest *d);

/* 2 × len lower-case characters and a zero byte into out. */
void fl_hex_encode(const void *data, size_t len, char *out);
/* Exactly 2 × len lower-case hexadecimal characters, nothing else; false otherwise. */
bool fl_hex_decode(const char *text, size_t text_len, void *out, size_t len);

void fl_base64_encode(const void *data, size_t len, char *out); /* out: FL_BASE64_SIZE(len) */
#define FL_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
/* Canonical only: padding required, no other characters, unused bits zero. out: text_len / 4 * 3 bytes. */
bool fl_base64_decode(const char *text, size_t text_len, void *out, size_t *ret_len);

#define FL_NAME_MAX 64
/* [a-z0-9._-]{1,64}, not starting with '.' or '-': device, component, slot, policy names; safe in a path. */
bool fl_name_valid(const char *name);
/* A lower-case RFC 9562 UUID in its 36 characters. */
bool fl_uuid_valid(const char *text);

#ifdef __cplusplus
}
#endif
#endif
