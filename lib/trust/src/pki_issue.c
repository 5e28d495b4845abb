/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates and requests. Extensions are those RFC 5280 asks of a CA and of an end
 * entity, no others. */
#include "pki.h"

#include <fairlead/base/clock.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SERIAL_SIZE 16
#define NAMES_MAX   16

static void cleanup_cert(X509 **cert)
{
	X509_free(*cert);
}
#define AUTO_CERT FL_CLEANUP(cleanup_cert) X509 *

struct extension {
	int nid;
	const char *value;
};

static const struct extension ca_extensions[] = {
	{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	{NID_key_usage, "critical,keyCertSign,cRLSign"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};

static const struct extension client_extensions[] = {
	{NID_basic_constraints, "critical,CA:FALSE"},
	{NID_key_usage, "critical,digitalSignature"},
	{NID_ext_key_usage, "clientAuth"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};

static const struct extension server_extensions[] = {
	{NID_basic_constraints, "critical,CA:FALSE"},
	{NID_key_usage, "critical,digitalSignature"},
	{NID_ext_key_usage, "serverAuth"},
	{NID_subject_key_identifier, "hash"},
	{NID_authority_key_identifier, "keyid:always"},
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

static bool add_extensions(X509 *cert, X509 *issuer, const struct extension *list, size_t n)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	for (size_t i = 0; i < n; i++) {
		X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, list[i].nid, list[i].value);
		bool ok = fl_evp_got(ext) && fl_evp_ok(X509_add_ext(cert, ext, -1));
		X509_EXTENSION_free(ext);
		if (!ok)
			return false;
	}
	return true;
}

/* 127 random bits, never zero, always positive. */
static bool set_serial(X509 *cert)
{
	uint8_t bytes[SERIAL_SIZE];
	if (fl_random(bytes, sizeof(bytes), NULL) != FL_OK)
		return false;
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
	BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool ok = fl_evp_got(number) &&
		  fl_evp_got(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)));
	BN_free(number);
	return ok;
}

static bool set_time(ASN1_TIME *time, int64_t seconds)
{
	return fl_evp_got(ASN1_TIME_adj(time, 0, (int)(seconds / 86400), (long)(seconds % 86400)));
}

/* A certificate without issuer, extensions and signature; NULL when it cannot be made. */
static X509 *new_cert(EVP_PKEY *pkey, const char *common_name, int64_t not_before,
		      int64_t not_after)
{
	X509 *cert = X509_new();
	X509_NAME *subject = fl_pki_name(common_name);
	bool ok = fl_evp_got(cert) && subject != NULL &&
		  fl_evp_ok(X509_set_version(cert, X509_VERSION_3)) && set_serial(cert) &&
		  set_time(X509_getm_notBefore(cert), not_before) &&
		  set_time(X509_getm_notAfter(cert), not_after) &&
		  fl_evp_ok(X509_set_subject_name(cert, subject)) &&
		  fl_evp_ok(X509_set_pubkey(cert, pkey));
	X509_NAME_free(subject);
	if (ok)
		return cert;
	X509_free(cert);
	return NULL;
}

static enum fl_rc sign_and_append(X509 *cert, const struct fl_key *key, struct fl_buf *out,
				  struct fl_err *err)
{
	FL_AUTO_BIO bio = BIO_new(BIO_s_mem());
	if (!fl_evp_got(bio) || !fl_evp_ok(X509_sign(cert, key->pkey, fl_pki_md(key)) > 0) ||
	    !fl_evp_ok(PEM_write_bio_X509(bio, cert)))
		return fl_fail(err, FL_E_INTERNAL, 0, "the certificate could not be signed");
	return fl_pki_append(bio, out, err);
}

static enum fl_rc check_arguments(const char *common_name, int64_t not_before, int64_t not_after,
				  struct fl_err *err)
{
	const int64_t latest =
		INT64_C(253402300799); /* the end of the year 9999, as far as RFC 5280 goes */
	if (!fl_pki_common_name_valid(common_name))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "common name of 1 to 64 characters");
	if (not_before < 0 || not_before >= not_after || not_after > latest)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "validity from %lld to %lld",
			       (long long)not_before, (long long)not_after);
	return FL_OK;
}

enum fl_rc fl_pki_make_ca(const struct fl_key *key, const char *common_name, int64_t not_before,
			  int64_t not_after, struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = check_arguments(common_name, not_before, not_after, err);
	if (rc != FL_OK)
		return rc;
	AUTO_CERT cert = new_cert(key->pkey, common_name, not_before, not_after);
	if (cert == NULL || !fl_evp_ok(X509_set_issuer_name(cert, X509_get_subject_name(cert))) ||
	    !add_extensions(cert, cert, ca_extensions, N(ca_extensions)))
		return fl_fail(err, FL_E_INTERNAL, 0, "the CA certificate could not be made");
	return sign_and_append(cert, key, out, err);
}

static bool dns_name_valid(const char *name, size_t len)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
	return len >= 1 && len <= 253 && strspn(name, allowed) == len;
}

/* An address or a DNS name; NULL when it is neither. */
static GENERAL_NAME *general_name(const char *text)
{
	ASN1_STRING *value = a2i_IPADDRESS(text);
	int type = value != NULL ? GEN_IPADD : GEN_DNS;
	if (!fl_evp_got(value)) {
		value = dns_name_valid(text, strlen(text)) ? ASN1_IA5STRING_new() : NULL;
		if (value == NULL || !fl_evp_ok(ASN1_STRING_set(value, text, -1)))
			goto err_value;
	}
	GENERAL_NAME *name = GENERAL_NAME_new();
	if (!fl_evp_got(name))
		goto err_value;
	GENERAL_NAME_set0_value(name, type, value);
	return name;

err_value:
	ASN1_STRING_free(value);
	return NULL;
}

static bool push_names(GENERAL_NAMES *names, const char *list)
{
	while (*list != '\0') {
		char text[256];
		size_t len = strcspn(list, ",");
		if (len >= sizeof(text) || sk_GENERAL_NAME_num(names) == NAMES_MAX)
			return false;
		memcpy(text, list, len);
		text[len] = '\0';
		GENERAL_NAME *name = general_name(text);
		if (name == NULL || sk_GENERAL_NAME_push(names, name) <= 0) {
			GENERAL_NAME_free(name);
			return false;
		}
		list += len + (list[len] == ',' ? 1 : 0);
	}
	return sk_GENERAL_NAME_num(names) > 0;
}

static enum fl_rc add_names(X509 *cert, const char *list, struct fl_err *err)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool ok = fl_evp_got(names) && push_names(names, list) &&
		  fl_evp_ok(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0,
					      X509V3_ADD_DEFAULT));
	GENERAL_NAMES_free(names);
	return ok ? FL_OK
		  : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "not names or addresses: '%.100s'",
			    list);
}

/* Everything but the signature. */
static enum fl_rc complete(X509 *cert, X509 *ca, enum fl_cert_use use, const char *dns_names,
			   struct fl_err *err)
{
	const bool server = use == FL_CERT_SERVER;
	if (!fl_evp_ok(X509_set_issuer_name(cert, X509_get_subject_name(ca))) ||
	    !add_extensions(cert, ca, server ? server_extensions : client_extensions,
			    server ? N(server_extensions) : N(client_extensions)))
		return fl_fail(err, FL_E_INTERNAL, 0, "extensions");
	return dns_names == NULL ? FL_OK : add_names(cert, dns_names, err);
}

static enum fl_rc read_ca(const struct fl_key *ca_key, const void *pem, size_t len, X509 **ret,
			  struct fl_err *err)
{
	FL_AUTO_BIO bio = NULL;
	enum fl_rc rc = fl_pki_open(pem, len, &bio, err);
	if (rc != FL_OK)
		return rc;
	X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!fl_evp_got(ca) || X509_check_ca(ca) != 1 ||
	    !fl_evp_ok(X509_check_private_key(ca, ca_key->pkey))) {
		X509_free(ca);
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "not the CA certificate of this key");
	}
	*ret = ca;
	return FL_OK;
}

enum fl_rc fl_pki_issue(const struct fl_key *ca_key, const void *ca_pem, size_t ca_pem_len,
			const struct fl_pubkey *subject_key, const char *common_name,
			enum fl_cert_use use, const char *dns_names, int64_t not_before,
			int64_t not_after, struct fl_buf *out, struct fl_err *err)
{
	AUTO_CERT ca = NULL;
	enum fl_rc rc = check_arguments(common_name, not_before, not_after, err);
	if (rc == FL_OK && use == FL_CERT_CLIENT && !fl_name_valid(common_name))
		rc = fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' is not a name", common_name);
	if (rc == FL_OK)
		rc = read_ca(ca_key, ca_pem, ca_pem_len, &ca, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "issue certificate");
	if (use == FL_CERT_SERVER && dns_names == NULL)
		dns_names = common_name; /* clients look at the alternative names alone */
	FL_AUTO_PKEY pkey = fl_pubkey_to_evp(subject_key);
	AUTO_CERT cert = pkey == NULL ? NULL : new_cert(pkey, common_name, not_before, not_after);
	rc = cert == NULL ? fl_fail(err, FL_E_INTERNAL, 0, "it could not be made")
			  : complete(cert, ca, use, dns_names, err);
	if (rc == FL_OK)
		rc = sign_and_append(cert, ca_key, out, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "issue certificate");
}

static bool fill_request(X509_REQ *req, const struct fl_key *key, const char *common_name)
{
	X509_NAME *subject = fl_pki_name(common_name);
	bool ok = subject != NULL && fl_evp_ok(X509_REQ_set_version(req, X509_REQ_VERSION_1)) &&
		  fl_evp_ok(X509_REQ_set_subject_name(req, subject)) &&
		  fl_evp_ok(X509_REQ_set_pubkey(req, key->pkey)) &&
		  fl_evp_ok(X509_REQ_sign(req, key->pkey, fl_pki_md(key)) > 0);
	X509_NAME_free(subject);
	return ok;
}

enum fl_rc fl_pki_make_request(const struct fl_key *key, const char *common_name,
			       struct fl_buf *out, struct fl_err *err)
{
	if (!fl_name_valid(common_name))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' is not a name", common_name);
	FL_AUTO_BIO bio = BIO_new(BIO_s_mem());
	X509_REQ *req = X509_REQ_new();
	bool ok = fl_evp_got(bio) && fl_evp_got(req) && fill_request(req, key, common_name) &&
		  fl_evp_ok(PEM_write_bio_X509_REQ(bio, req));
	X509_REQ_free(req);
	if (!ok)
		return fl_fail(err, FL_E_INTERNAL, 0, "the certificate request could not be made");
	return fl_pki_append(bio, out, err);
}
