/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scratch_make(char path[SCRATCH_MAX])
{
	snprintf(path, SCRATCH_MAX, "%s/fl-test-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	cr_assert_not_null(mkdtemp(path));
}

static int remove_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

void scratch_remove(const char *path)
{
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_put(const char *top, const char *name, const char *text)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	cr_assert_eq(fl_dir_make(path, 0755, NULL), FL_OK);
	*slash = '/';
	cr_assert_eq(fl_file_replace(path, text, strlen(text), 0644, NULL), FL_OK);
}
