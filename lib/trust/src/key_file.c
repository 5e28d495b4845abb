/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in PEM files. Private keys: PKCS#8 (RFC 5958), without a pass phrase; the file's mode
 * protects them. */
#include "key_private.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE_MAX ((size_t)16 * 1024)

/* Nobody is asked for a pass phrase: these programs have no terminal. */
static int no_pass_phrase(char *buf, int size, int rwflag, void *ctx)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)ctx;
	return -1;
}

static enum fl_rc read_pem(const char *path, struct fl_buf *text, BIO **ret, struct fl_err *err)
{
	enum fl_rc rc = fl_file_read(path, text, err);
	if (rc != FL_OK)
		return rc;
	BIO *bio = BIO_new_mem_buf(fl_buf_str(text), (int)text->len);
	if (!fl_evp_got(bio))
		return fl_fail(err, FL_E_NO_MEMORY, 0, "'%s'", path);
	*ret = bio;
	return FL_OK;
}

enum fl_rc fl_pubkey_load(const char *path, struct fl_pubkey *ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(KEY_FILE_MAX);
	FL_AUTO_BIO bio = NULL;
	enum fl_rc rc = read_pem(path, &text, &bio, err);
	if (rc == FL_OK) {
		FL_AUTO_PKEY pkey = PEM_read_bio_PUBKEY(bio, NULL, no_pass_phrase, NULL);
		rc = fl_evp_got(pkey)
			     ? fl_pubkey_from_evp(pkey, ret, err)
			     : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no public key in PEM");
		rc = rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", path);
	}
	fl_buf_free(&text);
	return rc;
}

enum fl_rc fl_pubkey_save(const struct fl_pubkey *key, const char *path, struct fl_err *err)
{
	FL_AUTO_BIO bio = BIO_new(BIO_s_mem());
	FL_AUTO_PKEY pkey = fl_pubkey_to_evp(key);
	char *text = NULL;
	if (!fl_evp_got(bio) || pkey == NULL || !fl_evp_ok(PEM_write_bio_PUBKEY(bio, pkey)))
		return fl_fail(err, FL_E_INTERNAL, 0, "write public key '%s'", path);
	long len = BIO_get_mem_data(bio, &text);
	return fl_file_replace(path, text, (size_t)len, 0644, err);
}

/* "file:PATH" or a plain path; other schemes are other builds' business. */
static const char *path_of(const char *uri)
{
	static const char scheme[] = "file:";
	if (strncmp(uri, scheme, sizeof(scheme) - 1) == 0)
		return uri + sizeof(scheme) - 1;
	size_t word = strcspn(uri, ":/");
	return uri[word] == ':' ? NULL : uri;
}

enum fl_rc fl_key_load(const char *uri, struct fl_key **ret, struct fl_err *err)
{
	const char *path = path_of(uri);
	if (path == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "key '%s': only file: is known", uri);
	struct fl_buf text = FL_BUF(KEY_FILE_MAX);
	FL_AUTO_BIO bio = NULL;
	enum fl_rc rc = read_pem(path, &text, &bio, err);
	if (rc == FL_OK) {
		EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
		rc = fl_evp_got(pkey)
			     ? fl_key_wrap(pkey, ret, err)
			     : fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no private key in PEM");
		rc = rc == FL_OK ? rc : fl_wrap(err, rc, "'%s'", path);
	}
	if (text.data != NULL)
		OPENSSL_cleanse(text.data, text.cap);
	fl_buf_free(&text);
	return rc;
}

/* Claims the name first, so that no key is ever replaced, then puts the whole file in its place at
 * once. */
static enum fl_rc save_new(const char *path, const char *text, size_t len, struct fl_err *err)
{
	FL_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		int e = errno;
		return fl_fail(err, fl_rc_from_errno(e), e, "create key '%s'", path);
	}
	enum fl_rc rc = fl_file_replace(path, text, len, 0600, err);
	if (rc != FL_OK)
		(void)unlink(path);
	return rc;
}

enum fl_rc fl_key_save(const struct fl_key *key, const char *path, struct fl_err *err)
{
	FL_AUTO_BIO bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	if (!fl_evp_got(bio) || !fl_evp_ok(PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL,
									 0, no_pass_phrase, NULL)))
		return fl_fail(err, FL_E_INTERNAL, 0, "write key '%s'", path);
	long len = BIO_get_mem_data(bio, &text);
	return save_new(path, text, (size_t)len, err);
}
