/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel to somebody who may be hostile, the agent (data channel) or the runner of a decoder
 * (output channel): what the runner asks for (`need`), and the pieces that answer, in the order in
 * which they were asked for. A piece out of turn ends the activity. Nothing is checked here beyond
 * that: what a piece holds is judged by the tree it hangs on.
 *
 *   channel_need ──▶ [need][need][need][need]   at most 4 under way
 *   channel_take ──▶ ▲ piece by piece of the oldest
 */
#ifndef FL_RUNNER_CHANNEL_H
#define FL_RUNNER_CHANNEL_H

#include "control.h"

#define CHANNEL_NEEDS_MAX  4
#define CHANNEL_PIECES_MAX 4096 /* of one need: the limit of the frame */

struct need {
	enum fl_ipc_object object;
	uint64_t first, count;
};

struct channel {
	int fd;		  /* borrowed, non-blocking */
	const char *name; /* "data channel", for messages */
	/* Are the passing troubles that the other side ends with named by its code? Else no_source.
	 */
	bool believes_codes;
	struct control *control;
	struct fl_buf frame;
	struct fl_arena arena; /* of the piece taken last */
	struct need needs[CHANNEL_NEEDS_MAX];
	size_t oldest, n_needs;
	uint64_t progress_ms; /* when the last one was sent */
};

void channel_init(struct channel *channel, int fd, const char *name, struct control *control);
void channel_done(struct channel *channel);
bool channel_has_room(const struct channel *channel);
/* Asks; there must be room (a bug otherwise). */
enum fl_rc channel_need(struct channel *channel, const struct need *need,
			struct fl_err *err) FL_CHECKED;
/*
 * The next piece, which must be (object, index); *data stays until the next call. Waits as long as
 * the agent takes, with a sign of life every second: no plugin is in a call then. FL_E_PROTOCOL:
 * another piece, or another frame; the code of `end`; FL_E_PEER_CLOSED; FL_E_CANCELLED.
 */
enum fl_rc channel_take(struct channel *channel, enum fl_ipc_object object, uint64_t index,
			struct fl_bytes *data, struct fl_err *err) FL_CHECKED;
/* Tells how far it is, at most every 200 ms unless `now`. */
enum fl_rc channel_progress(struct channel *channel, const struct fl_ipc_progress *progress,
			    bool now, struct fl_err *err) FL_CHECKED;

/* ---- its parts, for the side that answers (outlet.c) ---- */

/* Waits for room. */
enum fl_rc channel_send(struct channel *channel, enum fl_frame_type type, const void *in,
			struct fl_err *err) FL_CHECKED;
/* Waits for the next frame, which then lies in channel->frame; the arena is empty. */
enum fl_rc channel_recv(struct channel *channel, enum fl_frame_type *type,
			struct fl_err *err) FL_CHECKED;

#endif
