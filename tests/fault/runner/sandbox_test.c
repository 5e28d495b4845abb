/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox from the inside, as this user, and, when this user is root, as another. */
#include "harness.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_LEN ((size_t)3 * FL_CHUNK_SIZE)

static struct content content;
static int target;

static void set_up(void)
{
	content_make_dense(&content, IMAGE_LEN, FL_CHUNK_SIZE);
	target = target_file("", 0, IMAGE_LEN);
}

static void tear_down(void)
{
	content_free(&content);
	close(target);
}

TestSuite(runner_sandbox, .init = set_up, .fini = tear_down, .timeout = 60);

static void check_probes(const struct outcome *out)
{
	unsigned denied = 0;
	for (const char *p = out->log; (p = strstr(p, " denied\n")) != NULL; p++)
		denied++;
	cr_assert_null(strstr(out->log, "OPEN"), "%s", out->log);
	cr_assert_eq(denied, 31 + 33 + 1, "%s", out->log);
}

Test(runner_sandbox, nothing_gets_out)
{
	struct outcome out;
	struct stat st;
	struct play p = {.plugin = PLUGINS "/probe.so",
			 .content = &content,
			 .target = target,
			 .require_sandbox = true};
	play_expect(&p, "ok", "ok", &out);
	check_probes(&out);
	cr_assert(target_is(target, &content), "but what it was given it can write");
	cr_assert_neq(stat("/tmp/fairlead-probe", &st), 0);
	const char *const names[] = {"no_new_privs", "pid_namespace", "no_capabilities",
				     "rlimits",	     "seccomp",	      "no_network"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect(outcome_has(out.protections, names[i]), "%s in%s", names[i],
			  out.protections);
	cr_expect_not_null(strstr(out.protections, " landlock:abi"));
	cr_expect_eq(outcome_has(out.protections, "user_namespace"), geteuid() != 0);
}

/* Reachable for another account: every folder on the way lets it through. */
static bool reachable(const char *path)
{
	char part[4096];
	struct stat st;
	for (size_t i = 1; path[i] != '\0'; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (stat(part, &st) != 0 || (st.st_mode & S_IXOTH) == 0)
			return false;
	}
	return true;
}

Test(runner_sandbox, as_another_account)
{
	struct outcome out;
	struct play p = {.plugin = PLUGINS "/probe.so",
			 .content = &content,
			 .target = target,
			 .user = "nobody",
			 .require_sandbox = true};
	if (geteuid() != 0 || !reachable(PLUGINS "/"))
		cr_skip("only root can become another account, and it must reach the build folder");
	const gid_t daemon = 1;
	cr_assert_eq(setgroups(1, &daemon), 0);
	cr_assert_eq(fchmod(target, 0600), 0);
	play_expect(&p, "ok", "ok", &out);
	check_probes(&out);
	cr_assert(target_is(target, &content),
		  "the descriptor is what counts, not the file's owner");
	cr_assert(outcome_has(out.protections, "user:nobody"), "%s", out.protections);
	char line[64];
	const struct passwd *nobody = getpwnam("nobody");
	(void)snprintf(line, sizeof(line), "account %u:%u, 0 groups\n", (unsigned)nobody->pw_uid,
		       (unsigned)nobody->pw_gid);
	cr_assert_not_null(strstr(out.log, line), "%s", out.log);
}

Test(runner_sandbox, accounts_that_cannot_be)
{
	struct play p = {
		.plugin = ROOTFS, .content = &content, .target = target, .user = "no-such-account"};
	if (geteuid() != 0)
		cr_skip("only root can become another account");
	play_expect(&p, "permanent", "config", NULL);
	p.user = "root";
	play_expect(&p, "permanent", "config", NULL);
}
