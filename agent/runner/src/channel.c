/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include "host.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/file.h>

#include <errno.h>
#include <poll.h>

#define PIECE_ARENA_MAX	  ((size_t)256 * 1024)
#define PROGRESS_EVERY_MS 200
#define WAIT_MS		  1000

void channel_init(struct channel *channel, int fd, const char *name, struct control *control)
{
	*channel = (struct channel){.fd = fd,
				    .name = name,
				    .control = control,
				    .frame = FL_BUF(FL_FRAME_MAX),
				    .arena = FL_ARENA(PIECE_ARENA_MAX)};
}

void channel_done(struct channel *channel)
{
	fl_arena_free(&channel->arena);
	fl_buf_free(&channel->frame);
}

bool channel_has_room(const struct channel *channel)
{
	return channel->n_needs < CHANNEL_NEEDS_MAX;
}

/* Until the socket is ready. The helper's end and SIGTERM end the wait too. */
static enum fl_rc wait_for(struct channel *c, short events, struct fl_err *err)
{
	for (;;) {
		if (cancelled(c->control))
			return fl_fail(err, FL_E_CANCELLED, 0, "no longer wanted");
		struct pollfd fds[2] = {{c->fd, events, 0}, {c->control->fd, 0, 0}};
		int n = poll(fds, 2, WAIT_MS);
		if (n < 0 && errno != EINTR)
			return fl_fail(err, FL_E_IO, errno, "poll");
		if (n > 0 && fds[0].revents != 0)
			return FL_OK;
		control_alive(c->control);
	}
}

enum fl_rc channel_send(struct channel *channel, enum fl_frame_type type, const void *in,
			struct fl_err *err)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	enum fl_rc rc = fl_frame_encode(type, 0, in, &frame, err);
	while (rc == FL_OK) {
		rc = fl_frame_send(channel->fd, frame.data, frame.len, NULL, 0, err);
		if (rc != FL_E_BUSY)
			break;
		rc = wait_for(channel, POLLOUT, err);
	}
	fl_buf_free(&frame);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "%s", channel->name);
}

enum fl_rc channel_need(struct channel *channel, const struct need *need, struct fl_err *err)
{
	FL_BUG_ON(!channel_has_room(channel) || need->count == 0);
	size_t place = (channel->oldest + channel->n_needs) % CHANNEL_NEEDS_MAX;
	channel->needs[place] = *need;
	channel->n_needs++;
	const struct fl_ipc_need frame = {(uint64_t)need->object, need->first, need->count};
	return channel_send(channel, FL_FRAME_NEED, &frame, err);
}

static void close_fds(int fds[FL_FRAME_FDS_MAX], size_t n)
{
	for (size_t i = 0; i < n; i++)
		fl_close(&fds[i]);
}

enum fl_rc channel_recv(struct channel *channel, enum fl_frame_type *type, struct fl_err *err)
{
	struct channel *c = channel;
	enum fl_rc rc;
	uint32_t id;
	fl_arena_free(&c->arena);
	for (;;) {
		int fds[FL_FRAME_FDS_MAX];
		size_t n_fds = 0;
		rc = fl_frame_recv(c->fd, &c->frame, fds, &n_fds, err);
		close_fds(fds, n_fds);
		if (rc != FL_E_BUSY)
			break;
		rc = wait_for(c, POLLIN, err);
		if (rc != FL_OK)
			break;
	}
	return rc == FL_OK ? fl_frame_peek(c->frame.data, c->frame.len, type, &id, err) : rc;
}

/* The other side's reason; whatever it says, it cannot condemn the release. */
static enum fl_rc take_end(struct channel *c, struct fl_err *err)
{
	struct fl_ipc_reply reply;
	enum fl_rc rc =
		fl_frame_decode(FL_FRAME_END, c->frame.data, c->frame.len, &c->arena, &reply, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_rc_from_name(reply.code);
	bool passing = rc == FL_E_CANCELLED || (rc != FL_OK && fl_rc_retryable(rc));
	rc = c->believes_codes && passing ? rc : FL_E_NO_SOURCE;
	return fl_fail(err, rc, 0, "the other side ends: %s",
		       reply.text == NULL ? reply.code : reply.text);
}

static enum fl_rc take_piece(struct channel *c, struct fl_ipc_piece *piece, struct fl_err *err)
{
	enum fl_frame_type type;
	enum fl_rc rc = channel_recv(c, &type, err);
	if (rc != FL_OK)
		return rc;
	if (type == FL_FRAME_END)
		return take_end(c, err);
	if (type != FL_FRAME_PIECE)
		return fl_fail(err, FL_E_PROTOCOL, 0, "frame '%s' instead of a piece",
			       fl_frame_name(type));
	return fl_frame_decode(type, c->frame.data, c->frame.len, &c->arena, piece, err);
}

enum fl_rc channel_take(struct channel *channel, enum fl_ipc_object object, uint64_t index,
			struct fl_bytes *data, struct fl_err *err)
{
	struct need *need = &channel->needs[channel->oldest];
	FL_BUG_ON(channel->n_needs == 0 || need->object != object || need->first != index);
	struct fl_ipc_piece piece = {0, 0, {NULL, 0}};
	enum fl_rc rc = take_piece(channel, &piece, err);
	if (rc == FL_OK && (piece.object != (uint64_t)object || piece.index != index))
		rc = fl_fail(err, FL_E_PROTOCOL, 0,
			     "piece %llu of object %llu instead of %llu of %d",
			     (unsigned long long)piece.index, (unsigned long long)piece.object,
			     (unsigned long long)index, (int)object);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "%s", channel->name);
	need->first++;
	if (--need->count == 0) {
		channel->oldest = (channel->oldest + 1) % CHANNEL_NEEDS_MAX;
		channel->n_needs--;
	}
	control_alive(channel->control);
	*data = piece.data;
	return FL_OK;
}

enum fl_rc channel_progress(struct channel *channel, const struct fl_ipc_progress *progress,
			    bool now, struct fl_err *err)
{
	uint64_t ms = fl_clock_boot_ms(channel->control->clock);
	if (!now && channel->progress_ms != 0 && ms - channel->progress_ms < PROGRESS_EVERY_MS)
		return FL_OK;
	channel->progress_ms = ms;
	return channel_send(channel, FL_FRAME_PROGRESS, progress, err);
}
