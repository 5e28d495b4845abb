/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fairlead/base/encode.h>
#include <fairlead/base/file.h>

#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_KIB_MAX   (FL_RATE_MAX / 1024)
#define BUDGET_MIB_MAX 1048576
#define SPOOL_MIB_MAX  1048576

static enum fl_rc need_path(struct fl_config *c, const char *section, const char *key,
			    const char **ret, struct fl_err *err)
{
	const char *value = NULL;
	enum fl_rc rc = fl_conf_need(c->conf, section, key, &value, err);
	return rc == FL_OK ? fl_conf_keep_path(c->conf, value, &c->arena, ret, err) : rc;
}

static enum fl_rc load_paths(struct fl_config *c, struct fl_err *err)
{
	static const struct {
		const char *section, *key;
		size_t offset;
	} rows[] = {
		{"trust", "root", offsetof(struct fl_config, root_path)},
		{"identity", "public", offsetof(struct fl_config, public_path)},
		{"identity", "certificate", offsetof(struct fl_config, certificate_path)},
		{"fleet", "ca", offsetof(struct fl_config, ca_path)},
		{"store", "dir", offsetof(struct fl_config, store_dir)},
		{"control", "socket", offsetof(struct fl_config, control_socket)},
		{"helper", "socket", offsetof(struct fl_config, helper_socket)},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char **place = (const char **)(void *)((char *)c + rows[i].offset);
		enum fl_rc rc = need_path(c, rows[i].section, rows[i].key, place, err);
		if (rc != FL_OK)
			return rc;
	}
	const char *mount = fl_conf_get(c->conf, "store", "mount", NULL);
	if (mount != NULL &&
	    fl_conf_keep_path(c->conf, mount, &c->arena, &c->store_mount, err) != FL_OK)
		return err->rc;
	const char *failure = fl_conf_get(c->conf, "host", "boot_failure", "/run/fairlead/boot-failure");
	if (fl_conf_keep_path(c->conf, failure, &c->arena, &c->boot_failure, err) != FL_OK)
		return err->rc;
	const char *check = fl_conf_get(c->conf, "check", "dir", NULL);
	c->check_gateway = fl_conf_get(c->conf, "check", "gateway", NULL);
	c->systemctl = fl_conf_get(c->conf, "check", "systemctl", "systemctl");
	return check == NULL ? FL_OK
			     : fl_conf_keep_path(c->conf, check, &c->arena, &c->check_dir, err);
}

static enum fl_rc under_store(struct fl_config *c, const char *name, const char **ret,
			      struct fl_err *err)
{
	char path[4096];
	enum fl_rc rc = fl_path_join(path, sizeof(path), c->store_dir, name, err);
	if (rc != FL_OK)
		return rc;
	*ret = fl_arena_copy(&c->arena, path, strlen(path), err);
	return *ret == NULL ? err->rc : FL_OK;
}

static enum fl_rc load_key_uri(struct fl_config *c, struct fl_err *err)
{
	const char *uri = NULL;
	enum fl_rc rc = fl_conf_need(c->conf, "identity", "key", &uri, err);
	if (rc != FL_OK)
		return rc;
	if (strncmp(uri, "file:", 5) != 0)
		return fl_fail(err, FL_E_CONFIG, 0, "[identity] key: only file: is supported");
	char full[PATH_MAX] = "file:";
	rc = fl_conf_path(c->conf, uri + 5, full + 5, sizeof(full) - 5, err);
	if (rc != FL_OK)
		return rc;
	c->key_uri = fl_arena_copy(&c->arena, full, strlen(full), err);
	return c->key_uri == NULL ? err->rc : FL_OK;
}

static enum fl_rc load_device(struct fl_config *c, struct fl_err *err)
{
	c->tenant = fl_conf_get(c->conf, "device", "tenant", "default");
	enum fl_rc rc = fl_conf_need(c->conf, "device", "device_id", &c->device_id, err);
	if (rc == FL_OK)
		rc = fl_conf_need(c->conf, "device", "product", &c->product, err);
	if (rc == FL_OK)
		rc = fl_conf_need(c->conf, "device", "class_id", &c->class_id, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, "device", "hw_rev", 0, 65535, 0, &c->hw_rev, err);
	if (rc != FL_OK)
		return rc;
	if (!fl_name_valid(c->device_id) || !fl_name_valid(c->tenant) || !fl_name_valid(c->product) ||
	    !fl_uuid_valid(c->class_id))
		return fl_fail(err, FL_E_CONFIG, 0,
			       "[device]: tenant, device_id, product must be names, class_id a UUID");
	return FL_OK;
}

/* HOST[:PORT], to the end or a slash; HOST may not be an IPv6 literal. *ret_rest: what follows. NULL: malformed, or no memory. */
static const char *split_host(struct fl_config *c, const char *text, uint16_t *port, const char **ret_rest)
{
	const size_t len = strcspn(text, ":/");
	const char *rest = text + len;
	unsigned long number = *port;
	if (*rest == ':') {
		char *end = NULL;
		number = strtoul(rest + 1, &end, 10);
		rest = end;
	}
	if (len == 0 || len > 253 || number == 0 || number > 65535 || (*rest != '/' && *rest != '\0'))
		return NULL;
	*port = (uint16_t)number;
	*ret_rest = rest;
	return fl_arena_copy(&c->arena, text, len, NULL);
}

/* http://[USER:PASSWORD@]HOST[:PORT] */
static enum fl_rc load_proxy(struct fl_config *c, struct fl_err *err)
{
	struct fl_config_proxy *p = &c->proxy;
	const char *rest = "";
	p->url = fl_conf_get(c->conf, "fleet", "proxy", NULL);
	if (p->url == NULL)
		return FL_OK;
	const char *text = p->url + strlen("http://");
	const bool http = strncmp(p->url, "http://", strlen("http://")) == 0;
	const char *at = http ? strrchr(text, '@') : NULL;
	if (at != NULL)
		p->user = fl_arena_copy(&c->arena, text, (size_t)(at - text), err);
	p->port = 3128;
	p->host = http ? split_host(c, at == NULL ? text : at + 1, &p->port, &rest) : NULL;
	if (p->host == NULL || rest[strspn(rest, "/")] != '\0')
		return fl_fail(err, FL_E_CONFIG, 0, "[fleet] proxy: http://[USER:PASSWORD@]HOST[:PORT]");
	return FL_OK;
}

/* wss://HOST[:PORT]/PATH */
static enum fl_rc load_fleet(struct fl_config *c, struct fl_err *err)
{
	enum fl_rc rc = fl_conf_need(c->conf, "fleet", "url", &c->fleet_url, err);
	if (rc == FL_OK)
		rc = fl_conf_need(c->conf, "fleet", "enrol", &c->enrol_url, err);
	if (rc != FL_OK)
		return rc;
	if (strncmp(c->fleet_url, "wss://", 6) != 0 || strncmp(c->enrol_url, "https://", 8) != 0)
		return fl_fail(err, FL_E_CONFIG, 0, "[fleet]: url must be wss://, enrol https://");
	const char *rest = NULL;
	c->fleet_port = 443;
	c->fleet_host = split_host(c, c->fleet_url + 6, &c->fleet_port, &rest);
	if (c->fleet_host == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "[fleet] url: no valid host, port or path");
	c->fleet_path = *rest == '\0' ? "/" : rest;
	return load_proxy(c, err);
}

/* [window.NAME], by the whole name of its section. */
static enum fl_rc load_window(struct fl_config *c, const char *section, struct fl_window *ret,
			      struct fl_err *err)
{
	const char *days = NULL, *start = NULL;
	uint64_t length = 0;
	enum fl_rc rc = fl_conf_need(c->conf, section, "days", &days, err);
	if (rc == FL_OK)
		rc = fl_conf_need(c->conf, section, "start", &start, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, section, "length", 1, 10080, 60, &length, err);
	if (rc == FL_OK)
		rc = fl_window_parse(days, start, length, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, FL_E_CONFIG, "[%s]", section);
}

static bool is_window(const char *value)
{
	return strncmp(value, "window.", 7) == 0;
}

static enum fl_rc load_download(struct fl_config *c, struct fl_err *err)
{
	const char *source = fl_conf_get(c->conf, "download", "source", NULL);
	if (source != NULL && strncmp(source, "http://", 7) != 0 && strncmp(source, "https://", 8) != 0)
		return fl_fail(err, FL_E_CONFIG, 0, "[download] source: http:// or https://");
	c->download_source = source;
	struct fl_rate *rate = &c->download_rate;
	const char *window = fl_conf_get(c->conf, "download", "window", NULL);
	const char *ca = fl_conf_get(c->conf, "download", "ca", NULL);
	enum fl_rc rc = fl_conf_bool(c->conf, "download", "full_on_metered", false,
				     &c->full_on_metered, err);
	if (rc == FL_OK)
		rc = fl_conf_bool(c->conf, "download", "private_redirects", false,
				  &c->private_redirects, err);
	if (rc == FL_OK && ca != NULL)
		rc = fl_conf_keep_path(c->conf, ca, &c->arena, &c->download_ca, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, "download", "rate_kib_s", 0, RATE_KIB_MAX, 0,
				 &rate->bytes_s, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, "download", "window_rate_kib_s", 0, RATE_KIB_MAX, 0,
				 &rate->window_bytes_s, err);
	if (rc != FL_OK)
		return rc;
	rate->bytes_s *= 1024;
	rate->window_bytes_s *= 1024;
	if (window == NULL)
		return FL_OK;
	if (!is_window(window))
		return fl_fail(err, FL_E_CONFIG, 0, "[download] window: 'window.NAME'");
	return load_window(c, window, &rate->window, err);
}

static enum fl_rc load_policy(struct fl_config *c, enum fl_gate gate, const char *key,
			      struct fl_err *err)
{
	struct fl_policy *p = &c->policies[gate];
	p->name = fl_conf_get(c->conf, "policy", key, "always");
	p->kind = FL_POLICY_ALWAYS;
	c->policy_set.gate[gate] = p;
	if (strcmp(p->name, "always") == 0)
		return FL_OK;
	if (!is_window(p->name))
		return fl_fail(err, FL_E_CONFIG, 0, "[policy] %s: 'always' or 'window.NAME'", key);
	p->kind = FL_POLICY_WINDOW;
	return load_window(c, p->name, &p->window, err);
}

static enum fl_rc load_components(struct fl_config *c, struct fl_err *err)
{
	for (size_t i = 0;; i++) {
		const char *section = fl_conf_section(c->conf, "component.", i);
		if (section == NULL)
			break;
		if (i == FL_CONFIG_COMPONENTS_MAX)
			return fl_fail(err, FL_E_CONFIG, 0, "more than %d components",
				       FL_CONFIG_COMPONENTS_MAX);
		struct fl_config_component *k = &c->components[i];
		k->name = section + strlen("component.");
		enum fl_rc rc = fl_conf_need(c->conf, section, "handler", &k->handler, err);
		if (rc != FL_OK)
			return rc;
		if (!fl_name_valid(k->name) || !fl_name_valid(k->handler))
			return fl_fail(err, FL_E_CONFIG, 0, "[%s]: not a valid name", section);
		c->n_components = i + 1;
	}
	return FL_OK;
}

static enum fl_rc load_interfaces(struct fl_config *c, struct fl_err *err)
{
	const char *section;
	enum fl_rc rc = FL_OK;
	for (size_t i = 0;
	     rc == FL_OK && (section = fl_conf_section(c->conf, "interface.", i)) != NULL; i++) {
		if (i == FL_CONFIG_INTERFACES_MAX)
			return fl_fail(err, FL_E_CONFIG, 0, "more than %d interfaces",
				       FL_CONFIG_INTERFACES_MAX);
		struct fl_config_interface *one = &c->interfaces[i];
		one->name = section + strlen("interface.");
		if (one->name[0] == '\0' || strlen(one->name) >= IF_NAMESIZE)
			return fl_fail(err, FL_E_CONFIG, 0, "[%s]: no interface's name", section);
		rc = fl_conf_u64(c->conf, section, "day_mib", 0, BUDGET_MIB_MAX, 0, &one->day_budget, err);
		if (rc == FL_OK)
			rc = fl_conf_u64(c->conf, section, "deployment_mib", 0, BUDGET_MIB_MAX, 0,
					 &one->deployment_budget, err);
		if (rc == FL_OK)
			rc = fl_conf_bool(c->conf, section, "metered", false, &one->metered, err);
		one->day_budget <<= 20;
		one->deployment_budget <<= 20;
		c->n_interfaces = i + 1;
	}
	return rc;
}

static enum fl_rc load_spool(struct fl_config *c, struct fl_err *err)
{
	enum fl_rc rc = fl_conf_u64(c->conf, "spool", "quota_mib", 1, SPOOL_MIB_MAX, 512, &c->spool_quota_mib, err);
	return rc == FL_OK ? fl_conf_u64(c->conf, "spool", "keep_days", 0, 3650, 7, &c->spool_keep_days, err)
			   : rc;
}

enum fl_rc fl_config_load(const char *path, struct fl_config *ret, struct fl_err *err)
{
	*ret = (struct fl_config){.arena = FL_ARENA((size_t)256 * 1024)};
	enum fl_rc rc = fl_conf_load(path, &ret->conf, err);
	if (rc == FL_OK)
		rc = load_paths(ret, err);
	if (rc == FL_OK)
		rc = under_store(ret, "spool", &ret->spool_dir, err);
	if (rc == FL_OK)
		rc = under_store(ret, "roots", &ret->roots_dir, err);
	if (rc == FL_OK)
		rc = load_key_uri(ret, err);
	if (rc == FL_OK)
		rc = load_device(ret, err);
	if (rc == FL_OK)
		rc = load_fleet(ret, err);
	if (rc == FL_OK)
		rc = load_policy(ret, FL_GATE_DOWNLOAD, "download", err);
	if (rc == FL_OK)
		rc = load_policy(ret, FL_GATE_ACTIVATE, "activate", err);
	if (rc == FL_OK)
		rc = load_download(ret, err);
	if (rc == FL_OK)
		rc = load_interfaces(ret, err);
	if (rc == FL_OK)
		rc = load_spool(ret, err);
	if (rc == FL_OK)
		rc = load_components(ret, err);
	static const char *const own[] = {"fleet", "store",    "control",    "policy", "window.",
					  "check", "download", "interface.", "spool",  NULL};
	if (rc == FL_OK)
		fl_conf_warn_unknown(ret->conf, own);
	return rc;
}

void fl_config_done(struct fl_config *config)
{
	fl_conf_free(config->conf);
	fl_arena_free(&config->arena);
}
