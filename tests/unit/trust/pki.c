/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, requests and handshakes, the latter in memory between a client context and a plain
 * OpenSSL server. */
#include <fairlead/base/buf.h>
#include <fairlead/base/file.h>
#include <fairlead/trust/pki.h>

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static struct fl_err err;
static struct fl_key *ca_key, *server_key, *device_key, *ed_key;
static struct fl_buf ca, server, device;
static char dir[64];

static struct fl_key *new_key(enum fl_alg alg)
{
	struct fl_key *key = NULL;
	cr_assert_eq(fl_key_generate(alg, &key, &err), FL_OK, "%s", err.msg);
	return key;
}

static void issue(const struct fl_key *key, const char *cn, enum fl_cert_use use, const char *names,
		  int64_t from, int64_t until, struct fl_buf *out)
{
	*out = FL_BUF(FL_PEM_MAX);
	cr_assert_eq(fl_pki_issue(ca_key, ca.data, ca.len, fl_key_public(key), cn, use, names, from,
				  until, out, &err),
		     FL_OK, "%s", err.msg);
}

static void setup(void)
{
	ca = FL_BUF(FL_PEM_MAX);
	ca_key = new_key(FL_ALG_P256);
	server_key = new_key(FL_ALG_P256);
	device_key = new_key(FL_ALG_P256);
	ed_key = new_key(FL_ALG_ED25519);
	cr_assert_eq(
		fl_pki_make_ca(ca_key, "Fairlead test CA", NOW - DAY, NOW + 1000 * DAY, &ca, &err),
		FL_OK, "%s", err.msg);
	issue(server_key, "fleet", FL_CERT_SERVER, "fleet.example,127.0.0.1,::1", NOW - DAY,
	      NOW + 100 * DAY, &server);
	issue(device_key, "gw-0001", FL_CERT_CLIENT, NULL, NOW - DAY, NOW + 100 * DAY, &device);
	strcpy(dir, "/tmp/fl-pki-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
	fl_key_free(ca_key);
	fl_key_free(server_key);
	fl_key_free(device_key);
	fl_key_free(ed_key);
	fl_buf_free(&ca);
	fl_buf_free(&server);
	fl_buf_free(&device);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(pki, .init = setup, .fini = teardown);

static X509 *parse(const struct fl_buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	cr_assert_not_null(cert);
	return cert;
}

static char *save(const char *name, const struct fl_buf *text)
{
	static char path[4][128];
	static int next;
	char *out = path[next++ % 4];
	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	cr_assert_eq(fl_file_replace(out, text->data, text->len, 0600, &err), FL_OK, "%s", err.msg);
	return out;
}

Test(pki, a_certificate_says_who_and_how_long)
{
	struct fl_cert_info info;
	cr_assert_eq(fl_pki_read_cert(device.data, device.len, &info, &err), FL_OK, "%s", err.msg);
	cr_assert_str_eq(info.common_name, "gw-0001");
	cr_assert(fl_digest_equal(&info.key.keyid, &fl_key_public(device_key)->keyid));
	cr_assert_eq(info.not_before, NOW - DAY);
	cr_assert_eq(info.not_after, NOW + 100 * DAY);
}

Test(pki, validity_past_2038_and_2050_is_exact)
{
	struct fl_buf late;
	struct fl_cert_info info;
	issue(device_key, "gw-0001", FL_CERT_CLIENT, NULL, INT64_C(2147483648), INT64_C(4102444801),
	      &late);
	cr_assert_eq(fl_pki_read_cert(late.data, late.len, &info, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(info.not_before, INT64_C(2147483648));
	cr_assert_eq(info.not_after, INT64_C(4102444801));
	fl_buf_free(&late);
}

Test(pki, an_end_entity_is_no_authority_and_names_its_use)
{
	X509 *cert = parse(&device);
	cr_assert_eq(X509_get_version(cert), X509_VERSION_3);
	cr_assert_eq(X509_check_ca(cert), 0);
	cr_assert_eq(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE);
	cr_assert_eq(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
	cr_assert_not_null(X509_get0_subject_key_id(cert));
	cr_assert_not_null(X509_get0_authority_key_id(cert));
	X509_free(cert);
}

Test(pki, the_authority_may_sign_certificates_and_nothing_else)
{
	X509 *cert = parse(&ca);
	cr_assert_eq(X509_check_ca(cert), 1);
	cr_assert_eq(X509_get_key_usage(cert), (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
	cr_assert_eq(X509_get_pathlen(cert), 0);
	X509_free(cert);
}

Test(pki, serial_numbers_are_sixteen_random_bytes)
{
	struct fl_buf other;
	issue(device_key, "gw-0001", FL_CERT_CLIENT, NULL, NOW, NOW + DAY, &other);
	X509 *a = parse(&device);
	X509 *b = parse(&other);
	cr_assert_neq(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
	cr_assert_eq(X509_get0_serialNumber(a)->length, 16);
	X509_free(a);
	X509_free(b);
	fl_buf_free(&other);
}

Test(pki, server_names_and_addresses_stand_in_the_certificate)
{
	X509 *cert = parse(&server);
	cr_assert_eq(X509_check_host(cert, "fleet.example", 0, 0, NULL), 1);
	cr_assert_eq(X509_check_host(cert, "other.example", 0, 0, NULL), 0);
	cr_assert_eq(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
	cr_assert_eq(X509_check_ip_asc(cert, "::1", 0), 1);
	cr_assert_eq(X509_check_ip_asc(cert, "127.0.0.2", 0), 0);
	X509_free(cert);
}

Test(pki, a_server_without_names_gets_its_common_name_as_one)
{
	struct fl_buf plain;
	issue(server_key, "fleet.local", FL_CERT_SERVER, NULL, NOW, NOW + DAY, &plain);
	X509 *cert = parse(&plain);
	cr_assert_eq(
		X509_check_host(cert, "fleet.local", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL),
		1);
	X509_free(cert);
	fl_buf_free(&plain);
}

Test(pki, names_that_are_no_names_are_refused)
{
	static const char *const lists[] = {"", ",", "a b", "DNS:x", "x;y", "email:copy", "a,,b"};
	struct fl_buf out = FL_BUF(FL_PEM_MAX);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		cr_assert_eq(fl_pki_issue(ca_key, ca.data, ca.len, fl_key_public(server_key),
					  "fleet", FL_CERT_SERVER, lists[i], NOW, NOW + DAY, &out,
					  &err),
			     FL_E_INVALID_ARGUMENT, "'%s'", lists[i]);
	cr_assert_eq(out.len, 0);
	fl_buf_free(&out);
}

Test(pki, only_the_authority_s_own_key_issues)
{
	struct fl_buf out = FL_BUF(FL_PEM_MAX);
	cr_assert_eq(fl_pki_issue(device_key, ca.data, ca.len, fl_key_public(server_key), "fleet",
				  FL_CERT_SERVER, NULL, NOW, NOW + DAY, &out, &err),
		     FL_E_INVALID_ARGUMENT);
	/* nor does a certificate that is no CA's */
	cr_assert_eq(fl_pki_issue(device_key, device.data, device.len, fl_key_public(server_key),
				  "x", FL_CERT_CLIENT, NULL, NOW, NOW + DAY, &out, &err),
		     FL_E_INVALID_ARGUMENT);
	fl_buf_free(&out);
}

Test(pki, a_validity_that_ends_before_it_begins_is_refused)
{
	struct fl_buf out = FL_BUF(FL_PEM_MAX);
	cr_assert_eq(fl_pki_make_ca(ca_key, "ca", NOW, NOW, &out, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_pki_make_ca(ca_key, "ca", -1, NOW, &out, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_pki_make_ca(ca_key, "", NOW, NOW + DAY, &out, &err), FL_E_INVALID_ARGUMENT);
	fl_buf_free(&out);
}

static void request_round(const struct fl_key *key)
{
	struct fl_buf pem = FL_BUF(FL_PEM_MAX);
	char name[FL_NAME_MAX + 1];
	struct fl_pubkey pub;
	cr_assert_eq(fl_pki_make_request(key, "gw-0007", &pem, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_pki_read_request(pem.data, pem.len, name, &pub, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_str_eq(name, "gw-0007");
	cr_assert(fl_digest_equal(&pub.keyid, &fl_key_public(key)->keyid));
	fl_buf_free(&pem);
}

Test(pki, a_request_of_either_algorithm_is_read_back)
{
	request_round(device_key);
	request_round(ed_key);
}

/* A request of OpenSSL's making: CN as given, signed by `signer` though it names `subject`. */
static void foreign_request(const char *cn, EVP_PKEY *subject, EVP_PKEY *signer, const EVP_MD *md,
			    struct fl_buf *out)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	cr_assert_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
						(const unsigned char *)cn, -1, -1, 0),
		     1);
	cr_assert_eq(X509_REQ_set_subject_name(req, name), 1);
	cr_assert_eq(X509_REQ_set_pubkey(req, subject), 1);
	cr_assert_gt(X509_REQ_sign(req, signer, md), 0);
	BIO *bio = BIO_new(BIO_s_mem());
	cr_assert_eq(PEM_write_bio_X509_REQ(bio, req), 1);
	char *text = NULL;
	long len = BIO_get_mem_data(bio, &text);
	*out = FL_BUF(FL_PEM_MAX);
	cr_assert_eq(fl_buf_append(out, text, (size_t)len, &err), FL_OK);
	BIO_free(bio);
	X509_NAME_free(name);
	X509_REQ_free(req);
}

static enum fl_rc read_foreign(const char *cn, EVP_PKEY *subject, EVP_PKEY *signer,
			       const EVP_MD *md)
{
	struct fl_buf pem;
	char name[FL_NAME_MAX + 1];
	struct fl_pubkey pub;
	foreign_request(cn, subject, signer, md, &pem);
	enum fl_rc rc = fl_pki_read_request(pem.data, pem.len, name, &pub, &err);
	fl_buf_free(&pem);
	return rc;
}

Test(pki, requests_are_held_to_their_own_key_and_name)
{
	EVP_PKEY *a = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	EVP_PKEY *b = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	EVP_PKEY *other_curve = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	cr_assert_eq(read_foreign("gw-1", a, a, EVP_sha256()), FL_OK, "%s", err.msg);
	cr_assert_eq(read_foreign("gw-1", a, b, EVP_sha256()), FL_E_SIGNATURE);
	cr_assert_eq(read_foreign("gw-1", a, a, EVP_sha384()), FL_E_NOT_SUPPORTED);
	cr_assert_eq(read_foreign("gw-1", other_curve, other_curve, EVP_sha256()),
		     FL_E_NOT_SUPPORTED);
	cr_assert_eq(read_foreign("gw-1", rsa, rsa, EVP_sha256()), FL_E_NOT_SUPPORTED);
	cr_assert_eq(read_foreign("../gw", a, a, EVP_sha256()), FL_E_BAD_REQUEST);
	cr_assert_eq(read_foreign("GW", a, a, EVP_sha256()), FL_E_BAD_REQUEST);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	EVP_PKEY_free(other_curve);
	EVP_PKEY_free(rsa);
}

Test(pki, what_is_no_certificate_is_refused_without_harm)
{
	struct fl_cert_info info;
	struct fl_pubkey pub;
	char name[FL_NAME_MAX + 1];
	static char big[20000];
	cr_assert_eq(fl_pki_read_cert("", 0, &info, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_pki_read_cert("-----BEGIN CERTIFICATE-----\nAAAA\n", 33, &info, &err),
		     FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_pki_read_cert(big, sizeof(big), &info, &err), FL_E_TOO_LARGE);
	cr_assert_eq(fl_pki_read_request(device.data, device.len, name, &pub, &err),
		     FL_E_BAD_REQUEST);
	cr_assert_eq(ERR_peek_error(), 0, "left in OpenSSL's queue");
}

/* --- handshakes --- */

static SSL_CTX *server_ctx(const struct fl_buf *cert, const struct fl_key *key)
{
	char key_path[128];
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	snprintf(key_path, sizeof(key_path), "%s/server.key", dir);
	unlink(key_path);
	cr_assert_eq(fl_key_save(key, key_path, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(SSL_CTX_use_certificate_chain_file(ctx, save("server.pem", cert)), 1);
	cr_assert_eq(SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM), 1);
	cr_assert_eq(SSL_CTX_load_verify_file(ctx, save("ca.pem", &ca)), 1);
	X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ctx), NOW);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return ctx;
}

/* Did both ends finish the handshake? client_ok tells of the client alone. */
static bool handshake(SSL_CTX *client_ctx, SSL_CTX *srv_ctx, const char *host, char peer[64])
{
	SSL *c = SSL_new(client_ctx);
	SSL *s = SSL_new(srv_ctx);
	BIO *cb = NULL;
	BIO *sb = NULL;
	cr_assert_eq(BIO_new_bio_pair(&cb, 1 << 16, &sb, 1 << 16), 1);
	SSL_set_bio(c, cb, cb);
	SSL_set_bio(s, sb, sb);
	cr_assert_eq(SSL_set1_host(c, host), 1);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	int rc = 0, rs = 0;
	for (int i = 0; i < 20 && (rc != 1 || rs != 1); i++) {
		rc = SSL_do_handshake(c);
		rs = SSL_do_handshake(s);
	}
	bool ok = rc == 1 && rs == 1;
	X509 *cert = ok ? SSL_get0_peer_certificate(s) : NULL;
	peer[0] = '\0';
	if (cert != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, peer, 64);
	SSL_free(c);
	SSL_free(s);
	ERR_clear_error();
	return ok;
}

static SSL_CTX *client_ctx(const struct fl_buf *cert, const struct fl_key *key, int64_t when)
{
	SSL_CTX *ctx = NULL;
	cr_assert_eq(fl_tls_client_new(save("ca.pem", &ca),
				       cert == NULL ? NULL : save("dev.pem", cert), key, when, &ctx,
				       &err),
		     FL_OK, "%s", err.msg);
	return ctx;
}

Test(pki, client_and_server_know_each_other)
{
	char peer[64];
	SSL_CTX *c = client_ctx(&device, device_key, NOW);
	SSL_CTX *s = server_ctx(&server, server_key);
	cr_assert(handshake(c, s, "fleet.example", peer));
	cr_assert_str_eq(peer, "gw-0001");
	cr_assert_not(handshake(c, s, "other.example", peer),
		      "a host name that is not in the certificate");
	fl_tls_free(c);
	SSL_CTX_free(s);
}

Test(pki, a_client_without_certificate_is_turned_away)
{
	char peer[64];
	SSL_CTX *c = client_ctx(NULL, NULL, NOW);
	SSL_CTX *s = server_ctx(&server, server_key);
	cr_assert_not(handshake(c, s, "fleet.example", peer));
	fl_tls_free(c);
	SSL_CTX_free(s);
}

Test(pki, a_server_certificate_counts_only_within_its_time)
{
	char peer[64];
	SSL_CTX *s = server_ctx(&server, server_key);
	const int64_t wrong[] = {NOW - 2 * DAY, NOW + 101 * DAY, 1};
	for (size_t i = 0; i < 3; i++) {
		SSL_CTX *c = client_ctx(&device, device_key, wrong[i]);
		cr_assert_not(handshake(c, s, "fleet.example", peer), "at %lld",
			      (long long)wrong[i]);
		fl_tls_free(c);
	}
	SSL_CTX_free(s);
}

Test(pki, a_server_of_another_authority_is_refused)
{
	char peer[64];
	struct fl_buf theirs = FL_BUF(FL_PEM_MAX);
	struct fl_buf cert = FL_BUF(FL_PEM_MAX);
	struct fl_key *their_key = new_key(FL_ALG_P256);
	cr_assert_eq(
		fl_pki_make_ca(their_key, "Fairlead test CA", NOW - DAY, NOW + DAY, &theirs, &err),
		FL_OK);
	cr_assert_eq(fl_pki_issue(their_key, theirs.data, theirs.len, fl_key_public(server_key),
				  "fleet", FL_CERT_SERVER, "fleet.example", NOW - DAY, NOW + DAY,
				  &cert, &err),
		     FL_OK);
	SSL_CTX *c = client_ctx(&device, device_key, NOW);
	SSL_CTX *s = server_ctx(&cert, server_key);
	cr_assert_not(handshake(c, s, "fleet.example", peer));
	fl_tls_free(c);
	SSL_CTX_free(s);
	fl_key_free(their_key);
	fl_buf_free(&theirs);
	fl_buf_free(&cert);
}

Test(pki, a_device_s_certificate_is_no_server_s)
{
	char peer[64];
	struct fl_buf cert;
	issue(server_key, "fleet", FL_CERT_CLIENT, "fleet.example", NOW - DAY, NOW + DAY, &cert);
	SSL_CTX *c = client_ctx(&device, device_key, NOW);
	SSL_CTX *s = server_ctx(&cert, server_key);
	cr_assert_not(handshake(c, s, "fleet.example", peer));
	fl_tls_free(c);
	SSL_CTX_free(s);
	fl_buf_free(&cert);
}

Test(pki, tls_1_1_is_not_spoken)
{
	char peer[64];
	SSL_CTX *c = client_ctx(&device, device_key, NOW);
	SSL_CTX *s = server_ctx(&server, server_key);
	SSL_CTX_set_security_level(s, 0);
	cr_assert_eq(SSL_CTX_set_max_proto_version(s, TLS1_1_VERSION), 1);
	cr_assert_not(handshake(c, s, "fleet.example", peer));
	cr_assert_eq(SSL_CTX_set_max_proto_version(s, TLS1_2_VERSION), 1);
	cr_assert(handshake(c, s, "fleet.example", peer));
	fl_tls_free(c);
	SSL_CTX_free(s);
}

Test(pki, a_context_needs_its_files_and_the_right_key)
{
	SSL_CTX *ctx = NULL;
	char *ca_path = save("ca.pem", &ca);
	char *cert_path = save("dev.pem", &device);
	struct fl_buf garbage = FL_BUF(64);
	cr_assert_eq(fl_buf_append_str(&garbage, "no certificate", &err), FL_OK);
	char *bad_path = save("bad.pem", &garbage);
	cr_assert_eq(fl_tls_client_new("/nonexistent", NULL, NULL, NOW, &ctx, &err),
		     FL_E_NOT_FOUND);
	cr_assert_eq(fl_tls_client_new(bad_path, NULL, NULL, NOW, &ctx, &err), FL_E_TLS);
	cr_assert_eq(fl_tls_client_new(ca_path, bad_path, device_key, NOW, &ctx, &err), FL_E_TLS);
	cr_assert_eq(fl_tls_client_new(ca_path, cert_path, server_key, NOW, &ctx, &err), FL_E_TLS);
	cr_assert_null(ctx);
	fl_buf_free(&garbage);
}
