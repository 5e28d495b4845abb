/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates (X.509 v3, RFC 5280) and the TLS contexts of both ends: a private CA, PKCS#10 requests (RFC 2986) signed by
 * device keys, mutual TLS 1.2 or later. No public CA is ever trusted. ssl_ctx_st is OpenSSL's SSL_CTX.
 */
#ifndef FAIRLEAD_TRUST_PKI_H
#define FAIRLEAD_TRUST_PKI_H

#include <fairlead/trust/key.h>

struct ssl_ctx_st;

#ifdef __cplusplus
extern "C" {
#endif

#define FL_PEM_MAX ((size_t)16 * 1024)

/* A self-signed CA certificate for key, PEM appended to out. not_before and not_after in seconds since 1970. */
enum fl_rc fl_pki_make_ca(const struct fl_key *key, const char *common_name, int64_t not_before,
			  int64_t not_after, struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* A PKCS#10 request for key with CN = common_name, PEM appended to out. */
enum fl_rc fl_pki_make_request(const struct fl_key *key, const char *common_name,
			       struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/*
 * Checks a request: signed by the key it names, an algorithm we know, CN a valid name. Only CN and key are taken over;
 * extensions asked for are ignored.
 */
enum fl_rc fl_pki_read_request(const void *pem, size_t len, char common_name[FL_NAME_MAX + 1],
			       struct fl_pubkey *ret, struct fl_err *err) FL_CHECKED;

enum fl_cert_use { FL_CERT_CLIENT, FL_CERT_SERVER };

/* A certificate for subject_key under the CA, PEM appended to out. dns_names (servers; comma-separated, IPs allowed) or NULL. */
enum fl_rc fl_pki_issue(const struct fl_key *ca_key, const void *ca_pem, size_t ca_pem_len,
			const struct fl_pubkey *subject_key, const char *common_name,
			enum fl_cert_use use, const char *dns_names, int64_t not_before,
			int64_t not_after, struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* CN, key and validity of the first certificate in a PEM text. */
struct fl_cert_info {
	char common_name[FL_NAME_MAX + 1];
	struct fl_pubkey key;
	int64_t not_before, not_after;
};
enum fl_rc fl_pki_read_cert(const void *pem, size_t len, struct fl_cert_info *ret,
			    struct fl_err *err) FL_CHECKED;

/*
 * The client side: trusts ca_path alone, presents certificate + key when cert_path is not NULL (key kept until the
 * context is freed), checks the peer, TLS ≥ 1.2. verify_time (seconds since 1970, 0: the system clock) is the time certificates are
 * checked at. *ret: returned owned, free with SSL_CTX_free.
 */
enum fl_rc fl_tls_client_new(const char *ca_path, const char *cert_path, const struct fl_key *key,
			     int64_t verify_time, struct ssl_ctx_st **ret, struct fl_err *err)
	FL_CHECKED;
void fl_tls_free(struct ssl_ctx_st *ctx);

#ifdef __cplusplus
}
#endif
#endif
