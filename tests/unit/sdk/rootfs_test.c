/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.so by itself, against targets that fail: what it says of them. */
#include <fairlead/handler.h>

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int target;
static const struct fl_handler *rootfs;
static int cancel;

static void on_progress(const struct fl_host *host, uint64_t done, uint64_t total)
{
	(void)host;
	cr_assert_leq(done, total);
}

static int on_resource(const struct fl_host *host, const char *name)
{
	(void)host;
	return strcmp(name, "target") == 0 ? target : -1;
}

static int on_cancelled(const struct fl_host *host)
{
	(void)host;
	return cancel;
}

static const struct fl_host host = {.abi_major = FL_HANDLER_ABI_MAJOR,
				    .size = sizeof(host),
				    .progress = on_progress,
				    .resource = on_resource,
				    .cancelled = on_cancelled};

static struct fl_result result;
static struct fl_task task = {.size = sizeof(task), .installed_size = 100000};
static uint8_t chunk[FL_HANDLER_CHUNK];

static void set_up(void)
{
	struct fl_hello hello = {.size = sizeof(hello)};
	void *object = dlopen(ROOTFS, RTLD_NOW | RTLD_LOCAL);
	cr_assert_not_null(object, "%s", dlerror());
	rootfs = dlsym(object, "fl_handler_plugin");
	cr_assert_not_null(rootfs);
	cr_assert_eq(rootfs->hello(&host, &hello, &result), FL_CLASS_OK);
	cr_assert_eq(hello.capabilities, FL_CAP_SLOT | FL_CAP_RANDOM | FL_CAP_STREAM);
}

TestSuite(sdk_rootfs, .init = set_up);

static void expect(int cls, int expected, const char *code)
{
	cr_expect_eq(cls, expected, "%s", result.text);
	cr_expect_str_eq(result.code, code);
	cr_expect_neq(result.text[0], '\0', "it says what happened");
}

Test(sdk_rootfs, a_full_disk)
{
	target = open("/dev/full", O_RDWR | O_CLOEXEC);
	expect(rootfs->stage(NULL, &task, 0, chunk, sizeof(chunk), &result), FL_CLASS_RETRY,
	       "no_space");
}

Test(sdk_rootfs, a_target_that_cannot_be_written)
{
	target = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	expect(rootfs->stage(NULL, &task, 0, chunk, sizeof(chunk), &result), FL_CLASS_RETRY, "io");
}

Test(sdk_rootfs, a_flush_that_fails_is_told)
{
	int ends[2];
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	target = ends[1];
	expect(rootfs->flush(NULL, &task, 0, sizeof(chunk), &result), FL_CLASS_RETRY, "io");
}

Test(sdk_rootfs, no_target)
{
	struct fl_plan plan = {.size = sizeof(plan)};
	struct fl_observation seen = {.size = sizeof(seen)};
	target = -1;
	expect(rootfs->prepare(NULL, &task, &plan, &result), FL_CLASS_RETRY, "io");
	expect(rootfs->observe(NULL, &task, &seen, &result), FL_CLASS_RETRY, "io");
	cr_expect_eq(seen.flags, 0);
}

Test(sdk_rootfs, room)
{
	struct fl_plan plan = {.size = sizeof(plan)};
	target = memfd_create("target", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(target, 99999), 0);
	expect(rootfs->prepare(NULL, &task, &plan, &result), FL_CLASS_PERMANENT, "slot_too_small");
	cr_assert_eq(ftruncate(target, 100000), 0);
	cr_expect_eq(rootfs->prepare(NULL, &task, &plan, &result), FL_CLASS_OK);
	cr_expect_eq(plan.room, 100000);
	cr_expect_eq(plan.restart, FL_RESTART_HOST);
}

Test(sdk_rootfs, what_cannot_be_read_is_told)
{
	target = memfd_create("target", MFD_CLOEXEC);
	expect(rootfs->read(NULL, &task, 0, chunk, sizeof(chunk), &result), FL_CLASS_RETRY, "io");
}

Test(sdk_rootfs, zeroing_stops_when_cancelled)
{
	target = memfd_create("target", MFD_CLOEXEC);
	memset(chunk, 7, sizeof(chunk));
	for (off_t at = 0; at < 3 << 20; at += (off_t)sizeof(chunk))
		cr_assert_eq(pwrite(target, chunk, sizeof(chunk), at), (ssize_t)sizeof(chunk));
	cancel = 1;
	expect(rootfs->zero_tail(NULL, &task, 100, &result), FL_CLASS_RETRY, "cancelled");
	cancel = 0;
	cr_expect_eq(rootfs->zero_tail(NULL, &task, 100, &result), FL_CLASS_OK);
	cr_assert_eq(pread(target, chunk, sizeof(chunk), 0), (ssize_t)sizeof(chunk));
	cr_expect(chunk[99] == 7 && chunk[100] == 0);
	cr_assert_eq(pread(target, chunk, 1, (3 << 20) - 1), 1);
	cr_expect_eq(chunk[0], 0);
}
