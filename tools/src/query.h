/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that ask the fleet one thing and show the answer. */
#ifndef FL_TOOLS_QUERY_H
#define FL_TOOLS_QUERY_H

#include "answers.h"
#include "fleet.h"

#define FL_TOOLS_QUERY_PATH  512
#define FL_TOOLS_QUERY_ARENA FL_ARENA((size_t)64 * 1024 * 1024)

struct fl_tools_query {
	struct fl_tools_request request;
	void *out; /* a struct of the request's schema */
	enum fl_rc (*print)(const struct fl_tools_call *call, const void *answer,
			    struct fl_err *err);
};

/* Opens the connection, asks, prints: with --json the answer as the fleet gave it, otherwise by
 * `print`. */
enum fl_rc fl_tools_query_run(const struct fl_tools_call *call, const struct fl_tools_query *query,
			      struct fl_err *err) FL_CHECKED;

/* Checks what may become a part of a path. */
enum fl_rc fl_tools_need_name(const char *text, const char *what, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_tools_need_uuid(const char *text, const char *what, struct fl_err *err) FL_CHECKED;

/* Tables of jobs: `jobs list`, `device show`. */
enum fl_rc fl_tools_jobs_table(FILE *out, const struct fl_tools_job *jobs, size_t n,
			       struct fl_err *err) FL_CHECKED;

#endif
