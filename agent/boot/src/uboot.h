/* SPDX-License-Identifier: Apache-2.0 */
/* Where the copies of U-Boot's environment lie, and what the self-test finds there. */
#ifndef FAIRLEAD_BOOT_UBOOT_H
#define FAIRLEAD_BOOT_UBOOT_H

#include "backends.h"

#include <limits.h>

#define UBOOT_COPIES_MAX 2

struct uboot_area {
	char device[PATH_MAX];
	uint64_t offset;
	size_t size;
};

struct uboot_areas {
	struct uboot_area items[UBOOT_COPIES_MAX];
	size_t n;
};

/* The lines of a file as fw_printenv(1) reads it. FL_E_NOT_FOUND: no such file. */
enum fl_rc uboot_areas_read(const char *config, struct uboot_areas *ret,
			    struct fl_err *err) FL_CHECKED;

/* Looks at each copy that the file names; nothing where an optional file is missing (copies 1). */
void uboot_check_copies(const struct fl_boot_host *host, const char *config, const char *what,
			size_t copies, struct findings *f);
void uboot_check_script(const struct fl_boot_host *host, struct findings *f);

#endif
