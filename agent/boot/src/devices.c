/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <fairlead/base/file.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MOUNTS_MAX  ((size_t)256 * 1024)
#define CMDLINE_MAX ((size_t)16 * 1024)
#define BELOW_MAX   4 /* layers of device mapper */

bool device_list_has(const struct device_list *list, uint64_t device)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i] == device)
			return true;
	}
	return false;
}

void read_word(const char *path, char *ret, size_t size)
{
	struct fl_err why;
	struct fl_buf text = FL_BUF((size_t)4096);
	ret[0] = '\0';
	if (fl_file_read(path, &text, &why) == FL_OK) {
		const char *s = fl_buf_str(&text);
		const size_t len = strcspn(s, "\n");
		if (len < size) {
			memcpy(ret, s, len);
			ret[len] = '\0';
		}
	}
	fl_buf_free(&text);
}

static bool parse_device(const char *text, uint64_t *ret)
{
	char *end;
	const unsigned long major_number = strtoul(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	const char *rest = end + 1;
	const unsigned long minor_number = strtoul(rest, &end, 10);
	if (end == rest || major_number > UINT32_MAX || minor_number > UINT32_MAX)
		return false;
	*ret = makedev((unsigned)major_number, (unsigned)minor_number);
	return true;
}

bool device_of_path(const struct fl_boot_roots *roots, const char *path, uint64_t *ret)
{
	struct stat st;
	char number[PATH_MAX];
	char text[32];
	const size_t len = strlen(roots->dev);
	if (stat(path, &st) != 0)
		return false;
	if (S_ISBLK(st.st_mode)) {
		*ret = st.st_rdev;
		return true;
	}
	/* Only tests have anything else than nodes there. */
	if (strncmp(path, roots->dev, len) != 0 || path[len] != '/')
		return false;
	snprintf(number, sizeof(number), "%s/class/block/%s/dev", roots->sys, path + len + 1);
	read_word(number, text, sizeof(text));
	return parse_device(text, ret);
}

static void add_with_below(const struct fl_boot_roots *roots, uint64_t device, unsigned depth,
			   struct device_list *ret)
{
	char folder[PATH_MAX];
	if (ret->n == DEVICES_MAX || device_list_has(ret, device))
		return;
	ret->items[ret->n++] = device;
	snprintf(folder, sizeof(folder), "%s/dev/block/%u:%u/slaves", roots->sys, major(device),
		 minor(device));
	DIR *d = depth < BELOW_MAX ? opendir(folder) : NULL;
	if (d == NULL)
		return;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char path[PATH_MAX + NAME_MAX + 8];
		char text[32];
		uint64_t below;
		snprintf(path, sizeof(path), "%s/%s/dev", folder, e->d_name);
		read_word(path, text, sizeof(text));
		if (e->d_name[0] != '.' && parse_device(text, &below))
			add_with_below(roots, below, depth + 1, ret);
	}
	(void)closedir(d);
}

/* What a line of /proc/self/mountinfo says (proc_pid_mountinfo(5)). */
struct mount {
	uint64_t device;
	char point[PATH_MAX];
	char type[64];
	char source[PATH_MAX];
	const char *options; /* of the file system, up to the line's end */
};

static bool parse_mount(const char *line, struct mount *m)
{
	char device[32];
	int used = 0;
	if (sscanf(line, "%*u %*u %31s %*s %4095s", device, m->point) != 2)
		return false;
	const char *rest = strstr(line, " - ");
	const char *end = strchr(line, '\n');
	if (rest == NULL || (end != NULL && rest > end) ||
	    sscanf(rest, " - %63s %4095s %n", m->type, m->source, &used) != 2)
		return false;
	m->options = rest + used;
	return parse_device(device, &m->device);
}

/* The last mount at the path: later ones lie above earlier ones. */
static bool find_mount(const char *mounts, const char *path, struct mount *ret)
{
	struct mount m;
	bool found = false;
	for (const char *line = mounts; *line != '\0'; line += strcspn(line, "\n")) {
		line += *line == '\n';
		if (parse_mount(line, &m) && strcmp(m.point, path) == 0) {
			*ret = m;
			found = true;
		}
	}
	return found;
}

/* The bottom of lowerdir=X:Y:Z. */
static bool lowest_folder(const char *options, char ret[PATH_MAX])
{
	const char *line_end = options + strcspn(options, "\n");
	const char *p = strstr(options, "lowerdir=");
	if (p == NULL || p >= line_end)
		return false;
	p += strlen("lowerdir=");
	size_t len = strcspn(p, ",\n");
	for (const char *colon = memchr(p, ':', len); colon != NULL; colon = memchr(p, ':', len)) {
		len -= (size_t)(colon + 1 - p);
		p = colon + 1;
	}
	if (len == 0 || len >= PATH_MAX)
		return false;
	memcpy(ret, p, len);
	ret[len] = '\0';
	return true;
}

/* The mount that holds an absolute path: at it, or at the nearest folder above it. */
static bool find_holder(const char *mounts, char path[PATH_MAX], struct mount *ret)
{
	while (!find_mount(mounts, path, ret)) {
		char *slash = strrchr(path, '/');
		if (slash == NULL || slash == path)
			return false; /* not "/", that is the overlay itself */
		*slash = '\0';
	}
	return true;
}

static void add_root(const struct fl_boot_roots *roots, const char *mounts, struct device_list *ret)
{
	struct mount m;
	char lower[PATH_MAX];
	uint64_t device;
	if (!find_mount(mounts, "/", &m))
		return;
	if (strcmp(m.type, "overlay") == 0 &&
	    (!lowest_folder(m.options, lower) || !find_holder(mounts, lower, &m)))
		return;
	if (major(m.device) != 0)
		add_with_below(roots, m.device, 0, ret);
	else if (device_of_path(roots, m.source, &device)) /* btrfs numbers its mounts by itself */
		add_with_below(roots, device, 0, ret);
}

void devices_of_root(const struct fl_boot_roots *roots, struct device_list *ret)
{
	char path[PATH_MAX];
	struct fl_err why;
	struct fl_buf text = FL_BUF(MOUNTS_MAX);
	ret->n = 0;
	snprintf(path, sizeof(path), "%s/self/mountinfo", roots->proc);
	if (fl_file_read(path, &text, &why) == FL_OK)
		add_root(roots, fl_buf_str(&text), ret);
	fl_buf_free(&text);
}

bool kernel_says_prove(const struct fl_boot_roots *roots)
{
	static const char word[] = "fairlead.slot=" FL_BOOT_PROVE;
	char path[PATH_MAX];
	struct fl_err why;
	struct fl_buf text = FL_BUF(CMDLINE_MAX);
	bool found = false;
	snprintf(path, sizeof(path), "%s/cmdline", roots->proc);
	if (fl_file_read(path, &text, &why) == FL_OK) {
		const char *p = fl_buf_str(&text);
		for (; *p != '\0' && !found; p += strcspn(p, " \n")) {
			p += strspn(p, " \n");
			found = strcspn(p, " \n") == sizeof(word) - 1 &&
				strncmp(p, word, sizeof(word) - 1) == 0;
		}
	}
	fl_buf_free(&text);
	return found;
}
