/* SPDX-License-Identifier: Apache-2.0 */
/* Slots on block devices: real loop devices over the gateway's slot files. They need root. */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEVICE_SIZE 300032 /* blocks of 512 bytes, no whole pages */

static struct gateway g;
static struct update u;
static int device = -1; /* kept open: the last close takes the loop device away */
static char path[32];

/* False: this machine has no loop devices for us. */
static bool attach(const char *file, off_t size)
{
	struct loop_config config = {.info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing = open(file, O_RDWR | O_CLOEXEC);
	cr_assert_eq(ftruncate(backing, size), 0);
	config.fd = (unsigned)backing;
	for (int i = 0; i < 20 && device < 0 && control >= 0; i++) { /* others take some too */
		const int number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(path, sizeof(path), "/dev/loop%d", number);
		device = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) != 0)
			fl_close(&device);
	}
	fl_close(&control);
	fl_close(&backing);
	return device >= 0;
}

static void configure(const char *from, const char *to)
{
	struct fl_buf text = FL_BUF(8192);
	struct fl_buf changed = FL_BUF(8192);
	cr_assert_eq(fl_file_read(gw_path(&g, "gateway.conf"), &text, NULL), FL_OK);
	const char *at = strstr(fl_buf_str(&text), from);
	cr_assert_not_null(at);
	cr_assert_eq(fl_buf_appendf(&changed, NULL, "%.*s%s%s", (int)(at - fl_buf_str(&text)),
				    fl_buf_str(&text), to, at + strlen(from)),
		     FL_OK);
	gw_write(&g, "gateway.conf", changed.data, changed.len);
	fl_buf_free(&text);
	fl_buf_free(&changed);
}

static void slot_b_is(const char *what)
{
	char line[200];
	snprintf(line, sizeof(line), "slot.b = %s", what);
	configure("slot.b = slots/b.img", line);
}

static void set_up(void)
{
	gw_init(&g);
	gw_make_update(&g, 1, 10, &u, NULL);
	if (geteuid() != 0 || !attach(gw_path(&g, "slots/b.img"), DEVICE_SIZE))
		cr_skip_test("no loop devices for this user");
	cr_assert_eq(chmod(path, 0600), 0);
}

static void tear_down(void)
{
	gw_kill(&g);
	if (device >= 0)
		(void)chmod(path, 0660);
	fl_close(&device);
	gw_done(&g);
}

TestSuite(helper_device, .init = set_up, .fini = tear_down, .timeout = 60);

/* As a mount would. */
static bool claimable(void)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	const bool mine = fd >= 0;
	cr_assert(mine || errno == EBUSY);
	fl_close(&fd);
	return mine;
}

static enum fl_rc stage(void)
{
	return gw_stage(&g, &u.docs[0].digest);
}

static enum fl_rc seal(void)
{
	return gw_target(&g, FL_FRAME_SEAL, &u.docs[0].digest);
}

Test(helper_device, an_update_into_a_block_device)
{
	struct fl_boot_state boot;
	slot_b_is(path);
	cr_assert(claimable());
	gw_to_staged(&g, &u);
	cr_assert(claimable(), "nothing is held between stage and seal");
	cr_assert_eq(seal(), FL_OK, "%s", g.text);
	cr_assert_not(claimable(), "held until the switch");
	cr_assert_eq(seal(), FL_OK, "repeatable: %s", g.text);
	cr_assert_eq(gw_job(&g, FL_FRAME_ACTIVATE, &u.docs[0].digest), FL_OK, "%s", g.text);
	cr_assert(claimable());
	gw_decision(&g, &boot);
	cr_assert_str_eq(boot.trial, "b");
}

Test(helper_device, while_a_runner_writes_nobody_else_mounts)
{
	slot_b_is(path);
	gw_start(&g, "slow");
	gw_to_open(&g, &u);
	cr_assert_eq(stage(), FL_OK, "%s", g.text);
	cr_assert_not(claimable());
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
	cr_assert(claimable());
}

Test(helper_device, what_is_mounted_is_busy)
{
	slot_b_is(path);
	int other = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	cr_assert_geq(other, 0);
	gw_to_open(&g, &u);
	cr_assert_eq(stage(), FL_E_SLOT_BUSY, "%s", g.text);
	fl_close(&other);
	cr_assert_eq(stage(), FL_OK, "%s", g.text);
	cr_assert_eq(gw_staged(&g, 10000), FL_OK);
	other = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	cr_assert_eq(seal(), FL_E_SLOT_BUSY, "%s", g.text);
	fl_close(&other);
	cr_assert_eq(seal(), FL_OK, "%s", g.text);
}

Test(helper_device, only_root_may_be_able_to_write_to_it)
{
	static const mode_t modes[] = {0660, 0602, 0620};
	slot_b_is(path);
	gw_to_open(&g, &u);
	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(chmod(path, modes[i]), 0);
		cr_assert_eq(stage(), FL_E_CONFIG, "mode %o: %s", (unsigned)modes[i], g.text);
	}
	cr_assert_eq(chmod(path, 0640), 0);
	cr_assert_eq(stage(), FL_OK, "a group may read: %s", g.text);
	cr_assert_eq(gw_staged(&g, 10000), FL_OK);
	cr_assert_eq(chmod(path, 0660), 0);
	cr_assert_eq(seal(), FL_E_CONFIG, "%s", g.text);
	cr_assert_not_null(strstr(g.text, "0660"), "%s", g.text);
	cr_assert_eq(chmod(path, 0600), 0);
	cr_assert_eq(chown(path, 65534, (gid_t)-1), 0);
	cr_assert_eq(seal(), FL_E_CONFIG, "%s", g.text);
	cr_assert_eq(chown(path, 0, (gid_t)-1), 0);
	cr_assert_eq(seal(), FL_OK, "%s", g.text);
}

/* udev holds a shared lock while it looks at a device that was written to. */
Test(helper_device, a_lock_that_udev_holds_is_no_obstacle)
{
	slot_b_is(path);
	gw_to_staged(&g, &u);
	char command[64];
	snprintf(command, sizeof(command), "flock --shared %s sleep 3 &", path);
	cr_assert_eq(system(command), 0);
	usleep(500 * 1000);
	cr_assert_eq(seal(), FL_OK, "%s", g.text);
}

Test(helper_device, its_size_is_the_device_s)
{
	fl_close(&device);
	cr_assert(attach(gw_path(&g, "slots/b.img"), 199680), "one block less than the image has");
	cr_assert_eq(chmod(path, 0600), 0);
	slot_b_is(path);
	gw_to_open(&g, &u);
	cr_assert_eq(stage(), FL_E_SLOT_TOO_SMALL, "%s", g.text);
}

Test(helper_device, the_rest_is_read_to_the_last_block)
{
	gw_make_update(&g, 1, 10, &u, &(struct paper_release){.zero_tail = true});
	slot_b_is(path);
	gw_to_sealed(&g, &u);
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
	cr_assert_eq(pwrite(device, "x", 1, DEVICE_SIZE - 1), 1);
	cr_assert_eq(seal(), FL_E_SEAL_MISMATCH, "%s", g.text);
	cr_assert_eq(pwrite(device, "", 1, DEVICE_SIZE - 1), 1);
	cr_assert_eq(seal(), FL_OK, "%s", g.text);
	cr_assert_eq(gw_target(&g, FL_FRAME_STOP, &u.docs[0].digest), FL_OK);
	cr_assert_eq(pwrite(device, "x", 1, 100000), 1);
	cr_assert_eq(seal(), FL_E_SEAL_MISMATCH, "%s", g.text);
}

/* Two nodes are one device, whatever they are called. */
Test(helper_device, the_running_device_is_known_by_its_number)
{
	struct stat st;
	char node[96];
	char line[128];
	snprintf(node, sizeof(node), "%s", gw_path(&g, "slots/node"));
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(mknod(node, S_IFBLK | 0600, st.st_rdev), 0);
	slot_b_is(node);
	snprintf(line, sizeof(line), "slot.a = %s", path);
	configure("slot.a = slots/a.img", line);
	gw_to_open(&g, &u);
	cr_assert_eq(stage(), FL_E_SLOT_RUNNING, "%s", g.text);
}

Test(helper_device, what_the_mounted_root_stands_on_is_never_opened)
{
	struct stat st;
	char node[96];
	snprintf(node, sizeof(node), "%s", gw_path(&g, "slots/node"));
	cr_assert_eq(stat("/", &st), 0);
	cr_assert_eq(mknod(node, S_IFBLK | 0600, st.st_dev), 0);
	slot_b_is(node);
	gw_to_open(&g, &u);
	cr_assert_eq(stage(), FL_E_SLOT_RUNNING, "%s", g.text);
}

/* By label or UUID, as udev names them; a link anywhere else leads nowhere. */
Test(helper_device, links_are_followed_below_dev_alone)
{
	char link[64];
	cr_assert_eq(symlink(path, gw_path(&g, "slots/link")), 0);
	slot_b_is("slots/link");
	gw_to_open(&g, &u);
	cr_assert_eq(stage(), FL_E_SLOT_MISSING, "%s", g.text);
	gw_kill(&g);
	snprintf(link, sizeof(link), "/dev/fl-test-%d", (int)getpid());
	cr_assert_eq(symlink(path, link), 0);
	configure("slot.b = slots/link", "slot.b = ");
	configure("slot.b = ", "slot.b = slots/b.img");
	slot_b_is(link);
	gw_start(&g, u.runner);
	const enum fl_rc rc = stage();
	cr_assert_eq(unlink(link), 0);
	cr_assert_eq(rc, FL_OK, "%s", g.text);
	cr_assert_eq(gw_staged(&g, 10000), FL_OK);
}
