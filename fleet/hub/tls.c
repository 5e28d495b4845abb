/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/tls.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>

void fl_hub_tls_harden(void *ssl_ctx)
{
	SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
}

static enum fl_rc read_pem(BIO *bio, X509 *cert, struct fl_cert_info *ret, struct fl_err *err)
{
	char *pem = NULL;
	if (PEM_write_bio_X509(bio, cert) != 1)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "certificate");
	long len = BIO_get_mem_data(bio, &pem);
	return fl_pki_read_cert(pem, (size_t)len, ret, err);
}

enum fl_rc fl_hub_tls_peer(void *ssl, struct fl_cert_info *ret, struct fl_err *err)
{
	X509 *cert = SSL_get1_peer_certificate(ssl);
	if (cert == NULL)
		return fl_fail(err, FL_E_TLS, 0, "the peer has no certificate");
	BIO *bio = BIO_new(BIO_s_mem());
	enum fl_rc rc = bio == NULL ? fl_fail(err, FL_E_NO_MEMORY, 0, "certificate")
				    : read_pem(bio, cert, ret, err);
	BIO_free(bio);
	X509_free(cert);
	return rc;
}
