/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of the messages between agent and fleet: what one side writes the other reads, and nothing else passes. */
#include "describe.h"

#include <fairlead/base/file.h>
#include <fairlead/wire/messages.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define MEMORY ((size_t)16 * 1024 * 1024)

static const uint8_t nonce[32] = {1, 2, 3, 4, 5};
static const char boot_id[] = "0f0e0d0c-0b0a-4908-8706-050403020100";

static struct fl_wire_hello sample_hello(void)
{
	static const struct fl_wire_component components[] = {
		{.name = "rootfs", .handler = "rootfs", .slot = "a", .version = "1.0", .release_seq = 4},
		{.name = "app"},
	};
	return (struct fl_wire_hello){.device_id = "gw-1",
				      .agent_version = "0.1.0",
				      .boot_id = boot_id,
				      .nonce = {nonce, sizeof(nonce)},
				      .root_version = 2,
				      .job_seq = FL_U53_MAX,
				      .report_seq = 7,
				      .product = "gw",
				      .class_id = "c1",
				      .hw_rev = 3,
				      .components = {components, 2}};
}

static enum fl_rc decode(enum fl_wire_type type, const char *text, void *out)
{
	struct fl_arena arena = FL_ARENA(MEMORY);
	struct fl_err err;
	enum fl_rc rc = fl_wire_decode(type, text, strlen(text), &arena, out, &err);
	fl_arena_free(&arena); /* callers look at numbers only */
	return rc;
}

static enum fl_rc peek(const char *text, enum fl_wire_type *type)
{
	struct fl_err err;
	return fl_wire_peek(text, strlen(text), type, &err);
}

Test(unit_wire_messages, hello_survives_the_round_trip)
{
	struct fl_err err;
	struct fl_buf out = FL_BUF(FL_WIRE_MESSAGE_MAX);
	struct fl_arena arena = FL_ARENA(MEMORY);
	struct fl_wire_hello in = sample_hello(), back;
	enum fl_wire_type type = FL_WIRE_UNKNOWN;
	cr_assert_eq(fl_wire_encode(FL_WIRE_HELLO, &in, &out, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_wire_peek(out.data, out.len, &type, &err), FL_OK);
	cr_assert_eq(type, FL_WIRE_HELLO);
	cr_assert_eq(fl_wire_decode(type, out.data, out.len, &arena, &back, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_str_eq(back.type, "hello");
	cr_assert_str_eq(back.device_id, "gw-1");
	cr_assert_eq(back.job_seq, FL_U53_MAX);
	cr_assert_eq(back.nonce.len, 32);
	cr_assert_arr_eq(back.nonce.data, nonce, 32);
	cr_assert_eq(back.components.n, 2);
	cr_assert_str_eq(back.components.items[0].version, "1.0");
	cr_assert_null(back.components.items[1].version);
	fl_arena_free(&arena);
	fl_buf_free(&out);
}

Test(unit_wire_messages, an_envelope_inside_a_message_is_not_changed_by_its_quotes)
{
	struct fl_err err;
	struct fl_buf out = FL_BUF(FL_WIRE_MESSAGE_MAX);
	struct fl_arena arena = FL_ARENA(MEMORY);
	static const struct fl_wire_envelope envelopes[] = {{"{\"payloadType\":\"a\\b\"}"}, {"{}"}};
	struct fl_wire_roots in = {.envelopes = {envelopes, 2}}, back;
	cr_assert_eq(fl_wire_encode(FL_WIRE_ROOTS, &in, &out, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_wire_decode(FL_WIRE_ROOTS, out.data, out.len, &arena, &back, &err), FL_OK,
		     "%s", err.msg);
	cr_assert_eq(back.envelopes.n, 2);
	cr_assert_str_eq(back.envelopes.items[0].envelope, envelopes[0].envelope);
	fl_arena_free(&arena);
	fl_buf_free(&out);
}

Test(unit_wire_messages, the_largest_job_fits)
{
	struct fl_err err;
	struct fl_buf out = FL_BUF(FL_WIRE_MESSAGE_MAX);
	struct fl_arena arena = FL_ARENA(MEMORY);
	static char job[88 * 1024], release[360 * 1024];
	memset(job, 'j', sizeof(job) - 1);
	memset(release, 'r', sizeof(release) - 1);
	struct fl_wire_job in = {.envelope = job, .release = release}, back;
	cr_assert_eq(fl_wire_encode(FL_WIRE_JOB, &in, &out, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_wire_decode(FL_WIRE_JOB, out.data, out.len, &arena, &back, &err), FL_OK, "%s",
		     err.msg);
	cr_assert_str_eq(back.release, release);
	fl_arena_free(&arena);
	fl_buf_free(&out);
}

Test(unit_wire_messages, unknown_types_and_members_are_ignored)
{
	enum fl_wire_type type = FL_WIRE_HELLO;
	cr_assert_eq(peek("{\"type\":\"dance\",\"steps\":3}", &type), FL_OK);
	cr_assert_eq(type, FL_WIRE_UNKNOWN);
	cr_assert_eq(peek("{\"type\":\"unknown\"}", &type), FL_OK);
	cr_assert_eq(type, FL_WIRE_UNKNOWN);
	struct fl_wire_report_ack ack;
	cr_assert_eq(decode(FL_WIRE_REPORT_ACK, "{\"type\":\"report_ack\",\"report_seq\":9,\"mood\":{}}",
			    &ack),
		     FL_OK);
	cr_assert_eq(ack.report_seq, 9);
}

Test(unit_wire_messages, what_is_no_message_is_refused)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"type\":7}",
		"{\"type\":\"hello\"",
		"{\"type\":\"hello\",\"type\":\"nonce\"}",
		"{\"type\":\"hello\"}x",
		"{\"type\":\"h\\u0000\"}",
		"{\"type\":\"hello\",\"a\":1.5}",
		"{\"type\":\"hello\",\"a\":-1}",
		"{\"type\":\"hello\",\"a\":null}",
		"{\"type\":\"\xff\"}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum fl_wire_type type = FL_WIRE_JOB;
		cr_assert_eq(peek(bad[i], &type), FL_E_PROTOCOL, "%s", bad[i]);
		cr_assert_eq(type, FL_WIRE_JOB, "output touched on failure");
	}
}

Test(unit_wire_messages, members_missing_or_past_their_limits_are_refused)
{
	struct fl_wire_report_ack ack = {.report_seq = 77};
	struct fl_wire_nonce n;
	struct fl_wire_progress p;
	cr_assert_eq(decode(FL_WIRE_REPORT_ACK, "{\"type\":\"report_ack\"}", &ack), FL_E_PROTOCOL);
	cr_assert_eq(decode(FL_WIRE_REPORT_ACK, "{\"type\":\"nonce\",\"report_seq\":1}", &ack),
		     FL_E_PROTOCOL);
	cr_assert_eq(decode(FL_WIRE_REPORT_ACK,
			    "{\"type\":\"report_ack\",\"report_seq\":9007199254740992}", &ack),
		     FL_E_PROTOCOL);
	cr_assert_eq(ack.report_seq, 77, "output touched on failure");
	cr_assert_eq(decode(FL_WIRE_NONCE, "{\"type\":\"nonce\",\"nonce\":\"AAAA\"}", &n),
		     FL_E_PROTOCOL);
	cr_assert_eq(decode(FL_WIRE_PROGRESS, "{\"type\":\"progress\",\"job_id\":\"../../etc\"}", &p),
		     FL_E_PROTOCOL);
}

Test(unit_wire_messages, too_many_components_are_refused)
{
	struct fl_err err;
	struct fl_buf out = FL_BUF(FL_WIRE_MESSAGE_MAX);
	struct fl_wire_component many[FL_WIRE_COMPONENTS_MAX + 1];
	for (size_t i = 0; i < FL_WIRE_COMPONENTS_MAX + 1; i++)
		many[i] = (struct fl_wire_component){.name = "c"};
	struct fl_wire_hello in = sample_hello();
	in.components.items = many;
	in.components.n = FL_WIRE_COMPONENTS_MAX + 1;
	enum fl_rc rc = fl_wire_encode(FL_WIRE_HELLO, &in, &out, &err);
	if (rc == FL_OK) {
		struct fl_wire_hello back;
		rc = decode(FL_WIRE_HELLO, fl_buf_str(&out), &back);
	}
	cr_assert_neq(rc, FL_OK);
	fl_buf_free(&out);
}

Test(unit_wire_messages, a_message_past_one_mebibyte_is_refused)
{
	static char text[FL_WIRE_MESSAGE_MAX + 64];
	int n = snprintf(text, sizeof(text), "{\"type\":\"dance\"}");
	memset(text + n, ' ', FL_WIRE_MESSAGE_MAX + 1 - (size_t)n);
	enum fl_wire_type type;
	struct fl_err err;
	cr_assert_eq(fl_wire_peek(text, FL_WIRE_MESSAGE_MAX + 1, &type, &err), FL_E_PROTOCOL);
	cr_assert_eq(fl_wire_peek(text, FL_WIRE_MESSAGE_MAX, &type, &err), FL_OK, "%s", err.msg);
}

Test(unit_wire_messages, the_printed_tables_are_those_of_the_code)
{
	struct fl_err err;
	struct fl_buf now = FL_BUF((size_t)1024 * 1024), kept = FL_BUF((size_t)1024 * 1024);
	cr_assert_eq(wire_describe(&now, &err), FL_OK, "%s", err.msg);
	cr_assert_eq(fl_file_read(WIRE_MD, &kept, &err), FL_OK, "%s", err.msg);
	cr_assert_str_eq(fl_buf_str(&kept), fl_buf_str(&now),
			 "docs/wire-messages.md is stale: renew it with wire_messages_md");
	fl_buf_free(&now);
	fl_buf_free(&kept);
}
