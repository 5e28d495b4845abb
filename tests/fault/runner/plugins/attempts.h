/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways out of the sandbox, tried once while the plugin is loaded (constructor) and once in a call.
 * Every attempt is harmless where it succeeds. A line tells of each: "WHEN WHAT denied" or "WHEN
 * WHAT OPEN".
 */
#ifndef TEST_PLUGIN_ATTEMPTS_H
#define TEST_PLUGIN_ATTEMPTS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Each returns what a system call returns; a child ends at once. */
static long child(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid;
}

static long try_read_passwd(void)
{
	return open("/etc/passwd", O_RDONLY);
}
static long try_read_proc(void)
{
	return open("/proc/self/maps", O_RDONLY);
}
static long try_list_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY);
}
static long try_create(void)
{
	return open("/tmp/fairlead-probe", O_CREAT | O_WRONLY, 0600);
}
static long try_tmpfile(void)
{
	return open("/tmp", O_TMPFILE | O_WRONLY, 0600);
}
static long try_mkdir(void)
{
	return mkdir("/tmp/fairlead-probe-dir", 0700);
}
static long try_unlink(void)
{
	return unlink("/tmp/fairlead-probe");
}
static long try_chmod(void)
{
	return chmod("/tmp/fairlead-probe", 0600);
}
static long try_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}
static long try_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}
static long try_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}
static long try_socketpair(void)
{
	int s[2];
	return socketpair(AF_UNIX, SOCK_STREAM, 0, s);
}
static long try_fork(void)
{
	return child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}
static long try_libc_fork(void)
{
	return child(fork());
}
static long try_setsid(void)
{
	return setsid();
}
static long try_exec(void)
{
	char *argv[] = {NULL};
	return execve("/nonexistent/program", argv, argv);
}
static long try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}
static long try_mount(void)
{
	return mount("none", "/nonexistent", "tmpfs", 0, NULL);
}
static long try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static long try_kill(void)
{
	return kill(getppid() > 0 ? getppid() : 1, 0);
}
static long try_setuid(void)
{
	return setuid(0);
}
static long try_setgroups(void)
{
	return syscall(SYS_setgroups, 0, NULL);
}
static long try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}
static long try_keyctl(void)
{
	return syscall(SYS_keyctl, 0, -3, 0);
}
static long try_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}
static long try_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, 0);
}
static long try_perf(void)
{
	return syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0);
}
static long try_vm_read(void)
{
	struct iovec v = {NULL, 0};
	return process_vm_readv(1, &v, 1, &v, 1, 0);
}
static long try_pidfd(void)
{
	return syscall(SYS_pidfd_open, 1, 0);
}
static long try_memfd(void)
{
	return memfd_create("probe", 0);
}
static long try_limit(void)
{
	return syscall(SYS_prlimit64, 0, 4, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", NULL);
}

static long try_exec_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : 0;
}

static long try_exec_protect(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static const struct {
	const char *what;
	long (*attempt)(void);
	int loading_too; /* denied while loading already */
} attempts[] = {
	{"read_passwd", try_read_passwd, 1},
	{"read_proc", try_read_proc, 1},
	{"list_root", try_list_root, 1},
	{"create", try_create, 1},
	{"tmpfile", try_tmpfile, 1},
	{"mkdir", try_mkdir, 1},
	{"unlink", try_unlink, 1},
	{"chmod", try_chmod, 1},
	{"inet", try_inet, 1},
	{"unix", try_unix, 1},
	{"netlink", try_netlink, 1},
	{"socketpair", try_socketpair, 1},
	{"fork", try_fork, 1},
	{"libc_fork", try_libc_fork, 1},
	{"setsid", try_setsid, 1},
	{"exec", try_exec, 1},
	{"unshare", try_unshare, 1},
	{"mount", try_mount, 1},
	{"ptrace", try_ptrace, 1},
	{"kill", try_kill, 1},
	{"setuid", try_setuid, 1},
	{"setgroups", try_setgroups, 1},
	{"bpf", try_bpf, 1},
	{"keyctl", try_keyctl, 1},
	{"io_uring", try_io_uring, 1},
	{"userfaultfd", try_userfaultfd, 1},
	{"perf", try_perf, 1},
	{"vm_read", try_vm_read, 1},
	{"pidfd", try_pidfd, 1},
	{"memfd", try_memfd, 1},
	{"limit", try_limit, 1},
	{"exec_memory", try_exec_memory, 0},
	{"exec_protect", try_exec_protect, 0},
};

#define N_ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

static char loading[N_ATTEMPTS][64];

static void attempt(size_t i, const char *when, char *line, size_t size)
{
	errno = 0;
	int open_door = attempts[i].attempt() >= 0;
	int denied = !open_door && (errno == EPERM || errno == EACCES || errno == ENOSYS);
	(void)snprintf(line, size, "%s %s %s", when, attempts[i].what, denied ? "denied" : "OPEN");
}

__attribute__((constructor)) static void while_loading(void)
{
	for (size_t i = 0; i < N_ATTEMPTS; i++) {
		if (attempts[i].loading_too)
			attempt(i, "loading", loading[i], sizeof(loading[i]));
	}
}

#endif
