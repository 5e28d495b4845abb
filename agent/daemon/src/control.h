/* SPDX-License-Identifier: Apache-2.0 */
/* The local socket of fairleadctl (docs/protocol.md, section 5): one JSON object a line, each answered by one line. */
#ifndef FAIRLEAD_DAEMON_CONTROL_H
#define FAIRLEAD_DAEMON_CONTROL_H

#include <fairlead/base/buf.h>

#include <uv.h>

struct fl_agent;

struct fl_control {
	struct fl_agent *agent;
	uv_poll_t server;
	int fd; /* that listens */
	bool open;
	unsigned n_clients;
};

enum fl_rc fl_control_open(struct fl_control *control, struct fl_agent *agent, struct fl_err *err)
	FL_CHECKED;
void fl_control_done(struct fl_control *control);

/* status.c: appends the `result` object of a verb; FL_E_BAD_REQUEST for an unknown one. */
enum fl_rc fl_status_answer(struct fl_agent *agent, const char *verb, struct fl_buf *out,
			    struct fl_err *err) FL_CHECKED;

#endif
