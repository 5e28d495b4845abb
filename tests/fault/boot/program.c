/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-boot as a program: its exit statuses, its configuration, and damaged decisions. */
#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <scratch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[SCRATCH_MAX];
static char output[8192];

static void put(const char *name, const char *text)
{
	scratch_put(dir, name, text);
}

static void set_up(void)
{
	char config[1024];
	scratch_make(dir);
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
	scratch_remove(dir);
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

/* --- back end exec: a program that is not what it should be --- */

static void use_exec(const char *script, mode_t mode)
{
	char config[1024];
	char path[160];
	snprintf(path, sizeof(path), "%s/boot", dir);
	cr_assert(mkdir(path, 0755) == 0 || access(path, F_OK) == 0);
	snprintf(config, sizeof(config),
		 "[paths]\nroot = %s\n[boot]\nbackend = exec\ndir = boot\nexec = keep\n"
		 "[host]\nrunning_slot = running\n[component.rootfs]\nhandler = rootfs\n"
		 "slot.a = slots/a.img\nslot.b = slots/b.img\n",
		 dir);
	put("gateway.conf", config);
	put("keep", script);
	snprintf(path, sizeof(path), "%s/keep", dir);
	cr_assert_eq(chmod(path, mode), 0);
}

static bool output_says(const char *text)
{
	return strstr(output, text) != NULL;
}

Test(boot_program, exec_keeps_a_decision_through_the_example)
{
	char text[16384];
	FILE *file = fopen(FL_LOADER "/exec/example", "re");
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	(void)fclose(file);
	use_exec(text, 0755);
	cr_assert_eq(boot("observe"), 4, "%s", output);
	cr_assert_eq(boot("init a"), 0, "%s", output);
	cr_assert_eq(boot("trial b --tries 2"), 0, "%s", output);
	cr_assert_eq(boot("observe"), 0);
	cr_assert(output_says("\"trial\":\"b\""));
	cr_assert_eq(boot("doctor"), 0, "%s", output);
}

Test(boot_program, exec_believes_no_garbage)
{
	static const char *const printed[] = {
		"true",
		"echo fairlead-sim-boot 1",
		"head -c 100000 /dev/zero",
		"yes",
		"printf 'fairlead-sim-boot "
		"1\\nseq=1\\ngood=a\\ntrial=\\ntries=0\\nwithdrawn=\\nsha256=00\\n'",
	};
	for (size_t i = 0; i < sizeof(printed) / sizeof(printed[0]); i++) {
		char script[512];
		snprintf(script, sizeof(script), "#!/bin/sh\n%s\nexit 0\n", printed[i]);
		use_exec(script, 0755);
		cr_assert_eq(boot("observe"), 4, "%s: %s", printed[i], output);
		cr_assert(output_says("[corrupt]"), "%s", output);
	}
}

Test(boot_program, exec_fails_when_the_program_does)
{
	use_exec("#!/bin/sh\nexit 1\n", 0755);
	cr_assert_eq(boot("observe"), 1);
	use_exec("#!/bin/sh\nkill -9 $$\n", 0755);
	cr_assert_eq(boot("observe"), 1);
	use_exec("#!/bin/sh\n[ $1 = load ] && exit 4\nexit 7\n", 0755);
	cr_assert_eq(boot("init a"), 1);
	cr_assert(output_says("status 7"), "%s", output);
	use_exec("no interpreter", 0755);
	cr_assert_eq(boot("observe"), 1);
}

Test(boot_program, exec_ends_what_does_not_end)
{
	char path[160];
	use_exec("#!/bin/sh\nsleep 60 &\necho $! >$FAIRLEAD_BOOT_DIR/pid\nsleep 60\n", 0755);
	cr_assert_eq(boot("observe"), 1);
	cr_assert(output_says("no end"), "%s", output);
	snprintf(path, sizeof(path), "%s/boot/pid", dir);
	FILE *file = fopen(path, "re");
	int pid = 0;
	cr_assert_eq(fscanf(file, "%d", &pid), 1);
	(void)fclose(file);
	for (unsigned i = 0; i < 100 && kill(pid, 0) == 0; i++)
		usleep(10000);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	file = fopen(path, "re"); /* nobody may have reaped it */
	cr_assert(file == NULL || fgetc(file) == EOF, "its child went with it");
}

Test(boot_program, exec_starts_nothing_that_others_may_change)
{
	char path[160];
	use_exec("#!/bin/sh\nexit 4\n", 0775);
	cr_assert_eq(boot("observe"), 1);
	cr_assert(output_says("could be changed by others"), "%s", output);
	cr_assert_eq(boot("doctor"), 3);
	use_exec("#!/bin/sh\nexit 4\n", 0755);
	cr_assert_eq(boot("observe"), 4);
	cr_assert_eq(chmod(dir, 0777), 0);
	cr_assert_eq(boot("observe"), 1, "nor from a folder where they may");
	cr_assert_eq(chmod(dir, 0700), 0);
	use_exec("#!/bin/sh\nexit 4\n", 0644);
	cr_assert_eq(boot("observe"), 1);
	snprintf(path, sizeof(path), "%s/keep", dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(boot("observe"), 1);
}

/* --- back end uboot --- */

static void use_uboot(unsigned copies)
{
	char text[1024];
	char path[160];
	snprintf(path, sizeof(path), "%s/disk", dir);
	snprintf(text, sizeof(text),
		 "[paths]\nroot = %s\n[boot]\nbackend = uboot\ndir = .\nloader = boot.scr\n"
		 "[host]\nrunning_slot = running\n[component.rootfs]\nhandler = rootfs\n"
		 "slot.a = slots/a.img\nslot.b = slots/b.img\n",
		 dir);
	put("gateway.conf", text);
	put("boot.scr", "\x27\x05\x19\x56 test fairlead_trial");
	put("u-boot-initial-env",
	    "bootcmd=run distro_bootcmd\naltbootcmd=setenv fairlead_used_up 1; run bootcmd\n");
	put("disk", "");
	cr_assert_eq(truncate(path, 0x30000), 0);
	snprintf(text, sizeof(text), "%s 0x10000 0x4000\n", path);
	if (copies == 2)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s 0x20000 0x4000\n",
			 path);
	put("fw_env.config", text);
}

static void damage(long at)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/disk", dir);
	FILE *file = fopen(path, "r+e");
	cr_assert_eq(fseek(file, at, SEEK_SET), 0);
	cr_assert_eq(fwrite("damaged", 1, 7, file), 7);
	(void)fclose(file);
}

Test(boot_program, uboot_keeps_what_u_boot_itself_needs)
{
	use_uboot(2);
	cr_assert_eq(boot("observe"), 4, "%s", output);
	cr_assert_eq(boot("init a"), 0, "%s", output);
	cr_assert_eq(boot("doctor"), 0, "%s", output);
	cr_assert_eq(boot("trial b --tries 3"), 0);
	snprintf(output, sizeof(output), "fw_printenv -c %s/fw_env.config", dir);
	FILE *p = popen(output, "r");
	output[fread(output, 1, sizeof(output) - 1, p)] = '\0';
	(void)pclose(p);
	cr_assert(output_says("bootcmd=run distro_bootcmd\n") && output_says("bootlimit=3\n") &&
			  output_says("upgrade_available=1\n") && output_says("bootcount=0\n"),
		  "%s", output);
}

Test(boot_program, uboot_does_not_begin_anew_without_u_boot_s_variables)
{
	char path[160];
	use_uboot(2);
	snprintf(path, sizeof(path), "%s/u-boot-initial-env", dir);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(boot("init a"), 1, "a valid environment without bootcmd boots nothing");
	cr_assert_eq(boot("observe"), 4);
}

Test(boot_program, uboot_s_doctor_finds_damage)
{
	use_uboot(2);
	cr_assert_eq(boot("init a"), 0);
	damage(0x10100);
	cr_assert_eq(boot("observe"), 0, "the other copy");
	cr_assert_eq(boot("doctor"), 3);
	cr_assert(output_says("copy 1 is damaged"), "%s", output);
	cr_assert_eq(boot("withdraw b"), 0);
	cr_assert_eq(boot("doctor"), 0, "renewed: %s", output);
	damage(0x10100);
	damage(0x20100);
	cr_assert_eq(boot("fallback"), 4);
	cr_assert_eq(boot("doctor"), 3);
	use_uboot(1);
	cr_assert_eq(boot("init a"), 0);
	cr_assert_eq(boot("doctor"), 3, "one copy is lost by one cut");
	use_uboot(2);
	cr_assert_eq(boot("init a"), 0);
	put("boot.scr", "another one's");
	cr_assert_eq(boot("doctor"), 3, "%s", output);
	put("fw_env.config", "nonsense\n");
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
