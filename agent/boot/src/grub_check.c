/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test of the back end grub: can GRUB read, and count, what the back end writes? */
#include "backends.h"
#include "grub.h"

#include <fairlead/base/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BY_PARTUUID "/dev/disk/by-partuuid"
#define TEXT_MAX    ((size_t)256 * 1024)
#define N_EXTENTS   8

/* --- the decision and the count --- */

static void check_copies(const struct fl_boot_host *host, const struct fl_boot_state *state,
			 struct findings *f)
{
	for (size_t i = 0; i < GRUB_COPIES; i++) {
		struct fl_boot_state copy;
		struct fl_err why;
		const char *name = grub_copy_names[i];
		const bool whole = grub_load_copy(host, (enum grub_copy)i, &copy, &why) == FL_OK;
		findings_add(f, whole, "copy '%s' of the boot decision is whole%s", name,
			     whole ? "" : "; the next change writes it anew");
		if (whole && copy.seq != state->seq)
			findings_add(f, true,
				     "copy '%s' is the decision before: a cut was survived", name);
	}
}

static void check_count(const struct fl_boot_host *host, struct findings *f)
{
	struct fl_err why;
	struct fl_buf count = FL_BUF(GRUB_COUNT_SIZE);
	const bool valid =
		grub_read_part(host, "count", &count, &why) == FL_OK && grub_count_valid(&count);
	findings_add(f, valid, "the trial counter is whole%s",
		     valid ? "" : "; a trial that is pending counts as used up");
	fl_buf_free(&count);
}

/* --- where GRUB finds the bytes --- */

/* ext2 to ext4 and FAT: GRUB writes them, and they write in place. */
static bool is_writable_by_grub(int fd, const char **name)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0)
		return false;
	*name = fs.f_type == EXT4_SUPER_MAGIC ? "ext" : "FAT";
	return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == MSDOS_SUPER_MAGIC;
}

/* With data=journal new bytes lie where GRUB does not look, and old ones come back over GRUB's. */
static bool has_data_journal(int fd)
{
	struct stat st;
	char device[32];
	struct fl_err why;
	struct fl_buf mounts = FL_BUF(TEXT_MAX);
	bool found = false;
	if (fstat(fd, &st) != 0 || fl_file_read("/proc/self/mountinfo", &mounts, &why) != FL_OK)
		return false;
	snprintf(device, sizeof(device), " %u:%u ", major(st.st_dev), minor(st.st_dev));
	char *rest = mounts.len == 0 ? NULL : (char *)mounts.data;
	for (const char *line; (line = strsep(&rest, "\n")) != NULL;)
		found = found || (strstr(line, device) != NULL && strstr(line, "data=journal"));
	fl_buf_free(&mounts);
	return found;
}

/* Plain blocks of its own, that are on the medium. */
static bool has_plain_blocks(int fd)
{
	const uint32_t bad = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
			     FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_INLINE |
			     FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_UNWRITTEN |
			     FIEMAP_EXTENT_SHARED;
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + N_EXTENTS * sizeof(struct fiemap_extent)];
	} u;
	memset(&u, 0, sizeof(u));
	u.map.fm_length = FIEMAP_MAX_OFFSET;
	u.map.fm_extent_count = N_EXTENTS;
	if (ioctl(fd, FS_IOC_FIEMAP, &u.map) != 0)
		return errno == EOPNOTSUPP || errno == ENOTTY;
	bool plain = u.map.fm_mapped_extents > 0;
	for (uint32_t i = 0; i < u.map.fm_mapped_extents && i < N_EXTENTS; i++)
		plain = plain && (u.map.fm_extents[i].fe_flags & bad) == 0;
	return plain;
}

static void check_blocks(const struct fl_boot_host *host, struct findings *f)
{
	const char *const names[] = {"count", grub_copy_names[GRUB_FIRST],
				     grub_sum_names[GRUB_FIRST], grub_copy_names[GRUB_SECOND],
				     grub_sum_names[GRUB_SECOND]};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[PATH_MAX];
		struct fl_err why;
		if (fl_path_join(path, sizeof(path), host->dir, names[i], &why) != FL_OK)
			continue;
		FL_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		findings_add(f, fd >= 0 && has_plain_blocks(fd),
			     "'%s' is a file in plain blocks of its own", names[i]);
	}
}

static void check_place(const struct fl_boot_host *host, struct findings *f)
{
	const char *name = "";
	FL_AUTO_FD fd = open(host->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const bool writable = fd >= 0 && is_writable_by_grub(fd, &name);
	findings_add(f, writable,
		     "the boot folder's file system is one that GRUB writes in place%s%s",
		     writable ? ": " : " (ext2, ext3, ext4, FAT)", name);
	findings_add(f, fd >= 0 && !has_data_journal(fd), "it is not mounted with data=journal");
	if (fd >= 0)
		check_blocks(host, f);
}

/* --- the loader's configuration --- */

/* The PARTUUID of what the path leads to; false for a file, or where the system does not tell. */
static bool find_partuuid(const char *path, char out[FL_NAME_MAX + 1])
{
	struct stat want;
	struct stat st;
	bool found = false;
	DIR *dir = stat(path, &want) == 0 && S_ISBLK(want.st_mode) ? opendir(BY_PARTUUID) : NULL;
	if (dir == NULL)
		return false;
	for (const struct dirent *e; !found && (e = readdir(dir)) != NULL;) {
		found = strlen(e->d_name) <= FL_NAME_MAX &&
			fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISBLK(st.st_mode) &&
			st.st_rdev == want.st_rdev;
		if (found)
			memcpy(out, e->d_name, strlen(e->d_name) + 1);
	}
	(void)closedir(dir);
	return found;
}

/* `set NAME_X="…"`, with or without the quotes, on a line of its own. */
static bool find_setting(const char *text, const char *name, const char *slot,
			 char out[FL_NAME_MAX + 1])
{
	char key[FL_NAME_MAX + 32];
	snprintf(key, sizeof(key), "set %s_%s=", name, slot);
	for (const char *p = text; (p = strstr(p, key)) != NULL; p++) {
		const char *value = p + strlen(key);
		value += *value == '"' ? 1 : 0;
		const size_t len = strcspn(value, "\"\n ");
		if ((p != text && p[-1] != '\n') || len > FL_NAME_MAX)
			continue;
		memcpy(out, value, len);
		out[len] = '\0';
		return len > 0;
	}
	return false;
}

/* Is it one of those that the components have in that slot? What they are the system may not tell. */
static void check_partition(const struct fl_boot_host *host, const char *slot, const char *name,
			    const char *set, struct findings *f)
{
	char real[FL_NAME_MAX + 1];
	bool told = false;
	bool found = false;
	for (size_t i = 0; i < host->n_parts && !found; i++) {
		const struct fl_boot_part *part = &host->parts[i];
		if (strcmp(part->slot, slot) != 0 || !find_partuuid(part->path, real))
			continue;
		told = true;
		found = strcmp(set, real) == 0;
	}
	if (told)
		findings_add(f, found, "%s_%s (%s) is a partition of slot %s", name, slot, set,
			     slot);
}

static void check_slots(const struct fl_boot_host *host, struct findings *f)
{
	struct fl_err why;
	struct fl_buf text = FL_BUF(TEXT_MAX);
	const bool there = grub_read_part(host, "slots.cfg", &text, &why) == FL_OK;
	findings_add(f, there, "GRUB's list of the slots is there: slots.cfg");
	for (size_t i = 0; there && i < host->n_slots; i++) {
		const char *slot = host->slots[i].name;
		char set[FL_NAME_MAX + 1] = "";
		const bool listed = find_setting(fl_buf_str(&text), "fl_part", slot, set);
		findings_add(f, listed, "slots.cfg names the partition of slot %s", slot);
		if (listed)
			check_partition(host, slot, "fl_part", set, f);
		if (find_setting(fl_buf_str(&text), "fl_kernel_part", slot, set))
			check_partition(host, slot, "fl_kernel_part", set, f);
	}
	fl_buf_free(&text);
}

static void check_script(const struct fl_boot_host *host, struct findings *f)
{
	struct fl_err why;
	struct fl_buf text = FL_BUF(TEXT_MAX);
	if (host->loader == NULL)
		return;
	const bool ours = fl_file_read(host->loader, &text, &why) == FL_OK &&
			  strstr(fl_buf_str(&text), "fairlead-grub-1") != NULL;
	findings_add(f, ours, "GRUB's configuration reads this decision: %s", host->loader);
	fl_buf_free(&text);
}

bool grub_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
		fl_boot_report *report, void *ctx)
{
	struct findings f = {report, ctx, true};
	if (state != NULL)
		check_copies(host, state, &f);
	check_count(host, &f);
	check_place(host, &f);
	check_slots(host, &f);
	check_script(host, &f);
	return f.all_ok;
}
