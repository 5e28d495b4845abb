/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two filters. Both list what is allowed and answer EPERM to the rest: a plugin that tries
 * something else gets an error it can report, not a signal. The first is in force while the plugin
 * is loaded (its constructors run then), the second, which only takes away, before any call of it.
 *
 * Never allowed: processes, exec, ptrace, sockets, mounts, keys, modules, bpf, io_uring, memfd,
 * setuid. In the second nothing can be opened, and no memory become executable. A decoder's second
 * one leaves, of all that writes, only messages and standard error, and neither threads nor ioctl.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const int always[] = {
	/* descriptors at hand */
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(readv),
	SCMP_SYS(preadv),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fadvise64_64),
	SCMP_SYS(arm_fadvise64_64),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fstatfs64),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(fcntl),
	SCMP_SYS(fcntl64),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(ppoll_time64),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	/* memory; mmap and mprotect below */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(membarrier),
	/* time, threads, oneself */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getgroups),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrlimit),
	SCMP_SYS(ugetrlimit),
	SCMP_SYS(getrandom),
	SCMP_SYS(getcpu),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Not for a decoder. */
static const int on_targets[] = {
	SCMP_SYS(write),
	SCMP_SYS(pwrite64),
	SCMP_SYS(writev),
	SCMP_SYS(pwritev),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(sync_file_range2),
	SCMP_SYS(fallocate),
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(flock),
	SCMP_SYS(select),
	SCMP_SYS(_newselect),
	SCMP_SYS(pselect6),
	SCMP_SYS(pselect6_time64),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
};

static const int while_loading[] = {
	SCMP_SYS(mmap),
	SCMP_SYS(mmap2),
	SCMP_SYS(mprotect),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(stat),
	SCMP_SYS(stat64),
	SCMP_SYS(lstat),
	SCMP_SYS(lstat64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(prctl),
	SCMP_SYS(seccomp),
	SCMP_SYS(capget),
	/* the second Landlock ruleset */
	SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_restrict_self),
};

/* Calls of this list that the machine does not have, or libseccomp does not know, need no rule. */
static int allow_list(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int failed = 0;
	for (size_t i = 0; i < n; i++) {
		int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
		if (rc != 0 && rc != -EDOM)
			failed = rc;
	}
	return failed;
}

static int allow_if(scmp_filter_ctx ctx, int call, unsigned arg, scmp_datum_t mask,
		    scmp_datum_t value)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
				  SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
	return rc == -EDOM ? 0 : rc;
}

/* Signals to oneself, reading one's own limits. */
static int allow_always(scmp_filter_ctx ctx)
{
	const scmp_datum_t all32 = UINT32_MAX;
	int rc = allow_list(ctx, always, sizeof(always) / sizeof(always[0]));
	rc |= allow_if(ctx, SCMP_SYS(tgkill), 0, all32, (scmp_datum_t)getpid());
	rc |= allow_if(ctx, SCMP_SYS(prlimit64), 2, UINT64_MAX, 0);
	/* libc tries clone3 first, whose flags no filter can see, and takes clone when there is
	 * none. */
	rc |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return rc;
}

/* Threads, writing, questions to a block device. */
static int allow_targets(scmp_filter_ctx ctx)
{
	static const unsigned ioctls[] = {BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKZEROOUT,
					  BLKDISCARD};
	int rc = allow_list(ctx, on_targets, sizeof(on_targets) / sizeof(on_targets[0]));
	rc |= allow_if(ctx, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
	for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		rc |= allow_if(ctx, SCMP_SYS(ioctl), 1, UINT32_MAX, ioctls[i]);
	return rc;
}

/* The channels by sendmsg, which is always allowed. */
static int allow_standard_error(scmp_filter_ctx ctx)
{
	int rc = allow_if(ctx, SCMP_SYS(write), 0, UINT32_MAX, STDERR_FILENO);
	return rc | allow_if(ctx, SCMP_SYS(writev), 0, UINT32_MAX, STDERR_FILENO);
}

/* The limit of a decoder's memory is set once its code is mapped (memory_limit). */
static int allow_memory_limit(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
				  SCMP_CMP(0, SCMP_CMP_EQ, 0, 0),
				  SCMP_CMP(1, SCMP_CMP_EQ, RLIMIT_AS, 0));
	return rc == -EDOM ? 0 : rc;
}

static int allow_loading(scmp_filter_ctx ctx)
{
	int rc = allow_list(ctx, while_loading, sizeof(while_loading) / sizeof(while_loading[0]));
	const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
	rc |= allow_if(ctx, SCMP_SYS(open), 1, writing, O_RDONLY);
	rc |= allow_if(ctx, SCMP_SYS(openat), 2, writing, O_RDONLY);
	rc |= allow_memory_limit(ctx);
	return rc;
}

static int allow_working(scmp_filter_ctx ctx)
{
	int rc = allow_if(ctx, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
	rc |= allow_if(ctx, SCMP_SYS(mmap2), 2, PROT_EXEC, 0);
	rc |= allow_if(ctx, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
	return rc;
}

static int allow_stage(scmp_filter_ctx ctx, enum seccomp_stage stage)
{
	int rc = allow_always(ctx);
	rc |= stage == SECCOMP_DECODING ? allow_standard_error(ctx) : allow_targets(ctx);
	rc |= stage == SECCOMP_LOADING ? allow_loading(ctx) : allow_working(ctx);
	return rc;
}

enum fl_rc seccomp_apply(enum seccomp_stage stage, struct fl_err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (ctx == NULL)
		return fl_fail(err, FL_E_SANDBOX, 0, "seccomp");
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC,
				  1); /* threads that constructors started */
	if (rc == 0)
		rc = allow_stage(ctx, stage);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc == 0 ? FL_OK : fl_fail(err, FL_E_SANDBOX, 0, "seccomp: error %d", rc);
}
