/* SPDX-License-Identifier: Apache-2.0 */
/* The back ends there are; the table that finds them stands in boot.c. */
#ifndef FAIRLEAD_BOOT_BACKENDS_H
#define FAIRLEAD_BOOT_BACKENDS_H

#include <fairlead/boot/boot.h>

extern const struct fl_boot_backend fl_boot_sim;   /* a decision file that script/machine reads */
extern const struct fl_boot_backend fl_boot_exec;  /* an integrator's program */
extern const struct fl_boot_backend fl_boot_uboot; /* variables in U-Boot's environment */
extern const struct fl_boot_backend fl_boot_grub;  /* two copies beside grub.cfg; GRUB counts */
extern const struct fl_boot_backend
	fl_boot_sdboot; /* entries on the ESP; systemd-boot counts in their names */

/* The findings of a self-test, counted. */
struct findings {
	fl_boot_report *report;
	void *ctx;
	bool all_ok;
};

void findings_add(struct findings *f, bool ok, const char *fmt, ...) FL_PRINTF(3, 4);

#endif
