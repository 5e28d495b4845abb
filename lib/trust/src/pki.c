/* SPDX-License-Identifier: Apache-2.0 */
/* Reading certificates and requests, and what they share with writing them. */
#include "pki.h"

#include <openssl/pem.h>
#include <string.h>

enum fl_rc fl_pki_open(const void *pem, size_t len, BIO **ret, struct fl_err *err)
{
	if (len > FL_PEM_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "PEM of more than %zu bytes", FL_PEM_MAX);
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	if (!fl_evp_got(bio))
		return fl_fail(err, FL_E_NO_MEMORY, 0, "PEM");
	*ret = bio;
	return FL_OK;
}

enum fl_rc fl_pki_append(BIO *bio, struct fl_buf *out, struct fl_err *err)
{
	char *text = NULL;
	long len = BIO_get_mem_data(bio, &text);
	return fl_buf_append(out, text, len < 0 ? 0 : (size_t)len, err);
}

const EVP_MD *fl_pki_md(const struct fl_key *key)
{
	return key->pub.alg == FL_ALG_P256 ? EVP_sha256() : NULL;
}

bool fl_pki_common_name_valid(const char *common_name)
{
	size_t len = strnlen(common_name, FL_NAME_MAX + 1);
	for (size_t i = 0; i < len; i++) {
		if (common_name[i] < 0x20 || common_name[i] > 0x7e)
			return false;
	}
	return len >= 1 && len <= FL_NAME_MAX;
}

X509_NAME *fl_pki_name(const char *common_name)
{
	X509_NAME *name = X509_NAME_new();
	if (!fl_evp_got(name))
		return NULL;
	if (!fl_evp_ok(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
						  (const unsigned char *)common_name, -1, -1, 0))) {
		X509_NAME_free(name);
		return NULL;
	}
	return name;
}

bool fl_pki_common_name(const X509_NAME *name, char out[FL_NAME_MAX + 1])
{
	int at = name == NULL ? -1 : X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return false;
	const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	int len = ASN1_STRING_length(value);
	int type = ASN1_STRING_type(value);
	if (len < 1 || len > FL_NAME_MAX ||
	    (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING))
		return false;
	char text[FL_NAME_MAX + 1] = "";
	memcpy(text, ASN1_STRING_get0_data(value), (size_t)len);
	if (strlen(text) != (size_t)len || !fl_pki_common_name_valid(text))
		return false;
	memcpy(out, text, sizeof(text));
	return true;
}

static enum fl_rc read_request(X509_REQ *req, char common_name[FL_NAME_MAX + 1],
			       struct fl_pubkey *ret, struct fl_err *err)
{
	char name[FL_NAME_MAX + 1];
	struct fl_pubkey key;
	EVP_PKEY *pkey = X509_REQ_get0_pubkey(req);
	int nid = X509_REQ_get_signature_nid(req);
	if (!fl_evp_got(pkey) || (nid != NID_ecdsa_with_SHA256 && nid != NID_ED25519))
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "key or algorithm unknown");
	enum fl_rc rc = fl_pubkey_from_evp(pkey, &key, err);
	if (rc != FL_OK)
		return rc;
	if (!fl_evp_ok(X509_REQ_verify(req, pkey)))
		return fl_fail(err, FL_E_SIGNATURE, 0, "not signed by its own key");
	if (!fl_pki_common_name(X509_REQ_get_subject_name(req), name) || !fl_name_valid(name))
		return fl_fail(err, FL_E_BAD_REQUEST, 0, "its common name is not a name");
	memcpy(common_name, name, sizeof(name));
	*ret = key;
	return FL_OK;
}

enum fl_rc fl_pki_read_request(const void *pem, size_t len, char common_name[FL_NAME_MAX + 1],
			       struct fl_pubkey *ret, struct fl_err *err)
{
	FL_AUTO_BIO bio = NULL;
	enum fl_rc rc = fl_pki_open(pem, len, &bio, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "certificate request");
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	rc = fl_evp_got(req) ? read_request(req, common_name, ret, err)
			     : fl_fail(err, FL_E_BAD_REQUEST, 0, "not PKCS#10 in PEM");
	X509_REQ_free(req);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "certificate request");
}

/* ASN.1 time → seconds since 1970, through the difference: no time zone and no width of time_t
 * comes in. */
static bool seconds_of(const ASN1_TIME *time, int64_t *ret)
{
	int days = 0;
	int seconds = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	bool ok = fl_evp_got(epoch) && fl_evp_ok(ASN1_TIME_diff(&days, &seconds, epoch, time));
	ASN1_TIME_free(epoch);
	if (ok)
		*ret = (int64_t)days * 86400 + seconds;
	return ok;
}

static enum fl_rc read_cert(X509 *cert, struct fl_cert_info *ret, struct fl_err *err)
{
	struct fl_cert_info info = {.not_before = 0};
	EVP_PKEY *pkey = X509_get0_pubkey(cert);
	if (!fl_evp_got(pkey))
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "unknown key");
	enum fl_rc rc = fl_pubkey_from_evp(pkey, &info.key, err);
	if (rc != FL_OK)
		return rc;
	if (!fl_pki_common_name(X509_get_subject_name(cert), info.common_name) ||
	    !seconds_of(X509_get0_notBefore(cert), &info.not_before) ||
	    !seconds_of(X509_get0_notAfter(cert), &info.not_after))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no common name or validity");
	*ret = info;
	return FL_OK;
}

enum fl_rc fl_pki_read_cert(const void *pem, size_t len, struct fl_cert_info *ret,
			    struct fl_err *err)
{
	FL_AUTO_BIO bio = NULL;
	enum fl_rc rc = fl_pki_open(pem, len, &bio, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "certificate");
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	rc = fl_evp_got(cert) ? read_cert(cert, ret, err)
			      : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "not X.509 in PEM");
	X509_free(cert);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "certificate");
}
