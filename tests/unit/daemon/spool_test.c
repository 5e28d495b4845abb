/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of the spool stay, and which give way. */
#include "spool.h"

#include "agent.h"

#include <criterion/criterion.h>
#include <fairlead/base/file.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB  ((uint64_t)1024 * 1024)
#define DAY  86400
#define NOW  ((int64_t)20000 * DAY)

static struct fl_agent agent;
static char dir[64];
static bool knows_time;

uint64_t fl_agent_now_s(const struct fl_agent *a)
{
	(void)a;
	return (uint64_t)NOW;
}

bool fl_agent_knows_time(const struct fl_agent *a)
{
	(void)a;
	return knows_time;
}

static void set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/unit-spool-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	agent.config.spool_dir = dir;
	agent.config.spool_quota_mib = 4;
	agent.config.spool_keep_days = 7;
	knows_time = true;
}

static void tear_down(void)
{
	char command[96];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(spool, .init = set_up, .fini = tear_down);

static struct fl_digest root_of(uint8_t n)
{
	return (struct fl_digest){{n}};
}

static const char *path_of(uint8_t n, enum fl_spool_kind kind)
{
	static char path[FL_SPOOL_PATH_MAX];
	const struct fl_digest root = root_of(n);
	fl_spool_path(dir, kind, &root, path);
	return path;
}

static bool exists(uint8_t n, enum fl_spool_kind kind)
{
	return access(path_of(n, kind), F_OK) == 0;
}

/* Used so many days ago. */
static void put(uint8_t n, enum fl_spool_kind kind, uint64_t bytes, int64_t days)
{
	struct fl_err err = {0};
	const struct timespec used[2] = {{NOW - days * DAY, 0}, {NOW - days * DAY, 0}};
	char *data = calloc(1, bytes);
	data[0] = 1;
	cr_assert_eq(fl_file_replace(path_of(n, kind), data, bytes, 0600, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(utimensat(AT_FDCWD, path_of(n, kind), used, 0), 0);
	free(data);
}

static enum fl_rc reserve(uint8_t n, uint64_t size)
{
	struct fl_err err = {0};
	struct stat st;
	const struct fl_digest root = root_of(n);
	FL_AUTO_FD fd = -1;
	const enum fl_rc rc = fl_spool_reserve(&agent, &root, size, &fd, &err);
	if (rc == FL_OK) {
		cr_assert_eq(fstat(fd, &st), 0);
		cr_assert_eq((uint64_t)st.st_size, size);
		cr_assert_geq((uint64_t)st.st_blocks * 512, size, "its blocks are there");
		cr_assert_eq(fl_spool_lacks(&agent, &root, size), 0);
	}
	return rc;
}

/* An open job whose artifact has this root. */
static void use(struct fl_job_run *run, uint8_t n)
{
	static struct fl_tree_ref trees[4];
	static struct fl_artifact artifacts[4];
	static struct fl_component components[4];
	static size_t used;
	const size_t i = used++;
	trees[i] = (struct fl_tree_ref){.root = root_of(n)};
	artifacts[i] = (struct fl_artifact){.id = "delta", .tree = &trees[i]};
	components[i] = (struct fl_component){.name = "rootfs"};
	components[i].artifacts.items = &artifacts[i];
	components[i].artifacts.n = 1;
	run->has_release = true;
	run->row.state = FL_JOB_STAGING;
	run->release.components.items = &components[i];
	run->release.components.n = 1;
	run->next = agent.jobs.first;
	agent.jobs.first = run;
}

Test(spool, the_least_recently_used_gives_way_to_what_is_needed)
{
	put(1, FL_SPOOL_BLOB, MIB, 3);
	put(2, FL_SPOOL_BLOB, MIB, 1);
	put(3, FL_SPOOL_TREE, MIB, 2);
	cr_assert_eq(reserve(9, 2 * MIB + MIB / 2), FL_OK);
	cr_assert(!exists(1, FL_SPOOL_BLOB) && !exists(3, FL_SPOOL_TREE) && exists(2, FL_SPOOL_BLOB));
}

Test(spool, what_an_open_job_uses_does_not)
{
	static struct fl_job_run run;
	put(1, FL_SPOOL_BLOB, 3 * MIB, 30);
	use(&run, 1);
	cr_assert_eq(reserve(9, 2 * MIB), FL_E_NO_SPACE, "it waits");
	cr_assert(exists(1, FL_SPOOL_BLOB));
	run.row.state = FL_JOB_COMMITTED;
	cr_assert_eq(reserve(9, 2 * MIB), FL_OK);
	cr_assert_not(exists(1, FL_SPOOL_BLOB));
}

Test(spool, a_job_whose_release_is_not_known_may_use_anything)
{
	static struct fl_job_run run;
	put(1, FL_SPOOL_BLOB, 3 * MIB, 30);
	use(&run, 2);
	run.has_release = false;
	cr_assert_eq(reserve(9, 2 * MIB), FL_E_NO_SPACE);
}

Test(spool, what_never_fits_is_said_at_once)
{
	cr_assert_eq(reserve(9, 4 * MIB + 1), FL_E_TOO_LARGE);
	cr_assert_not(exists(9, FL_SPOOL_BLOB));
	cr_assert_eq(reserve(9, 4 * MIB), FL_OK);
}

Test(spool, what_stands_there_is_gone_on_with)
{
	char byte = 0;
	put(9, FL_SPOOL_BLOB, MIB, 0);
	cr_assert_eq(reserve(9, 4 * MIB), FL_OK, "its own bytes are not counted twice");
	FL_AUTO_FD fd = open(path_of(9, FL_SPOOL_BLOB), O_RDONLY | O_CLOEXEC);
	cr_assert(pread(fd, &byte, 1, 0) == 1 && byte == 1);
}

Test(spool, what_nobody_used_for_long_goes)
{
	static struct fl_job_run run;
	put(1, FL_SPOOL_BLOB, 1000, 8);
	put(2, FL_SPOOL_BLOB, 1000, 6);
	put(3, FL_SPOOL_TREE, 1000, 8);
	put(4, FL_SPOOL_BLOB, 1000, 8);
	use(&run, 4);
	fl_spool_sweep(&agent);
	cr_assert(!exists(1, FL_SPOOL_BLOB) && !exists(3, FL_SPOOL_TREE));
	cr_assert(exists(2, FL_SPOOL_BLOB) && exists(4, FL_SPOOL_BLOB));
}

Test(spool, a_clock_that_is_not_trusted_ages_nothing)
{
	put(1, FL_SPOOL_BLOB, 1000, 8);
	knows_time = false;
	fl_spool_sweep(&agent);
	cr_assert(exists(1, FL_SPOOL_BLOB));
	agent.config.spool_keep_days = 0;
	fl_spool_sweep(&agent);
	cr_assert_not(exists(1, FL_SPOOL_BLOB), "no day needs no clock");
}

Test(spool, files_of_others_are_left_alone)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/notes.blob", dir);
	struct fl_err err = {0};
	cr_assert_eq(fl_file_replace(path, "x", 1, 0600, &err), FL_OK);
	agent.config.spool_keep_days = 0;
	fl_spool_sweep(&agent);
	cr_assert_eq(access(path, F_OK), 0);
}
