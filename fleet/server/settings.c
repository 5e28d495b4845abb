/* SPDX-License-Identifier: Apache-2.0 */
#include "server/settings.h"

#include <stdio.h>
#include <string.h>

void fl_settings_path(const struct fl_settings *settings, const char *name, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", settings->dir, name);
}

static enum fl_rc copy(char *out, size_t size, const char *what, const char *value, struct fl_err *err)
{
	if (strlen(value) >= size)
		return fl_fail(err, FL_E_CONFIG, 0, "%s is too long", what);
	memcpy(out, value, strlen(value) + 1);
	return FL_OK;
}

static enum fl_rc read_numbers(struct fl_conf *conf, struct fl_settings *s, struct fl_err *err)
{
	const struct {
		const char *section, *key;
		uint64_t min, max, fallback, *out;
	} numbers[] = {
		{"listen", "device_port", 1, 65535, FL_DEVICE_PORT, &s->device_port},
		{"listen", "api_port", 1, 65535, FL_API_PORT, &s->api_port},
		{"connections", "reconnect_spread_ms", 0, 3600000, 2000, &s->reconnect_spread_ms},
		{"connections", "ping_s", 1, 600, 25, &s->ping_s},
		{"connections", "max", 1, 1000000, 15000, &s->connections_max},
		{"uploads", "max_bytes", 1, UINT64_C(1) << 40, UINT64_C(64) << 30, &s->upload_max},
		{"devices", "certificate_days", 1, 36500, 730, &s->certificate_days},
		{"retention", "reports_days", 0, 36500, 365, &s->reports_days},
		{"retention", "unused_blobs_days", 0, 36500, 7, &s->unused_blobs_days},
	};
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == FL_OK; i++)
		rc = fl_conf_u64(conf, numbers[i].section, numbers[i].key, numbers[i].min,
				 numbers[i].max, numbers[i].fallback, numbers[i].out, err);
	return rc;
}

enum fl_rc fl_settings_load(const char *dir, struct fl_settings *ret, struct fl_err *err)
{
	static const char *const sections[] = {"", NULL};
	struct fl_settings s = {.dir = ""};
	struct fl_conf *conf = NULL;
	const char *host;
	char path[PATH_MAX];
	enum fl_rc rc = copy(s.dir, sizeof(s.dir), "the folder's path", dir, err);
	if (rc != FL_OK)
		return rc;
	fl_settings_path(&s, "fleet.conf", path);
	rc = fl_conf_load(path, &conf, err);
	if (rc == FL_OK)
		rc = fl_conf_need(conf, "fleet", "host", &host, err);
	if (rc == FL_OK)
		rc = copy(s.host, sizeof(s.host), "[fleet] host", host, err);
	if (rc == FL_OK)
		rc = copy(s.address, sizeof(s.address), "[listen] address",
			  fl_conf_get(conf, "listen", "address", ""), err);
	if (rc == FL_OK)
		rc = read_numbers(conf, &s, err);
	if (rc == FL_OK) {
		fl_conf_warn_unknown(conf, sections);
		*ret = s;
	}
	fl_conf_free(conf);
	return rc;
}
