/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and texts of the back end systemd-boot, pure. An entry's name is
 * `fairlead-SEQ-SLOT[+LEFT[-DONE]].conf` (boot counting: systemd.io/AUTOMATIC_BOOT_ASSESSMENT), its
 * text a boot loader entry (UAPI.1) with the whole decision in comments.
 */
#ifndef FAIRLEAD_BOOT_SDBOOT_H
#define FAIRLEAD_BOOT_SDBOOT_H

#include <fairlead/boot/boot.h>

#define SDBOOT_ENTRY_MAX   ((size_t)16384)
#define SDBOOT_ENTRIES_MAX 128
#define SDBOOT_NAME_SIZE   ((size_t)64)
#define SDBOOT_SETTING_MAX ((size_t)200)

struct sdboot_entry {
	char file[SDBOOT_NAME_SIZE]; /* its whole name */
	uint64_t seq;
	char slot[FL_NAME_MAX + 1]; /* a letter, or FL_BOOT_PROVE */
	bool counted;
	unsigned left, done;
};

/* The settings that an image brings along, of one slot. */
struct sdboot_settings {
	char partuuid[SDBOOT_SETTING_MAX];
	char kernel[SDBOOT_SETTING_MAX]; /* from the ESP's root */
	char initrd[SDBOOT_SETTING_MAX]; /* "": none */
	char options[SDBOOT_SETTING_MAX];
};

/* false: not a name of ours. */
bool sdboot_parse_name(const char *file, struct sdboot_entry *ret);
/* Fills entry->file from the rest of it. */
void sdboot_print_name(struct sdboot_entry *entry);

/* The entry that boots the content of state's `slot`; settings are those of that content. */
enum fl_rc sdboot_print_entry(const struct fl_boot_state *state, const char *slot,
			      const struct sdboot_settings *settings, struct fl_buf *out,
			      struct fl_err *err) FL_CHECKED;
/* The decision in it; FL_E_CORRUPT when any byte of the entry is not as it was written. */
enum fl_rc sdboot_parse_entry(const struct fl_buf *text, struct fl_boot_state *ret,
			      struct fl_err *err) FL_CHECKED;

/* The slot that the entry of a decision boots first: its trial, or its good one. */
const char *sdboot_carrier(const struct fl_boot_state *state);

bool sdboot_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
		  fl_boot_report *report, void *ctx);

/* Shared by sdboot.c and sdboot_check.c. */
struct sdboot_list {
	struct sdboot_entry items[SDBOOT_ENTRIES_MAX];
	size_t n;
};

/* Our entries; more than SDBOOT_ENTRIES_MAX is FL_E_TOO_LARGE. FL_E_NOT_FOUND: not even a folder.
 */
enum fl_rc sdboot_read_entries(const struct fl_boot_host *host, struct sdboot_list *ret,
			       struct fl_err *err) FL_CHECKED;
enum fl_rc sdboot_read_settings(const struct fl_boot_host *host, const char *slot,
				struct sdboot_settings *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc sdboot_load_entry(const struct fl_boot_host *host, const struct sdboot_entry *entry,
			     struct fl_boot_state *ret, struct fl_err *err) FL_CHECKED;

#endif
