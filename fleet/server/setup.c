/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-fleet init: keys, certificates, token, database; fleet.conf comes last and makes the folder a fleet's. */
#include "server/settings.h"

#include "auth/auth.h"
#include "releases/roots.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/pki.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define YEAR_S (INT64_C(365) * 86400)

/* Everything there is while a folder is made. */
struct making {
	const struct fl_setup *setup;
	struct fl_settings at; /* only its dir */
	int64_t now;
};

static enum fl_rc key_at(const struct making *m, const char *name, struct fl_key **ret,
			 struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_key *key = NULL;
	fl_settings_path(&m->at, name, path);
	enum fl_rc rc = fl_key_generate(FL_ALG_P256, &key, err);
	if (rc == FL_OK)
		rc = fl_key_save(key, path, err);
	if (rc != FL_OK) {
		fl_key_free(key);
		return rc;
	}
	*ret = key;
	return FL_OK;
}

static enum fl_rc write_file(const struct making *m, const char *name, const struct fl_buf *text,
			     mode_t mode, struct fl_err *err)
{
	char path[PATH_MAX];
	fl_settings_path(&m->at, name, path);
	return fl_file_replace(path, text->data, text->len, mode, err);
}

static enum fl_rc make_ca(const struct making *m, const char *key_name, const char *cert_name,
			  const char *common_name, struct fl_key **ca, struct fl_buf *pem,
			  struct fl_err *err)
{
	enum fl_rc rc = key_at(m, key_name, ca, err);
	if (rc == FL_OK)
		rc = fl_pki_make_ca(*ca, common_name, m->now - 86400, m->now + 20 * YEAR_S, pem, err);
	return rc == FL_OK ? write_file(m, cert_name, pem, 0644, err) : rc;
}

static enum fl_rc make_server_certificate(const struct making *m, const struct fl_key *ca,
					  const struct fl_buf *ca_pem, struct fl_err *err)
{
	const char *host = m->setup->host;
	char names[300];
	struct fl_key *key = NULL;
	struct fl_buf pem = FL_BUF(FL_PEM_MAX);
	snprintf(names, sizeof(names), "%s%s", host,
		 strcmp(host, "localhost") == 0 ? ",127.0.0.1" : "");
	enum fl_rc rc = key_at(m, "keys/server.pem", &key, err);
	if (rc == FL_OK)
		rc = fl_pki_issue(ca, ca_pem->data, ca_pem->len, fl_key_public(key), "fairlead-fleet",
				  FL_CERT_SERVER, names, m->now - 86400, m->now + 10 * YEAR_S, &pem, err);
	if (rc == FL_OK)
		rc = write_file(m, "server.pem", &pem, 0644, err);
	fl_key_free(key);
	fl_buf_free(&pem);
	return rc;
}

static enum fl_rc make_certificates(const struct making *m, struct fl_err *err)
{
	struct fl_key *server_ca = NULL, *device_ca = NULL;
	struct fl_buf server_pem = FL_BUF(FL_PEM_MAX), device_pem = FL_BUF(FL_PEM_MAX);
	enum fl_rc rc = make_ca(m, "keys/ca.pem", "ca.pem", "fairlead fleet CA", &server_ca,
				&server_pem, err);
	if (rc == FL_OK)
		rc = make_server_certificate(m, server_ca, &server_pem, err);
	if (rc == FL_OK)
		rc = make_ca(m, "keys/device-ca.pem", "device-ca.pem", "fairlead device CA",
			     &device_ca, &device_pem, err);
	fl_key_free(server_ca);
	fl_key_free(device_ca);
	fl_buf_free(&server_pem);
	fl_buf_free(&device_pem);
	return rc;
}

static bool dispatches(const struct fl_root *root, const struct fl_digest *keyid)
{
	for (size_t i = 0; i < root->roles.n; i++) {
		const struct fl_role *role = &root->roles.items[i];
		for (size_t k = 0; strcmp(role->role, "dispatch") == 0 && k < role->keyids.n; k++) {
			if (fl_digest_equal(&role->keyids.items[k], keyid))
				return true;
		}
	}
	return false;
}

static enum fl_rc copy_dispatch_key(const struct making *m, const struct fl_root *root,
				    struct fl_err *err)
{
	char uri[PATH_MAX + 8], path[PATH_MAX];
	struct fl_key *key = NULL;
	snprintf(uri, sizeof(uri), "file:%s", m->setup->dispatch_key);
	fl_settings_path(&m->at, "keys/dispatch.pem", path);
	enum fl_rc rc = fl_key_load(uri, &key, err);
	if (rc == FL_OK && !dispatches(root, &fl_key_public(key)->keyid))
		rc = fl_fail(err, FL_E_SCOPE, 0, "the root names no such dispatch key");
	if (rc == FL_OK)
		rc = fl_key_save(key, path, err);
	fl_key_free(key);
	return rc == FL_OK ? FL_OK : fl_wrap(err, rc, "dispatch key");
}

static enum fl_rc add_token(const struct making *m, struct fl_db *db, struct fl_err *err)
{
	char token[FL_TOKEN_SIZE + 1];
	enum fl_rc rc = fl_auth_new_token(db, "admin", (uint64_t)m->now, token, err);
	if (rc != FL_OK)
		return rc;
	struct fl_buf text = FL_BUF(sizeof(token));
	rc = fl_buf_appendf(&text, err, "%s\n", token);
	if (rc == FL_OK)
		rc = write_file(m, "token", &text, 0600, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc fill_database(const struct making *m, struct fl_db *db, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_roots roots = {.db = db, .clock = &fl_clock_system};
	enum fl_rc rc = fl_file_read(m->setup->root, &text, err);
	if (rc == FL_OK)
		rc = fl_roots_add(&roots, "init", text.data, text.len, err);
	if (rc == FL_OK)
		rc = write_file(m, "root.json", &text, 0644, err);
	if (rc == FL_OK)
		rc = copy_dispatch_key(m, &roots.current, err);
	if (rc == FL_OK)
		rc = add_token(m, db, err);
	fl_roots_done(&roots);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc make_database(const struct making *m, struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_db db = {0};
	fl_settings_path(&m->at, "fleet.db", path);
	enum fl_rc rc = fl_db_open_sqlite(path, &db, err);
	if (rc == FL_OK)
		rc = fill_database(m, &db, err);
	fl_db_close(&db);
	return rc;
}

static enum fl_rc write_conf(const struct making *m, struct fl_err *err)
{
	const struct fl_setup *s = m->setup;
	struct fl_buf text = FL_BUF((size_t)4096);
	bool local = strcmp(s->host, "localhost") == 0;
	enum fl_rc rc = fl_buf_appendf(
		&text, err,
		"# fairlead-fleet: see fairlead-fleet --help\n\n"
		"[fleet]\n# as gateways and operators call this server; its certificate says the same\n"
		"host = %s\n\n"
		"[listen]\n%saddress = 127.0.0.1\ndevice_port = %llu\napi_port = %llu\n\n"
		"[connections]\nreconnect_spread_ms = 2000\nping_s = 25\nmax = 15000\n\n"
		"[uploads]\nmax_bytes = 68719476736\n\n"
		"[devices]\ncertificate_days = 730\n\n"
		"[retention]\n# 0: for ever\nreports_days = 365\nunused_blobs_days = 7\n",
		s->host, local ? "" : "# ", (unsigned long long)s->device_port,
		(unsigned long long)s->api_port);
	if (rc == FL_OK)
		rc = write_file(m, "fleet.conf", &text, 0644, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc make_folders(const struct making *m, struct fl_err *err)
{
	static const char *const folders[] = {"keys", "blobs", "trees"};
	enum fl_rc rc = fl_dir_make(m->at.dir, 0700, err);
	for (size_t i = 0; i < 3 && rc == FL_OK; i++) {
		char path[PATH_MAX];
		fl_settings_path(&m->at, folders[i], path);
		rc = fl_dir_make(path, i == 0 ? 0700 : 0755, err);
	}
	return rc;
}

enum fl_rc fl_setup_run(const struct fl_setup *setup, struct fl_err *err)
{
	struct making m = {.setup = setup, .now = fl_clock_wall_s(&fl_clock_system)};
	char path[PATH_MAX];
	if (strlen(setup->dir) >= sizeof(m.at.dir) || strlen(setup->host) > 250)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "the folder's or the host's name is too long");
	memcpy(m.at.dir, setup->dir, strlen(setup->dir) + 1);
	fl_settings_path(&m.at, "fleet.conf", path);
	if (access(path, F_OK) == 0)
		return fl_fail(err, FL_E_EXISTS, 0, "'%s' is a fleet already", setup->dir);
	enum fl_rc rc = make_folders(&m, err);
	if (rc == FL_OK)
		rc = make_certificates(&m, err);
	if (rc == FL_OK)
		rc = make_database(&m, err);
	if (rc == FL_OK)
		rc = write_conf(&m, err);
	return rc;
}
