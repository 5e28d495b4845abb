/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses a document, the rest is its text. What a table decodes it also encodes,
 * and both are stable; the checks across members see the same text.
 */
#include <fairlead/trust/documents.h>
#include <fairlead/trust/json.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union any {
	struct fl_root root;
	struct fl_release release;
	struct fl_job job;
	struct fl_heartbeat heartbeat;
	struct fl_report report;
	struct fl_image_info image_info;
};

static const struct fl_schema *const schemas[] = {&fl_root_schema,   &fl_release_schema,
						  &fl_job_schema,    &fl_heartbeat_schema,
						  &fl_report_schema, &fl_image_info_schema};

static enum fl_rc decode_checked(int which, struct fl_bytes text, struct fl_arena *arena,
				 union any *out, struct fl_err *err)
{
	switch (which) {
	case 0:
		return fl_root_decode(text, arena, &out->root, err);
	case 1:
		return fl_release_decode(text, arena, &out->release, err);
	case 2:
		return fl_job_decode(text, arena, &out->job, err);
	case 3:
		return fl_heartbeat_decode(text, arena, &out->heartbeat, err);
	case 4:
		return fl_report_decode(text, arena, &out->report, err);
	default:
		return fl_image_info_decode(text, arena, &out->image_info, err);
	}
}

static void round_trip(const struct fl_schema *schema, const void *in, struct fl_arena *arena)
{
	struct fl_err err = {0};
	struct fl_buf first = FL_BUF((size_t)8 << 20);
	struct fl_buf second = FL_BUF((size_t)8 << 20);
	union any again;
	FL_BUG_ON(fl_json_encode(schema, in, &first, &err) != FL_OK);
	FL_BUG_ON(fl_json_decode(schema, first.data, first.len, FL_JSON_REFUSE_UNKNOWN, arena,
				 &again, &err) != FL_OK);
	FL_BUG_ON(fl_json_encode(schema, &again, &second, &err) != FL_OK);
	FL_BUG_ON(first.len != second.len || memcmp(first.data, second.data, first.len) != 0);
	fl_buf_free(&first);
	fl_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	int which = data[0] % 6;
	struct fl_bytes text = {data + 1, size - 1};
	struct fl_arena arena = FL_ARENA((size_t)16 << 20);
	struct fl_err err = {0};
	union any doc;
	enum fl_rc loose = fl_json_decode(schemas[which], text.data, text.len,
					  FL_JSON_REFUSE_UNKNOWN, &arena, &doc, &err);
	if (loose == FL_OK)
		round_trip(schemas[which], &doc, &arena);
	if (decode_checked(which, text, &arena, &doc, &err) == FL_OK) {
		FL_BUG_ON(loose != FL_OK);
		round_trip(schemas[which], &doc, &arena);
	}
	fl_arena_free(&arena);
	return 0;
}
