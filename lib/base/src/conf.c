/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/conf.h>

#include <fairlead/base/buf.h>
#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX    ((size_t)64 * 1024)
#define ENTRIES_MAX 1000

struct entry {
	const char *section;
	const char *key;
	const char *value;
	int line;
	bool asked;
};

struct fl_conf {
	struct fl_arena arena;
	const char *path;
	struct entry entries[ENTRIES_MAX];
	size_t n;
};

/* inih gives no line numbers in Debian: the reader below hands it one line at a time and counts. */
struct reader {
	struct fl_conf *conf;
	const char *next;
	int line;
	struct fl_err err;
};

#define SECTION_MAX_BYTES 49 /* of inih */

/* What inih would take in a sense that nobody meant: it cuts long lines in two, and long names. */
static bool misread(struct reader *r, const char *line, size_t len, size_t max)
{
	const char *text = line + strspn(line, " \t\r");
	const char *what = NULL;
	if (len > max)
		what = "too long";
	else if (text > line && *text != '\n' && *text != '\0' && *text != '#' && *text != ';')
		what = "indented, which would continue the value above";
	else if (*text == '[' && strcspn(text + 1, "]\n") > SECTION_MAX_BYTES)
		what = "a section's name of more than 49 bytes";
	if (what == NULL)
		return false;
	(void)fl_fail(&r->err, FL_E_CONFIG, 0, "%s", what);
	return true;
}

static char *read_line(char *out, int size, void *stream)
{
	struct reader *r = stream;
	if (r->err.rc != FL_OK || *r->next == '\0')
		return NULL;
	size_t len = strcspn(r->next, "\n");
	r->line++;
	if (misread(r, r->next, len, (size_t)size - 1))
		return NULL;
	memcpy(out, r->next, len);
	out[len] = '\0';
	r->next += r->next[len] == '\n' ? len + 1 : len;
	return out;
}

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
	struct reader *r = user;
	struct fl_conf *conf = r->conf;
	if (conf->n == ENTRIES_MAX) {
		(void)fl_fail(&r->err, FL_E_CONFIG, 0, "more than %d entries", ENTRIES_MAX);
		return 0;
	}
	struct entry *e = &conf->entries[conf->n];
	e->section = fl_arena_copy(&conf->arena, section, strlen(section), &r->err);
	e->key = fl_arena_copy(&conf->arena, key, strlen(key), &r->err);
	e->value = fl_arena_copy(&conf->arena, value, strlen(value), &r->err);
	e->line = r->line;
	if (e->section == NULL || e->key == NULL || e->value == NULL)
		return 0;
	conf->n++;
	return 1;
}

static enum fl_rc parse(struct fl_conf *conf, const char *text, struct fl_err *err)
{
	struct reader r = {conf, text, 0, {0}};
	int bad = ini_parse_stream(read_line, &r, on_entry, &r);
	if (r.err.rc != FL_OK)
		return fl_fail(err, r.err.rc, 0, "'%s' line %d: %s", conf->path, r.line, r.err.msg);
	if (bad != 0)
		return fl_fail(err, FL_E_CONFIG, 0,
			       "'%s' line %d: neither [section] nor key = value", conf->path, bad);
	return FL_OK;
}

enum fl_rc fl_conf_load(const char *path, struct fl_conf **ret, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FILE_MAX);
	struct fl_conf *conf = calloc(1, sizeof(*conf));
	if (conf == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "configuration");
	conf->arena = FL_ARENA(4 * FILE_MAX);
	enum fl_rc rc = fl_file_read(path, &text, err);
	if (rc != FL_OK)
		rc = fl_wrap(err, FL_E_CONFIG, "configuration");
	if (rc == FL_OK && strlen(fl_buf_str(&text)) != text.len)
		rc = fl_fail(err, FL_E_CONFIG, 0, "'%s': a zero byte in it", path);
	if (rc == FL_OK) {
		conf->path = fl_arena_copy(&conf->arena, path, strlen(path), err);
		rc = conf->path == NULL ? FL_E_NO_MEMORY : parse(conf, fl_buf_str(&text), err);
	}
	fl_buf_free(&text);
	if (rc != FL_OK) {
		fl_conf_free(conf);
		return rc;
	}
	*ret = conf;
	return FL_OK;
}

void fl_conf_free(struct fl_conf *conf)
{
	if (conf == NULL)
		return;
	fl_arena_free(&conf->arena);
	free(conf);
}

/* The last one set wins, as in systemd's files. */
static struct entry *find(struct fl_conf *conf, const char *section, const char *key)
{
	struct entry *found = NULL;
	for (size_t i = 0; i < conf->n; i++) {
		struct entry *e = &conf->entries[i];
		if (strcmp(e->section, section) == 0 && strcmp(e->key, key) == 0) {
			e->asked = true;
			found = e;
		}
	}
	return found;
}

const char *fl_conf_get(struct fl_conf *conf, const char *section, const char *key,
			const char *fallback)
{
	const struct entry *e = find(conf, section, key);
	return e == NULL ? fallback : e->value;
}

enum fl_rc fl_conf_need(struct fl_conf *conf, const char *section, const char *key,
			const char **ret, struct fl_err *err)
{
	const struct entry *e = find(conf, section, key);
	if (e == NULL || e->value[0] == '\0')
		return fl_fail(err, FL_E_CONFIG, 0, "'%s': [%s] %s is not set", conf->path, section,
			       key);
	*ret = e->value;
	return FL_OK;
}

enum fl_rc fl_conf_u64(struct fl_conf *conf, const char *section, const char *key, uint64_t min,
		       uint64_t max, uint64_t fallback, uint64_t *ret, struct fl_err *err)
{
	const struct entry *e = find(conf, section, key);
	if (e == NULL) {
		*ret = fallback;
		return FL_OK;
	}
	char *end = NULL;
	errno = 0;
	unsigned long long v = strtoull(e->value, &end, 10);
	bool digits = e->value[0] >= '0' && e->value[0] <= '9';
	if (!digits || *end != '\0' || errno == ERANGE || v < min || v > max)
		return fl_fail(err, FL_E_CONFIG, 0,
			       "'%s' line %d: %s must be a number from %llu to %llu", conf->path,
			       e->line, key, (unsigned long long)min, (unsigned long long)max);
	*ret = v;
	return FL_OK;
}

enum fl_rc fl_conf_bool(struct fl_conf *conf, const char *section, const char *key, bool fallback,
			bool *ret, struct fl_err *err)
{
	static const char *const words[2][4] = {{"false", "no", "off", "0"},
						{"true", "yes", "on", "1"}};
	const struct entry *e = find(conf, section, key);
	if (e == NULL) {
		*ret = fallback;
		return FL_OK;
	}
	for (int value = 0; value < 2; value++) {
		for (int i = 0; i < 4; i++) {
			if (strcmp(e->value, words[value][i]) == 0) {
				*ret = value == 1;
				return FL_OK;
			}
		}
	}
	return fl_fail(err, FL_E_CONFIG, 0, "'%s' line %d: %s must be true or false", conf->path,
		       e->line, key);
}

enum fl_rc fl_conf_path(struct fl_conf *conf, const char *value, char *out, size_t out_size,
			struct fl_err *err)
{
	const bool absolute = value[0] == '/';
	const char *root = absolute ? "" : fl_conf_get(conf, "paths", "root", "");
	const size_t len = strlen(root);
	const bool joined = absolute || (len > 0 && root[len - 1] == '/');
	const int n = snprintf(out, out_size, "%s%s%s", root, joined ? "" : "/", value);
	if (n < 0 || (size_t)n >= out_size)
		return fl_fail(err, FL_E_CONFIG, 0, "'%s': path '%.80s' is too long", conf->path,
			       value);
	return FL_OK;
}

enum fl_rc fl_conf_keep_path(struct fl_conf *conf, const char *value, struct fl_arena *arena,
			     const char **ret, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_conf_path(conf, value, path, sizeof(path), err);
	if (rc != FL_OK)
		return rc;
	*ret = fl_arena_copy(arena, path, strlen(path), err);
	return *ret == NULL ? FL_E_NO_MEMORY : FL_OK;
}

static bool first_of_section(const struct fl_conf *conf, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (strcmp(conf->entries[k].section, conf->entries[i].section) == 0)
			return false;
	}
	return true;
}

const char *fl_conf_section(const struct fl_conf *conf, const char *prefix, size_t i)
{
	for (size_t k = 0; k < conf->n; k++) {
		if (strncmp(conf->entries[k].section, prefix, strlen(prefix)) != 0 ||
		    !first_of_section(conf, k))
			continue;
		if (i-- == 0)
			return conf->entries[k].section;
	}
	return NULL;
}

static bool has_prefix(const char *section, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++) {
		if (strncmp(section, *prefixes, strlen(*prefixes)) == 0)
			return true;
	}
	return false;
}

void fl_conf_warn_unknown(const struct fl_conf *conf, const char *const *prefixes)
{
	for (size_t i = 0; i < conf->n; i++) {
		const struct entry *e = &conf->entries[i];
		if (!e->asked && has_prefix(e->section, prefixes))
			fl_log(FL_LOG_WARNING, "'%s' line %d: unknown setting [%s] %s", conf->path,
			       e->line, e->section, e->key);
	}
}
