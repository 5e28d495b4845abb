/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <string.h>

static void dispatch(struct fl_tools_events *e)
{
	if (e->has_data && !e->on_event(e->ctx, fl_buf_str(&e->data), e->data.len))
		e->ended = true;
	fl_buf_clear(&e->data);
	e->has_data = false;
}

/* Only `data` matters here: there is one kind of event, and we ask anew rather than by an id. */
static enum fl_rc end_line(struct fl_tools_events *e, struct fl_err *err)
{
	static const char field[] = "data";
	const char *line = fl_buf_str(&e->line);
	size_t len = e->line.len, name = strcspn(line, ":");
	enum fl_rc rc = FL_OK;
	if (len == 0) {
		dispatch(e);
	} else if (name == sizeof(field) - 1 && memcmp(line, field, name) == 0) {
		size_t from = name + (name < len) + (name + 1 < len && line[name + 1] == ' ');
		if (e->has_data)
			rc = fl_buf_append_str(&e->data, "\n", err);
		if (rc == FL_OK)
			rc = fl_buf_append(&e->data, line + from, len - from, err);
		e->has_data = true;
	}
	fl_buf_clear(&e->line);
	return rc;
}

static enum fl_rc feed_byte(struct fl_tools_events *e, char c, struct fl_err *err)
{
	bool second_half = e->after_cr && c == '\n';
	e->after_cr = c == '\r';
	if (second_half)
		return FL_OK;
	if (c == '\n' || c == '\r')
		return end_line(e, err);
	return fl_buf_append(&e->line, &c, 1, err);
}

enum fl_rc fl_tools_events_feed(struct fl_tools_events *events, const char *data, size_t len,
				struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < len && !events->ended; i++)
		rc = feed_byte(events, data[i], err);
	return rc;
}

void fl_tools_events_free(struct fl_tools_events *events)
{
	fl_buf_free(&events->line);
	fl_buf_free(&events->data);
}
