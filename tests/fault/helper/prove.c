/* SPDX-License-Identifier: Apache-2.0 */
/* A proof of the fallback: boots as `prove` are counted and restarted, and the end is told. */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gateway g;

static void set_up(void)
{
	gw_init(&g);
	gw_start(&g, "done");
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_prove, .init = set_up, .fini = tear_down, .timeout = 60);

static void boot_verb(const char *verb)
{
	char command[2 * PATH_MAX];
	(void)snprintf(command, sizeof(command), "%s --config %s %s", FL_BOOT,
		       gw_path(&g, "gateway.conf"), verb);
	cr_assert_eq(system(command), 0, "%s", verb);
}

static const char *file(const char *name)
{
	static char text[256];
	struct fl_buf buf = FL_BUF(sizeof(text) - 1);
	struct fl_err err;
	text[0] = '\0';
	if (fl_file_read(gw_path(&g, name), &buf, &err) == FL_OK)
		memcpy(text, fl_buf_str(&buf), buf.len + 1);
	fl_buf_free(&buf);
	return text;
}

/* As who asks for one does: this boot is noted, then the trial is set. */
static void ask_for(const char *verb)
{
	char line[128];
	const int n = snprintf(line, sizeof(line), "0 %.64s", file("run/boot-id"));
	gw_write(&g, "anchor/proving", line, (size_t)n);
	boot_verb(verb);
}

static const char *trial(void)
{
	static struct fl_boot_state state;
	gw_decision(&g, &state);
	return state.trial;
}

static void reboot_to(char slot, bool restart)
{
	cr_assert_eq(gw_reboot(&g, "done"), slot);
	cr_assert_eq(gw_restart_asked(&g), restart);
}

Test(helper_prove, comes_back_by_the_count_and_ends)
{
	ask_for("prove --tries 2");
	reboot_to('p', true);
	reboot_to('p', true);
	cr_assert_str_eq(trial(), "prove", "the helper has no part in the way back");
	cr_assert_str_empty(file("anchor/proof"));
	reboot_to('a', false);
	cr_assert_str_eq(file("anchor/proof"),
			 "ok the boot loader came back by itself (boots as 'prove': 2)\n");
	cr_assert_str_empty(trial());
	cr_assert_neq(access(gw_path(&g, "anchor/proving"), F_OK), 0);
	reboot_to('a', false);
}

Test(helper_prove, a_helper_that_starts_twice_counts_one_boot)
{
	ask_for("prove");
	gw_kill(&g);
	gw_start(&g, "done");
	cr_assert_str_eq(trial(), "prove", "not yet restarted");
	reboot_to('p', true);
	gw_kill(&g);
	gw_start(&g, "done");
	cr_assert(gw_restart_asked(&g));
	reboot_to('a', false);
	cr_assert_str_eq(file("anchor/proof"),
			 "ok the boot loader came back by itself (boots as 'prove': 1)\n");
}

Test(helper_prove, a_loader_that_does_not_count_is_found_out)
{
	ask_for("prove");
	reboot_to('p', true);
	g.used = 0;
	reboot_to('p', true);
	cr_assert_str_eq(file("anchor/proof"),
			 "FAULT the boot loader does not count the tries (boots as 'prove': 2)\n");
	cr_assert_str_empty(trial());
	reboot_to('a', false);
}

Test(helper_prove, a_loader_that_never_boots_the_trial_is_found_out)
{
	struct fl_boot_state state;
	ask_for("prove");
	gw_decision(&g, &state);
	g.trial_seq = state.seq;
	g.used = 1;
	reboot_to('a', false);
	cr_assert_str_eq(file("anchor/proof"),
			 "FAULT the boot loader never booted the trial (boots as 'prove': 0)\n");
	cr_assert_str_empty(trial());
}

Test(helper_prove, what_is_left_of_one_that_was_ended_counts_for_no_other)
{
	ask_for("prove --tries 3");
	reboot_to('p', true);
	boot_verb("fallback");
	reboot_to('a', false);
	cr_assert_neq(access(gw_path(&g, "anchor/proving"), F_OK), 0);
	cr_assert_str_empty(file("anchor/proof"));
}
