/* SPDX-License-Identifier: Apache-2.0 */
/* What one document can tell by itself, beyond its table: the checks across members. Messages name
 * the member. */
#ifndef FAIRLEAD_TRUST_SRC_DOCUMENTS_H
#define FAIRLEAD_TRUST_SRC_DOCUMENTS_H

#include <fairlead/trust/documents.h>

#define FL_ROOT_KEYS_MAX 64

enum fl_rc fl_root_check(const struct fl_root *root, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_release_check(const struct fl_release *release, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_job_check(const struct fl_job *job, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_heartbeat_check(const struct fl_heartbeat *heartbeat, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_report_check(const struct fl_report *report, struct fl_err *err) FL_CHECKED;

#endif
