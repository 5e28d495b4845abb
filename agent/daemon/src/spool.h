/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: artifacts that are fetched whole before they are used (ROOT.blob), and the pages of trees (ROOT.tree). A file is
 * named by its root, so jobs and components that take the same content share it. Nothing in it is believed: whoever reads it
 * checks it against the signed root, each time.
 *
 * What no open job uses stays for [spool] keep_days after its last use, for the next job may share it, and gives way sooner,
 * the least recently used first, where [spool] quota_mib or the disk has no room for what is needed.
 */
#ifndef FAIRLEAD_DAEMON_SPOOL_H
#define FAIRLEAD_DAEMON_SPOOL_H

#include <fairlead/base/encode.h>

#include <stdint.h>

struct fl_agent;

#define FL_SPOOL_PATH_MAX 4096

enum fl_spool_kind { FL_SPOOL_BLOB, FL_SPOOL_TREE };

void fl_spool_path(const char *dir, enum fl_spool_kind kind, const struct fl_digest *root,
		   char ret[FL_SPOOL_PATH_MAX]);
/*
 * The blob of that root with room for all of its bytes on the disk; *ret: for reading and writing, owned. FL_E_NO_SPACE: the
 * disk is full, or the quota by what open jobs use; FL_E_TOO_LARGE: the quota will never do.
 */
enum fl_rc fl_spool_reserve(struct fl_agent *agent, const struct fl_digest *root, uint64_t size, int *ret,
			    struct fl_err *err) FL_CHECKED;
/* Bytes of the disk that reserving would still take. */
uint64_t fl_spool_lacks(const struct fl_agent *agent, const struct fl_digest *root, uint64_t size);
/* Removes what nobody has used for long: when a job is over. */
void fl_spool_sweep(struct fl_agent *agent);

#endif
