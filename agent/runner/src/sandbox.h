/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox around a plugin, in the order in which it closes (docs/internals/runner.md):
 *
 *   sandbox_plan      outer process   account looked up, no new privileges
 *   processes_split   outer, inner    namespaces; inner is process 1 of its own
 *   sandbox_enter     inner           account, capabilities, limits, Landlock: libraries, filter 1
 *     dlopen
 *   sandbox_close     inner           Landlock: nothing at all, filter 2; of a decoder: its memory
 *
 * What the kernel or the machine doesn't offer is left out and reported, unless the configuration
 * requires it.
 */
#ifndef FL_RUNNER_SANDBOX_H
#define FL_RUNNER_SANDBOX_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTECTIONS_MAX 24

/* What is in force, for `ready`. */
struct protections {
	const char *items[PROTECTIONS_MAX];
	char text[PROTECTIONS_MAX][48];
	size_t n;
};

void protections_add(struct protections *protections, const char *fmt, ...) FL_PRINTF(2, 3);
/* Is one in force that is called `name`, or `name:…`? */
bool protections_have(const struct protections *protections, const char *name);

struct account {
	bool change; /* to uid and gid; false: the account stays */
	uid_t uid;
	gid_t gid;
};

struct sandbox {
	struct protections protections;
	struct account account;
	char user[65];
	uint64_t file_size_max;	 /* RLIMIT_FSIZE */
	uint64_t decoder_memory; /* of a decoder, bytes; 0: the plugin is a handler */
	int statm;		 /* while a decoder is loaded: what this process has mapped */
	char plugin_dir[4096];	 /* readable until sandbox_close */
};

/* user: "" or NULL for none. FL_E_CONFIG: no such account, or it cannot be taken. */
enum fl_rc sandbox_plan(struct sandbox *sandbox, const char *plugin, const char *user,
			struct fl_err *err) FL_CHECKED;
enum fl_rc sandbox_enter(struct sandbox *sandbox, struct fl_err *err) FL_CHECKED;
enum fl_rc sandbox_close(struct sandbox *sandbox, struct fl_err *err) FL_CHECKED;
/* FL_E_SANDBOX, with the name, when a protection that makes up the sandbox isn't in force. */
enum fl_rc sandbox_check(const struct sandbox *sandbox, struct fl_err *err) FL_CHECKED;

/* ---- the parts ---- */

/*
 * Forks. Returns in the child only, as process 1 of a new namespace where the kernel allows it; the
 * parent keeps none of the descriptors, waits, and ends with the child's status (128 + signal when
 * it was killed). SIGTERM to the parent reaches the child; 2 s later it is killed. When the parent
 * is killed, so is the child and all it started.
 */
enum fl_rc processes_split(struct protections *protections, struct fl_err *err) FL_CHECKED;
/* In the child: from here on, until it is called with false, for 60 s at most, SIGTERM doesn't
 * kill. */
void processes_inhibit(bool on);
/* In the child, after the account was changed: die with the parent. */
enum fl_rc processes_tie(struct fl_err *err) FL_CHECKED;

enum fl_rc account_find(const char *user, struct account *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc account_take(const struct account *account, struct fl_err *err) FL_CHECKED;
enum fl_rc capabilities_drop(struct fl_err *err) FL_CHECKED;
enum fl_rc limits_set(uint64_t file_size_max, struct fl_err *err) FL_CHECKED;
/* From now on no more than max bytes are mapped beyond what is now; statm: /proc/self/statm. */
enum fl_rc memory_limit(int statm, uint64_t max, struct fl_err *err) FL_CHECKED;

/* The version of Landlock's ABI, 0 where there is none. */
int landlock_abi(void);
/* From now on files below these folders (NULL ends the list) may be read, and nothing else be
 * opened. */
enum fl_rc landlock_allow(int abi, const char *const *folders, struct fl_err *err) FL_CHECKED;

enum seccomp_stage {
	SECCOMP_LOADING,  /* what dlopen needs: opening files for reading, executable mappings */
	SECCOMP_WORKING,  /* what a handler needs with the descriptors it was given */
	SECCOMP_DECODING, /* reading, memory, the channels: all that a decoder's host needs */
};
enum fl_rc seccomp_apply(enum seccomp_stage stage, struct fl_err *err) FL_CHECKED;

#endif
