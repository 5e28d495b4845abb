/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REQUIRED NULL
#define NONE	 ""

struct path_row {
	const char *section;
	const char *key;
	const char **into;
	const char *fallback; /* REQUIRED, NONE or a path */
};

static enum fl_rc read_paths(struct config *c, struct fl_err *err)
{
	const struct path_row rows[] = {
		{"trust", "root", &c->trust_root, REQUIRED},
		{"identity", "public", &c->identity_public, REQUIRED},
		{"anchor", "dir", &c->anchor_dir, REQUIRED},
		{"store", "mount", &c->store_mount, NONE},
		{"helper", "socket", &c->socket, NONE},
		{"runner", "program", &c->runner, REQUIRED},
		{"runner", "plugins", &c->plugins, REQUIRED},
		{"boot", "program", &c->boot_program, REQUIRED},
		{"host", "image_info", &c->image_info, "/usr/lib/fairlead/image-info"},
		{"host", "boot_id", &c->boot_id, "/proc/sys/kernel/random/boot_id"},
		{"host", "boot_failure", &c->boot_failure, "/run/fairlead/boot-failure"},
		{"host", "restart_request", &c->restart_request, "/run/fairlead/restart"},
		{"watchdog", "device", &c->watchdog, NONE},
	};
	enum fl_rc rc = FL_OK;
	(void)fl_conf_get(c->conf, "host", "running_slot",
			  NULL); /* known: fl_boot_running() reads it */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && rc == FL_OK; i++) {
		const char *value =
			fl_conf_get(c->conf, rows[i].section, rows[i].key, rows[i].fallback);
		if (value == NULL)
			rc = fl_conf_need(c->conf, rows[i].section, rows[i].key, &value, err);
		if (rc == FL_OK && value[0] != '\0')
			rc = fl_conf_keep_path(c->conf, value, &c->arena, rows[i].into, err);
	}
	return rc;
}

static enum fl_rc need_name(struct config *c, const char *key, const char **ret, struct fl_err *err)
{
	enum fl_rc rc = fl_conf_need(c->conf, "device", key, ret, err);
	if (rc == FL_OK && !fl_name_valid(*ret))
		rc = fl_fail(err, FL_E_CONFIG, 0, "[device] %s: '%s' is no name", key, *ret);
	return rc;
}

static enum fl_rc read_device(struct config *c, struct fl_err *err)
{
	struct fl_device_facts *d = &c->device;
	d->tenant = fl_conf_get(c->conf, "device", "tenant", "default");
	enum fl_rc rc = need_name(c, "device_id", &d->device_id, err);
	if (rc == FL_OK)
		rc = fl_conf_need(c->conf, "device", "product", &d->product, err);
	if (rc == FL_OK)
		rc = fl_conf_need(c->conf, "device", "class_id", &d->class_id, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, "device", "hw_rev", 0, FL_U53_MAX, 0, &d->hw_rev, err);
	return rc;
}

static enum fl_rc read_accounts(struct config *c, struct fl_err *err)
{
	c->agent_uid = geteuid();
	c->runner_user = fl_conf_get(c->conf, "runner", "user", NULL);
	const char *agent = fl_conf_get(c->conf, "helper", "user", NULL);
	if (agent != NULL) {
		const struct passwd *pw = getpwnam(agent);
		if (pw == NULL)
			return fl_fail(err, FL_E_CONFIG, 0, "[helper] user: no account '%s'",
				       agent);
		c->agent_uid = pw->pw_uid;
	}
	if (c->runner_user != NULL && getpwnam(c->runner_user) == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "[runner] user: no account '%s'",
			       c->runner_user);
	enum fl_rc rc =
		fl_conf_bool(c->conf, "runner", "require_sandbox", false, &c->require_sandbox, err);
	return rc == FL_OK ? fl_conf_u64(c->conf, "runner", "decoder_memory_mib", 1, 1024, 64,
					 &c->decoder_memory_mib, err)
			   : rc;
}

static enum fl_rc read_times(struct config *c, struct fl_err *err)
{
	enum fl_rc rc =
		fl_conf_u64(c->conf, "trial", "silence_s", 30, 3600, 180, &c->silence_s, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, "watchdog", "timeout_s", 4, 3600, 60,
				 &c->watchdog_timeout_s, err);
	if (rc == FL_OK)
		rc = fl_conf_u64(c->conf, "recheck", "after_s", 1, 604800, 3600,
				 &c->recheck_after_s, err);
	return rc == FL_OK ? fl_conf_u64(c->conf, "recheck", "every_h", 1, 8760, 168,
					 &c->recheck_every_h, err)
			   : rc;
}

static enum fl_rc add_slot(struct component *comp, char letter, const char *value,
			   struct fl_err *err)
{
	struct fl_digest digest;
	if (comp->n_slots == SLOTS_MAX)
		return fl_fail(err, FL_E_CONFIG, 0, "more than %d slots", SLOTS_MAX);
	struct slot *slot = &comp->slots[comp->n_slots];
	slot->name[0] = letter;
	slot->name[1] = '\0';
	slot->value = value;
	enum fl_rc rc = fl_sha256(NULL, 0, slot->name, 1, &digest, err);
	if (rc != FL_OK)
		return rc;
	slot->tag = (uint16_t)(digest.b[0] << 8 | digest.b[1]);
	if (slot->tag == FL_ANCHOR_SLOT_NONE || component_slot_by_tag(comp, slot->tag) != NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "slot '%s': choose another letter", slot->name);
	comp->n_slots++;
	return FL_OK;
}

static enum fl_rc read_component(struct config *c, const char *section, struct fl_err *err)
{
	struct fl_digest digest;
	struct component *comp = &c->components[c->n_components];
	comp->name = strchr(section, '.') + 1;
	if (!fl_name_valid(comp->name))
		return fl_fail(err, FL_E_CONFIG, 0, "'%s' is no name", comp->name);
	enum fl_rc rc = fl_conf_need(c->conf, section, "handler", &comp->handler, err);
	if (rc == FL_OK && !fl_name_valid(comp->handler))
		rc = fl_fail(err, FL_E_CONFIG, 0, "handler '%s' is no name", comp->handler);
	if (rc == FL_OK)
		rc = fl_conf_bool(c->conf, section, "read_only", false, &comp->read_only, err);
	c->rechecks = c->rechecks || comp->read_only;
	for (char letter = 'a'; letter <= 'z' && rc == FL_OK; letter++) {
		const char key[] = {'s', 'l', 'o', 't', '.', letter, '\0'};
		const char *value = fl_conf_get(c->conf, section, key, NULL);
		if (value != NULL)
			rc = add_slot(comp, letter, value, err);
	}
	if (rc == FL_OK)
		rc = fl_sha256(NULL, 0, comp->name, strlen(comp->name), &digest, err);
	if (rc != FL_OK)
		return rc;
	memcpy(comp->key.b, digest.b, sizeof(comp->key.b));
	if (config_component_by_key(c, &comp->key) != NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "the anchor cannot tell it from another one");
	c->n_components++;
	return FL_OK;
}

static enum fl_rc read_components(struct config *c, struct fl_err *err)
{
	const char *section;
	for (size_t i = 0; (section = fl_conf_section(c->conf, "component.", i)) != NULL; i++) {
		if (i == FL_ANCHOR_COMPONENTS)
			return fl_fail(err, FL_E_ANCHOR_FULL, 0, "more than %d components",
				       FL_ANCHOR_COMPONENTS);
		enum fl_rc rc = read_component(c, section, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "[%s]", section);
	}
	return FL_OK;
}

enum fl_rc config_load(const char *path, struct config *config, struct fl_err *err)
{
	static const char *const sections[] = {"helper", "anchor",   "runner",	"host",
					       "trial",	 "watchdog", "recheck", NULL};
	config->arena = FL_ARENA((size_t)1024 * 1024);
	config->path = path;
	enum fl_rc rc = fl_conf_load(path, &config->conf, err);
	if (rc == FL_OK)
		rc = read_paths(config, err);
	if (rc == FL_OK)
		rc = read_device(config, err);
	if (rc == FL_OK)
		rc = read_accounts(config, err);
	if (rc == FL_OK)
		rc = read_times(config, err);
	if (rc == FL_OK)
		rc = read_components(config, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "configuration");
	fl_conf_warn_unknown(config->conf, sections);
	return FL_OK;
}

void config_free(struct config *config)
{
	fl_conf_free(config->conf);
	fl_arena_free(&config->arena);
}

const struct component *config_component(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_components; i++) {
		if (strcmp(config->components[i].name, name) == 0)
			return &config->components[i];
	}
	return NULL;
}

const struct component *config_component_by_key(const struct config *config,
						const struct fl_anchor_name *key)
{
	for (size_t i = 0; i < config->n_components; i++) {
		if (memcmp(config->components[i].key.b, key->b, sizeof(key->b)) == 0)
			return &config->components[i];
	}
	return NULL;
}

const struct slot *component_slot(const struct component *component, const char *name)
{
	for (size_t i = 0; i < component->n_slots; i++) {
		if (strcmp(component->slots[i].name, name) == 0)
			return &component->slots[i];
	}
	return NULL;
}

const struct slot *component_slot_by_tag(const struct component *component, uint16_t tag)
{
	for (size_t i = 0; i < component->n_slots; i++) {
		if (component->slots[i].tag == tag)
			return &component->slots[i];
	}
	return NULL;
}

enum fl_rc config_plugin(const struct config *config, const char *name, char ret[PATH_MAX],
			 struct fl_err *err)
{
	const int n = snprintf(ret, PATH_MAX, "%s/%s.so", config->plugins, name);
	if (n < 0 || n >= PATH_MAX)
		return fl_fail(err, FL_E_CONFIG, 0, "the plugin's path is too long");
	return access(ret, R_OK) == 0 ? FL_OK : fl_fail(err, FL_E_PLUGIN_MISSING, 0, "'%s.so'", name);
}

size_t component_index(const struct config *config, const struct component *component)
{
	return (size_t)(component - config->components);
}
