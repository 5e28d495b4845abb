/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test of the back end systemd-boot: does it boot by the count, and has it something to
 * fall back to? */
#include "backends.h"
#include "sdboot.h"

#include <fairlead/base/file.h>

#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define VARIABLES  "/sys/firmware/efi/efivars"
#define VENDOR	   "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
#define LOADER_MAX ((size_t)64 * 1024)

static bool is_there(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct fl_err why;
	struct stat st;
	return fl_path_join(path, sizeof(path), dir, name, &why) == FL_OK && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode) && st.st_size > 0;
}

/* Settings' paths start from the ESP's root, the folder above host->dir. */
static bool is_on_esp(const struct fl_boot_host *host, const char *file)
{
	char path[PATH_MAX];
	const int n = snprintf(path, sizeof(path), "..%s%s", file[0] == '/' ? "" : "/", file);
	return n < (int)sizeof(path) && is_there(host->dir, path);
}

static void check_content(const struct fl_boot_host *host, const char *slot, struct findings *f)
{
	struct sdboot_settings s = {0};
	struct fl_err why = {0};
	const bool set = sdboot_read_settings(host, slot, &s, &why) == FL_OK;
	findings_add(f, set, "the entry of slot %s can be written%s%s", slot, set ? "" : ": ",
		     why.msg);
	if (!set)
		return;
	findings_add(f, is_on_esp(host, s.kernel), "the kernel of slot %s is there: %s", slot,
		     s.kernel);
	if (s.initrd[0] != '\0')
		findings_add(f, is_on_esp(host, s.initrd), "the initrd of slot %s is there: %s",
			     slot, s.initrd);
}

/* An entry of its own, without a count, that systemd-boot can take when a trial is over. */
static void check_fallback(const struct fl_boot_host *host, const struct fl_boot_state *state,
			   struct findings *f)
{
	struct sdboot_list list;
	struct fl_boot_state s;
	struct fl_err why;
	bool found = false;
	bool whole = true;
	if (sdboot_read_entries(host, &list, &why) != FL_OK)
		list.n = 0;
	for (size_t i = 0; i < list.n; i++) {
		const struct sdboot_entry *e = &list.items[i];
		const bool ok = sdboot_load_entry(host, e, &s, &why) == FL_OK;
		whole = whole && ok;
		found = found || (ok && !e->counted && strcmp(e->slot, state->good) == 0);
	}
	findings_add(f, found, "the fallback has an entry without a count");
	findings_add(f, whole, "every entry is whole");
}

/* Others may sort first, or be taken when a trial is used up; nobody withdraws them. */
static void check_foreign(const struct fl_boot_host *host, const char *below, const char *suffix,
			  struct findings *f)
{
	char path[PATH_MAX];
	const int n = snprintf(path, sizeof(path), "%s/%s", host->dir, below);
	DIR *dir = n < (int)sizeof(path) ? opendir(path) : NULL;
	bool clean = true;
	for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
		struct sdboot_entry entry;
		const size_t len = strlen(e->d_name);
		const bool is_entry = len > strlen(suffix) &&
				      strcasecmp(e->d_name + len - strlen(suffix), suffix) == 0;
		clean = clean && (!is_entry || sdboot_parse_name(e->d_name, &entry));
	}
	if (dir != NULL)
		(void)closedir(dir);
	findings_add(f, clean, "no entry in %s but Fairlead's", below);
}

/* `default` in loader.conf takes its entry whatever the count says. */
static void check_loader_conf(const struct fl_boot_host *host, struct findings *f)
{
	char path[PATH_MAX];
	struct fl_err why;
	struct fl_buf text = FL_BUF(LOADER_MAX);
	bool clean = true;
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, "loader.conf", &why);
	if (rc == FL_OK)
		rc = fl_file_read(path, &text, &why);
	char *rest = rc == FL_OK && text.len > 0 ? (char *)text.data : NULL;
	for (const char *line; (line = strsep(&rest, "\n")) != NULL;) {
		line += strspn(line, " \t");
		const size_t word = strcspn(line, " \t\r");
		clean = clean &&
			!(word == strlen("default") && strncmp(line, "default", word) == 0);
	}
	fl_buf_free(&text);
	findings_add(f, clean && (rc == FL_OK || rc == FL_E_NOT_FOUND),
		     "loader.conf names no default");
}

/* host->loader: where the EFI variables are when not in the usual place. */
static void check_variables(const struct fl_boot_host *host, struct findings *f)
{
	static const char *const names[] = {"LoaderEntryDefault", "LoaderEntryOneShot"};
	const char *dir = host->loader != NULL ? host->loader : VARIABLES;
	if (access(dir, R_OK | X_OK) != 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char file[96];
		snprintf(file, sizeof(file), "%s-" VENDOR, names[i]);
		findings_add(f, !is_there(dir, file), "the EFI variable %s is not set", names[i]);
	}
}

static void check_place(const struct fl_boot_host *host, struct findings *f)
{
	struct statfs fs;
	findings_add(f, statfs(host->dir, &fs) == 0 && fs.f_type == MSDOS_SUPER_MAGIC,
		     "the folder of the loader is on FAT");
}

bool sdboot_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
		  fl_boot_report *report, void *ctx)
{
	struct findings f = {report, ctx, true};
	if (state != NULL) {
		check_fallback(host, state, &f);
		check_content(host, state->good, &f);
		if (state->trial[0] != '\0' && strcmp(state->trial, FL_BOOT_PROVE) != 0)
			check_content(host, state->trial, &f);
	}
	check_foreign(host, "entries", ".conf", &f);
	check_foreign(host, "../EFI/Linux", ".efi", &f);
	check_loader_conf(host, &f);
	check_variables(host, &f);
	check_place(host, &f);
	return f.all_ok;
}
