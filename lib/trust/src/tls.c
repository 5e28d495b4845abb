/* SPDX-License-Identifier: Apache-2.0 */
/* The client's TLS context. Host names are the caller's: libwebsockets and libcurl set and check
 * them per connection. */
#include <fairlead/trust/pki.h>

#include <fairlead/base/file.h>

#include "key_private.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>

#define CA_FILE_MAX ((size_t)256 * 1024)

static enum fl_rc add_trusted(X509_STORE *store, const struct fl_buf *text, struct fl_err *err)
{
	size_t n = 0;
	FL_AUTO_BIO bio = BIO_new_mem_buf(fl_buf_str(text), (int)text->len);
	if (!fl_evp_got(bio))
		return fl_fail(err, FL_E_NO_MEMORY, 0, "certificates");
	for (;;) {
		X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		if (cert == NULL)
			break;
		bool ok = fl_evp_ok(X509_STORE_add_cert(store, cert));
		X509_free(cert);
		if (!ok)
			return fl_fail(err, FL_E_TLS, 0, "a certificate could not be taken");
		n++;
	}
	ERR_clear_error();
	return n > 0 ? FL_OK : fl_fail(err, FL_E_TLS, 0, "no certificate in it");
}

static enum fl_rc load_trusted(SSL_CTX *ctx, const char *ca_path, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(CA_FILE_MAX);
	enum fl_rc rc = fl_file_read(ca_path, &text, err);
	if (rc == FL_OK) {
		rc = add_trusted(SSL_CTX_get_cert_store(ctx), &text, err);
		rc = rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", ca_path);
	}
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "certificate authority");
}

static enum fl_rc load_own(SSL_CTX *ctx, const char *cert_path, const struct fl_key *key,
			   struct fl_err *err)
{
	if (!fl_evp_ok(SSL_CTX_use_certificate_chain_file(ctx, cert_path)))
		return fl_fail(err, FL_E_TLS, 0, "'%s': no certificate in it", cert_path);
	if (key == NULL || !fl_evp_ok(SSL_CTX_use_PrivateKey(ctx, key->pkey)) ||
	    !fl_evp_ok(SSL_CTX_check_private_key(ctx)))
		return fl_fail(err, FL_E_TLS, 0, "'%s': not the certificate of the device key",
			       cert_path);
	return FL_OK;
}

/* TLS 1.2 and later, forward secret and authenticated ciphers only. */
static bool restrict_protocol(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	return fl_evp_ok((int)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) &&
	       fl_evp_ok(SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20"));
}

static enum fl_rc fill(SSL_CTX *ctx, const char *ca_path, const char *cert_path,
		       const struct fl_key *key, struct fl_err *err)
{
	if (!restrict_protocol(ctx))
		return fl_fail(err, FL_E_TLS, 0, "TLS 1.2 is not available");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	enum fl_rc rc = load_trusted(ctx, ca_path, err);
	return rc == FL_OK && cert_path != NULL ? load_own(ctx, cert_path, key, err) : rc;
}

enum fl_rc fl_tls_client_new(const char *ca_path, const char *cert_path, const struct fl_key *key,
			     int64_t verify_time, struct ssl_ctx_st **ret, struct fl_err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!fl_evp_got(ctx))
		return fl_fail(err, FL_E_NO_MEMORY, 0, "TLS context");
	enum fl_rc rc = fill(ctx, ca_path, cert_path, key, err);
	if (rc != FL_OK) {
		SSL_CTX_free(ctx);
		return rc;
	}
	if (verify_time != 0)
		X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ctx), (time_t)verify_time);
	*ret = ctx;
	return FL_OK;
}

void fl_tls_free(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}
