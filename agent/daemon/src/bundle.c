/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_LEN 4096

enum fl_rc fl_bundle_file_take(struct fl_bundle_file *file, int *fd, struct fl_err *err)
{
	struct fl_bundle *index = NULL;
	enum fl_rc rc = fl_bundle_open(*fd, &index, err);
	if (rc != FL_OK) {
		fl_close(fd);
		return rc;
	}
	fl_bundle_file_close(file);
	*file = (struct fl_bundle_file){*fd, index};
	*fd = -1;
	return FL_OK;
}

void fl_bundle_file_close(struct fl_bundle_file *file)
{
	if (file->index == NULL)
		return;
	fl_bundle_free(file->index);
	file->index = NULL;
	fl_close(&file->fd);
}

static void note_path(const char *store_dir, const struct fl_digest *job, const char *suffix,
		      char out[PATH_LEN])
{
	char hex[FL_DIGEST_HEX_SIZE];
	fl_hex_encode(job->b, sizeof(job->b), hex);
	snprintf(out, PATH_LEN, "%s/bundles/%s%s", store_dir, hex, suffix);
}

static bool carries(const struct fl_bundle *index, const char *job_text)
{
	struct fl_digest digest;
	return fl_sha256(NULL, 0, job_text, strlen(job_text), &digest, NULL) == FL_OK &&
	       fl_bundle_find(index, FL_BUNDLE_JOB, &digest) != NULL;
}

enum fl_rc fl_bundle_file_find(struct fl_bundle_file *file, const char *store_dir,
			       const struct fl_digest *job, const char *job_text, struct fl_err *err)
{
	char path[PATH_LEN];
	struct fl_bundle_file found = {-1, NULL};
	struct fl_err why = {0};
	note_path(store_dir, job, "", path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fl_fail(err, FL_E_BUNDLE_MISSING, errno, "the bundle cannot be opened where it was");
	if (fl_bundle_file_take(&found, &fd, &why) != FL_OK)
		return fl_fail(err, FL_E_BUNDLE_MISSING, 0, "where the bundle was: %.200s", why.msg);
	if (!carries(found.index, job_text)) {
		fl_bundle_file_close(&found);
		return fl_fail(err, FL_E_BUNDLE_MISSING, 0, "where the bundle was there is another one");
	}
	fl_bundle_file_close(file);
	*file = found;
	return FL_OK;
}

enum fl_rc fl_bundle_file_note(const char *store_dir, const struct fl_digest *job, const char *path,
			       struct fl_err *err)
{
	char dir[PATH_LEN], link[PATH_LEN], made[PATH_LEN];
	snprintf(dir, sizeof(dir), "%s/bundles", store_dir);
	note_path(store_dir, job, "", link);
	note_path(store_dir, job, ".new", made);
	enum fl_rc rc = fl_dir_make(dir, 0700, err);
	if (rc != FL_OK)
		return rc;
	(void)unlink(made);
	if (symlink(path, made) != 0 || rename(made, link) != 0)
		return fl_fail(err, fl_rc_from_errno(errno), errno, "note the path of the bundle");
	return FL_OK;
}

void fl_bundle_file_forget(const char *store_dir, const struct fl_digest *job)
{
	char link[PATH_LEN];
	note_path(store_dir, job, "", link);
	(void)unlink(link);
}
