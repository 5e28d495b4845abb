/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bundle of an offline job: a file that fairleadctl opened and handed over, and its index. It may lie on a stick that is
 * pulled out and comes back, so its path is noted, as a link named by the job; whatever the link leads to later
 * is that bundle only if it carries the very same job.
 */
#ifndef FAIRLEAD_DAEMON_BUNDLE_H
#define FAIRLEAD_DAEMON_BUNDLE_H

#include <fairlead/bundle/bundle.h>

struct fl_bundle_file {
	int fd;			 /* owned; meaningful with an index only */
	struct fl_bundle *index; /* owned; NULL: not open */
};

/* Reads the index. *fd is taken, and -1 afterwards, whatever this returns; what was open is closed on success. */
enum fl_rc fl_bundle_file_take(struct fl_bundle_file *file, int *fd, struct fl_err *err) FL_CHECKED;
/* Idempotent. */
void fl_bundle_file_close(struct fl_bundle_file *file);

/* Opens it again where it was noted; job_text: the envelope that it must carry. FL_E_BUNDLE_MISSING, and why. */
enum fl_rc fl_bundle_file_find(struct fl_bundle_file *file, const char *store_dir,
			       const struct fl_digest *job, const char *job_text, struct fl_err *err)
	FL_CHECKED;
/* Notes the path; forgets it. */
enum fl_rc fl_bundle_file_note(const char *store_dir, const struct fl_digest *job, const char *path,
			       struct fl_err *err) FL_CHECKED;
void fl_bundle_file_forget(const char *store_dir, const struct fl_digest *job);

#endif
