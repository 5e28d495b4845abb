/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end systemd-boot. host->dir is the folder `loader` of the ESP; the decision is the
 * youngest whole entry in loader/entries, which is also the one that systemd-boot takes first. A
 * trial's entry carries its tries in its name, where systemd-boot counts them; when they are used
 * up it sorts last, and the good slot's entry, not touched since, is first.
 *
 *   store:  write loader/fairlead.new ─► rename it to entries/fairlead-SEQ-… ─► remove what is
 * superseded     (─► = sync) └ from here on the new decision boots
 *
 * Crash contract, and what FAT may leave of each step: docs/internals/boot-systemd-boot.md.
 */
#include "backends.h"
#include "sdboot.h"

#include <fairlead/base/conf.h>
#include <fairlead/base/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT_MARK "{slot}"

/* --- reading --- */

static enum fl_rc add_entry(struct sdboot_list *list, const char *name, struct fl_err *err)
{
	struct sdboot_entry e;
	if (!sdboot_parse_name(name, &e))
		return FL_OK;
	if (list->n == SDBOOT_ENTRIES_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d boot entries",
			       SDBOOT_ENTRIES_MAX);
	list->items[list->n++] = e;
	return FL_OK;
}

enum fl_rc sdboot_read_entries(const struct fl_boot_host *host, struct sdboot_list *ret,
			       struct fl_err *err)
{
	char path[PATH_MAX];
	const struct dirent *e;
	ret->n = 0;
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, "entries", err);
	if (rc != FL_OK)
		return rc;
	DIR *dir = opendir(path);
	if (dir == NULL)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'", path);
	errno = 0;
	while (rc == FL_OK && (e = readdir(dir)) != NULL)
		rc = add_entry(ret, e->d_name, err);
	if (rc == FL_OK && errno != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "read '%s'", path);
	(void)closedir(dir);
	return rc;
}

static enum fl_rc entry_path(const struct fl_boot_host *host, const struct sdboot_entry *entry,
			     char path[PATH_MAX], struct fl_err *err)
{
	char dir[PATH_MAX];
	enum fl_rc rc = fl_path_join(dir, sizeof(dir), host->dir, "entries", err);
	return rc == FL_OK ? fl_path_join(path, PATH_MAX, dir, entry->file, err) : rc;
}

/* The number and the slot of its name are those of the decision in it. */
static bool is_carrier(const struct sdboot_entry *entry, const struct fl_boot_state *state)
{
	return entry->seq == state->seq && strcmp(entry->slot, sdboot_carrier(state)) == 0 &&
	       entry->counted == (state->trial[0] != '\0');
}

enum fl_rc sdboot_load_entry(const struct fl_boot_host *host, const struct sdboot_entry *entry,
			     struct fl_boot_state *ret, struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_boot_state state = {0};
	struct fl_buf text = FL_BUF(SDBOOT_ENTRY_MAX);
	enum fl_rc rc = entry_path(host, entry, path, err);
	if (rc == FL_OK)
		rc = fl_file_read(path, &text, err);
	if (rc == FL_OK)
		rc = sdboot_parse_entry(&text, &state, err);
	if (rc == FL_OK && !is_carrier(entry, &state))
		rc = fl_fail(err, FL_E_CORRUPT, 0, "boot entry '%s': another one's text",
			     entry->file);
	fl_buf_free(&text);
	if (rc == FL_OK)
		*ret = state;
	return rc;
}

/* A setting with its "{slot}" replaced; at most one. */
static enum fl_rc expand(const char *value, const char *slot, char out[SDBOOT_SETTING_MAX],
			 struct fl_err *err)
{
	const char *mark = strstr(value, SLOT_MARK);
	const int head = mark == NULL ? (int)strlen(value) : (int)(mark - value);
	const int n =
		snprintf(out, SDBOOT_SETTING_MAX, "%.*s%s%s", head, value, mark == NULL ? "" : slot,
			 mark == NULL ? "" : mark + strlen(SLOT_MARK));
	return n < (int)SDBOOT_SETTING_MAX
		       ? FL_OK
		       : fl_fail(err, FL_E_CONFIG, 0, "'%s' is too long", value);
}

static enum fl_rc read_slot(struct fl_conf *conf, const char *slot, struct sdboot_settings *ret,
			    struct fl_err *err)
{
	char key[FL_NAME_MAX + 16];
	const char *partuuid;
	const char *kernel;
	snprintf(key, sizeof(key), "partuuid.%s", slot);
	enum fl_rc rc = fl_conf_need(conf, "entry", key, &partuuid, err);
	if (rc == FL_OK)
		rc = fl_conf_need(conf, "entry", "kernel", &kernel, err);
	if (rc == FL_OK)
		rc = expand(partuuid, slot, ret->partuuid, err);
	if (rc == FL_OK)
		rc = expand(kernel, slot, ret->kernel, err);
	if (rc == FL_OK)
		rc = expand(fl_conf_get(conf, "entry", "initrd", ""), slot, ret->initrd, err);
	if (rc == FL_OK)
		rc = expand(fl_conf_get(conf, "entry", "options", ""), slot, ret->options, err);
	return rc;
}

enum fl_rc sdboot_read_settings(const struct fl_boot_host *host, const char *slot,
				struct sdboot_settings *ret, struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_conf *conf = NULL;
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, "fairlead.conf", err);
	if (rc == FL_OK)
		rc = fl_conf_load(path, &conf, err);
	if (rc == FL_OK)
		rc = read_slot(conf, slot, ret, err);
	fl_conf_free(conf);
	/* Not FL_E_NOT_FOUND: that would say that no decision was ever made. */
	return rc == FL_OK ? rc : fl_wrap(err, FL_E_CONFIG, "the entries' settings");
}

/* --- load --- */

/* The youngest whole entry; FL_E_NOT_FOUND without any, FL_E_CORRUPT when none is whole. */
static enum fl_rc load_youngest(const struct fl_boot_host *host, const struct sdboot_list *list,
				struct fl_boot_state *ret, const struct sdboot_entry **carrier,
				struct fl_err *err)
{
	bool found = false;
	struct fl_boot_state state;
	struct fl_err why;
	for (size_t i = 0; i < list->n; i++) {
		const struct sdboot_entry *e = &list->items[i];
		if ((found && e->seq <= ret->seq) ||
		    sdboot_load_entry(host, e, &state, &why) != FL_OK)
			continue;
		*ret = state;
		*carrier = e;
		found = true;
	}
	if (found)
		return FL_OK;
	return list->n == 0 ? fl_fail(err, FL_E_NOT_FOUND, 0, "no boot entry")
			    : fl_fail(err, FL_E_CORRUPT, 0, "no boot entry is whole");
}

static bool has_entry(const struct sdboot_list *list, const char *slot)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i].slot, slot) == 0)
			return true;
	}
	return false;
}

/* A withdrawal that was cut off before the slot's entry was gone has not happened: so it is done
 * again. */
static void drop_offered(const struct sdboot_list *list, struct fl_boot_state *state)
{
	for (size_t i = 0; i < state->n_withdrawn;) {
		if (!has_entry(list, state->withdrawn[i])) {
			i++;
			continue;
		}
		state->n_withdrawn--;
		memmove(state->withdrawn[i], state->withdrawn[i + 1],
			(state->n_withdrawn - i) * sizeof(state->withdrawn[0]));
	}
}

static enum fl_rc sdboot_load(const struct fl_boot_host *host, struct fl_boot_state *ret,
			      struct fl_err *err)
{
	struct sdboot_list list;
	struct fl_boot_state state = {0};
	const struct sdboot_entry *carrier = NULL;
	enum fl_rc rc = sdboot_read_entries(host, &list, err);
	if (rc == FL_OK)
		rc = load_youngest(host, &list, &state, &carrier, err);
	if (rc != FL_OK)
		return rc;
	if (state.trial[0] != '\0')
		state.used = carrier->left < state.tries ? state.tries - carrier->left : 0;
	drop_offered(&list, &state);
	*ret = state;
	return FL_OK;
}

/* --- store --- */

static enum fl_rc sync_folder(const char *path, struct fl_err *err)
{
	FL_AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0 || syncfs(fd) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "sync '%s'", path);
	return FL_OK;
}

static enum fl_rc sync_entries(const struct fl_boot_host *host, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, "entries", err);
	return rc == FL_OK ? sync_folder(path, err) : rc;
}

/* Whole and on the medium before it has a name that systemd-boot reads. */
static enum fl_rc write_new(const char *path, const struct fl_buf *text, struct fl_err *err)
{
	FL_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'", path);
	enum fl_rc rc = fl_write_all(fd, text->data, text->len, err);
	if (rc == FL_OK && (fsync(fd) != 0 || syncfs(fd) != 0))
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "sync '%s'", path);
	return rc;
}

static enum fl_rc publish(const struct fl_boot_host *host, const struct fl_buf *text,
			  const struct sdboot_entry *entry, struct fl_err *err)
{
	char from[PATH_MAX];
	char to[PATH_MAX];
	enum fl_rc rc = fl_path_join(from, sizeof(from), host->dir, "fairlead.new", err);
	if (rc == FL_OK)
		rc = entry_path(host, entry, to, err);
	if (rc == FL_OK)
		rc = write_new(from, text, err);
	if (rc == FL_OK)
		rc = sync_folder(host->dir, err);
	if (rc == FL_OK && rename(from, to) != 0)
		rc = fl_fail(err, fl_rc_from_errno(errno), errno, "rename to '%s'", to);
	if (rc == FL_OK)
		rc = sync_folder(host->dir, err);
	return rc == FL_OK ? sync_entries(host, err) : rc;
}

/* The entry that carries the decision. */
static enum fl_rc publish_state(const struct fl_boot_host *host, const struct fl_boot_state *state,
				struct fl_err *err)
{
	struct sdboot_settings settings = {0};
	struct fl_buf text = FL_BUF(SDBOOT_ENTRY_MAX);
	struct sdboot_entry entry = {.seq = state->seq, .counted = state->trial[0] != '\0'};
	const char *slot = sdboot_carrier(state);
	const char *content = entry.counted ? fl_boot_trial_content(state) : state->good;
	memcpy(entry.slot, slot, sizeof(entry.slot));
	entry.left = state->tries - state->used;
	entry.done = state->used;
	sdboot_print_name(&entry);
	enum fl_rc rc = sdboot_read_settings(host, content, &settings, err);
	if (rc == FL_OK)
		rc = sdboot_print_entry(state, slot, &settings, &text, err);
	if (rc == FL_OK)
		rc = publish(host, &text, &entry, err);
	fl_buf_free(&text);
	return rc;
}

/* A whole, uncounted entry of the slot that no younger one supersedes. */
static bool is_lasting(const struct fl_boot_host *host, const struct sdboot_list *list,
		       const struct sdboot_entry *entry)
{
	struct fl_boot_state state;
	struct fl_err why;
	for (size_t i = 0; i < list->n; i++) {
		const struct sdboot_entry *e = &list->items[i];
		if (!e->counted && strcmp(e->slot, entry->slot) == 0 && e->seq > entry->seq &&
		    sdboot_load_entry(host, e, &state, &why) == FL_OK)
			return false;
	}
	return !entry->counted && sdboot_load_entry(host, entry, &state, &why) == FL_OK;
}

/* The decision's own entry, and one for every slot that was good once and is not withdrawn. */
static bool is_needed(const struct fl_boot_host *host, const struct sdboot_list *list,
		      const struct sdboot_entry *entry, const struct fl_boot_state *next)
{
	if (entry->seq == next->seq)
		return is_carrier(entry, next);
	return entry->seq < next->seq && !fl_boot_is_withdrawn(next, entry->slot) &&
	       is_lasting(host, list, entry);
}

static enum fl_rc remove_superseded(const struct fl_boot_host *host,
				    const struct fl_boot_state *next, struct fl_err *err)
{
	char path[PATH_MAX];
	struct sdboot_list list;
	size_t removed = 0;
	enum fl_rc rc = sdboot_read_entries(host, &list, err);
	for (size_t i = 0; i < list.n && rc == FL_OK; i++) {
		if (is_needed(host, &list, &list.items[i], next))
			continue;
		rc = entry_path(host, &list.items[i], path, err);
		if (rc == FL_OK && unlink(path) != 0 && errno != ENOENT)
			rc = fl_fail(err, fl_rc_from_errno(errno), errno, "remove '%s'", path);
		removed++;
	}
	return rc == FL_OK && removed > 0 ? sync_entries(host, err) : rc;
}

/* The good slot's own entry, should it have been lost: a trial must have something to fall back to.
 */
static enum fl_rc need_fallback(const struct fl_boot_host *host, const struct fl_boot_state *next,
				struct fl_err *err)
{
	struct sdboot_list list;
	struct fl_boot_state good = *next;
	enum fl_rc rc = sdboot_read_entries(host, &list, err);
	for (size_t i = 0; i < list.n && rc == FL_OK; i++) {
		if (strcmp(list.items[i].slot, next->good) == 0 &&
		    is_lasting(host, &list, &list.items[i]))
			return FL_OK;
	}
	memset(good.trial, 0, sizeof(good.trial));
	good.tries = good.used = 0;
	good.seq = next->seq - 1;
	return rc == FL_OK ? publish_state(host, &good, err) : rc;
}

static enum fl_rc sdboot_store(const struct fl_boot_host *host, const struct fl_boot_state *old,
			       const struct fl_boot_state *next, struct fl_err *err)
{
	char path[PATH_MAX];
	(void)old;
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, "entries", err);
	if (rc == FL_OK)
		rc = fl_dir_make(path, 0755, err);
	if (rc == FL_OK && next->trial[0] != '\0')
		rc = need_fallback(host, next, err);
	if (rc == FL_OK)
		rc = publish_state(host, next, err);
	return rc == FL_OK ? remove_superseded(host, next, err) : rc;
}

const struct fl_boot_backend fl_boot_sdboot = {
	.name = "systemd-boot",
	.makes_dir = true,
	.load = sdboot_load,
	.store = sdboot_store,
	.check = sdboot_check,
};
