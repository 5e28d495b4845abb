/* SPDX-License-Identifier: Apache-2.0 */
/* Account, capabilities and limits of the inner process. */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 64
#define MEMORY_MAX                                                                                 \
	((rlim_t)256 << 20) /* address space; what the runner itself needs is a tenth              \
			     */

/* The host's own: frames, and what malloc takes at a time. */
#define MEMORY_HOST ((rlim_t)1 << 20)

enum fl_rc account_find(const char *user, struct account *ret, struct fl_err *err)
{
	errno = 0;
	const struct passwd *pw = getpwnam(user);
	if (pw == NULL)
		return fl_fail(err, FL_E_CONFIG, errno, "no account '%s'", user);
	if (pw->pw_uid == 0)
		return fl_fail(err, FL_E_CONFIG, 0, "account '%s' is root", user);
	*ret = (struct account){true, pw->pw_uid, pw->pw_gid};
	return FL_OK;
}

enum fl_rc account_take(const struct account *account, struct fl_err *err)
{
	if (!account->change)
		return FL_OK;
	if (setgroups(0, NULL) != 0 || setresgid(account->gid, account->gid, account->gid) != 0 ||
	    setresuid(account->uid, account->uid, account->uid) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "change the account");
	return FL_OK;
}

enum fl_rc capabilities_drop(struct fl_err *err)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}, {0, 0, 0}};
	if (syscall(SYS_capset, &header, none) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "drop capabilities");
	return FL_OK;
}

enum fl_rc limits_set(uint64_t file_size_max, struct fl_err *err)
{
	const struct {
		__rlimit_resource_t resource;
		rlim_t max;
	} limits[] = {
		{RLIMIT_NOFILE, FILES_MAX},
		{RLIMIT_CORE, 0},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_FSIZE, (rlim_t)file_size_max},
#ifndef FL_SANITIZED /* whose shadow takes terabytes of address space */
		{RLIMIT_AS, MEMORY_MAX},
#endif
	};
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit now, limit = {limits[i].max, limits[i].max};
		if (getrlimit(limits[i].resource, &now) == 0 && now.rlim_max < limit.rlim_max)
			limit = (struct rlimit){now.rlim_max, now.rlim_max};
		if (setrlimit(limits[i].resource, &limit) != 0)
			return fl_fail(err, FL_E_SANDBOX, errno, "limit %d",
				       (int)limits[i].resource);
	}
	return FL_OK;
}

#ifdef FL_SANITIZED
enum fl_rc memory_limit(int statm, uint64_t max, struct fl_err *err)
{
	(void)statm;
	(void)max;
	(void)err;
	return FL_OK;
}
#else
/* The hard limit that is in force is never passed: limits_set came before. */
enum fl_rc memory_limit(int statm, uint64_t max, struct fl_err *err)
{
	char text[128];
	struct rlimit now;
	ssize_t n = pread(statm, text, sizeof(text) - 1, 0);
	if (n <= 0 || getrlimit(RLIMIT_AS, &now) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "memory in use");
	text[n] = '\0';
	rlim_t mapped = (rlim_t)strtoull(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
	rlim_t limit = mapped + (rlim_t)max + MEMORY_HOST;
	if (limit > now.rlim_max)
		limit = now.rlim_max;
	const struct rlimit new = {limit, limit};
	if (prlimit(0, RLIMIT_AS, &new, NULL) != 0)
		return fl_fail(err, FL_E_SANDBOX, errno, "memory limit");
	return FL_OK;
}
#endif
