/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is special to the back end systemd-boot: decisions that are names, counted by the loader,
 * and entries that FAT may lose or cut. What every back end has to keep is in contract.c, with the
 * same model of the loader.
 */
#include "sd_loader.h"

#include <fairlead/boot/boot.h>

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <glob.h>
#include <scratch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BOOTS 4

static char top[SCRATCH_MAX];
static char dir[SCRATCH_MAX + 8]; /* the folder `loader` in it */
static struct fl_boot_host host;  /* it runs a */

static void set_up(void)
{
	scratch_make(top);
	snprintf(dir, sizeof(dir), "%s/loader", top);
	scratch_put(top, "loader/fairlead.conf", SD_SETTINGS);
	host = (struct fl_boot_host){.dir = dir, .running = "a", .n_slots = 3};
	for (size_t i = 0; i < 3; i++)
		host.slots[i] = (struct fl_boot_slot){{(char)('a' + i)}};
}

static void tear_down(void)
{
	scratch_remove(top);
}

TestSuite(boot_sdboot, .init = set_up, .fini = tear_down);

static const struct fl_boot_backend *sdboot(void)
{
	return fl_boot_backend_find("systemd-boot");
}

static enum fl_rc trial(unsigned tries)
{
	return fl_boot_trial(sdboot(), &host, &(struct fl_boot_trial){"b", tries, NULL}, NULL);
}

static void start_trial(unsigned tries)
{
	cr_assert_eq(fl_boot_init(sdboot(), &host, "a", NULL), FL_OK);
	cr_assert_eq(trial(tries), FL_OK);
}

static struct fl_boot_state observe(void)
{
	struct fl_boot_state s;
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
	return s;
}

static void expect_boots(const char *want)
{
	char got[BOOTS + 1];
	sd_boots(dir, BOOTS, got);
	cr_assert_str_eq(got, want);
}

/* The one entry whose name ends so. */
static void lose(const char *end)
{
	char pattern[96];
	glob_t found;
	snprintf(pattern, sizeof(pattern), "%s/entries/*%s", dir, end);
	cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
	cr_assert_eq(found.gl_pathc, 1);
	cr_assert_eq(unlink(found.gl_pathv[0]), 0);
	globfree(&found);
}

Test(boot_sdboot, names_tell_who_is_offered)
{
	start_trial(2);
	cr_assert_eq(sd_count(dir, "-b+2.conf"), 1, "on trial");
	cr_assert_eq(sd_count(dir, "-a.conf"), 1, "to fall back to");
	cr_assert_eq(sd_count(dir, ".conf"), 2);
	host.running[0] = 'b';
	cr_assert_eq(fl_boot_good(sdboot(), &host, NULL), FL_OK);
	cr_assert_eq(sd_count(dir, "-b.conf"), 1, "good");
	cr_assert_eq(sd_count(dir, "+"), 0);
	cr_assert_eq(fl_boot_withdraw(sdboot(), &host, "a", NULL), FL_OK);
	cr_assert_eq(sd_count(dir, "-a"), 0, "withdrawn");
}

/* What systemd-boot has counted is what fairlead-boot tells, and it stays when another decision
 * takes over. */
Test(boot_sdboot, a_used_try_stays_used)
{
	start_trial(3);
	cr_assert_eq(sd_boot(dir, '!'), 'b');
	cr_assert_eq(observe().used, 1);
	cr_assert_eq(fl_boot_withdraw(sdboot(), &host, "c", NULL), FL_OK);
	cr_assert_eq(observe().used, 1);
	expect_boots("bbaa");
	for (unsigned i = 0; i < 3; i++)
		(void)sd_boot(dir, '!');
	cr_assert_str_eq(observe().trial, "b", "used up is not ended");
	cr_assert_eq(observe().used, 3);
	expect_boots("aaaa");
}

Test(boot_sdboot, a_kernel_that_is_gone_gives_way_to_the_good_slot)
{
	start_trial(2);
	cr_assert_eq(sd_boot(dir, 'b'), 'a');
}

/* An entry that was lost with its name, as firmware may lose it while it counts, ends the trial. */
Test(boot_sdboot, a_lost_entry_is_the_decision_before)
{
	start_trial(2);
	lose("-b+2.conf");
	cr_assert_str_eq(observe().trial, "");
	cr_assert_str_eq(observe().good, "a");
	cr_assert_eq(trial(2), FL_OK);
	expect_boots("bbaa");
}

/* The fallback's entry is written anew before a trial, should it be gone. */
Test(boot_sdboot, a_trial_is_never_without_a_fallback)
{
	start_trial(1);
	lose("-a.conf");
	cr_assert_eq(trial(2), FL_OK);
	expect_boots("bbaa");
}

/* The trial's entry cut at every length: it boots nothing, but for the end that says nothing to the
 * loader. */
Test(boot_sdboot, a_cut_entry_is_none)
{
	char path[96];
	struct fl_buf text = FL_BUF(65536);
	start_trial(1);
	snprintf(path, sizeof(path), "%s/entries/fairlead-0000000002-b+1.conf", dir);
	cr_assert_eq(fl_file_read(path, &text, NULL), FL_OK);
	const char *kernel = strstr(fl_buf_str(&text), "\nlinux ");
	cr_assert(kernel != NULL && strstr(kernel, "\noptions ") == NULL &&
			  strstr(kernel, "\ninitrd ") == NULL,
		  "the kernel stands behind all it needs");
	const size_t needed = (size_t)(strchr(kernel + 1, '\n') - fl_buf_str(&text));
	for (size_t len = 0; len < text.len; len++) {
		char got[2];
		cr_assert_eq(fl_file_replace(path, text.data, len, 0644, NULL), FL_OK);
		sd_boots(dir, 1, got);
		cr_assert_eq(got[0], len < needed ? 'a' : 'b', "%zu bytes", len);
	}
	fl_buf_free(&text);
}
