/* SPDX-License-Identifier: Apache-2.0 */
/* The codec: every frame comes back as it went, and nothing but exact frames within their limits is taken. */
#include <fairlead/ipc/codec.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const enum fl_frame_type types[] = {
	FL_FRAME_HELLO,	     FL_FRAME_PRESENT,	     FL_FRAME_GET_DOCUMENT, FL_FRAME_NONCE,
	FL_FRAME_HEARTBEAT,  FL_FRAME_STAGE,	     FL_FRAME_STOP,	    FL_FRAME_SEAL,
	FL_FRAME_ACTIVATE,   FL_FRAME_RESTART,	     FL_FRAME_COMMIT,	    FL_FRAME_ROLLBACK,
	FL_FRAME_CLOSE,	     FL_FRAME_OBSERVE,	     FL_FRAME_ALIVE,	    FL_FRAME_REPLY,	    FL_FRAME_HELLO_REPLY,
	FL_FRAME_PRESENT_REPLY, FL_FRAME_NONCE_REPLY, FL_FRAME_DOCUMENTS,   FL_FRAME_OBSERVATION,
	FL_FRAME_STAGED,     FL_FRAME_ROTTEN,	     FL_FRAME_PHASE,	     FL_FRAME_START,	    FL_FRAME_READY,
	FL_FRAME_KEEPALIVE,  FL_FRAME_LOG,	     FL_FRAME_RESULT,	    FL_FRAME_NEED,
	FL_FRAME_PROGRESS,   FL_FRAME_BAD,	     FL_FRAME_PIECE,	    FL_FRAME_END,
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

static struct fl_arena arena;

/* --- structs filled by their schema: `fill` elements in every list, `size` bytes in every text --- */

static char *text_of(size_t len, char c)
{
	char *text = fl_arena_alloc(&arena, len + 1, NULL);
	cr_assert_not_null(text);
	memset(text, c, len);
	return text;
}

static void fill_struct(const struct fl_schema *schema, void *out, bool full);

static void fill_list(const struct fl_field *f, void *member, bool full)
{
	/* The deepest list of each frame would not fit in 128 KiB at its limits. */
	size_t n = full ? (f->max < 2 ? (size_t)f->max : 2) : f->required;
	size_t size = f->kind == FL_K_LIST      ? f->sub->size
		      : f->kind == FL_K_DIGESTS ? sizeof(struct fl_digest)
						: sizeof(char *);
	uint8_t *items = fl_arena_alloc(&arena, n * size + 1, NULL);
	for (size_t i = 0; i < n; i++) {
		if (f->kind == FL_K_LIST)
			fill_struct(f->sub, items + i * size, full);
		else if (f->kind == FL_K_DIGESTS)
			memset(items + i * size, 7, size);
		else
			((const char **)(void *)items)[i] = text_of(256, 'x');
	}
	struct fl_any_list list = {n == 0 ? NULL : items, n};
	memcpy(member, &list, sizeof(list));
}

static void fill_field(const struct fl_field *f, void *member, bool full)
{
	const char *text = NULL;
	uint64_t number = full ? f->max : 0;
	switch (f->kind) {
	case FL_K_STR:
	case FL_K_EXT:
		text = full ? text_of((size_t)f->max, 'y') : f->required ? "" : NULL;
		memcpy(member, &text, sizeof(text));
		break;
	case FL_K_NAME:
		text = full ? text_of(FL_NAME_MAX, 'n') : f->required ? "n" : NULL;
		memcpy(member, &text, sizeof(text));
		break;
	case FL_K_UUID:
		text = full || f->required ? "00000000-0000-4000-8000-000000000000" : NULL;
		memcpy(member, &text, sizeof(text));
		break;
	case FL_K_U64:
		memcpy(member, &number, sizeof(number));
		break;
	case FL_K_BOOL:
		*(bool *)member = full;
		break;
	case FL_K_DIGEST:
		memset(member, full || f->required ? 0x5a : 0, FL_DIGEST_SIZE);
		break;
	case FL_K_BYTES:
		((struct fl_bytes *)member)->len = full ? (size_t)f->max : f->required;
		if (full || f->required)
			((struct fl_bytes *)member)->data =
				(uint8_t *)text_of((size_t)f->max, '\1');
		break;
	case FL_K_OBJECT:
		break;
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		fill_list(f, member, full);
		break;
	}
}

static void fill_struct(const struct fl_schema *schema, void *out, bool full)
{
	for (size_t i = 0; i < schema->n_fields; i++)
		fill_field(&schema->fields[i], (uint8_t *)out + schema->fields[i].offset, full);
}

static struct fl_buf sample(enum fl_frame_type type, bool full)
{
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	struct fl_err err = {0};
	const struct fl_schema *schema = fl_frame_schema(type);
	void *in = fl_arena_alloc(&arena, schema->size, NULL);
	fill_struct(schema, in, full);
	cr_assert_eq(fl_frame_encode(type, 77, in, &frame, &err), FL_OK, "%s", err.msg);
	return frame;
}

static void set_up(void)
{
	arena = FL_ARENA((size_t)64 << 20);
}

static void tear_down(void)
{
	fl_arena_free(&arena);
}

TestSuite(ipc_codec, .init = set_up, .fini = tear_down);

static void *decoded(enum fl_frame_type type, const struct fl_buf *frame)
{
	struct fl_err err = {0};
	void *out = fl_arena_alloc(&arena, fl_frame_schema(type)->size, NULL);
	cr_assert_eq(fl_frame_decode(type, frame->data, frame->len, &arena, out, &err), FL_OK,
		     "%s: %s", fl_frame_name(type), err.msg);
	return out;
}

Test(ipc_codec, every_frame_comes_back_byte_for_byte)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		for (int full = 0; full < 2; full++) {
			struct fl_buf frame = sample(types[i], full);
			enum fl_frame_type type;
			uint32_t id;
			cr_assert_eq(fl_frame_peek(frame.data, frame.len, &type, &id, NULL), FL_OK);
			cr_assert_eq(type, types[i]);
			cr_assert_eq(id, 77);
			struct fl_buf again = FL_BUF(FL_FRAME_MAX);
			void *out = decoded(type, &frame);
			cr_assert_eq(fl_frame_encode(type, 77, out, &again, NULL), FL_OK);
			cr_assert_eq(again.len, frame.len, "%s", fl_frame_name(type));
			cr_assert_eq(memcmp(again.data, frame.data, frame.len), 0);
			fl_buf_free(&frame);
			fl_buf_free(&again);
		}
	}
}

Test(ipc_codec, a_frame_cut_anywhere_or_with_a_tail_is_refused)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		struct fl_buf frame = sample(types[i], types[i] != FL_FRAME_PIECE);
		void *out = fl_arena_alloc(&arena, fl_frame_schema(types[i])->size, NULL);
		for (size_t len = 0; len < frame.len; len++) {
			/* An exact allocation, so that the sanitizer sees a read past it. */
			uint8_t *copy = malloc(len + 1);
			memcpy(copy, frame.data, len);
			uint8_t *exact = realloc(copy, len == 0 ? 1 : len);
			struct fl_arena small = FL_ARENA((size_t)4 << 20);
			cr_assert_eq(fl_frame_decode(types[i], exact, len, &small, out, NULL),
				     FL_E_PROTOCOL, "%s cut at %zu", fl_frame_name(types[i]), len);
			fl_arena_free(&small);
			free(exact);
		}
		cr_assert_eq(fl_buf_append(&frame, "", 1, NULL), FL_OK);
		cr_assert_eq(fl_frame_decode(types[i], frame.data, frame.len, &arena, out, NULL),
			     FL_E_PROTOCOL);
		fl_buf_free(&frame);
	}
}

Test(ipc_codec, another_type_or_an_unknown_one_is_refused)
{
	struct fl_buf frame = sample(FL_FRAME_SEAL, true);
	struct fl_ipc_reply out;
	enum fl_frame_type type;
	uint32_t id;
	cr_assert_eq(fl_frame_decode(FL_FRAME_REPLY, frame.data, frame.len, &arena, &out, NULL),
		     FL_E_PROTOCOL);
	for (unsigned t = 0; t <= UINT16_MAX; t++) {
		frame.data[0] = (uint8_t)(t >> 8);
		frame.data[1] = (uint8_t)t;
		bool known = fl_frame_schema((enum fl_frame_type)t) != NULL;
		enum fl_rc rc = fl_frame_peek(frame.data, frame.len, &type, &id, NULL);
		cr_assert_eq(rc, known ? FL_OK : FL_E_PROTOCOL, "type %u", t);
	}
	frame.data[1] = FL_FRAME_SEAL;
	frame.data[3] = 1; /* the reserved half */
	cr_assert_eq(fl_frame_peek(frame.data, frame.len, &type, &id, NULL), FL_E_PROTOCOL);
	fl_buf_free(&frame);
}

/* One byte less than, and one more than, every limit: found by raising each value of the struct by one. */
static enum fl_rc encode_with(enum fl_frame_type type, size_t field, void (*damage)(void *member))
{
	struct fl_buf out = FL_BUF(FL_FRAME_MAX * 2);
	const struct fl_schema *schema = fl_frame_schema(type);
	void *in = fl_arena_alloc(&arena, schema->size, NULL);
	fill_struct(schema, in, true);
	damage((uint8_t *)in + schema->fields[field].offset);
	enum fl_rc rc = fl_frame_encode(type, 1, in, &out, NULL);
	cr_assert(rc == FL_OK || out.len == 0, "a refused frame leaves nothing behind");
	fl_buf_free(&out);
	return rc;
}

static void add_one(void *member)
{
	++*(uint64_t *)member;
}

static void one_char_more(void *member)
{
	const char **text = member;
	*text = text_of(strlen(*text) + 1, 'z');
}

static void forget(void *member)
{
	*(const char **)member = NULL;
}

Test(ipc_codec, what_is_past_its_limit_is_never_sent)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		const struct fl_schema *schema = fl_frame_schema(types[i]);
		for (size_t k = 0; k < schema->n_fields; k++) {
			const struct fl_field *f = &schema->fields[k];
			if (f->kind == FL_K_U64 && f->max < UINT64_MAX)
				cr_assert_neq(encode_with(types[i], k, add_one), FL_OK, "%s.%s",
					      schema->name, f->name);
			if (f->kind != FL_K_STR && f->kind != FL_K_NAME)
				continue;
			cr_assert_neq(encode_with(types[i], k, one_char_more), FL_OK);
			cr_assert_eq(encode_with(types[i], k, forget) != FL_OK, f->required);
		}
	}
}

/* reply {code, text}: header, u32 length + 1, "ok", u32 0 */
static const uint8_t plain_reply[] = {0, FL_FRAME_REPLY, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 'o', 'k', 0, 0, 0, 0};

Test(ipc_codec, the_bytes_are_the_documented_ones)
{
	struct fl_buf out = FL_BUF(FL_FRAME_MAX);
	struct fl_ipc_reply reply = {"ok", NULL};
	cr_assert_eq(fl_frame_encode(FL_FRAME_REPLY, 9, &reply, &out, NULL), FL_OK);
	cr_assert_eq(out.len, sizeof(plain_reply));
	cr_assert_eq(memcmp(out.data, plain_reply, sizeof(plain_reply)), 0);
	fl_buf_free(&out);
}

static enum fl_rc decode_reply(const uint8_t *frame, size_t len)
{
	struct fl_ipc_reply out;
	return fl_frame_decode(FL_FRAME_REPLY, frame, len, &arena, &out, NULL);
}

Test(ipc_codec, lengths_that_lie_are_refused)
{
	uint8_t frame[sizeof(plain_reply)];
	static const uint32_t lies[] = {0, 1, 2, 4, 7, 8, 0x7fffffff, 0xffffffff};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memcpy(frame, plain_reply, sizeof(frame));
		for (int k = 0; k < 4; k++)
			frame[8 + k] = (uint8_t)(lies[i] >> (24 - 8 * k));
		cr_assert_eq(decode_reply(frame, sizeof(frame)), FL_E_PROTOCOL, "%u", lies[i]);
	}
	memcpy(frame, plain_reply, sizeof(frame));
	frame[12] = 0; /* a zero byte within the text */
	cr_assert_eq(decode_reply(frame, sizeof(frame)), FL_E_PROTOCOL);
}

Test(ipc_codec, a_count_without_elements_costs_no_memory)
{
	/* documents: count 8 is allowed, but nothing follows; 0x00ffffff is not allowed at all */
	uint8_t frame[] = {0, FL_FRAME_PRESENT, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8};
	struct fl_ipc_documents out;
	struct fl_arena small = FL_ARENA(sizeof(out) + 64);
	cr_assert_eq(fl_frame_decode(FL_FRAME_PRESENT, frame, sizeof(frame), &small, &out, NULL),
		     FL_E_PROTOCOL);
	frame[9] = frame[10] = frame[11] = 0xff;
	cr_assert_eq(fl_frame_decode(FL_FRAME_PRESENT, frame, sizeof(frame), &small, &out, NULL),
		     FL_E_PROTOCOL);
	fl_arena_free(&small);
}

Test(ipc_codec, values_that_no_sender_of_ours_would_send_are_refused)
{
	struct fl_ipc_commit out;
	struct fl_ipc_commit commit = {.heartbeat = true};
	memset(&commit.job, 1, sizeof(commit.job));
	struct fl_buf frame = FL_BUF(FL_FRAME_MAX);
	cr_assert_eq(fl_frame_encode(FL_FRAME_COMMIT, 1, &commit, &frame, NULL), FL_OK);
	frame.data[8 + 32] = 2; /* a truth value of two */
	cr_assert_eq(fl_frame_decode(FL_FRAME_COMMIT, frame.data, frame.len, &arena, &out, NULL),
		     FL_E_PROTOCOL);
	frame.data[8 + 32] = 1;
	memset(frame.data + 8, 0, 32); /* no job */
	cr_assert_eq(fl_frame_decode(FL_FRAME_COMMIT, frame.data, frame.len, &arena, &out, NULL),
		     FL_E_PROTOCOL);
	fl_buf_free(&frame);

	uint8_t bad_name[] = {0, FL_FRAME_OBSERVE, 0, 0, 0, 0, 0, 1, [40] = 0, 0, 0, 4, '.', '.', '/'};
	struct fl_ipc_target target;
	cr_assert_eq(fl_frame_decode(FL_FRAME_OBSERVE, bad_name, sizeof(bad_name), &arena, &target,
				     NULL),
		     FL_E_PROTOCOL);
}

Test(ipc_codec, outputs_stay_untouched_on_failure)
{
	struct fl_ipc_reply out = {"before", "before"};
	cr_assert_neq(fl_frame_decode(FL_FRAME_REPLY, plain_reply, sizeof(plain_reply) - 1, &arena,
				      &out, NULL),
		      FL_OK);
	cr_assert_str_eq(out.code, "before");
}

Test(ipc_codec, flipped_bits_never_leave_the_frame)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		struct fl_buf frame = sample(types[i], types[i] != FL_FRAME_PIECE);
		void *out = fl_arena_alloc(&arena, fl_frame_schema(types[i])->size, NULL);
		uint8_t *exact = malloc(frame.len);
		for (size_t bit = 0; bit < frame.len * 8; bit++) {
			memcpy(exact, frame.data, frame.len);
			exact[bit / 8] ^= (uint8_t)(1 << bit % 8);
			struct fl_arena small = FL_ARENA((size_t)4 << 20);
			enum fl_rc rc =
				fl_frame_decode(types[i], exact, frame.len, &small, out, NULL);
			cr_assert(rc == FL_OK || rc == FL_E_PROTOCOL);
			fl_arena_free(&small);
		}
		free(exact);
		fl_buf_free(&frame);
	}
}
