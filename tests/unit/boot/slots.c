/* SPDX-License-Identifier: Apache-2.0 */
/* Slots by label, by identifier and by path, and the running one, on a machine made of folders. */
#include <fairlead/base/file.h>
#include <fairlead/boot/slots.h>

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];
static char dev[80], sys[80], proc[80];
static struct fl_boot_roots roots;
static struct fl_conf *settings;

static int remove_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

static void put(const char *name, const char *text)
{
	char path[256];
	char folder[256];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	cr_assert_eq(fl_dir_make(folder, 0755, NULL), FL_OK);
	cr_assert_eq(fl_file_replace(path, text, strlen(text), 0644, NULL), FL_OK);
}

static void put_partition(const char *name, const char *number, const char *label)
{
	char path[128];
	char text[256];
	snprintf(path, sizeof(path), "dev/%s", name);
	put(path, "");
	snprintf(path, sizeof(path), "sys/class/block/%s/dev", name);
	snprintf(text, sizeof(text), "%s\n", number);
	put(path, text);
	snprintf(path, sizeof(path), "sys/class/block/%s/uevent", name);
	snprintf(text, sizeof(text), "MAJOR=8\nDEVTYPE=partition\nPARTN=2\n%s%s\n",
		 label == NULL ? "" : "PARTNAME=", label == NULL ? "" : label);
	put(path, text);
}

static void set_up(void)
{
	char made[] = "/tmp/fl-slots-XXXXXX";
	cr_assert_not_null(mkdtemp(made));
	char *real = realpath(made, NULL);
	cr_assert_not_null(real);
	snprintf(top, sizeof(top), "%s", real);
	free(real);
	snprintf(dev, sizeof(dev), "%s/dev", top);
	snprintf(sys, sizeof(sys), "%s/sys", top);
	snprintf(proc, sizeof(proc), "%s/proc", top);
	roots = (struct fl_boot_roots){dev, sys, proc};
	put_partition("sda1", "8:1", "boot");
	put_partition("sda2", "8:2", "rootfs-a");
	put_partition("sda3", "8:3", "rootfs-b");
	put_partition("sda4", "8:4", "rootfs-b2");
	put_partition("sda5", "8:5", NULL);
	put("proc/cmdline", "root=/dev/sda2 ro fairlead.slot=a\n");
	put("gateway.conf", "[paths]\nroot = /data\n");
	char path[128];
	snprintf(path, sizeof(path), "%s/gateway.conf", top);
	cr_assert_eq(fl_conf_load(path, &settings, NULL), FL_OK);
}

static void tear_down(void)
{
	fl_conf_free(settings);
	(void)nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(boot_slots, .init = set_up, .fini = tear_down);

static enum fl_rc resolve(const char *value, char ret[PATH_MAX])
{
	struct fl_err err;
	return fl_boot_slot_resolve(settings, &roots, value, ret, &err);
}

static const char *below(const char *path)
{
	return strncmp(path, top, strlen(top)) == 0 ? path + strlen(top) : path;
}

Test(boot_slots, a_label_is_what_the_kernel_says)
{
	char path[PATH_MAX];
	cr_assert_eq(resolve("partlabel:rootfs-a", path), FL_OK);
	cr_assert_str_eq(below(path), "/dev/sda2");
	cr_assert_eq(resolve("partlabel:rootfs-b", path), FL_OK);
	cr_assert_str_eq(below(path), "/dev/sda3", "not what begins like it");
	cr_assert_eq(resolve("partlabel:rootfs", path), FL_E_SLOT_MISSING);
	cr_assert_eq(resolve("partlabel:rootfs-c", path), FL_E_SLOT_MISSING);
	cr_assert_str_eq(below(path), "/dev/sda3", "untouched");
}

Test(boot_slots, two_partitions_of_one_name_are_none)
{
	char path[PATH_MAX];
	put_partition("sdb2", "8:18", "rootfs-a");
	cr_assert_eq(resolve("partlabel:rootfs-a", path), FL_E_CONFIG);
	cr_assert_eq(resolve("partlabel:rootfs-b", path), FL_OK);
}

Test(boot_slots, an_identifier_by_udev_or_by_a_newer_kernel)
{
	char path[PATH_MAX];
	char link[128];
	put("dev/disk/by-partuuid/README", "");
	snprintf(link, sizeof(link), "%s/disk/by-partuuid/6661cafe-05", dev);
	cr_assert_eq(symlink("../../sda5", link), 0);
	cr_assert_eq(resolve("partuuid:6661cafe-05", path), FL_OK);
	cr_assert_str_eq(below(path), "/dev/sda5");
	cr_assert_eq(resolve("partuuid:6661cafe-06", path), FL_E_SLOT_MISSING);
	put("sys/class/block/sda5/uevent", "PARTN=5\nPARTUUID=6661CAFE-06\n");
	cr_assert_eq(resolve("partuuid:6661cafe-06", path), FL_OK);
	cr_assert_str_eq(below(path), "/dev/sda5");
}

Test(boot_slots, names_do_not_lead_elsewhere)
{
	static const char *const wrong[] = {"partlabel:",    "partlabel:../sda1", "partlabel:a/b",
					    "partlabel:a b", "partuuid:..",	  "partlabel:a\nb"};
	char path[PATH_MAX];
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(resolve(wrong[i], path), FL_E_CONFIG, "%s", wrong[i]);
}

Test(boot_slots, anything_else_is_a_path)
{
	char path[PATH_MAX];
	cr_assert_eq(resolve("/dev/mmcblk0p2", path), FL_OK);
	cr_assert_str_eq(path, "/dev/mmcblk0p2");
	cr_assert_eq(resolve("slots/a.img", path), FL_OK);
	cr_assert_str_eq(path, "/data/slots/a.img");
}

/* --- which one runs --- */

static struct fl_conf *configuration(const char *more)
{
	char path[128];
	char text[1024];
	struct fl_conf *conf = NULL;
	struct fl_err err = {0};
	snprintf(text, sizeof(text),
		 "[paths]\nroot = %s\n[boot]\ndir = boot\nexec = /usr/libexec/x\n"
		 "[component.kernel]\nhandler = rootfs\nslot.a = partlabel:boot\n"
		 "[component.rootfs]\nhandler = rootfs\nslot.a = partlabel:rootfs-a\n"
		 "slot.b = partlabel:rootfs-b\nslot.c = partlabel:gone\n%s",
		 top, more);
	put("gateway.conf", text);
	snprintf(path, sizeof(path), "%s/gateway.conf", top);
	cr_assert_eq(fl_conf_load(path, &conf, &err), FL_OK, "%s", err.msg);
	return conf;
}

static void assert_running(const char *more, const char *want, bool want_proving)
{
	char running[FL_NAME_MAX + 1] = "x";
	bool proving = !want_proving;
	struct fl_err err = {0};
	struct fl_conf *conf = configuration(more);
	cr_assert_eq(fl_boot_running(conf, &roots, running, &proving, &err), FL_OK, "%s", err.msg);
	cr_assert_str_eq(running, want);
	cr_assert_eq(proving, want_proving);
	fl_conf_free(conf);
}

static void mounted(const char *lines)
{
	put("proc/self/mountinfo", lines);
}

Test(boot_slots, the_device_of_the_mounted_root_runs)
{
	mounted("21 1 0:20 / /proc rw - proc proc rw\n"
		"22 1 8:3 / / ro,relatime shared:1 - ext4 /dev/root ro\n"
		"23 22 8:2 / /mnt ro - ext4 /dev/sda2 ro\n");
	assert_running("", "b", false);
	mounted("22 1 8:2 / / rw - ext4 /dev/sda2 rw\n");
	assert_running("", "a", false);
	mounted("22 1 8:5 / / rw - ext4 /dev/sda5 rw\n");
	assert_running("", "", false);
}

Test(boot_slots, the_last_mount_on_the_root_counts)
{
	mounted("1 1 0:2 / / rw - rootfs rootfs rw\n22 1 8:3 / / rw - ext4 /dev/sda3 rw\n");
	assert_running("", "b", false);
}

Test(boot_slots, a_root_on_dm_verity_runs_from_the_slot_below)
{
	mounted("22 1 254:1 / / ro - ext4 /dev/dm-1 ro\n");
	put("sys/dev/block/254:1/slaves/dm-0/dev", "254:0\n");
	put("sys/dev/block/254:0/slaves/sda3/dev", "8:3\n");
	assert_running("", "b", false);
}

Test(boot_slots, device_mapper_that_goes_round_ends)
{
	mounted("22 1 254:1 / / ro - ext4 /dev/dm-1 ro\n");
	put("sys/dev/block/254:1/slaves/dm-0/dev", "254:0\n");
	put("sys/dev/block/254:0/slaves/dm-1/dev", "254:1\n");
	assert_running("", "", false);
}

Test(boot_slots, an_overlay_stands_on_its_lowest_folder)
{
	mounted("22 1 0:30 / / rw - overlay overlay "
		"rw,lowerdir=/run/extra:/run/ro/usr,upperdir=/run/rw/u,"
		"workdir=/run/rw/w\n"
		"23 22 8:2 / /run ro - ext4 /dev/sda2 ro\n"
		"24 22 8:3 / /run/ro ro - squashfs /dev/sda3 ro\n");
	assert_running("", "b", false);
	mounted("22 1 0:30 / / rw - overlay overlay rw,lowerdir=/ro,upperdir=/u,workdir=/w\n");
	assert_running("", "", false);
}

Test(boot_slots, a_root_with_a_number_of_its_own_by_its_source)
{
	char line[256];
	snprintf(line, sizeof(line), "22 1 0:31 /@ / rw - btrfs %s/sda2 rw,subvol=/@\n", dev);
	mounted(line);
	assert_running("", "a", false);
}

Test(boot_slots, without_a_word_of_the_kernel_it_is_unknown)
{
	assert_running("", "", false);
	mounted("garbage\n22 1 8:3\n - - -\n22 1 8 / / ro - ext4 x ro\n");
	assert_running("", "", false);
}

Test(boot_slots, prove_is_known_by_the_kernel_s_command_line)
{
	mounted("22 1 8:2 / / rw - ext4 /dev/sda2 rw\n");
	put("proc/cmdline", "root=x fairlead.slot=prove ro\n");
	assert_running("", "a", true);
	put("proc/cmdline", "xfairlead.slot=prove fairlead.slot=prover\n");
	assert_running("", "a", false);
}

Test(boot_slots, the_supervisor_s_file_goes_first)
{
	mounted("22 1 8:3 / / rw - ext4 /dev/sda3 rw\n");
	put("run/slot", "a\n");
	assert_running("[host]\nrunning_slot = run/slot\n", "a", false);
	put("run/slot", "prove\n");
	assert_running("[host]\nrunning_slot = run/slot\n", "", true);
	put("run/slot", "../x\n");
	assert_running("[host]\nrunning_slot = run/slot\n", "", false);
	assert_running("[host]\nrunning_slot = run/none\n", "", false);
}

Test(boot_slots, a_letter_is_all_components_of_that_letter)
{
	struct fl_err err = {0};
	struct fl_boot_host host;
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	char path[PATH_MAX];
	mounted("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	struct fl_conf *conf = configuration("");
	cr_assert_eq(fl_boot_host_load(conf, &roots, &arena, &host, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(host.n_slots, 3);
	cr_assert_eq(host.n_parts, 4);
	cr_assert_str_eq(host.running, "a", "by whichever component stands there");
	cr_assert_str_eq(below(host.dir), "/boot");
	cr_assert_str_eq(host.program, "/usr/libexec/x");
	cr_assert_null(host.loader);
	cr_assert_str_eq(below(host.parts[0].path), "/dev/sda1");
	cr_assert_str_eq(host.parts[3].path, "partlabel:gone");
	cr_assert_eq(fl_boot_component_slot(conf, &roots, "rootfs", "a", path, &err), FL_OK);
	cr_assert_str_eq(below(path), "/dev/sda2");
	cr_assert_eq(fl_boot_component_slot(conf, &roots, "rootfs", "c", path, &err),
		     FL_E_SLOT_MISSING);
	cr_assert_eq(fl_boot_component_slot(conf, &roots, "kernel", "b", path, &err),
		     FL_E_SLOT_MISSING);
	cr_assert_eq(fl_boot_component_slot(conf, &roots, "app", "a", path, &err),
		     FL_E_SLOT_MISSING);
	fl_arena_free(&arena);
	fl_conf_free(conf);
}
