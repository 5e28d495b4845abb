/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the sandbox, one by one, each in a child of its own. */
#include "sandbox.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs f in a child; its bits that failed, or -1 when it was killed. */
static int in_child(int (*f)(int), int arg)
{
	pid_t pid = fork();
	int status;
	if (pid == 0)
		_exit(f(arg));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool refused(int fd)
{
	return fd < 0 && (errno == EACCES || errno == EPERM);
}

static int masked_landlock(int abi)
{
	struct fl_err err;
	const char *const libraries[] = {"/usr/lib", "/nonexistent", NULL};
	const char *const nothing[] = {NULL};
	int failed = 0;
	failed |= landlock_allow(abi, libraries, &err) != FL_OK ? 1 : 0;
	failed |= !refused(open("/etc/passwd", O_RDONLY)) ? 2 : 0;
	failed |= open("/usr/lib/os-release", O_RDONLY) < 0 ? 4 : 0;
	failed |= !refused(open("/usr/lib/os-release", O_RDWR)) ? 8 : 0;
	failed |= !refused(open("/tmp/fairlead-landlock", O_CREAT | O_WRONLY, 0600)) ? 16 : 0;
	failed |= landlock_allow(abi, nothing, &err) != FL_OK ? 32 : 0;
	failed |= !refused(open("/usr/lib/os-release", O_RDONLY)) ? 64 : 0;
	return failed;
}

static int new_privileges(int unused)
{
	struct sandbox s = {.protections = {.n = 0}};
	struct fl_err err;
	(void)unused;
	return sandbox_plan(&s, "/usr/lib/x.so", NULL, &err) != FL_OK ||
	       !protections_have(&s.protections, "no_new_privs");
}

static int landlock_of(int abi)
{
	return new_privileges(0) != 0 ? 128 : masked_landlock(abi);
}

/* Every version of the ABI up to this kernel's: an old kernel is a masked new one. */
Test(runner_sandbox_parts, landlock_of_every_version)
{
	int newest = landlock_abi();
	cr_assert_geq(newest, 0);
	for (int abi = 1; abi <= newest; abi++)
		cr_expect_eq(in_child(landlock_of, abi), 0, "abi %d: %d", abi,
			     in_child(landlock_of, abi));
}

static int limits(int unused)
{
	struct fl_err err;
	struct rlimit limit;
	(void)unused;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGXFSZ, &ignore, NULL);
	if (limits_set(70000, &err) != FL_OK)
		return 1;
	char path[] = "/tmp/fairlead-limits-XXXXXX";
	int fd = mkstemp(path);
	(void)unlink(path);
	if (pwrite(fd, "", 1, 69999) != 1 || pwrite(fd, "", 1, 70000) >= 0 || errno != EFBIG)
		return 2;
	if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != 0)
		return 3;
	return limits_set(1 << 20, &err) == FL_OK ? 0 : 4; /* never above what is in force */
}

Test(runner_sandbox_parts, limits)
{
	cr_expect_eq(in_child(limits, 0), 0);
}

static int filters(int unused)
{
	struct fl_err err;
	(void)unused;
	if (new_privileges(0) != 0 || seccomp_apply(SECCOMP_LOADING, &err) != FL_OK)
		return 1;
	int fd = open("/etc/passwd", O_RDONLY);
	if (fd < 0 || !refused(open("/etc/passwd", O_RDWR)) || fork() >= 0)
		return 2;
	if (seccomp_apply(SECCOMP_WORKING, &err) != FL_OK)
		return 3;
	char byte;
	if (!refused(open("/etc/passwd", O_RDONLY)) || pread(fd, &byte, 1, 0) != 1)
		return 4;
	return seccomp_apply(SECCOMP_LOADING, &err) == FL_OK ? 5 : 0; /* it cannot be loosened */
}

Test(runner_sandbox_parts, two_filters)
{
	cr_expect_eq(in_child(filters, 0), 0);
}

static int decoder_filter(int unused)
{
	struct fl_err err;
	int pipe_ends[2];
	char byte = 0;
	(void)unused;
	FL_AUTO_FD file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (new_privileges(0) != 0 || seccomp_apply(SECCOMP_DECODING, &err) != FL_OK)
		return 1;
	if (!refused((int)write(file, &byte, 1)) || !refused((int)pwrite(file, &byte, 1, 0)) ||
	    !refused(ftruncate(file, 0)) || !refused(pipe2(pipe_ends, 0)) ||
	    !refused(open("/etc/passwd", O_RDONLY)))
		return 2;
	if (pread(file, &byte, 1, 0) != 0 || write(STDERR_FILENO, "", 0) != 0)
		return 3;
	return fork() >= 0 ? 4 : 0;
}

Test(runner_sandbox_parts, the_filter_of_a_decoder)
{
	cr_expect_eq(in_child(decoder_filter, 0), 0);
}

#ifndef FL_SANITIZED /* there the address space isn't limited */
static int memory(int mib)
{
	struct fl_err err;
	const size_t max = (size_t)mib << 20;
	FL_AUTO_FD statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (memory_limit(statm, max, &err) != FL_OK)
		return 1;
	void *granted = mmap(NULL, max, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (granted == MAP_FAILED)
		return 2;
	if (mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 3;
	if (munmap(granted, max) != 0 || memory_limit(statm, 2 * max, &err) != FL_OK)
		return 4; /* not an error, and never above what is in force */
	return mmap(NULL, max + (2 << 20), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? 0
		       : 5;
}

Test(runner_sandbox_parts, the_memory_of_a_decoder)
{
	for (int mib = 4; mib <= 64; mib *= 4)
		cr_expect_eq(in_child(memory, mib), 0, "%d MiB", mib);
	struct fl_err err;
	cr_expect_eq(memory_limit(-1, 1, &err), FL_E_SANDBOX);
}
#endif

Test(runner_sandbox_parts, what_must_be_in_force)
{
	const char *const all[] = {"no_new_privs", "pid_namespace", "no_capabilities",
				   "rlimits",	   "landlock:abi4", "seccomp"};
	for (size_t missing = 0; missing <= 6; missing++) {
		struct sandbox s = {.protections = {.n = 0}};
		struct fl_err err;
		for (size_t i = 0; i < 6; i++) {
			if (i != missing)
				protections_add(&s.protections, "%s", all[i]);
		}
		cr_expect_eq(sandbox_check(&s, &err), missing == 6 ? FL_OK : FL_E_SANDBOX);
	}
	struct sandbox s = {.protections = {.n = 0}};
	protections_add(&s.protections, "seccomp_of_another_kind");
	cr_expect_not(protections_have(&s.protections, "seccomp"));
}
