/* SPDX-License-Identifier: Apache-2.0 */
/* The activities: one row per name the helper may send, and what is called for it. */
#ifndef FL_RUNNER_ACTIVITY_H
#define FL_RUNNER_ACTIVITY_H

#include "decode.h"
#include "host.h"
#include "plugin.h"

#include <fairlead/ipc/codec.h>

#define CHANNELS_MAX 2

struct activity;

/* One run: what was asked for, what is loaded, how it ended. */
struct run {
	const struct fl_ipc_start *start; /* borrowed */
	const struct activity *activity;
	struct fl_task task;
	struct control control;
	struct host host;
	struct plugin plugin; /* a handler */
	struct decode decode; /* a decoder in its place: activity_decodes */
	struct verdict verdict;
	/* stage: data channel, a decoder's output; decode: output. -1: none */
	int channels[CHANNELS_MAX];
};

/* NULL: no such activity. */
const struct activity *activity_find(const char *name);
enum fl_call activity_call(const struct activity *activity);
/* The plugin is a decoder. */
bool activity_decodes(const struct activity *activity);
/* How many channels come with it, before the resources. */
size_t activity_channels(const struct activity *activity, const struct fl_ipc_start *start);
/* Runs it to its end; the plugin is loaded and has said hello. What the plugin said last is in
 * run->verdict. */
enum fl_rc activity_run(struct run *run, struct fl_err *err) FL_CHECKED;

#endif
