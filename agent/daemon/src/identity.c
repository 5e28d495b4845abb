/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/pki.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum fl_rc make_folder(const char *path, struct fl_err *err)
{
	char folder[4096];
	const char *slash = strrchr(path, '/');
	if (slash == NULL || slash == path)
		return FL_OK;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	return fl_dir_make(folder, 0755, err);
}

static enum fl_rc load_or_make(const struct fl_config *config, struct fl_key **ret,
			       struct fl_err *err)
{
	const char *path = config->key_uri + strlen("file:");
	if (access(path, F_OK) == 0)
		return fl_key_load(config->key_uri, ret, err);
	if (errno != ENOENT) /* it may be there: no second one */
		return fl_fail(err, fl_rc_from_errno(errno), errno, "identity '%s'", path);
	struct fl_key *key = NULL;
	enum fl_rc rc = make_folder(path, err);
	if (rc == FL_OK)
		rc = fl_key_generate(FL_ALG_P256, &key, err);
	if (rc == FL_OK)
		rc = fl_key_save(key, path, err);
	if (rc != FL_OK) {
		fl_key_free(key);
		return fl_wrap(err, rc, "make the device key");
	}
	fl_log(FL_LOG_NOTICE, "made a device key");
	*ret = key;
	return FL_OK;
}

/* The helper pins what stands here at first sight; it is written only when it differs. */
static enum fl_rc publish_key(const struct fl_config *config, const struct fl_pubkey *key,
			      struct fl_err *err)
{
	struct fl_buf old = FL_BUF(FL_SPKI_MAX);
	bool same = fl_file_read(config->public_path, &old, NULL) == FL_OK &&
		    old.len == key->spki_len && memcmp(old.data, key->spki, old.len) == 0;
	fl_buf_free(&old);
	return same ? FL_OK
		    : fl_file_replace(config->public_path, key->spki, key->spki_len, 0644, err);
}

static enum fl_rc check_certificate(struct fl_identity *id, const struct fl_config *config,
				    const void *pem, size_t len, struct fl_err *err)
{
	struct fl_cert_info info;
	enum fl_rc rc = fl_pki_read_cert(pem, len, &info, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(info.common_name, config->device_id) != 0 ||
	    !fl_digest_equal(&info.key.keyid, &fl_key_public(id->key)->keyid))
		return fl_fail(err, FL_E_ENROL_REFUSED, 0, "the certificate is for another name or key");
	id->not_before = info.not_before;
	id->not_after = info.not_after;
	return FL_OK;
}

enum fl_rc fl_identity_open(const struct fl_config *config, struct fl_identity *ret,
			    struct fl_err *err)
{
	*ret = (struct fl_identity){0};
	enum fl_rc rc = load_or_make(config, &ret->key, err);
	if (rc == FL_OK)
		rc = publish_key(config, fl_key_public(ret->key), err);
	if (rc != FL_OK)
		return rc;
	struct fl_buf pem = FL_BUF(FL_PEM_MAX);
	if (fl_file_read(config->certificate_path, &pem, NULL) == FL_OK) {
		struct fl_err why = {0};
		ret->enrolled = check_certificate(ret, config, pem.data, pem.len, &why) == FL_OK;
		if (!ret->enrolled)
			fl_log_err(FL_LOG_WARNING, &why, "kept certificate not used");
	}
	fl_buf_free(&pem);
	return FL_OK;
}

enum fl_rc fl_identity_take_certificate(struct fl_identity *id, const struct fl_config *config,
					const char *pem, struct fl_err *err)
{
	struct fl_identity new = *id;
	enum fl_rc rc = check_certificate(&new, config, pem, strlen(pem), err);
	if (rc == FL_OK)
		rc = fl_file_replace(config->certificate_path, pem, strlen(pem), 0644, err);
	if (rc != FL_OK)
		return rc;
	*id = new;
	id->enrolled = true;
	return FL_OK;
}

bool fl_identity_is_due(const struct fl_identity *id, uint64_t now_s)
{
	const int64_t life = id->not_after - id->not_before;
	return id->enrolled && (int64_t)now_s > id->not_after - life / 3;
}

void fl_identity_done(struct fl_identity *id)
{
	fl_key_free(id->key);
	id->key = NULL;
}
