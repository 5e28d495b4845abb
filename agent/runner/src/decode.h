/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The activity `decode`: one decoder, from the agent's spool and the source to the output channel.
 *
 *   input ──▶ transport tree ─┐
 *                             ├──▶ decoder ──▶ output channel ──▶ the handler's runner
 *   source ───────────────────┘       ▲ only what is wanted
 */
#ifndef FL_RUNNER_DECODE_H
#define FL_RUNNER_DECODE_H

#include "decoder.h"
#include "decoder_host.h"
#include "host.h"

struct decode {
	struct decoder decoder;
	struct decoder_host host;
	struct fl_decode_task task;
	void *reserve; /* owned: given back before the result is told, whatever the decoder took */
};

/*
 * Before the plugin is loaded. resources: "input", "input_tree", and "source" when the start states
 * a size of it; nothing else is taken. FL_E_INVALID_ARGUMENT: a descriptor that is missing, too
 * many, writable or of another type; FL_E_TRUNCATED: the source is shorter than stated.
 */
enum fl_rc decode_prepare(struct decode *decode, const struct fl_ipc_start *start,
			  const struct host *resources, int output, struct fl_err *err) FL_CHECKED;
/* The plugin is loaded and has said hello. verdict is that of the plugin's call. */
enum fl_rc decode_run(struct decode *decode, struct fl_err *err) FL_CHECKED;

#endif
