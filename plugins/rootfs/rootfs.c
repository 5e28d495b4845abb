/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler `rootfs`: an image in a slot, which is a block device or a file, granted as the
 * resource "target". It only writes and reads content; which slot boots is decided by
 * fairlead-boot, and whether the content is right by whoever reads it back after this process is
 * dead. What the image says of itself (image-info) is not read here.
 */
#include <fairlead/handler.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define TAIL_STEP   ((size_t)1 << 20)
#define READ_WINDOW ((uint64_t)1 << 20) /* how much of what was read stays in the page cache */
#define STAGE_MS    120000u		/* a worn card may take that long over one flush */

static const struct fl_host *host;

static int fail_errno(struct fl_result *result, const char *what)
{
	int e = errno;
	char text[64];
	const char *code = e == ENOSPC || e == EDQUOT ? "no_space" : "io";
	return fl_result_fail(result, FL_CLASS_RETRY, code, "%s: %s", what,
			      strerror_r(e, text, sizeof(text)));
}

/* The granted descriptor; the host sees to it that the need below is met. */
static int target(void)
{
	return host->resource(host, "target");
}

/* Of a file or of a block device. */
static int target_size(uint64_t *ret, struct fl_result *result)
{
	off_t end = lseek(target(), 0, SEEK_END);
	if (end < 0)
		return fail_errno(result, "size of the target");
	*ret = (uint64_t)end;
	return FL_CLASS_OK;
}

static int pread_all(void *data, size_t len, uint64_t offset)
{
	char *p = (char *)data;
	while (len > 0) {
		ssize_t n = pread(target(), p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* the end of a target that was long enough a moment ago */
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int pwrite_all(const void *data, size_t len, uint64_t offset)
{
	const char *p = (const char *)data;
	while (len > 0) {
		ssize_t n = pwrite(target(), p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/*
 * What was read or is on the medium is not needed in the page cache, where it would push out what
 * the device works with. From the start: the kernel keeps pages that lie together as one, and drops
 * none of which the range covers a part.
 */
static void forget_cache(uint64_t end)
{
	if (end > 0)
		(void)posix_fadvise(target(), 0, (off_t)end, POSIX_FADV_DONTNEED);
}

static int hello(const struct fl_host *h, struct fl_hello *out, struct fl_result *result)
{
	static const struct fl_need needs[] = {
		{"target", 1u << FL_CALL_OBSERVE | 1u << FL_CALL_PREPARE | 1u << FL_CALL_STAGE},
		{NULL, 0},
	};
	(void)result;
	host = h;
	out->capabilities = FL_CAP_SLOT | FL_CAP_STREAM | FL_CAP_RANDOM;
	out->proof = FL_PROOF_READBACK;
	out->deadline_ms[FL_CALL_STAGE] = STAGE_MS;
	out->needs = needs;
	return FL_CLASS_OK;
}

static int observe(void *self, const struct fl_task *task, struct fl_observation *out,
		   struct fl_result *result)
{
	char first;
	(void)self;
	(void)task;
	int cls = target_size(&out->room, result);
	if (cls != FL_CLASS_OK)
		return cls;
	if (out->room > 0 && pread(target(), &first, 1, 0) != 1)
		return fail_errno(result, "read the target");
	out->flags = FL_OBSERVED_PRESENT;
	(void)snprintf(result->text, sizeof(result->text), "target of %llu bytes",
		       (unsigned long long)out->room);
	return FL_CLASS_OK;
}

static int prepare(void *self, const struct fl_task *task, struct fl_plan *plan,
		   struct fl_result *result)
{
	(void)self;
	int cls = target_size(&plan->room, result);
	if (cls != FL_CLASS_OK)
		return cls;
	plan->restart = FL_RESTART_HOST;
	if (plan->room < task->installed_size)
		return fl_result_fail(result, FL_CLASS_PERMANENT, "slot_too_small",
				      "the image has %llu bytes, the target holds %llu",
				      (unsigned long long)task->installed_size,
				      (unsigned long long)plan->room);
	return FL_CLASS_OK;
}

static int stage(void *self, const struct fl_task *task, uint64_t offset, const void *data,
		 uint32_t len, struct fl_result *result)
{
	(void)self;
	(void)task;
	if (pwrite_all(data, len, offset) != 0)
		return fail_errno(result, "write the target");
	return FL_CLASS_OK;
}

static int flush(void *self, const struct fl_task *task, uint64_t offset, uint64_t len,
		 struct fl_result *result)
{
	(void)self;
	(void)task;
	if (fdatasync(target()) != 0)
		return fail_errno(result, "flush the target");
	forget_cache(offset + len);
	return FL_CLASS_OK;
}

static int read_chunk(void *self, const struct fl_task *task, uint64_t offset, void *data,
		      uint32_t len, struct fl_result *result)
{
	(void)self;
	(void)task;
	if (pread_all(data, len, offset) != 0)
		return fail_errno(result, "read the target");
	if (offset % READ_WINDOW == 0)
		forget_cache(offset);
	return FL_CLASS_OK;
}

static bool all_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* Only what is not zero already is written: this is repeated after every cut, and flash wears out.
 */
static int zero_tail(void *self, const struct fl_task *task, uint64_t offset,
		     struct fl_result *result)
{
	static char block[TAIL_STEP];
	uint64_t end = 0;
	(void)self;
	(void)task;
	int cls = target_size(&end, result);
	if (cls != FL_CLASS_OK)
		return cls;
	for (uint64_t at = offset; at < end;) {
		size_t len = end - at < TAIL_STEP ? (size_t)(end - at) : TAIL_STEP;
		if (pread_all(block, len, at) != 0 || !all_zero(block, len)) {
			memset(block, 0, len);
			if (pwrite_all(block, len, at) != 0)
				return fail_errno(result, "zero the target");
		}
		at += len;
		host->progress(host, at - offset, end - offset);
		if (host->cancelled(host))
			return fl_result_fail(result, FL_CLASS_RETRY, "cancelled", "while zeroing");
	}
	return flush(self, task, offset, end - offset, result);
}

FL_HANDLER_EXPORT const struct fl_handler fl_handler_plugin = {
	.abi_major = FL_HANDLER_ABI_MAJOR,
	.abi_minor = FL_HANDLER_ABI_MINOR,
	.size = sizeof(struct fl_handler),
	.name = "rootfs",
	.version = "1.0",
	.hello = hello,
	.observe = observe,
	.prepare = prepare,
	.stage = stage,
	.flush = flush,
	.read = read_chunk,
	.zero_tail = zero_tail,
};
