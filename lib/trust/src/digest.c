/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/trust/digest.h>

#include "evp.h"

#include <stdatomic.h>
#include <string.h>

static const char prefix[] = "sha256:";
#define PREFIX_LEN (sizeof(prefix) - 1)

/*
 * Fetched once and kept: EVP_sha256() looks the algorithm up again, under a lock, for every digest.
 * A failure (no memory) is not kept.
 */
static const EVP_MD *sha256(void)
{
	static _Atomic(EVP_MD *) kept;
	EVP_MD *md = atomic_load(&kept);
	if (md != NULL)
		return md;
	EVP_MD *none = NULL;
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (fl_evp_got(md) && !atomic_compare_exchange_strong(&kept, &none, md)) {
		EVP_MD_free(md); /* another thread was faster */
		md = none;
	}
	return md;
}

enum fl_rc fl_sha256(const void *head, size_t head_len, const void *data, size_t len,
		     struct fl_digest *ret, struct fl_err *err)
{
	const EVP_MD *md = sha256();
	if (md == NULL)
		return fl_fail(err, FL_E_INTERNAL, 0, "SHA-256 is not available");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!fl_evp_got(ctx))
		return fl_fail(err, FL_E_NO_MEMORY, 0, "digest");
	struct fl_digest out;
	unsigned int out_len = 0;
	bool ok = fl_evp_ok(EVP_DigestInit_ex2(ctx, md, NULL)) &&
		  (head_len == 0 || fl_evp_ok(EVP_DigestUpdate(ctx, head, head_len))) &&
		  (len == 0 || fl_evp_ok(EVP_DigestUpdate(ctx, data, len))) &&
		  fl_evp_ok(EVP_DigestFinal_ex(ctx, out.b, &out_len)) && out_len == sizeof(out.b);
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return fl_fail(err, FL_E_INTERNAL, 0, "SHA-256 failed");
	*ret = out;
	return FL_OK;
}

void fl_digest_format(const struct fl_digest *digest, char out[FL_DIGEST_TEXT_SIZE])
{
	memcpy(out, prefix, PREFIX_LEN);
	fl_hex_encode(digest->b, sizeof(digest->b), out + PREFIX_LEN);
}

bool fl_digest_parse(const char *text, struct fl_digest *ret)
{
	struct fl_digest out;
	if (strncmp(text, prefix, PREFIX_LEN) != 0)
		return false;
	const char *hex = text + PREFIX_LEN;
	if (!fl_hex_decode(hex, strnlen(hex, FL_DIGEST_HEX_SIZE), out.b, sizeof(out.b)))
		return false;
	*ret = out;
	return true;
}
