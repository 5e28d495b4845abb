/* SPDX-License-Identifier: Apache-2.0 */
#include "outlet.h"

#include "host.h"

enum fl_rc outlet_init(struct outlet *outlet, int fd, uint64_t size, struct control *control,
		       struct fl_err *err)
{
	*outlet = (struct outlet){.next = 0};
	channel_init(&outlet->channel, fd, "output channel", control);
	return fl_tree_shape(size, &outlet->shape, err);
}

void outlet_done(struct outlet *outlet)
{
	channel_done(&outlet->channel);
}

static enum fl_rc take_need(struct outlet *o, struct fl_err *err)
{
	struct fl_ipc_need need;
	enum fl_rc rc = fl_frame_decode(FL_FRAME_NEED, o->channel.frame.data, o->channel.frame.len,
					&o->channel.arena, &need, err);
	if (rc != FL_OK)
		return rc;
	if (need.object != FL_OBJECT_OUTPUT || need.count == 0 || need.first < o->end ||
	    need.first >= o->shape.n_chunks || need.count > o->shape.n_chunks - need.first)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a need of %llu at %llu of object %llu",
			       (unsigned long long)need.count, (unsigned long long)need.first,
			       (unsigned long long)need.object);
	o->next = need.first;
	o->end = need.first + need.count;
	return FL_OK;
}

static enum fl_rc take_end(struct outlet *o, struct fl_err *err)
{
	struct fl_ipc_reply reply;
	enum fl_rc rc = fl_frame_decode(FL_FRAME_END, o->channel.frame.data, o->channel.frame.len,
					&o->channel.arena, &reply, err);
	o->ended = rc == FL_OK;
	return rc;
}

enum fl_rc outlet_wanted(struct outlet *outlet, bool *more, struct fl_err *err)
{
	if (outlet->next == outlet->end && !outlet->ended) {
		enum fl_frame_type type;
		enum fl_rc rc = channel_recv(&outlet->channel, &type, err);
		if (rc == FL_OK && type != FL_FRAME_NEED && type != FL_FRAME_END)
			rc = fl_fail(err, FL_E_PROTOCOL, 0, "frame '%s' instead of a need",
				     fl_frame_name(type));
		if (rc == FL_OK)
			rc = type == FL_FRAME_NEED ? take_need(outlet, err) : take_end(outlet, err);
		if (rc != FL_OK)
			return fl_wrap(err, rc, "output channel");
	}
	*more = outlet->next < outlet->end;
	return FL_OK;
}

static enum fl_rc check_place(const struct outlet *o, uint64_t offset, uint32_t len,
			      struct fl_err *err)
{
	if (offset > o->shape.size || len > o->shape.size - offset)
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "output: %u bytes at %llu of %llu", len,
			       (unsigned long long)offset, (unsigned long long)o->shape.size);
	if (o->next == o->end || offset != o->next * FL_CHUNK_SIZE)
		return fl_fail(err, FL_E_PLUGIN_CONTRACT, 0,
			       "output at %llu, which isn't the next that is wanted",
			       (unsigned long long)offset);
	if (len != fl_tree_chunk_len(&o->shape, o->next))
		return fl_fail(err, FL_E_SIZE_MISMATCH, 0, "output: chunk %llu with %u bytes",
			       (unsigned long long)o->next, len);
	return FL_OK;
}

enum fl_rc outlet_put(struct outlet *outlet, uint64_t offset, const void *data, uint32_t len,
		      struct fl_err *err)
{
	enum fl_rc rc = check_place(outlet, offset, len, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_ipc_piece piece = {FL_OBJECT_OUTPUT, outlet->next, {data, len}};
	rc = channel_send(&outlet->channel, FL_FRAME_PIECE, &piece, err);
	if (rc == FL_OK)
		outlet->next++;
	return rc;
}

void outlet_end(struct outlet *outlet, const char *code, const char *text)
{
	const struct fl_ipc_reply reply = {code, text};
	(void)!channel_send(&outlet->channel, FL_FRAME_END, &reply, NULL);
}
