/* SPDX-License-Identifier: Apache-2.0 */
/* The machine we run on: which slot runs, what its image says of itself, which boot this is; and
 * what boots next. */
#ifndef FAIRLEAD_HELPER_HOST_H
#define FAIRLEAD_HELPER_HOST_H

#include "config.h"

#define BOOT_SLOTS_MAX 26

/* The answer of `fairlead-boot observe`, with the running slot as the host itself says. "": none or
 * unknown. */
struct boot_view {
	char running[FL_NAME_MAX + 1];
	char good[FL_NAME_MAX + 1];
	char trial[FL_NAME_MAX + 1];
	char withdrawn[BOOT_SLOTS_MAX][FL_NAME_MAX + 1];
	size_t n_withdrawn;
	uint64_t tries; /* of the trial */
	bool proving;	/* booted as the trial `prove` */
};

/* One line of a small file, without its end; "" when there is none. out: size bytes. */
void host_read_line(const char *path, char *out, size_t size);
/* The same of [anchor] dir/NAME: what is to be told, nothing depends on it. */
void host_read_note(const struct config *config, const char *name, char *out, size_t size);
/* text: one line with its end; NULL: there is none any more. */
enum fl_rc host_write_note(const struct config *config, const char *name, const char *text,
			   struct fl_err *err) FL_CHECKED;
/* The letter of the slot that runs, "" when it cannot be told. */
void host_running(const struct config *config, char ret[FL_NAME_MAX + 1]);
/* FL_E_IMAGE_INFO when the running system has no valid one. */
enum fl_rc host_image_info(const struct config *config, struct fl_arena *arena,
			   struct fl_image_info *ret, struct fl_err *err) FL_CHECKED;
/* This boot, as the anchor keeps it. */
enum fl_rc host_boot(const struct config *config, struct fl_anchor_name *ret,
		     struct fl_err *err) FL_CHECKED;
/* The file that makes the machine restart, durably. */
enum fl_rc host_request_restart(const struct config *config, struct fl_err *err) FL_CHECKED;

/* fairlead-boot VERB [SLOT] [--root-hash HEX], without what is NULL; FL_E_BOOT_SWITCH with its last
 * words. */
enum fl_rc boot_run(const struct config *config, const char *verb, const char *slot,
		    const char *root_hash, struct fl_err *err) FL_CHECKED;
enum fl_rc boot_observe(const struct config *config, struct boot_view *ret,
			struct fl_err *err) FL_CHECKED;
bool boot_is_withdrawn(const struct boot_view *view, const char *slot);

#endif
