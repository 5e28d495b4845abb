/* SPDX-License-Identifier: Apache-2.0 */
/* Settings slot.X, and the partitions they name: asked of the kernel (sysfs) first, then of udev's links. */
#include <fairlead/boot/slots.h>

#include "devices.h"

#include <fairlead/base/file.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UEVENT_MAX ((size_t)4096)
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.:=@_"

/* One way to name a partition. */
struct scheme {
	const char *prefix; /* of the setting */
	const char *key;    /* in sysfs' uevent */
	const char *links;  /* udev's folder below /dev */
};

static const struct scheme schemes[] = {
	{"partlabel:", "PARTNAME=", "disk/by-partlabel"},
	{"partuuid:", "PARTUUID=", "disk/by-partuuid"}, /* told by Linux 6.10 and later */
};

/* Has the text a line KEY=name? Identifiers of partitions differ in case between tools. */
static bool has_line(const char *text, const char *key, const char *name)
{
	const size_t key_len = strlen(key);
	const size_t len = strlen(name);
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n")) {
		line += *line == '\n';
		if (strncmp(line, key, key_len) != 0 || strcspn(line + key_len, "\n") != len)
			continue;
		if (strcmp(key, "PARTUUID=") == 0 ? strncasecmp(line + key_len, name, len) == 0
						  : strncmp(line + key_len, name, len) == 0)
			return true;
	}
	return false;
}

static bool entry_matches(const char *folder, const char *entry, const struct scheme *s,
			  const char *name)
{
	char path[PATH_MAX];
	struct fl_err why;
	struct fl_buf text = FL_BUF(UEVENT_MAX);
	const int n = snprintf(path, sizeof(path), "%s/%s/uevent", folder, entry);
	const bool found = n > 0 && n < PATH_MAX && fl_file_read(path, &text, &why) == FL_OK &&
			   has_line(fl_buf_str(&text), s->key, name);
	fl_buf_free(&text);
	return found;
}

/* The number of partitions of that name; the first one's kernel name into device. */
static unsigned scan(const struct fl_boot_roots *roots, const struct scheme *s, const char *name,
		     char device[NAME_MAX + 1])
{
	char folder[PATH_MAX];
	unsigned found = 0;
	struct fl_err why;
	if (fl_path_join(folder, sizeof(folder), roots->sys, "class/block", &why) != FL_OK)
		return 0;
	DIR *d = opendir(folder);
	if (d == NULL)
		return 0;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		if (e->d_name[0] == '.' || !entry_matches(folder, e->d_name, s, name))
			continue;
		if (found++ == 0)
			snprintf(device, NAME_MAX + 1, "%s", e->d_name);
	}
	(void)closedir(d);
	return found;
}

static bool udev_link(const struct fl_boot_roots *roots, const struct scheme *s, const char *name,
		      char ret[PATH_MAX])
{
	char path[PATH_MAX];
	char real[PATH_MAX]; /* realpath leaves its traces also where it fails */
	const int n = snprintf(path, sizeof(path), "%s/%s/%s", roots->dev, s->links, name);
	if (n <= 0 || n >= PATH_MAX || realpath(path, real) == NULL)
		return false;
	memcpy(ret, real, strlen(real) + 1);
	return true;
}

static enum fl_rc find_partition(const struct fl_boot_roots *roots, const struct scheme *s,
				 const char *name, char ret[PATH_MAX], struct fl_err *err)
{
	char device[NAME_MAX + 1];
	const size_t len = strlen(name);
	if (len == 0 || len > 72 || strspn(name, NAME_CHARS) != len || name[0] == '.')
		return fl_fail(err, FL_E_CONFIG, 0, "%s'%s' is no partition's name", s->prefix,
			       name);
	const unsigned found = scan(roots, s, name, device);
	if (found > 1)
		return fl_fail(err, FL_E_CONFIG, 0, "%u partitions are %s%s", found, s->prefix,
			       name);
	if (found == 1)
		return fl_path_join(ret, PATH_MAX, roots->dev, device, err);
	if (udev_link(roots, s, name, ret))
		return FL_OK;
	return fl_fail(err, FL_E_SLOT_MISSING, 0, "no partition is %s%s", s->prefix, name);
}

enum fl_rc fl_boot_slot_resolve(struct fl_conf *conf, const struct fl_boot_roots *roots,
				const char *value, char ret[PATH_MAX], struct fl_err *err)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		const size_t len = strlen(schemes[i].prefix);
		if (strncmp(value, schemes[i].prefix, len) == 0)
			return find_partition(roots, &schemes[i], value + len, ret, err);
	}
	return fl_conf_path(conf, value, ret, PATH_MAX, err);
}

enum fl_rc fl_boot_component_slot(struct fl_conf *conf, const struct fl_boot_roots *roots,
				  const char *component, const char *slot, char ret[PATH_MAX],
				  struct fl_err *err)
{
	char section[FL_NAME_MAX + 16];
	char key[FL_NAME_MAX + 8];
	snprintf(section, sizeof(section), "component.%s", component);
	snprintf(key, sizeof(key), "slot.%s", slot);
	const char *value = fl_conf_get(conf, section, key, NULL);
	if (value == NULL)
		return fl_fail(err, FL_E_SLOT_MISSING, 0, "[%s] has no slot '%s'", section, slot);
	enum fl_rc rc = fl_boot_slot_resolve(conf, roots, value, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "[%s] %s", section, key);
}

/* --- the host --- */

struct loading {
	struct fl_conf *conf;
	const struct fl_boot_roots *roots;
	struct fl_arena *arena;
	struct fl_boot_host *host;
};

/* A partition that is not there keeps its setting for a path: doctor tells of it, nothing finds it. */
static enum fl_rc add_part(struct loading *l, const char *section, char letter, const char *value,
			   struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_boot_host *host = l->host;
	const char name[2] = {letter, '\0'};
	if (host->n_parts == FL_BOOT_PARTS_MAX)
		return fl_fail(err, FL_E_CONFIG, 0, "more than %d slots", FL_BOOT_PARTS_MAX);
	enum fl_rc rc = fl_boot_slot_resolve(l->conf, l->roots, value, path, err);
	if (rc != FL_OK && rc != FL_E_SLOT_MISSING)
		return fl_wrap(err, rc, "[%s] slot.%c", section, letter);
	if (rc == FL_OK)
		value = path;
	const char *kept = fl_arena_copy(l->arena, value, strlen(value), err);
	if (kept == NULL)
		return FL_E_NO_MEMORY;
	if (fl_boot_find_slot(host, name) == NULL)
		memcpy(host->slots[host->n_slots++].name, name, sizeof(name));
	struct fl_boot_part *part = &host->parts[host->n_parts++];
	memcpy(part->slot, name, sizeof(name));
	part->component = strchr(section, '.') + 1;
	part->path = kept;
	return FL_OK;
}

static enum fl_rc load_parts(struct loading *l, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	const char *section;
	for (size_t i = 0; (section = fl_conf_section(l->conf, "component.", i)) != NULL; i++) {
		for (char letter = 'a'; letter <= 'z' && rc == FL_OK; letter++) {
			const char key[] = {'s', 'l', 'o', 't', '.', letter, '\0'};
			const char *value = fl_conf_get(l->conf, section, key, NULL);
			if (value != NULL)
				rc = add_part(l, section, letter, value, err);
		}
	}
	return rc;
}

static enum fl_rc load_path(struct loading *l, const char *key, bool required, const char **ret,
			    struct fl_err *err)
{
	const char *value = fl_conf_get(l->conf, "boot", key, NULL);
	enum fl_rc rc = FL_OK;
	if (value == NULL && !required)
		return FL_OK;
	if (value == NULL)
		rc = fl_conf_need(l->conf, "boot", key, &value, err);
	if (rc == FL_OK)
		rc = fl_conf_keep_path(l->conf, value, l->arena, ret, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "[boot] %s", key);
}

/* Runs from what the mounted root stands on, whichever component calls that a slot. */
static void find_running(const struct fl_boot_roots *roots, struct fl_boot_host *host)
{
	struct device_list root = {.n = 0};
	devices_of_root(roots, &root);
	for (size_t i = 0; i < host->n_parts; i++) {
		uint64_t device;
		if (device_of_path(roots, host->parts[i].path, &device) &&
		    device_list_has(&root, device)) {
			memcpy(host->running, host->parts[i].slot, sizeof(host->running));
			return;
		}
	}
}

static enum fl_rc load_running(struct loading *l, struct fl_err *err)
{
	struct fl_boot_host *host = l->host;
	char path[PATH_MAX];
	char word[FL_NAME_MAX + 2];
	const char *value = fl_conf_get(l->conf, "host", "running_slot", NULL);
	if (value == NULL) {
		host->proving = kernel_says_prove(l->roots);
		find_running(l->roots, host);
		return FL_OK;
	}
	enum fl_rc rc = fl_conf_path(l->conf, value, path, sizeof(path), err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "[host] running_slot");
	read_word(path, word, sizeof(word));
	host->proving = strcmp(word, FL_BOOT_PROVE) == 0;
	if (!host->proving && fl_name_valid(word))
		memcpy(host->running, word, strlen(word) + 1);
	return FL_OK;
}

enum fl_rc fl_boot_host_load(struct fl_conf *conf, const struct fl_boot_roots *roots,
			     struct fl_arena *arena, struct fl_boot_host *ret, struct fl_err *err)
{
	struct fl_boot_host host = {0};
	struct loading l = {conf, roots, arena, &host};
	enum fl_rc rc = load_path(&l, "dir", true, &host.dir, err);
	if (rc == FL_OK)
		rc = load_path(&l, "exec", false, &host.program, err);
	if (rc == FL_OK)
		rc = load_path(&l, "loader", false, &host.loader, err);
	if (rc == FL_OK)
		rc = load_parts(&l, err);
	if (rc == FL_OK)
		rc = load_running(&l, err);
	if (rc == FL_OK)
		*ret = host;
	return rc;
}

enum fl_rc fl_boot_running(struct fl_conf *conf, const struct fl_boot_roots *roots,
			   char ret[FL_NAME_MAX + 1], bool *ret_proving, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA((size_t)256 * 1024);
	struct fl_boot_host host = {0};
	struct loading l = {conf, roots, &arena, &host};
	enum fl_rc rc = load_parts(&l, err);
	if (rc == FL_OK)
		rc = load_running(&l, err);
	if (rc == FL_OK) {
		memcpy(ret, host.running, sizeof(host.running));
		*ret_proving = host.proving;
	}
	fl_arena_free(&arena);
	return rc;
}
