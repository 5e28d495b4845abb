/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock by its system calls: neither libc nor Debian's headers know all versions of its ABI.
 * Only what is opened from now on is bound by it; the descriptors the helper gave stay as they are.
 *
 *   ABI 1   Linux 5.13   13 rights to files
 *   ABI 2   Linux 5.19   refer
 *   ABI 3   Linux 6.2    truncate
 *   ABI 4   Linux 6.7    TCP: bind, connect
 *   ABI 5   Linux 6.10   ioctl of devices
 *   ABI 6   Linux 6.12   abstract Unix sockets, signals to others
 */
#include "sandbox.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#define VERSION_FLAG	  1u
#define RULE_PATH_BENEATH 1
#define FS_READ_FILE	  (1ull << 2)
#define FS_READ_DIR	  (1ull << 3)

struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net; /* from ABI 4 on */
	uint64_t scoped;      /* from ABI 6 on */
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
	return abi < 0 ? 0 : (int)abi;
}

static uint64_t fs_rights(int abi)
{
	unsigned bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13;
	return (1ull << bits) - 1;
}

static size_t attr_size(int abi)
{
	return abi >= 6	  ? sizeof(struct ruleset_attr)
	       : abi >= 4 ? 2 * sizeof(uint64_t)
			  : sizeof(uint64_t);
}

/* A folder that isn't there needs no rule. */
static enum fl_rc add_path(int ruleset, const char *path, struct fl_err *err)
{
	FL_AUTO_FD fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return FL_OK;
	const struct path_beneath rule = {FS_READ_FILE | (S_ISDIR(st.st_mode) ? FS_READ_DIR : 0),
					  fd};
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "landlock: '%s'", path);
	return FL_OK;
}

enum fl_rc landlock_allow(int abi, const char *const *folders, struct fl_err *err)
{
	const struct ruleset_attr attr = {fs_rights(abi), 3, 3};
	FL_AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size(abi), 0);
	if (ruleset < 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "landlock");
	enum fl_rc rc = FL_OK;
	for (; *folders != NULL && rc == FL_OK; folders++)
		rc = add_path(ruleset, *folders, err);
	if (rc == FL_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = fl_fail(err, FL_E_SANDBOX, errno, "landlock");
	return rc;
}
