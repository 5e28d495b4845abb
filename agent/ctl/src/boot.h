/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `doctor` asks without the agent: fairlead-boot, run for one verb, and the helper's notes on
 * a proof. On most machines both answer root alone.
 */
#ifndef FL_CTL_BOOT_H
#define FL_CTL_BOOT_H

#include <fairlead/base/conf.h>
#include <fairlead/base/schema.h>

#include <limits.h>

struct fl_ctl_boot {
	const char *config;
	struct fl_conf *conf;
	char program[PATH_MAX];
	struct fl_buf output; /* of the last run, both streams */
};

/* Close also after a failure. */
enum fl_rc fl_ctl_boot_open(const char *config, struct fl_ctl_boot *ret,
			    struct fl_err *err) FL_CHECKED;
void fl_ctl_boot_close(struct fl_ctl_boot *b);

/* *ret_status: its exit status, -1 for a signal. */
enum fl_rc fl_ctl_boot_run(struct fl_ctl_boot *b, const char *verb, int *ret_status,
			   struct fl_err *err) FL_CHECKED;
/* FL_E_BOOT_SWITCH with the first line that it said. */
enum fl_rc fl_ctl_boot_fail(const struct fl_ctl_boot *b, const char *verb, int status,
			    struct fl_err *err) FL_CHECKED;

struct fl_ctl_slots {
	const char *running, *good, *trial;
	FL_LIST(const char *) withdrawn;
	uint64_t tries, used;
	bool proving;
};
/* fairlead-boot observe; the strings are owned by the arena. */
enum fl_rc fl_ctl_boot_slots(struct fl_ctl_boot *b, struct fl_arena *arena,
			     struct fl_ctl_slots *ret, struct fl_err *err) FL_CHECKED;

/* The first line of [anchor] dir/NAME. */
enum fl_rc fl_ctl_boot_note(const struct fl_ctl_boot *b, const char *name, char *out,
			    size_t size) FL_CHECKED;

/* Begins a proof of the fallback and asks for the restart (docs/internals/boot.md, `prove`). */
enum fl_rc fl_ctl_boot_prove(struct fl_ctl_boot *b, struct fl_err *err) FL_CHECKED;

#endif
