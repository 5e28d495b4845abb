/* SPDX-License-Identifier: Apache-2.0 */
#include "sd_loader.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENTRIES_MAX 16
#define NONE_GONE   '!'

struct entry {
	char file[64];
	char id[64]; /* its name without count and suffix */
	char sort_key[32];
	char slot;     /* of fairlead.slot=; 'p' for prove */
	bool on_trial; /* says fairlead.trial=1 */
	int left;      /* -1: not counted */
	int done;
};

/* "+LEFT-DONE" in front of ".conf" */
static void parse_count(struct entry *e)
{
	e->left = -1;
	e->done = 0;
	memcpy(e->id, e->file, sizeof(e->id));
	e->id[strlen(e->file) - strlen(".conf")] = '\0';
	char *plus = strrchr(e->id, '+');
	if (plus == NULL)
		return;
	char *end;
	e->left = (int)strtol(plus + 1, &end, 10);
	if (*end == '-')
		e->done = (int)strtol(end + 1, NULL, 10);
	*plus = '\0';
}

/* No `linux`, no entry; and none when the kernel is not there: its path names the slot, and
 * `missing` one such. */
static bool read_entry(const char *at, const char *file, char missing, struct entry *e)
{
	char path[320];
	char gone[64];
	struct fl_buf text = FL_BUF(65536);
	const size_t len = strlen(file);
	if (len < 6 || len >= sizeof(e->file) || strcasecmp(file + len - 5, ".conf") != 0)
		return false;
	memset(e, 0, sizeof(*e));
	memcpy(e->file, file, len + 1);
	parse_count(e);
	snprintf(path, sizeof(path), "%s/entries/%s", at, file);
	if (fl_file_read(path, &text, NULL) != FL_OK)
		return false;
	snprintf(gone, sizeof(gone), "/EFI/fairlead/%c/vmlinuz", missing);
	const char *kernel = strstr(fl_buf_str(&text), "\nlinux /EFI/fairlead/");
	const bool boots = kernel != NULL && strstr(kernel, "/vmlinuz") != NULL &&
			   strncmp(kernel + 7, gone, strlen(gone)) != 0;
	const char *slot = strstr(fl_buf_str(&text), "fairlead.slot=");
	const char *key = strstr(fl_buf_str(&text), "\nsort-key ");
	e->slot = slot == NULL ? '?' : slot[strlen("fairlead.slot=")];
	e->on_trial = strstr(fl_buf_str(&text), " fairlead.trial=1 ") != NULL;
	if (key != NULL)
		snprintf(e->sort_key, sizeof(e->sort_key), "%.*s", (int)strcspn(key + 10, "\n"),
			 key + 10);
	fl_buf_free(&text);
	return boots;
}

/* Used up last; with a sort key before those without; then by name, the higher one first; then the
 * fewer tries first. */
static int compare(const struct entry *a, const struct entry *b)
{
	if ((a->left == 0) != (b->left == 0))
		return a->left == 0 ? 1 : -1;
	if ((a->sort_key[0] == '\0') != (b->sort_key[0] == '\0'))
		return a->sort_key[0] == '\0' ? 1 : -1;
	int r = strcmp(a->sort_key, b->sort_key);
	if (r == 0)
		r = -strverscmp(a->id, b->id);
	return r != 0 ? r : b->left - a->left;
}

struct entries {
	struct entry items[ENTRIES_MAX];
	unsigned n;
};

static void read_entries(const char *at, char missing, struct entries *ret)
{
	char path[160];
	ret->n = 0;
	snprintf(path, sizeof(path), "%s/entries", at);
	DIR *d = opendir(path);
	if (d == NULL)
		return;
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		cr_assert_lt(ret->n, ENTRIES_MAX);
		ret->n += read_entry(at, e->d_name, missing, &ret->items[ret->n]);
	}
	(void)closedir(d);
}

/* NULL when there is nothing to boot. */
static struct entry *choose(struct entries *all)
{
	struct entry *best = NULL;
	for (unsigned i = 0; i < all->n; i++) {
		if (best == NULL || compare(&all->items[i], best) < 0)
			best = &all->items[i];
	}
	return best;
}

static bool count(struct entry *e)
{
	if (e->left <= 0)
		return false;
	e->left--;
	e->done++;
	return true;
}

char sd_boot(const char *loader, char missing)
{
	char from[320];
	char to[320];
	struct entries all;
	read_entries(loader, missing, &all);
	struct entry *e = choose(&all);
	if (e != NULL && count(e)) {
		snprintf(from, sizeof(from), "%s/entries/%s", loader, e->file);
		snprintf(to, sizeof(to), "%s/entries/%s+%d-%d.conf", loader, e->id, e->left,
			 e->done);
		cr_assert_eq(rename(from, to), 0);
	}
	return e == NULL ? '-' : e->slot;
}

void sd_boots(const char *loader, unsigned n, char *out)
{
	struct entries all;
	read_entries(loader, NONE_GONE, &all);
	for (unsigned i = 0; i < n; i++) {
		struct entry *e = choose(&all);
		out[i] = '-';
		if (e != NULL) {
			out[i] = e->slot;
			(void)count(e);
		}
	}
	out[n] = '\0';
}

unsigned sd_count(const char *loader, const char *part)
{
	char path[160];
	unsigned n = 0;
	snprintf(path, sizeof(path), "%s/entries", loader);
	DIR *d = opendir(path);
	if (d == NULL)
		return 0;
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += strstr(e->d_name, part) != NULL;
	(void)closedir(d);
	return n;
}
