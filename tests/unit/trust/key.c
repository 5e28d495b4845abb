/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, signatures and digests. */
#include <fairlead/trust/digest.h>
#include <fairlead/trust/key.h>

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fl_err err;

static void unhex(const char *hex, uint8_t *out, size_t len)
{
	cr_assert(fl_hex_decode(hex, strlen(hex), out, len), "%s", hex);
}

static struct fl_key *new_key(enum fl_alg alg)
{
	struct fl_key *key = NULL;
	cr_assert_eq(fl_key_generate(alg, &key, &err), FL_OK, "%s", err.msg);
	return key;
}

static enum fl_rc ed25519(const char *point, struct fl_pubkey *key)
{
	char hex[89];
	uint8_t spki[44];
	snprintf(hex, sizeof(hex), "302a300506032b6570032100%s", point);
	unhex(hex, spki, sizeof(spki));
	return fl_pubkey_from_spki(spki, sizeof(spki), key, &err);
}

static enum fl_rc p256(const char *xy, struct fl_pubkey *key)
{
	char hex[183];
	uint8_t spki[91];
	snprintf(hex, sizeof(hex), "3059301306072a8648ce3d020106082a8648ce3d03010703420004%s", xy);
	unhex(hex, spki, sizeof(spki));
	return fl_pubkey_from_spki(spki, sizeof(spki), key, &err);
}

Test(digest, is_that_of_fips_180_4)
{
	struct fl_digest a, b;
	char text[FL_DIGEST_TEXT_SIZE];
	cr_assert_eq(fl_sha256("a", 1, "bc", 2, &a, &err), FL_OK);
	fl_digest_format(&a, text);
	cr_assert_str_eq(text,
			 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	cr_assert_eq(fl_sha256(NULL, 0, "abc", 3, &b, &err), FL_OK);
	cr_assert(fl_digest_equal(&a, &b));
	cr_assert_eq(fl_sha256(NULL, 0, NULL, 0, &b, &err), FL_OK);
	fl_digest_format(&b, text);
	cr_assert_str_eq(text,
			 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	cr_assert(fl_digest_parse(text, &a));
	cr_assert(fl_digest_equal(&a, &b));
}

Test(digest, text_forms_are_exact)
{
	struct fl_digest d;
	cr_assert_not(fl_digest_parse("", &d));
	cr_assert_not(fl_digest_parse("sha256:", &d));
	cr_assert_not(fl_digest_parse(
		"SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &d));
	cr_assert_not(fl_digest_parse(
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550", &d));
}

/* RFC 8032, section 7.1, test 2 */
Test(key, ed25519_verifies_the_vector_of_the_rfc)
{
	struct fl_pubkey key;
	uint8_t sig[64];
	cr_assert_eq(
		ed25519("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", &key),
		FL_OK, "%s", err.msg);
	unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
	      sig, sizeof(sig));
	cr_assert_eq(fl_pubkey_verify(&key, "\x72", 1, sig, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_pubkey_verify(&key, "\x73", 1, sig, &err), FL_E_SIGNATURE);
	cr_assert_eq(fl_pubkey_verify(&key, "", 0, sig, &err), FL_E_SIGNATURE);
}

/* RFC 6979, A.2.5, SHA-256 of "sample" */
Test(key, p256_verifies_the_vector_of_the_rfc)
{
	struct fl_pubkey key;
	uint8_t sig[64];
	cr_assert_eq(p256("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
			  "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
			  &key),
		     FL_OK, "%s", err.msg);
	unhex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
	      "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
	      sig, sizeof(sig));
	cr_assert_eq(fl_pubkey_verify(&key, "sample", 6, sig, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_pubkey_verify(&key, "Sample", 6, sig, &err), FL_E_SIGNATURE);
}

Test(key, the_keyid_is_the_digest_of_the_spki)
{
	struct fl_key *key = new_key(FL_ALG_P256);
	const struct fl_pubkey *pub = fl_key_public(key);
	struct fl_digest want;
	cr_assert_eq(fl_sha256(NULL, 0, pub->spki, pub->spki_len, &want, &err), FL_OK);
	cr_assert(fl_digest_equal(&pub->keyid, &want));
	cr_assert_eq(pub->spki_len, 91);
	fl_key_free(key);
}

/* OpenSSL 3.0 takes all of these; under the identity any message verifies with R = identity, S = 0
 */
Test(key, ed25519_points_of_small_order_are_refused)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		/* the same, not reduced */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};
	struct fl_pubkey key;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		cr_expect_eq(ed25519(points[i], &key), FL_E_INVALID_ARGUMENT, "%s", points[i]);
}

Test(key, openssl_itself_takes_the_identity_as_a_key)
{
	/* why the list above exists: R = identity, S = 0 under the key "identity" signs everything
	 */
	uint8_t point[32] = {1};
	uint8_t sig[64] = {1};
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	cr_assert_eq(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey), 1);
	cr_assert_eq(EVP_DigestVerify(ctx, sig, 64, (const uint8_t *)"anything", 8), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
}

/* y = 2 has no x: found in Python by (y² - 1)/(d·y² + 1) being no square */
Test(key, ed25519_points_off_the_curve_or_not_reduced_are_refused)
{
	struct fl_pubkey key;
	cr_assert_eq(
		ed25519("0200000000000000000000000000000000000000000000000000000000000000", &key),
		FL_E_INVALID_ARGUMENT);
	cr_assert_eq(
		ed25519("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", &key),
		FL_E_INVALID_ARGUMENT, "y = 3, not reduced");
	cr_assert_eq(
		ed25519("0300000000000000000000000000000000000000000000000000000000000000", &key),
		FL_OK, "y = 3 is a point");
}

Test(key, p256_points_off_the_curve_are_refused)
{
	struct fl_pubkey key;
	cr_assert_eq(p256("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
			  "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462298",
			  &key),
		     FL_E_INVALID_ARGUMENT);
	cr_assert_eq(p256("0000000000000000000000000000000000000000000000000000000000000000"
			  "0000000000000000000000000000000000000000000000000000000000000000",
			  &key),
		     FL_E_INVALID_ARGUMENT);
	cr_assert_eq(ERR_peek_error(), 0, "left in OpenSSL's queue");
}

static enum fl_rc take(EVP_PKEY *pkey)
{
	uint8_t *der = NULL;
	struct fl_pubkey key;
	int len = i2d_PUBKEY(pkey, &der);
	cr_assert_gt(len, 0);
	enum fl_rc rc = fl_pubkey_from_spki(der, (size_t)len, &key, &err);
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
	return rc;
}

Test(key, other_algorithms_and_forms_are_refused)
{
	cr_assert_eq(take(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)), FL_E_NOT_SUPPORTED);
	cr_assert_eq(take(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")), FL_E_NOT_SUPPORTED);
	cr_assert_eq(take(EVP_PKEY_Q_keygen(NULL, NULL, "X25519")), FL_E_NOT_SUPPORTED);
	cr_assert_eq(take(EVP_PKEY_Q_keygen(NULL, NULL, "ED448")), FL_E_NOT_SUPPORTED);
	EVP_PKEY *compressed = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	cr_assert_eq(EVP_PKEY_set_utf8_string_param(compressed, "point-format", "compressed"), 1);
	cr_assert_eq(take(compressed), FL_E_NOT_SUPPORTED);
}

Test(key, an_spki_has_no_byte_too_many_or_too_few)
{
	struct fl_key *keys[] = {new_key(FL_ALG_ED25519), new_key(FL_ALG_P256)};
	for (int i = 0; i < 2; i++) {
		struct fl_pubkey out, pub = *fl_key_public(keys[i]);
		for (size_t len = 0; len <= pub.spki_len + 1; len++)
			cr_expect_eq(fl_pubkey_from_spki(pub.spki, len, &out, &err),
				     len == pub.spki_len ? FL_OK : FL_E_NOT_SUPPORTED, "%zu", len);
		fl_key_free(keys[i]);
	}
}

Test(key, one_algorithm_s_key_does_not_verify_the_other_s_signature)
{
	struct fl_key *ed = new_key(FL_ALG_ED25519);
	struct fl_key *ec = new_key(FL_ALG_P256);
	uint8_t sig[64];
	cr_assert_eq(fl_key_sign(ed, "m", 1, sig, &err), FL_OK);
	cr_assert_eq(fl_pubkey_verify(fl_key_public(ec), "m", 1, sig, &err), FL_E_SIGNATURE);
	cr_assert_eq(fl_key_sign(ec, "m", 1, sig, &err), FL_OK);
	cr_assert_eq(fl_pubkey_verify(fl_key_public(ed), "m", 1, sig, &err), FL_E_SIGNATURE);
	/* the bytes of one taken for the other's */
	struct fl_pubkey confused = *fl_key_public(ec);
	confused.alg = FL_ALG_ED25519;
	cr_assert_eq(fl_pubkey_verify(&confused, "m", 1, sig, &err), FL_E_SIGNATURE);
	fl_key_free(ed);
	fl_key_free(ec);
}

Test(key, signatures_that_are_no_numbers_of_the_group_are_refused)
{
	struct fl_key *ec = new_key(FL_ALG_P256);
	uint8_t sig[64];
	memset(sig, 0, sizeof(sig));
	cr_assert_eq(fl_pubkey_verify(fl_key_public(ec), "m", 1, sig, &err), FL_E_SIGNATURE);
	memset(sig, 0xff, sizeof(sig));
	cr_assert_eq(fl_pubkey_verify(fl_key_public(ec), "m", 1, sig, &err), FL_E_SIGNATURE);
	cr_assert_eq(fl_key_sign(ec, "m", 1, sig, &err), FL_OK);
	memset(sig, 0, 32);
	cr_assert_eq(fl_pubkey_verify(fl_key_public(ec), "m", 1, sig, &err), FL_E_SIGNATURE);
	cr_assert_eq(ERR_peek_error(), 0, "left in OpenSSL's queue");
	fl_key_free(ec);
}

/* S + L: the same equation, another signature; RFC 8032 forbids it */
Test(key, a_malleated_ed25519_signature_is_refused)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a,	      0x63,
					  0x12, 0x58, 0xd6, 0x9c, 0xf7,	      0xa2,
					  0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
	struct fl_key *ed = new_key(FL_ALG_ED25519);
	uint8_t sig[64];
	cr_assert_eq(fl_key_sign(ed, "m", 1, sig, &err), FL_OK);
	unsigned carry = 0;
	for (int i = 0; i < 32; i++) {
		carry += (unsigned)sig[32 + i] + order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	cr_assert_eq(fl_pubkey_verify(fl_key_public(ed), "m", 1, sig, &err), FL_E_SIGNATURE);
	fl_key_free(ed);
}

/* r or s with leading zero bytes: DER drops them, the raw form keeps them; 4,000 signatures hit it
 * with near certainty */
Test(key, short_ecdsa_numbers_keep_their_64_bytes)
{
	struct fl_key *ec = new_key(FL_ALG_P256);
	int short_ones = 0;
	for (uint32_t i = 0; i < 4000; i++) {
		uint8_t sig[64];
		cr_assert_eq(fl_key_sign(ec, &i, sizeof(i), sig, &err), FL_OK);
		cr_assert_eq(fl_pubkey_verify(fl_key_public(ec), &i, sizeof(i), sig, &err), FL_OK,
			     "%s", err.msg);
		short_ones += sig[0] == 0 || sig[32] == 0;
	}
	cr_assert_gt(short_ones, 0);
	fl_key_free(ec);
}

Test(key, algorithms_have_names)
{
	enum fl_alg alg;
	cr_assert_str_eq(fl_alg_name(FL_ALG_ED25519), "ed25519");
	cr_assert_str_eq(fl_alg_name(FL_ALG_P256), "ecdsa-p256-sha256");
	cr_assert(fl_alg_from_name("ecdsa-p256-sha256", &alg));
	cr_assert_eq(alg, FL_ALG_P256);
	cr_assert_not(fl_alg_from_name("none", &alg));
	cr_assert_not(fl_alg_from_name("ED25519", &alg));
}

/* --- files --- */

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/fl-key-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void drop_dir(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(key_file, .init = make_dir, .fini = drop_dir);

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static int next;
	char *out = path[next++ % 4];
	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	return out;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

Test(key_file, a_saved_key_is_the_same_when_loaded)
{
	const enum fl_alg algs[] = {FL_ALG_ED25519, FL_ALG_P256};
	for (int i = 0; i < 2; i++) {
		struct fl_key *key = new_key(algs[i]);
		struct fl_key *back = NULL;
		char uri[160];
		const char *path = in_dir(i == 0 ? "a.pem" : "b.pem");
		cr_assert_eq(fl_key_save(key, path, &err), FL_OK, "%s", err.msg);
		snprintf(uri, sizeof(uri), "file:%s", path);
		cr_assert_eq(fl_key_load(uri, &back, &err), FL_OK, "%s", err.msg);
		cr_assert(fl_digest_equal(&fl_key_public(key)->keyid, &fl_key_public(back)->keyid));
		uint8_t sig[64];
		cr_assert_eq(fl_key_sign(back, "m", 1, sig, &err), FL_OK);
		cr_assert_eq(fl_pubkey_verify(fl_key_public(key), "m", 1, sig, &err), FL_OK);
		fl_key_free(key);
		fl_key_free(back);
	}
}

Test(key_file, a_key_file_is_its_owner_s_alone_and_is_never_replaced)
{
	struct fl_key *key = new_key(FL_ALG_ED25519);
	struct fl_key *back = NULL;
	struct fl_key *other = new_key(FL_ALG_ED25519);
	struct stat st;
	const char *path = in_dir("k.pem");
	cr_assert_eq(fl_key_save(key, path, &err), FL_OK);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(fl_key_save(other, path, &err), FL_E_EXISTS);
	cr_assert_eq(fl_key_load(path, &back, &err), FL_OK, "a plain path");
	cr_assert(fl_digest_equal(&fl_key_public(key)->keyid, &fl_key_public(back)->keyid));
	fl_key_free(key);
	fl_key_free(back);
	fl_key_free(other);
}

Test(key_file, public_keys_are_saved_and_loaded)
{
	struct fl_key *key = new_key(FL_ALG_P256);
	struct fl_pubkey back;
	cr_assert_eq(fl_pubkey_save(fl_key_public(key), in_dir("k.pub"), &err), FL_OK, "%s",
		     err.msg);
	cr_assert_eq(fl_pubkey_load(in_dir("k.pub"), &back, &err), FL_OK, "%s", err.msg);
	cr_assert(fl_digest_equal(&back.keyid, &fl_key_public(key)->keyid));
	fl_key_free(key);
}

Test(key_file, what_is_no_key_of_ours_is_refused)
{
	struct fl_key *key = NULL;
	struct fl_pubkey pub;
	write_text(in_dir("bad"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
	cr_assert_eq(fl_key_load(in_dir("bad"), &key, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_pubkey_load(in_dir("bad"), &pub, &err), FL_E_INVALID_ARGUMENT);
	cr_assert_eq(fl_key_load(in_dir("none"), &key, &err), FL_E_NOT_FOUND);
	cr_assert_eq(fl_pubkey_load(in_dir("none"), &pub, &err), FL_E_NOT_FOUND);
	cr_assert_eq(fl_key_load("pkcs11:token=gw", &key, &err), FL_E_NOT_SUPPORTED);
	cr_assert_eq(fl_key_load("handle:0x81000010", &key, &err), FL_E_NOT_SUPPORTED);
	cr_assert_null(key);
	cr_assert_eq(ERR_peek_error(), 0, "left in OpenSSL's queue");
}

Test(key_file, a_key_under_a_pass_phrase_is_refused_without_asking)
{
	char command[256];
	struct fl_key *key = NULL;
	snprintf(command, sizeof(command),
		 "openssl genpkey -algorithm ED25519 -aes-256-cbc -pass pass:x -out %s 2>/dev/null",
		 in_dir("e.pem"));
	cr_assert_eq(system(command), 0);
	cr_assert_eq(fl_key_load(in_dir("e.pem"), &key, &err), FL_E_INVALID_ARGUMENT);
}

Test(key_file, openssl_s_keys_are_read)
{
	char command[256];
	struct fl_key *key = NULL;
	snprintf(command, sizeof(command),
		 "openssl ecparam -name prime256v1 -genkey -noout -out %s", in_dir("ec.pem"));
	cr_assert_eq(system(command), 0);
	cr_assert_eq(fl_key_load(in_dir("ec.pem"), &key, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_key_public(key)->alg, FL_ALG_P256);
	fl_key_free(key);
}
