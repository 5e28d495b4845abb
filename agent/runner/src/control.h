/* SPDX-License-Identifier: Apache-2.0 */
/* The control channel to the helper: descriptor 3. The helper is trusted and always reads, so sends
 * may block. */
#ifndef FL_RUNNER_CONTROL_H
#define FL_RUNNER_CONTROL_H

#include "verdict.h"

#include <fairlead/ipc/codec.h>

#define CONTROL_FD	  3
#define CONTROL_LOG_LINES 1000 /* of one activity; a plugin cannot flood the journal */

struct control {
	int fd; /* borrowed */
	const struct fl_clock *clock;
	uint64_t alive_ms; /* when the last keepalive was sent */
	unsigned log_lines;
	bool inhibited; /* by the plugin: SIGTERM waits */
};

/* Waits for `start`. Its struct is owned by the arena, the descriptors by the caller. */
enum fl_rc control_recv_start(int fd, struct fl_arena *arena, struct fl_ipc_start *start,
			      int fds[FL_FRAME_FDS_MAX], size_t *n_fds,
			      struct fl_err *err) FL_CHECKED;
enum fl_rc control_send(struct control *control, enum fl_frame_type type, const void *in,
			struct fl_err *err) FL_CHECKED;
enum fl_rc control_result(struct control *control, const struct verdict *verdict,
			  struct fl_err *err) FL_CHECKED;
/* Something has moved on: tells the helper, at most once a second. */
void control_alive(struct control *control);
/* A line for the log; text is cut and made printable. */
void control_log(struct control *control, int level, const char *text);

#endif
