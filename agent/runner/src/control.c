/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <string.h>

#define ALIVE_EVERY_MS 1000
#define LOG_TEXT_MAX   400

enum fl_rc control_recv_start(int fd, struct fl_arena *arena, struct fl_ipc_start *start,
			      int fds[FL_FRAME_FDS_MAX], size_t *n_fds, struct fl_err *err)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	enum fl_frame_type type;
	uint32_t id;
	enum fl_rc rc = fl_frame_recv(fd, &frame, fds, n_fds, err);
	if (rc == FL_OK)
		rc = fl_frame_peek(frame.data, frame.len, &type, &id, err);
	if (rc == FL_OK && type != FL_FRAME_START)
		rc = fl_fail(err, FL_E_PROTOCOL, 0, "frame '%s' instead of start",
			     fl_frame_name(type));
	if (rc == FL_OK)
		rc = fl_frame_decode(type, frame.data, frame.len, arena, start, err);
	fl_buf_free(&frame);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "control channel");
}

enum fl_rc control_send(struct control *control, enum fl_frame_type type, const void *in,
			struct fl_err *err)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	enum fl_rc rc = fl_frame_encode(type, 0, in, &frame, err);
	if (rc == FL_OK)
		rc = fl_frame_send(control->fd, frame.data, frame.len, NULL, 0, err);
	fl_buf_free(&frame);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "control channel: %s", fl_frame_name(type));
}

enum fl_rc control_result(struct control *control, const struct verdict *verdict,
			  struct fl_err *err)
{
	const struct fl_ipc_result result = {verdict_class_name(verdict->cls), verdict->code,
					     verdict->text};
	return control_send(control, FL_FRAME_RESULT, &result, err);
}

/* A helper that is gone shows where the runner waits or ends; a keepalive that is lost does no
 * harm. */
void control_alive(struct control *control)
{
	uint64_t now = fl_clock_boot_ms(control->clock);
	if (control->alive_ms != 0 && now - control->alive_ms < ALIVE_EVERY_MS)
		return;
	control->alive_ms = now;
	const struct fl_ipc_empty empty = {false};
	(void)!control_send(control, FL_FRAME_KEEPALIVE, &empty, NULL);
}

void control_log(struct control *control, int level, const char *text)
{
	if (control->log_lines > CONTROL_LOG_LINES)
		return;
	bool last = control->log_lines++ == CONTROL_LOG_LINES;
	char line[LOG_TEXT_MAX + 1];
	size_t len = strnlen(text, LOG_TEXT_MAX);
	memcpy(line, text, len);
	line[len] = '\0';
	make_printable(line, sizeof(line));
	const struct fl_ipc_log log = {level >= FL_LEVEL_ERROR && level <= FL_LEVEL_DEBUG
					       ? (uint64_t)level
					       : FL_LEVEL_INFO,
				       last ? "further lines of this plugin are dropped" : line};
	(void)!control_send(control, FL_FRAME_LOG, &log, NULL);
}
