/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of the real fairlead-runner: the helper on descriptor 3, the agent on the data
 * channel, in one thread. The fields of struct play say what to do; struct outcome tells what
 * happened.
 */
#ifndef FAULT_RUNNER_HARNESS_H
#define FAULT_RUNNER_HARNESS_H

#include "content.h"

#include <fairlead/ipc/codec.h>

/* What the agent does with a piece before it is sent; *piece may be changed, its data is a copy of
 * its own. */
enum tamper { SEND, DROP, SEND_TWICE, SEND_GARBAGE, SEND_END, CLOSE, STALL };
typedef enum tamper tamper_piece(void *ctx, struct fl_ipc_piece *piece, uint8_t *data);

struct play {
	const char *plugin;
	const char *activity; /* NULL: "stage" */
	const struct content *content;
	int target;	    /* -1: not granted */
	const char *format; /* NULL: zstd-frames */
	const char *user;
	bool zero_tail, require_sandbox, lost_data; /* lost_data: the data channel isn't passed */
	uint64_t kill_after_pieces; /* of any kind; 0: never. SIGKILL to the outer process */
	uint64_t term_after_pieces; /* SIGTERM */
	uint64_t term_after_ms;
	uint64_t leave_after_pieces; /* the helper closes the control channel */
	tamper_piece *tamper;
	void *tamper_ctx;
	const char *end_code; /* of SEND_END; NULL: no_source */
	unsigned patience_ms; /* of silence, before the runner is killed as hung; 0: 20 s */
};

#define OUTCOME_TEXT 512

struct outcome {
	bool ready, has_result, hung, broken; /* broken: a frame that could not be decoded */
	char result[64], code[64], text[OUTCOME_TEXT], version[64];
	char protections[1024], capabilities[256]; /* " a b c " */
	char log[16384];			   /* lines of `log` frames, each ended by \n */
	uint64_t deadline_ms;
	uint64_t served[3]; /* pieces, by enum fl_ipc_object */
	uint64_t needs, outstanding_max, keepalives, log_lines;
	struct fl_ipc_progress progress; /* the last; step isn't kept */
	struct fl_ipc_slot slot;	 /* of an observation: the first; strings aren't kept */
	size_t n_slots;
	bool observed;
	int status;	      /* of waitpid */
	uint64_t all_dead_ms; /* from the end of the outer process to the end of the control channel
			       */
};

/* Plays one activity to its end. */
void play(const struct play *play, struct outcome *ret);
/* The same; asserts that it ended with that result and code. */
void play_expect(const struct play *p, const char *result, const char *code, struct outcome *ret);
bool outcome_has(const char *words, const char *word);

#endif
