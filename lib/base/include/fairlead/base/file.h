/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and descriptors. Everything persistent goes through here and never through stdio, so that one place
 * knows what is durable when, and a test can fail each call. Descriptors are O_CLOEXEC. All calls retry EINTR.
 */
#ifndef FAIRLEAD_BASE_FILE_H
#define FAIRLEAD_BASE_FILE_H

#include <fairlead/base/buf.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Closes *fd unless it is negative, and sets it to -1; errors of close are of no use here. */
void fl_close(int *fd);
#define FL_AUTO_FD FL_CLEANUP(fl_close) int

/* Reads the whole file into buf (cleared first); FL_E_TOO_LARGE past buf->max, FL_E_NOT_FOUND when missing. */
enum fl_rc fl_file_read(const char *path, struct fl_buf *buf, struct fl_err *err) FL_CHECKED;
/* The same from a descriptor, from its start, whatever its offset. */
enum fl_rc fl_file_read_fd(int fd, struct fl_buf *buf, struct fl_err *err) FL_CHECKED;
/*
 * Replaces path's content: old or new at every instant, durable on return (temporary file, fsync, rename,
 * fsync of the directory).
 */
enum fl_rc fl_file_replace(const char *path, const void *data, size_t len, mode_t mode,
			   struct fl_err *err) FL_CHECKED;
/* Removes path and makes that durable; a missing file is no error. */
enum fl_rc fl_file_remove(const char *path, struct fl_err *err) FL_CHECKED;
/* Makes dir and its parents (mode 0755 for parents, `mode` for the last). */
enum fl_rc fl_dir_make(const char *dir, mode_t mode, struct fl_err *err) FL_CHECKED;
/* FL_E_NOT_FOUND when dir is on the same file system as the folder above it. */
enum fl_rc fl_dir_check_mount(const char *dir, struct fl_err *err) FL_CHECKED;

/* All of len or an error: FL_E_TRUNCATED at the end of the file, otherwise by errno. */
enum fl_rc fl_pread_all(int fd, void *data, size_t len, uint64_t offset, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct fl_err *err)
	FL_CHECKED;
enum fl_rc fl_read_all(int fd, void *data, size_t len, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_write_all(int fd, const void *data, size_t len, struct fl_err *err) FL_CHECKED;

/* "dir/name" into out; FL_E_TOO_LARGE rather than a cut path. */
enum fl_rc fl_path_join(char *out, size_t out_size, const char *dir, const char *name,
			struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
