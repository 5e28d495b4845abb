/* SPDX-License-Identifier: Apache-2.0 */
/* The activities: one row per name the helper may send, and what is called for it. */
#ifndef FL_RUNNER_ACTIVITY_H
#define FL_RUNNER_ACTIVITY_H

#include "host.h"
#include "plugin.h"

#include <fairlead/ipc/codec.h>

struct activity;

/* One run: what was asked for, what is loaded, how it ended. */
struct run {
	const struct fl_ipc_start *start; /* borrowed */
	const struct activity *activity;
	struct fl_task task;
	struct control control;
	struct host host;
	struct plugin plugin;
	struct verdict verdict;
	int data_fd; /* -1 unless staging */
};

/* NULL: no such activity. */
const struct activity *activity_find(const char *name);
enum fl_call activity_call(const struct activity *activity);
/* The data channel comes with it. */
bool activity_has_data(const struct activity *activity);
/* Runs it to its end; the plugin is loaded and has said hello. What the plugin said last is in
 * run->verdict. */
enum fl_rc activity_run(struct run *run, struct fl_err *err) FL_CHECKED;

#endif
