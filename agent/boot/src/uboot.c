/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end uboot: variables in U-Boot's environment, written by libubootenv. DIR/fw_env.config says where its two
 * copies lie; each change is one write of the older copy, so the newer one stays whole until it is done.
 *
 * Who counts a trial's boots: U-Boot (bootcount, armed by upgrade_available), or, where DIR/fw_count.config names one
 * sector of its own, the boot script. That count is armed before the decision and is good for this decision alone: every
 * other value in it means "used up".
 */
#include "backends.h"
#include "uboot.h"

#include <fairlead/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <libuboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef FL_SANITIZED
#include <sanitizer/lsan_interface.h>
#endif

#define ENV_CONFIG   "fw_env.config"
#define COUNT_CONFIG "fw_count.config"
#define INITIAL_ENV  "u-boot-initial-env"
#define VALUE_MAX    80
#define LETTERS	     "abcdefghijklmnopqrstuvwxyz"

struct env {
	struct uboot_ctx *ctx;
	char config[PATH_MAX];
	bool damaged;
};

static void env_close(struct env *env)
{
	if (env->ctx == NULL)
		return;
	libuboot_close(env->ctx);
	libuboot_exit(env->ctx);
	env->ctx = NULL;
}

/* libubootenv 0.3.2 loses the name of a device whose line it refuses; this process is short-lived. */
static int read_config(struct uboot_ctx *ctx, const char *path)
{
#ifdef FL_SANITIZED
	__lsan_disable();
#endif
	const int n = libuboot_read_config(ctx, path);
#ifdef FL_SANITIZED
	__lsan_enable();
#endif
	return n;
}

/* A damaged one is open too, and empty; env->damaged tells. */
static enum fl_rc env_open(const struct fl_boot_host *host, const char *config, struct env *env,
			   struct fl_err *err)
{
	env->ctx = NULL;
	enum fl_rc rc = fl_path_join(env->config, sizeof(env->config), host->dir, config, err);
	if (rc != FL_OK)
		return rc;
	if (libuboot_initialize(&env->ctx, NULL) != 0)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "libubootenv");
	int n = read_config(env->ctx, env->config);
	if (n < 0)
		return fl_fail(err, FL_E_CONFIG, 0, "'%s': no environment", env->config);
	n = libuboot_open(env->ctx);
	env->damaged = n == -ENODATA;
	if (n != 0 && !env->damaged)
		return fl_fail(err, FL_E_IO, -n, "read the environment of '%s'", env->config);
	return FL_OK;
}

/* --- variables --- */

/* False: not set, or longer than any value of ours. */
static bool get(const struct env *env, const char *name, char value[VALUE_MAX])
{
	char *found = libuboot_get_env(env->ctx, name);
	const bool fits = found != NULL && strlen(found) < VALUE_MAX;
	if (fits)
		memcpy(value, found, strlen(found) + 1);
	free(found);
	return fits;
}

static bool get_number(const struct env *env, const char *name, uint64_t max, uint64_t *ret)
{
	char text[VALUE_MAX];
	if (!get(env, name, text))
		return false;
	const size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 18 || text[len] != '\0' || (len > 1 && text[0] == '0'))
		return false;
	*ret = strtoull(text, NULL, 10);
	return *ret <= max;
}

static bool get_name(const struct env *env, const char *variable, char ret[FL_NAME_MAX + 1])
{
	char text[VALUE_MAX];
	if (!get(env, variable, text) || !fl_name_valid(text))
		return false;
	memcpy(ret, text, strlen(text) + 1);
	return true;
}

static enum fl_rc set(struct env *env, const char *name, const char *value, struct fl_err *err)
{
	const int n = libuboot_set_env(env->ctx, name, value);
	if (n == 0)
		return FL_OK;
	return fl_fail(err, n == -ENOMEM ? FL_E_NO_MEMORY : FL_E_DENIED, 0, "set '%s'", name);
}

static enum fl_rc set_number(struct env *env, const char *name, uint64_t value, struct fl_err *err)
{
	char text[32];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return set(env, name, text, err);
}

/* fairlead_withdrawn_X, fairlead_hash_X: one per slot, so that a loader need not take lists apart. */
static void slot_variable(char ret[48], const char *what, char letter)
{
	snprintf(ret, 48, "fairlead_%s_%c", what, letter);
}

/* --- load --- */

static bool read_slots(const struct env *env, struct fl_boot_state *s)
{
	for (const char *p = LETTERS; *p != '\0'; p++) {
		const char letter = *p;
		char name[48];
		char value[VALUE_MAX];
		slot_variable(name, "withdrawn", letter);
		if (get(env, name, value))
			s->withdrawn[s->n_withdrawn++][0] = letter;
		slot_variable(name, "hash", letter);
		if (!get(env, name, value))
			continue;
		struct fl_boot_hash *h = &s->hashes[s->n_hashes++];
		if (strlen(value) != sizeof(h->hex) - 1)
			return false;
		h->slot[0] = letter;
		memcpy(h->hex, value, sizeof(h->hex));
	}
	return true;
}

/* A trial is one that U-Boot counts: without upgrade_available=1 the loader boots the good slot. */
static bool read_trial(const struct env *env, struct fl_boot_state *s)
{
	uint64_t armed = 0;
	uint64_t tries = 0;
	char text[VALUE_MAX];
	if (get(env, "upgrade_available", text) && !get_number(env, "upgrade_available", 1, &armed))
		return false;
	if (armed == 0)
		return true;
	if (!get(env, "fairlead_trial", text))
		return true;
	if (!get_name(env, "fairlead_trial", s->trial) ||
	    !get_number(env, "bootlimit", FL_BOOT_TRIES_MAX, &tries))
		return false;
	s->tries = (unsigned)tries;
	return true;
}

static unsigned at_most(uint64_t used, unsigned tries)
{
	return used < tries ? (unsigned)used : tries;
}

static enum fl_rc read_state(const struct env *env, struct fl_boot_state *ret, struct fl_err *err)
{
	struct fl_boot_state s = {0};
	char text[VALUE_MAX];
	uint64_t used;
	if (env->damaged)
		return fl_fail(err, FL_E_CORRUPT, 0, "no copy of the environment is whole");
	if (!get(env, "fairlead_seq", text) && !get(env, "fairlead_good", text))
		return fl_fail(err, FL_E_NOT_FOUND, 0, "the environment holds no decision");
	if (!get_number(env, "fairlead_seq", UINT64_MAX, &s.seq) ||
	    !get_name(env, "fairlead_good", s.good) || !read_trial(env, &s) ||
	    !read_slots(env, &s) || !fl_boot_state_valid(&s))
		return fl_fail(err, FL_E_CORRUPT, 0, "boot decision: malformed variables");
	if (get_number(env, "bootcount", UINT32_MAX, &used))
		s.used = at_most(used, s.tries);
	*ret = s;
	return FL_OK;
}

static enum fl_rc has_count(const struct fl_boot_host *host, bool *ret, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, COUNT_CONFIG, err);
	if (rc == FL_OK)
		*ret = access(path, F_OK) == 0;
	return rc;
}

/* A count that is none, or another decision's, is what the script takes it for: used up. */
static enum fl_rc read_count(const struct fl_boot_host *host, struct fl_boot_state *s,
			     struct fl_err *err)
{
	struct env count;
	uint64_t seq;
	uint64_t used;
	enum fl_rc rc = env_open(host, COUNT_CONFIG, &count, err);
	if (rc == FL_OK) {
		const bool mine = !count.damaged &&
				  get_number(&count, "fairlead_count_seq", UINT64_MAX, &seq) &&
				  seq == s->seq &&
				  get_number(&count, "fairlead_count", UINT32_MAX, &used);
		s->used = mine ? at_most(used, s->tries) : s->tries;
	}
	env_close(&count);
	return rc;
}

/* One environment at a time: libubootenv has one lock for all. */
static enum fl_rc uboot_load(const struct fl_boot_host *host, struct fl_boot_state *ret,
			     struct fl_err *err)
{
	struct env env;
	struct fl_boot_state s;
	bool by_script = false;
	enum fl_rc rc = env_open(host, ENV_CONFIG, &env, err);
	if (rc == FL_OK)
		rc = read_state(&env, &s, err);
	env_close(&env);
	if (rc == FL_OK)
		rc = has_count(host, &by_script, err);
	if (rc == FL_OK && by_script && s.trial[0] != '\0')
		rc = read_count(host, &s, err);
	if (rc == FL_OK)
		*ret = s;
	return rc;
}

/* --- store --- */

static enum fl_rc write_slots(struct env *env, const struct fl_boot_state *s, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (const char *p = LETTERS; *p != '\0' && rc == FL_OK; p++) {
		const char letter = *p;
		const char slot[2] = {letter, '\0'};
		char name[48];
		slot_variable(name, "withdrawn", letter);
		rc = set(env, name, fl_boot_is_withdrawn(s, slot) ? "1" : NULL, err);
		slot_variable(name, "hash", letter);
		if (rc == FL_OK)
			rc = set(env, name, fl_boot_root_hash(s, slot), err);
	}
	return rc;
}

/* Without a trial no limit is set and nothing counts: a power cut is no failed boot. */
static enum fl_rc write_trial(struct env *env, const struct fl_boot_state *s, struct fl_err *err)
{
	const bool on_trial = s->trial[0] != '\0';
	char limit[16];
	snprintf(limit, sizeof(limit), "%u", s->tries);
	enum fl_rc rc = set(env, "fairlead_trial", on_trial ? s->trial : NULL, err);
	if (rc == FL_OK)
		rc = set(env, "bootlimit", on_trial ? limit : NULL, err);
	if (rc == FL_OK)
		rc = set_number(env, "bootcount", s->used, err);
	if (rc == FL_OK)
		rc = set_number(env, "upgrade_available", on_trial, err);
	return rc;
}

static enum fl_rc write_state(struct env *env, const struct fl_boot_state *s, struct fl_err *err)
{
	enum fl_rc rc = set_number(env, "fairlead_seq", s->seq, err);
	if (rc == FL_OK)
		rc = set(env, "fairlead_good", s->good, err);
	if (rc == FL_OK)
		rc = write_trial(env, s, err);
	return rc == FL_OK ? write_slots(env, s, err) : rc;
}

/*
 * libubootenv writes and syncs, but does not look whether the sync succeeded: descriptors that were open before it
 * learn of the same error.
 */
static enum fl_rc env_flush(struct env *env, unsigned times, struct fl_err *err)
{
	struct uboot_areas areas;
	int fds[UBOOT_COPIES_MAX] = {-1, -1};
	enum fl_rc rc = uboot_areas_read(env->config, &areas, err);
	for (size_t i = 0; rc == FL_OK && i < areas.n; i++) {
		struct stat st;
		fds[i] = open(areas.items[i].device, O_RDWR | O_CLOEXEC);
		if (fds[i] < 0)
			rc = fl_fail(err, fl_rc_from_errno(errno), errno, "open '%s'",
				     areas.items[i].device);
		else if (fstat(fds[i], &st) != 0 || S_ISCHR(st.st_mode))
			fl_close(&fds[i]); /* flash is written as it is told */
	}
	for (; rc == FL_OK && times > 0; times--) {
		const int n = libuboot_env_store(env->ctx);
		if (n != 0)
			rc = fl_fail(err, n == -ENOMEM ? FL_E_NO_SPACE : FL_E_IO, 0,
				     "write the environment of '%s'", env->config);
	}
	for (size_t i = 0; i < UBOOT_COPIES_MAX; i++) {
		if (rc == FL_OK && fds[i] >= 0 && fsync(fds[i]) != 0)
			rc = fl_fail(err, FL_E_IO, errno, "sync '%s'", areas.items[i].device);
		fl_close(&fds[i]);
	}
	return rc;
}

/* Before the decision that it is for: a cut in between ends a trial early, it never lengthens one. */
static enum fl_rc arm_count(const struct fl_boot_host *host, const struct fl_boot_state *next,
			    struct fl_err *err)
{
	struct env count;
	bool by_script = false;
	enum fl_rc rc = has_count(host, &by_script, err);
	if (rc != FL_OK || !by_script)
		return rc;
	rc = env_open(host, COUNT_CONFIG, &count, err);
	if (rc == FL_OK)
		rc = set_number(&count, "fairlead_count_seq", next->seq, err);
	if (rc == FL_OK)
		rc = set_number(&count, "fairlead_count", next->used, err);
	if (rc == FL_OK)
		rc = env_flush(&count, 1, err);
	env_close(&count);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "arm the count");
}

/* An environment that is to be read by U-Boot needs U-Boot's variables too. */
static enum fl_rc begin_anew(const struct fl_boot_host *host, struct env *env, struct fl_err *err)
{
	char path[PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), host->dir, INITIAL_ENV, err);
	if (rc != FL_OK)
		return rc;
	if (libuboot_load_file(env->ctx, path) != 0)
		return fl_fail(err, FL_E_CONFIG, errno,
			       "no copy of the environment is whole, and '%s' to begin with", path);
	return FL_OK;
}

static enum fl_rc uboot_store(const struct fl_boot_host *host, const struct fl_boot_state *old,
			      const struct fl_boot_state *next, struct fl_err *err)
{
	struct env env = {0};
	enum fl_rc rc = FL_OK;
	if (old == NULL || next->trial[0] != '\0')
		rc = arm_count(host, next, err);
	if (rc == FL_OK)
		rc = env_open(host, ENV_CONFIG, &env, err);
	if (rc == FL_OK && env.damaged)
		rc = begin_anew(host, &env, err);
	if (rc == FL_OK)
		rc = write_state(&env, next, err);
	if (rc == FL_OK)
		rc = env_flush(&env, old == NULL ? UBOOT_COPIES_MAX : 1, err);
	env_close(&env);
	return rc;
}

/* --- doctor --- */

static void check_armed(const struct fl_boot_host *host, struct findings *f)
{
	struct env env;
	struct fl_err why;
	char trial[VALUE_MAX];
	uint64_t armed = 0;
	if (env_open(host, ENV_CONFIG, &env, &why) == FL_OK && !env.damaged) {
		const bool on_trial = get(&env, "fairlead_trial", trial);
		(void)get_number(&env, "upgrade_available", UINT32_MAX, &armed);
		findings_add(f, on_trial == (armed == 1), "boots are counted during a trial only");
	}
	env_close(&env);
}

/* Where U-Boot itself counts, its own commands lead here; the script has no others to look at. */
static void check_commands(const struct fl_boot_host *host, struct findings *f)
{
	struct env env;
	struct fl_err why;
	bool by_script = false;
	if (has_count(host, &by_script, &why) != FL_OK || by_script)
		return;
	if (env_open(host, ENV_CONFIG, &env, &why) == FL_OK && !env.damaged) {
		char *command = libuboot_get_env(env.ctx, "altbootcmd");
		findings_add(f, command != NULL && strstr(command, "fairlead_used_up") != NULL,
			     "altbootcmd says fairlead_used_up");
		free(command);
	}
	env_close(&env);
}

static bool uboot_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
			fl_boot_report *report, void *ctx)
{
	struct findings f = {report, ctx, true};
	uboot_check_copies(host, ENV_CONFIG, "environment", UBOOT_COPIES_MAX, &f);
	uboot_check_copies(host, COUNT_CONFIG, "count", 1, &f);
	uboot_check_script(host, &f);
	if (state != NULL) {
		check_armed(host, &f);
		check_commands(host, &f);
	}
	return f.all_ok;
}

const struct fl_boot_backend fl_boot_uboot = {
	.name = "uboot",
	.load = uboot_load,
	.store = uboot_store,
	.check = uboot_check,
};
