/* SPDX-License-Identifier: Apache-2.0 */
/* The server put together: folder, database, keys, modules, ports; and taken apart in the reverse order. */
#include "api/api.h"
#include "audit/audit.h"
#include "retention/retention.h"
#include "server/settings.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/pki.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define ENROLS_PER_S 50.0
#define ENROLS_BURST 200.0
#define DAY_S	     UINT64_C(86400)

struct server {
	struct fl_settings settings;
	int lock;
	uv_loop_t loop;
	uv_signal_t on_term, on_int;
	struct fl_db db;
	struct fl_blob blob;
	struct fl_bus bus;
	struct fl_auth auth;
	struct fl_key *dispatch, *device_ca; /* owned */
	struct fl_buf device_ca_pem;
	struct fl_roots roots;
	struct fl_registry registry;
	struct fl_releases releases;
	struct fl_jobs jobs;
	struct fl_retention retention;
	struct fl_api api;
	struct fl_http_port api_port;
	struct fl_hub *hub;
	char base_url[320];
	char certificate[PATH_MAX], key[PATH_MAX], device_ca_path[PATH_MAX];
};

static enum fl_rc lock_folder(struct server *s, struct fl_err *err)
{
	char path[PATH_MAX];
	fl_settings_path(&s->settings, "lock", path);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'", path);
	if (flock(s->lock, LOCK_EX | LOCK_NB) != 0)
		return fl_fail(err, FL_E_BUSY, 0, "another server runs on '%s'", s->settings.dir);
	return FL_OK;
}

static enum fl_rc load_key(const struct server *s, const char *name, struct fl_key **ret,
			   struct fl_err *err)
{
	char path[PATH_MAX], uri[PATH_MAX + 8];
	fl_settings_path(&s->settings, name, path);
	snprintf(uri, sizeof(uri), "file:%s", path);
	return fl_key_load(uri, ret, err);
}

static enum fl_rc load_keys(struct server *s, struct fl_err *err)
{
	fl_settings_path(&s->settings, "server.pem", s->certificate);
	fl_settings_path(&s->settings, "keys/server.pem", s->key);
	fl_settings_path(&s->settings, "device-ca.pem", s->device_ca_path);
	s->device_ca_pem = FL_BUF(FL_PEM_MAX);
	enum fl_rc rc = load_key(s, "keys/dispatch.pem", &s->dispatch, err);
	if (rc == FL_OK)
		rc = load_key(s, "keys/device-ca.pem", &s->device_ca, err);
	if (rc == FL_OK)
		rc = fl_file_read(s->device_ca_path, &s->device_ca_pem, err);
	return rc;
}

static enum fl_rc open_stores(struct server *s, struct fl_err *err)
{
	char path[PATH_MAX];
	fl_settings_path(&s->settings, "fleet.db", path);
	enum fl_rc rc = access(path, F_OK) == 0
				? FL_OK
				: fl_fail(err, FL_E_NOT_FOUND, 0, "'%s' is missing", path);
	if (rc == FL_OK)
		rc = fl_db_open_sqlite(path, &s->db, err);
	if (rc == FL_OK)
		rc = fl_blob_open_files(s->settings.dir, &s->blob, err);
	if (rc == FL_OK)
		rc = fl_bus_open_local(&s->bus, err);
	return rc;
}

static void join(struct server *s)
{
	const struct fl_clock *clock = &fl_clock_system;
	snprintf(s->base_url, sizeof(s->base_url), "https://%s:%llu", s->settings.host,
		 (unsigned long long)s->settings.device_port);
	s->roots.db = &s->db;
	s->roots.bus = &s->bus;
	s->roots.clock = clock;
	s->registry = (struct fl_registry){&s->db,	     &s->bus,
					   clock,	     s->device_ca,
					   &s->device_ca_pem, s->settings.certificate_days * DAY_S};
	s->releases = (struct fl_releases){&s->db, &s->blob, &s->roots, clock};
	s->retention = (struct fl_retention){.db = &s->db, .blob = &s->blob, .releases = &s->releases,
					     .clock = clock,
					     .reports_s = s->settings.reports_days * DAY_S,
					     .unused_s = s->settings.unused_blobs_days * DAY_S};
	s->jobs.db = &s->db;
	s->jobs.registry = &s->registry;
	s->jobs.releases = &s->releases;
	s->jobs.roots = &s->roots;
	s->jobs.bus = &s->bus;
	s->jobs.clock = clock;
	s->jobs.dispatch = s->dispatch;
	s->jobs.base_url = s->base_url;
	s->api = (struct fl_api){
		.loop = &s->loop, .registry = &s->registry, .roots = &s->roots,
		.releases = &s->releases, .jobs = &s->jobs, .blob = &s->blob, .bus = &s->bus,
		.db = &s->db, .auth = &s->auth, .clock = clock, .version = FL_VERSION,
		.upload_max = s->settings.upload_max,
		.enrol_rate = fl_rate_make(ENROLS_PER_S, ENROLS_BURST, fl_clock_boot_ms(clock))};
	s->api_port = fl_api_port(&s->api);
}

static enum fl_rc start_hub(struct server *s, struct fl_err *err)
{
	const struct fl_settings *set = &s->settings;
	struct fl_hub_conf conf = {
		.address = set->address[0] == '\0' ? NULL : set->address,
		.device_port = (uint16_t)set->device_port,
		.api_port = (uint16_t)set->api_port,
		.certificate = s->certificate,
		.key = s->key,
		.device_ca = s->device_ca_path,
		.reconnect_spread_ms = set->reconnect_spread_ms,
		.ping_s = set->ping_s,
		.connections_max = set->connections_max,
	};
	struct fl_hub_modules modules = {&s->registry, &s->roots, &s->jobs, &s->blob,
					 &s->bus,      &s->db,	  &fl_clock_system};
	enum fl_rc rc = fl_hub_start(&s->loop, &conf, &modules, &s->api_port, &s->hub, err);
	s->api.hub = s->hub;
	return rc;
}

static void stop(struct server *s)
{
	uv_close((uv_handle_t *)&s->on_term, NULL);
	uv_close((uv_handle_t *)&s->on_int, NULL);
	fl_retention_stop(&s->retention);
	if (s->hub != NULL)
		fl_hub_stop(s->hub);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct server *s = handle->data;
	fl_log(FL_LOG_NOTICE, "stops (%s)", strsignal(number));
	stop(s);
}

static void take_signals(struct server *s)
{
	uv_signal_init(&s->loop, &s->on_term);
	uv_signal_init(&s->loop, &s->on_int);
	s->on_term.data = s->on_int.data = s;
	uv_signal_start(&s->on_term, on_signal, SIGTERM);
	uv_signal_start(&s->on_int, on_signal, SIGINT);
}

static void settle_process(void)
{
	struct rlimit files;
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static enum fl_rc start(struct server *s, const char *dir, struct fl_err *err)
{
	enum fl_rc rc = fl_settings_load(dir, &s->settings, err);
	if (rc == FL_OK)
		rc = lock_folder(s, err);
	if (rc == FL_OK)
		rc = load_keys(s, err);
	if (rc == FL_OK)
		rc = open_stores(s, err);
	if (rc == FL_OK)
		rc = fl_auth_load(&s->auth, &s->db, err);
	if (rc != FL_OK)
		return rc;
	join(s);
	return fl_roots_load(&s->roots, err);
}

static enum fl_rc serve(struct server *s, struct fl_err *err)
{
	uv_loop_init(&s->loop);
	take_signals(s);
	fl_retention_start(&s->retention, &s->loop);
	enum fl_rc rc = start_hub(s, err);
	if (rc != FL_OK)
		stop(s);
	else
		fl_log(FL_LOG_NOTICE, "serves devices on port %llu, operators on port %llu",
		       (unsigned long long)s->settings.device_port,
		       (unsigned long long)s->settings.api_port);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	fl_hub_free(s->hub);
	if (uv_loop_close(&s->loop) != 0)
		fl_log(FL_LOG_WARNING, "the loop still has handles");
	return rc;
}

static void free_server(struct server *s)
{
	fl_roots_done(&s->roots);
	fl_db_close(&s->db);
	if (s->blob.ops != NULL)
		s->blob.ops->close(s->blob.self);
	if (s->bus.ops != NULL)
		s->bus.ops->close(s->bus.self);
	fl_key_free(s->dispatch);
	fl_key_free(s->device_ca);
	fl_buf_free(&s->device_ca_pem);
	fl_close(&s->lock);
	free(s);
}

enum fl_rc fl_server_run(const char *dir, struct fl_err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "server");
	s->lock = -1;
	settle_process();
	enum fl_rc rc = start(s, dir, err);
	if (rc == FL_OK)
		rc = serve(s, err);
	free_server(s);
	return rc;
}

enum fl_rc fl_server_token(const char *dir, const char *verb, const char *name, struct fl_err *err)
{
	char path[PATH_MAX], token[FL_TOKEN_SIZE] = "";
	struct fl_settings settings;
	struct fl_db db = {0};
	const bool adds = strcmp(verb, "add") == 0;
	const uint64_t now = (uint64_t)fl_clock_wall_s(&fl_clock_system);
	if (!adds && strcmp(verb, "revoke") != 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s': not add or revoke", verb);
	if (!fl_name_valid(name))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' is no name", name);
	enum fl_rc rc = fl_settings_load(dir, &settings, err);
	if (rc == FL_OK) {
		fl_settings_path(&settings, "fleet.db", path);
		rc = fl_db_open_sqlite(path, &db, err);
	}
	if (rc == FL_OK)
		rc = adds ? fl_auth_new_token(&db, name, now, token, err)
			  : fl_auth_revoke(&db, name, now, err);
	fl_db_close(&db);
	if (rc == FL_OK && adds)
		puts(token);
	return rc;
}

enum fl_rc fl_server_audit(const char *dir, struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_settings settings;
	struct fl_db db = {0};
	struct fl_buf text = FL_BUF((size_t)1 << 30);
	uint64_t n = 0;
	enum fl_rc rc = fl_settings_load(dir, &settings, err);
	if (rc == FL_OK) {
		fl_settings_path(&settings, "fleet.db", path);
		rc = fl_db_open_sqlite(path, &db, err);
	}
	if (rc == FL_OK)
		rc = fl_audit_verify(&db, &text, &n, err);
	fl_db_close(&db);
	struct fl_err ignored;
	if (fl_write_all(STDOUT_FILENO, text.data, text.len, &ignored) == FL_OK && rc == FL_OK)
		fl_log(FL_LOG_INFO, "the chain of %llu entries is whole", (unsigned long long)n);
	fl_buf_free(&text);
	return rc;
}
