/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-boot as a program: its exit statuses, its configuration, and damaged decisions. */
#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static char output[8192];

static int remove_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

static void put(const char *name, const char *text)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_eq(fl_file_replace(path, text, strlen(text), 0644, NULL), FL_OK);
}

static void set_up(void)
{
	char config[1024];
	char path[160];
	snprintf(dir, sizeof(dir), "/tmp/fl-boot-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/slots", dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	snprintf(config, sizeof(config),
		 "[paths]\nroot = %s\n[boot]\nbackend = sim\ndir = boot\n"
		 "[host]\nrunning_slot = running\n[component.rootfs]\nhandler = rootfs\n"
		 "slot.a = slots/a.img\nslot.b = slots/b.img\n",
		 dir);
	put("gateway.conf", config);
	put("running", "a\n");
	put("slots/a.img", "image");
	put("slots/b.img", "image");
}

static void tear_down(void)
{
	(void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(boot_program, .init = set_up, .fini = tear_down);

/* Exit status; standard output and error in `output`. */
static int boot(const char *verb)
{
	char command[512];
	snprintf(command, sizeof(command), "%s --config %s/gateway.conf %s 2>&1", FL_BOOT, dir,
		 verb);
	FILE *p = popen(command, "r");
	size_t n = fread(output, 1, sizeof(output) - 1, p);
	output[n] = '\0';
	int status = pclose(p);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(boot_program, an_update_by_hand)
{
	cr_assert_eq(boot("observe"), 4, "%s", output);
	cr_assert_eq(boot("init a"), 0);
	cr_assert_eq(boot("init a"), 0, "repeatable");
	cr_assert_eq(boot("init b"), 3, "not over another fallback");
	cr_assert_eq(boot("withdraw b"), 0);
	cr_assert_eq(boot("observe"), 0);
	cr_assert_str_eq(output,
			 "{\"running\":\"a\",\"good\":\"a\",\"trial\":\"\",\"withdrawn\":[\"b\"],"
			 "\"tries\":0,\"used\":0,\"proving\":false,\"root_hashes\":[]}\n");
	cr_assert_eq(boot("trial b --tries 2"), 0);
	cr_assert_eq(boot("good"), 3, "it does not run yet");
	put("running", "b");
	cr_assert_eq(boot("good"), 0);
	cr_assert_eq(boot("withdraw b"), 3);
	cr_assert_eq(boot("withdraw a"), 0);
	cr_assert_eq(boot("doctor"), 0, "%s", output);
}

Test(boot_program, usage_is_told_with_status_2)
{
	static const char *const wrong[] = {"",
					    "dance",
					    "withdraw",
					    "observe a",
					    "trial b c",
					    "trial ../b",
					    "trial b --tries 0",
					    "trial b --tries 10",
					    "trial b --tries",
					    "good b"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(boot(wrong[i]), 2, "'%s': %s", wrong[i], output);
}

Test(boot_program, a_damaged_decision_is_not_half_believed)
{
	cr_assert_eq(boot("init a"), 0);
	put("boot/decision", "fairlead-sim-boot 1\nseq=9\ngood=b\ntrial=\ntries=0\nwithdrawn=\n"
			     "sha256=0000\n");
	static const char *const verbs[] = {"observe", "withdraw b", "trial b", "good", "fallback"};
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		cr_assert_eq(boot(verbs[i]), 4, "%s", verbs[i]);
	cr_assert_eq(boot("doctor"), 3);
	cr_assert_eq(boot("init a"), 0, "a person may begin anew");
	cr_assert_eq(boot("doctor"), 0, "%s", output);
}

Test(boot_program, doctor_finds_what_is_missing)
{
	char path[160];
	cr_assert_eq(boot("init a"), 0);
	cr_assert_eq(boot("doctor"), 0, "%s", output);
	snprintf(path, sizeof(path), "%s/slots/a.img", dir);
	cr_assert_eq(truncate(path, 0), 0);
	cr_assert_eq(boot("doctor"), 3, "the fallback is empty");
	cr_assert_not_null(strstr(output, "FAULT the fallback is there"));
	put("slots/a.img", "image");
	put("running", "b");
	cr_assert_eq(boot("doctor"), 3, "what runs is neither good nor on trial");
	put("running", "a");
	snprintf(path, sizeof(path), "%s/slots/b.img", dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(boot("doctor"), 3, "a slot is gone");
}

Test(boot_program, a_broken_configuration_is_status_1)
{
	cr_assert_eq(boot("init a"), 0);
	put("gateway.conf", "[boot]\nbackend = grub9\ndir = x\n");
	cr_assert_eq(boot("observe"), 1);
	put("gateway.conf", "[boot]\nbackend = sim\n");
	cr_assert_eq(boot("observe"), 1);
	put("gateway.conf", "nonsense");
	cr_assert_eq(boot("observe"), 1);
}

Test(boot_program, an_unknown_running_slot_lets_nothing_be_withdrawn)
{
	cr_assert_eq(boot("init a"), 0);
	put("running", "");
	cr_assert_eq(boot("withdraw b"), 3);
	put("running", "../../etc");
	cr_assert_eq(boot("withdraw b"), 3);
	cr_assert_eq(boot("observe"), 0);
	cr_assert_not_null(strstr(output, "\"running\":\"\""));
}
