/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <fairlead/base/file.h>
#include <fairlead/base/priority.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Where dlopen finds what a plugin is linked with. */
#define LIBRARIES "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"

void protections_add(struct protections *p, const char *fmt, ...)
{
	FL_BUG_ON(p->n == PROTECTIONS_MAX);
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(p->text[p->n], sizeof(p->text[p->n]), fmt, ap);
	va_end(ap);
	p->items[p->n] = p->text[p->n];
	p->n++;
}

bool protections_have(const struct protections *p, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < p->n; i++) {
		if (strncmp(p->text[i], name, len) == 0 &&
		    (p->text[i][len] == '\0' || p->text[i][len] == ':'))
			return true;
	}
	return false;
}

static enum fl_rc plan_folder(struct sandbox *sandbox, const char *plugin, struct fl_err *err)
{
	const char *slash = strrchr(plugin, '/');
	if (slash == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "plugin '%s' is no path", plugin);
	size_t len = slash == plugin ? 1 : (size_t)(slash - plugin);
	if (len >= sizeof(sandbox->plugin_dir))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path of the plugin");
	memcpy(sandbox->plugin_dir, plugin, len);
	sandbox->plugin_dir[len] = '\0';
	return FL_OK;
}

enum fl_rc sandbox_plan(struct sandbox *sandbox, const char *plugin, const char *user,
			struct fl_err *err)
{
	enum fl_rc rc = plan_folder(sandbox, plugin, err);
	if (rc != FL_OK)
		return rc;
	if (user != NULL && user[0] != '\0' && geteuid() == 0) {
		rc = account_find(user, &sandbox->account, err);
		if (rc != FL_OK)
			return rc;
		(void)snprintf(sandbox->user, sizeof(sandbox->user), "%s", user);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		protections_add(&sandbox->protections, "no_new_privs");
	return FL_OK;
}

static enum fl_rc enter_landlock(struct sandbox *sandbox, struct fl_err *err)
{
	int abi = landlock_abi();
	if (abi == 0)
		return FL_OK;
	const char *const folders[] = {sandbox->plugin_dir, LIBRARIES, NULL};
	return landlock_allow(abi, folders, err);
}

static enum fl_rc open_statm(struct sandbox *sandbox, struct fl_err *err)
{
	sandbox->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	return sandbox->statm >= 0 ? FL_OK : fl_fail(err, FL_E_SANDBOX, errno, "statm");
}

enum fl_rc sandbox_enter(struct sandbox *sandbox, struct fl_err *err)
{
	fl_priority_background();
	enum fl_rc rc = account_take(&sandbox->account, err);
	if (rc == FL_OK && sandbox->decoder_memory > 0)
		rc = open_statm(sandbox, err);
	if (rc == FL_OK && sandbox->account.change)
		protections_add(&sandbox->protections, "user:%s", sandbox->user);
	if (rc == FL_OK)
		rc = processes_tie(err);
	if (rc == FL_OK && capabilities_drop(err) == FL_OK)
		protections_add(&sandbox->protections, "no_capabilities");
	if (rc == FL_OK)
		rc = limits_set(sandbox->file_size_max, err);
	if (rc == FL_OK)
		protections_add(&sandbox->protections, "rlimits");
	if (rc == FL_OK)
		rc = enter_landlock(sandbox, err);
	if (rc == FL_OK && seccomp_apply(SECCOMP_LOADING, err) != FL_OK)
		return FL_OK; /* a kernel without it: sandbox_check tells whether that will do */
	return rc;
}

/* Now that the plugin's code is mapped, what it allocates can be told from it. */
static enum fl_rc close_memory(struct sandbox *sandbox, struct fl_err *err)
{
	enum fl_rc rc = memory_limit(sandbox->statm, sandbox->decoder_memory, err);
	fl_close(&sandbox->statm);
	if (rc == FL_OK)
		protections_add(&sandbox->protections, "memory:%llu",
				(unsigned long long)sandbox->decoder_memory);
	return rc;
}

enum fl_rc sandbox_close(struct sandbox *sandbox, struct fl_err *err)
{
	const bool decoder = sandbox->decoder_memory > 0;
	/* pthread_exit and unwinding load it at their first use: then no file can be opened any
	 * more. */
	(void)dlopen("libgcc_s.so.1", RTLD_NOW);
	int abi = landlock_abi();
	const char *const nothing[] = {NULL};
	enum fl_rc rc = abi == 0 ? FL_OK : landlock_allow(abi, nothing, err);
	if (rc == FL_OK && abi > 0)
		protections_add(&sandbox->protections, "landlock:abi%d", abi);
	if (rc == FL_OK && decoder)
		rc = close_memory(sandbox, err);
	if (rc == FL_OK &&
	    seccomp_apply(decoder ? SECCOMP_DECODING : SECCOMP_WORKING, err) == FL_OK) {
		protections_add(&sandbox->protections, "seccomp");
		protections_add(&sandbox->protections, "no_network");
	}
	return rc;
}

enum fl_rc sandbox_check(const struct sandbox *sandbox, struct fl_err *err)
{
	static const char *const required[] = {"no_new_privs", "pid_namespace", "no_capabilities",
					       "rlimits",      "landlock",	"seccomp"};
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (!protections_have(&sandbox->protections, required[i]))
			return fl_fail(err, FL_E_SANDBOX, 0, "'%s' is not in force", required[i]);
	}
	return FL_OK;
}
