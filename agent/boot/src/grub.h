/* SPDX-License-Identifier: Apache-2.0 */
/* What the back end grub (grub.c) and its self-test (grub_check.c) share. */
#ifndef FAIRLEAD_BOOT_GRUB_H
#define FAIRLEAD_BOOT_GRUB_H

#include "grub_text.h"

extern const char *const grub_sum_names[GRUB_COPIES];

/* The bytes of a file in host->dir; one that is longer than out->max reads as empty, which is as
 * damaged. */
enum fl_rc grub_read_part(const struct fl_boot_host *host, const char *name, struct fl_buf *out,
			  struct fl_err *err) FL_CHECKED;
/* FL_E_NOT_FOUND: never made. */
enum fl_rc grub_load_copy(const struct fl_boot_host *host, enum grub_copy copy,
			  struct fl_boot_state *ret, struct fl_err *err) FL_CHECKED;

bool grub_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
		fl_boot_report *report, void *ctx);

#endif
