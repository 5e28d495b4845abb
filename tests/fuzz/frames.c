/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a frame: refused, or decoded to something that encodes to the same bytes. */
#include <fairlead/ipc/codec.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum fl_frame_type type;
	uint32_t id;
	struct fl_err err;
	if (fl_frame_peek(data, size, &type, &id, &err) != FL_OK)
		return 0;
	struct fl_arena arena = FL_ARENA((size_t)4 << 20);
	struct fl_buf again = FL_BUF(FL_FRAME_MAX);
	void *out = fl_arena_alloc(&arena, fl_frame_schema(type)->size, &err);
	if (fl_frame_decode(type, data, size, &arena, out, &err) == FL_OK) {
		FL_BUG_ON(fl_frame_encode(type, id, out, &again, &err) != FL_OK);
		FL_BUG_ON(again.len != size || memcmp(again.data, data, size) != 0);
	}
	fl_buf_free(&again);
	fl_arena_free(&arena);
	return 0;
}
