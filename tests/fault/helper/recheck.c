/* SPDX-License-Identifier: Apache-2.0 */
/* The slot that does not run is looked at now and then, and it is told when it rots. */
#include "gateway.h"

#include <fairlead/base/file.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OFTEN	"\n[recheck]\nafter_s = 1\n"
#define TIMEOUT 6000

static struct gateway g;
static struct update first, second;

static void set_up(void)
{
	gw_init(&g);
}

static void tear_down(void)
{
	gw_done(&g);
}

TestSuite(helper_recheck, .init = set_up, .fini = tear_down, .timeout = 100);

static void commit(struct update *u, size_t image, uint64_t job_seq,
		   const struct paper_release *release, char slot)
{
	if (g.helper > 0)
		gw_kill(&g); /* the next one has a runner with the other image */
	gw_make_update(&g, image, job_seq, u, release);
	gw_to_trial_set(&g, u);
	cr_assert_eq(gw_job(&g, FL_FRAME_RESTART, &u->docs[0].digest), FL_OK, "%s", g.text);
	cr_assert_eq(gw_boot_only(&g, false), slot);
	gw_set_image_info(&g, release->version, release->release_seq, 1);
	gw_start(&g, u->runner);
	const struct paper_doc heartbeat = gw_fresh_heartbeat(&g);
	cr_assert_eq(gw_commit(&g, &u->docs[0].digest, &heartbeat), FL_OK, "%s", g.text);
}

/* Slot b is sealed and committed, then slot a: b is what a fallback would boot. */
static void two_updates(const char *configuration)
{
	gw_configure(&g, configuration);
	commit(&first, 1, 10,
	       &(struct paper_release){.version = "2.0", .release_seq = 2, .security_version = 1},
	       'b');
	commit(&second, 2, 11,
	       &(struct paper_release){.version = "3.0", .release_seq = 3, .security_version = 1},
	       'a');
}

static void rot(const char *slot)
{
	char byte;
	const int fd = open(gw_path(&g, slot), O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pread(fd, &byte, 1, 100000), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, 100000), 1);
	close(fd);
}

static void expect_rotten(const char *slot)
{
	uint32_t id;
	void *body;
	cr_assert_eq(gw_next(&g, &id, &body, TIMEOUT), FL_OK);
	cr_assert_eq(g.type, FL_FRAME_ROTTEN);
	const struct fl_ipc_rotten *event = body;
	cr_assert_str_eq(event->component, "rootfs");
	cr_assert_str_eq(event->slot, slot);
}

static void expect_silence(void)
{
	uint32_t id;
	void *body;
	cr_assert_neq(gw_next(&g, &id, &body, TIMEOUT), FL_OK);
}

static void restart(void)
{
	gw_kill(&g);
	gw_start(&g, second.runner);
}

Test(helper_recheck, a_slot_that_rots_is_told_and_told_again_to_another_agent)
{
	two_updates("read_only = true\n" OFTEN);
	rot("slots/b.img");
	restart();
	expect_rotten("b");
	gw_connect(&g);
	cr_assert_eq(gw_hello(&g), FL_OK);
	expect_rotten("b");
}

Test(helper_recheck, a_slot_that_is_what_it_was_is_not_told)
{
	two_updates("read_only = true\n" OFTEN);
	restart();
	expect_silence();
}

Test(helper_recheck, what_was_mounted_writable_is_not_compared)
{
	two_updates(OFTEN);
	rot("slots/b.img");
	restart();
	expect_silence();
}

Test(helper_recheck, nothing_is_looked_at_while_a_job_is_open)
{
	struct update third;
	two_updates("read_only = true\n" OFTEN);
	rot("slots/b.img");
	gw_kill(&g);
	gw_make_update(
		&g, 1, 12, &third,
		&(struct paper_release){.version = "4.0", .release_seq = 4, .security_version = 1});
	gw_start(&g, third.runner);
	cr_assert_eq(gw_present(&g, third.docs, 2), FL_OK, "%s", g.text);
	expect_silence();
	cr_assert_eq(gw_close(&g, &third.docs[0].digest, "cancelled"), FL_OK, "%s", g.text);
	expect_rotten("b");
}
