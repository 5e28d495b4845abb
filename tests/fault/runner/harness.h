/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of the real fairlead-runner: the helper on descriptor 3, the agent on the data
 * channel, in one thread. The fields of struct play say what to do; struct outcome tells what
 * happened. With a struct decoding there are two runners, joined by the output channel; or one, and
 * the other end of that channel is played here too.
 */
#ifndef FAULT_RUNNER_HARNESS_H
#define FAULT_RUNNER_HARNESS_H

#include "content.h"

#include <fairlead/ipc/codec.h>

/* What the agent does with a piece before it is sent; *piece may be changed, its data is a copy of
 * its own. */
enum tamper { SEND, DROP, SEND_TWICE, SEND_GARBAGE, SEND_END, CLOSE, STALL };
typedef enum tamper tamper_piece(void *ctx, struct fl_ipc_piece *piece, uint8_t *data);

struct outcome;

/* What a decoder's runner is given. */
struct decoding {
	const char *plugin; /* NULL: the decoder is played, out of the content */
	const struct patch *patch;
	const char *format;		   /* NULL: "patch" */
	const char *params;		   /* may be NULL */
	uint64_t mem_max;		   /* 0: 1 MiB */
	uint64_t source_size;		   /* 0: the patch's */
	int source, input, input_tree;	   /* 0: made from the patch, for reading only */
	bool no_source, no_tree, extra_fd; /* what isn't passed, or is and shouldn't be */
	bool require_sandbox, no_memory;   /* no_memory: none is granted */
	unsigned patience_ms;		   /* as in struct play */
	struct outcome *outcome;	   /* of the decoder's runner; may be NULL */
	/* Played alone: these are asked for, all at once, then `end` is sent unless no_end. */
	const struct fl_ipc_need *needs;
	size_t n_needs;
	bool no_end;
	int shrink; /* a source that is cut to nothing after the first piece; 0: none */
};

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
	uint64_t term_after_ms, kill_after_ms;
	uint64_t leave_after_pieces; /* the helper closes the control channel */
	tamper_piece *tamper;
	void *tamper_ctx;
	const char *end_code; /* of SEND_END; NULL: no_source */
	unsigned patience_ms; /* of silence, before the runner is killed as hung; 0: 20 s */
	const struct decoding *decoding; /* NULL: the content comes from the agent */
};

#define OUTCOME_TEXT 512

struct outcome {
	bool ready, has_result, hung, broken; /* broken: a frame that could not be decoded */
	char result[64], code[64], text[OUTCOME_TEXT], version[64];
	char protections[1024], capabilities[256]; /* " a b c " */
	char log[16384];			   /* lines of `log` frames, each ended by \n */
	uint64_t deadline_ms;
	uint64_t served[4]; /* pieces, by enum fl_ipc_object; of a decoder played alone: received */
	uint64_t bad[16];   /* chunks named by `bad` frames, the first of them */
	size_t n_bad, n_bad_runs;
	uint64_t wrong;	   /* pieces of a decoder played alone that aren't the image's */
	char end_code[64]; /* of its `end` */
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
/* A decoder's runner without the other: the needs of the struct are played. */
void play_decoder(const struct decoding *d, const struct content *content, struct outcome *ret);
void play_decoder_expect(const struct decoding *d, const struct content *content,
			 const char *result, const char *code, struct outcome *ret);
bool outcome_has(const char *words, const char *word);

#endif
