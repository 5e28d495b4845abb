/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine says in small files, and fairlead-boot through its standard output: both may be anything. */
#include "host.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static char paths[6][80];
static struct config config;
static struct fl_err err;

enum { SLOT, INFO, ID, RESTART, PROGRAM, CONF };

static int remove_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

static void put(int which, const char *text)
{
	cr_assert_eq(fl_file_replace(paths[which], text, strlen(text), 0755, NULL), FL_OK);
}

static void set_up(void)
{
	static const char *const names[] = {"slot", "info", "id", "restart", "boot", "conf"};
	snprintf(dir, sizeof(dir), "/tmp/fl-host-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	for (size_t i = 0; i < 6; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
	memset(&config, 0, sizeof(config));
	char text[160];
	snprintf(text, sizeof(text), "[host]\nrunning_slot = %s\n", paths[SLOT]);
	put(CONF, text);
	cr_assert_eq(fl_conf_load(paths[CONF], &config.conf, &err), FL_OK, "%s", err.msg);
	config.path = "/conf";
	config.image_info = paths[INFO];
	config.boot_id = paths[ID];
	config.restart_request = paths[RESTART];
	config.boot_program = paths[PROGRAM];
}

static void tear_down(void)
{
	fl_conf_free(config.conf);
	(void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(helper_host, .init = set_up, .fini = tear_down);

Test(helper_host, a_line_is_read_up_to_its_end_or_the_room)
{
	char line[8];
	host_read_line(NULL, line, sizeof(line));
	cr_assert_str_eq(line, "");
	host_read_line(paths[SLOT], line, sizeof(line));
	cr_assert_str_eq(line, "", "no file");
	put(SLOT, "");
	host_read_line(paths[SLOT], line, sizeof(line));
	cr_assert_str_eq(line, "");
	put(SLOT, "b");
	host_read_line(paths[SLOT], line, sizeof(line));
	cr_assert_str_eq(line, "b");
	put(SLOT, "a\nb\n");
	host_read_line(paths[SLOT], line, sizeof(line));
	cr_assert_str_eq(line, "a");
	put(SLOT, "0123456789");
	host_read_line(paths[SLOT], line, sizeof(line));
	cr_assert_str_eq(line, "0123456");
}

Test(helper_host, image_info_is_strict)
{
	static const char *const bad[] = {
		"",
		"{}",
		"{\"product\":\"p\",\"component\":\"c\",\"version\":\"1\",\"release_seq\":1}",
		"{\"product\":\"p\",\"component\":\"c\",\"version\":\"1\",\"release_seq\":1,"
		"\"security_version\":1,\"more\":1}",
		"{\"product\":\"p\",\"component\":\"c\",\"version\":\"1\",\"release_seq\":-1,"
		"\"security_version\":1}"};
	struct fl_image_info info = {.version = "before"};
	struct fl_arena arena = FL_ARENA((size_t)64 * 1024);
	cr_assert_eq(host_image_info(&config, &arena, &info, &err), FL_E_IMAGE_INFO);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(INFO, bad[i]);
		cr_assert_eq(host_image_info(&config, &arena, &info, &err), FL_E_IMAGE_INFO);
	}
	static char longer[5000];
	memset(longer, ' ', sizeof(longer) - 1);
	put(INFO, longer);
	cr_assert_eq(host_image_info(&config, &arena, &info, &err), FL_E_IMAGE_INFO);
	put(INFO, "{\"product\":\"p\",\"component\":\"c\",\"version\":\"1\",\"release_seq\":4,"
		  "\"security_version\":2}\n");
	cr_assert_eq(host_image_info(&config, &arena, &info, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(info.release_seq, 4);
	fl_arena_free(&arena);
}

Test(helper_host, a_boot_is_known_by_its_id)
{
	struct fl_anchor_name one;
	struct fl_anchor_name two;
	cr_assert_eq(host_boot(&config, &one, &err), FL_E_CONFIG);
	put(ID, "\n");
	cr_assert_eq(host_boot(&config, &one, &err), FL_E_CONFIG);
	put(ID, "11111111-0000-4000-8000-000000000000\n");
	cr_assert_eq(host_boot(&config, &one, &err), FL_OK);
	put(ID, "11111111-0000-4000-8000-000000000000");
	cr_assert_eq(host_boot(&config, &two, &err), FL_OK);
	cr_assert_eq(memcmp(&one, &two, sizeof(one)), 0);
	put(ID, "11111111-0000-4000-8000-000000000001\n");
	cr_assert_eq(host_boot(&config, &two, &err), FL_OK);
	cr_assert_neq(memcmp(&one, &two, sizeof(one)), 0);
}

Test(helper_host, a_restart_is_asked_for_by_a_file)
{
	cr_assert_eq(host_request_restart(&config, &err), FL_OK);
	cr_assert_eq(access(paths[RESTART], F_OK), 0);
	config.restart_request = "/nowhere/at/all";
	cr_assert_neq(host_request_restart(&config, &err), FL_OK);
}

/* --- fairlead-boot --- */

Test(helper_host, boot_gets_its_verb_and_tells_its_last_words)
{
	put(PROGRAM, "#!/bin/sh\n[ \"$*\" = \"--config /conf trial b\" ] && exit 0\n"
		     "[ \"$*\" = \"--config /conf trial c --root-hash 00ff\" ] && exit 0\n"
		     "echo \"fairlead-boot: $3: slot 'a' runs [slot_running]\" >&2\nexit 3\n");
	cr_assert_eq(boot_run(&config, "trial", "b", NULL, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(boot_run(&config, "trial", "c", "00ff", &err), FL_OK, "%s", err.msg);
	cr_assert_eq(boot_run(&config, "withdraw", "a", NULL, &err), FL_E_BOOT_SWITCH);
	cr_assert_not_null(strstr(err.msg, "slot 'a' runs"));
	cr_assert_not_null(strstr(err.msg, "status 3"));
	put(PROGRAM, "#!/bin/sh\nkill -9 $$\n");
	cr_assert_eq(boot_run(&config, "good", NULL, NULL, &err), FL_E_BOOT_SWITCH);
	cr_assert_eq(unlink(paths[PROGRAM]), 0);
	cr_assert_eq(boot_run(&config, "good", NULL, NULL, &err), FL_E_BOOT_SWITCH);
}

static enum fl_rc observe(const char *answer, struct boot_view *view)
{
	char script[4096];
	snprintf(script, sizeof(script), "#!/bin/sh\nprintf '%%s' '%s'\n", answer);
	put(PROGRAM, script);
	return boot_observe(&config, view, &err);
}

Test(helper_host, observe_believes_the_host_about_what_runs)
{
	struct boot_view view;
	put(SLOT, "b\n");
	cr_assert_eq(observe("{\"running\":\"a\",\"good\":\"a\",\"trial\":\"b\",\"withdrawn\":[\"c\",\"d\"]}",
			     &view),
		     FL_OK, "%s", err.msg);
	cr_assert_str_eq(view.running, "b");
	cr_assert_str_eq(view.good, "a");
	cr_assert_str_eq(view.trial, "b");
	cr_assert(boot_is_withdrawn(&view, "c") && boot_is_withdrawn(&view, "d"));
	cr_assert_not(boot_is_withdrawn(&view, "a"));
	cr_assert_eq(observe("{\"running\":\"\",\"good\":\"a\",\"trial\":\"\",\"withdrawn\":[]}", &view),
		     FL_OK);
	cr_assert_str_eq(view.trial, "");
}

Test(helper_host, observe_refuses_what_is_no_answer)
{
	static const char *const bad[] = {
		"", "{}", "[]", "hello",
		"{\"running\":\"a\",\"good\":\"../a\",\"trial\":\"\",\"withdrawn\":[]}",
		"{\"running\":\"a\",\"good\":\"a\",\"trial\":\"A\",\"withdrawn\":[]}",
		"{\"running\":\"a\",\"good\":\"a\",\"trial\":\"\",\"withdrawn\":[\"\",\"/\"]}",
		"{\"running\":\"a\",\"good\":\"a\",\"trial\":\"\",\"withdrawn\":[\"a\",\"a\",\"a\",\"a\","
		"\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
		"\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}"};
	struct boot_view view = {.good = "before"};
	put(SLOT, "a\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(observe(bad[i], &view), FL_E_BOOT_SWITCH, "%s", bad[i]);
	cr_assert_str_eq(view.good, "before");
	put(SLOT, "../../dev/sda\n");
	cr_assert_eq(observe("{\"running\":\"a\",\"good\":\"a\",\"trial\":\"\",\"withdrawn\":[]}", &view), FL_OK);
	cr_assert_str_eq(view.running, "", "no valid name: it is not known which one runs");
}
