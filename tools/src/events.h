/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events (WHATWG HTML, section 9.2): bytes in, the data of whole events out. */
#ifndef FL_TOOLS_EVENTS_H
#define FL_TOOLS_EVENTS_H

#include <fairlead/base/buf.h>

#define FL_TOOLS_EVENT_MAX ((size_t)256 * 1024)

struct fl_tools_events {
	struct fl_buf line; /* of the stream, not yet ended */
	struct fl_buf data; /* of the event, not yet ended */
	bool has_data;
	bool after_cr;
	/* Data of one event; false ends the stream. */
	bool (*on_event)(void *ctx, const char *data, size_t len);
	void *ctx;
	bool ended; /* on_event said so */
};

#define FL_TOOLS_EVENTS(function, context)                                                         \
	((struct fl_tools_events){FL_BUF(FL_TOOLS_EVENT_MAX), FL_BUF(FL_TOOLS_EVENT_MAX), false,   \
				  false, (function), (context), false})

/* The next bytes, any number. FL_E_TOO_LARGE for a line or an event past the maximum. */
enum fl_rc fl_tools_events_feed(struct fl_tools_events *events, const char *data, size_t len,
				struct fl_err *err) FL_CHECKED;
void fl_tools_events_free(struct fl_tools_events *events);

#endif
