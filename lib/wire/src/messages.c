/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per message: its word, its schema, and what the schema cannot say. The tables generate decoder, encoder and
 * docs/wire-messages.md. `type` is the first member of every message.
 */
#include <fairlead/wire/messages.h>

#include <fairlead/trust/envelope.h>
#include <fairlead/trust/json.h>

#include <string.h>

#define TEXT_MAX    256
#define ROOT_MAX    ((uint64_t)96 * 1024) /* an envelope of a root: base64 of 64 KiB, and its signatures */
#define SIGNED_MAX  ((uint64_t)96 * 1024) /* job, heartbeat, report: likewise */
#define PEEK_MEMORY ((size_t)8 * 1024 * 1024)

#define TYPE_ROW(x) FL_REQ(struct x, type, STR, 32, NULL, "the message's name")

static const struct fl_field component_fields[] = {
	FL_REQ(struct fl_wire_component, name, NAME, FL_NAME_MAX, NULL, "component"),
	FL_OPT(struct fl_wire_component, handler, NAME, FL_NAME_MAX, NULL, "its handler"),
	FL_OPT(struct fl_wire_component, slot, NAME, FL_NAME_MAX, NULL, "the running slot"),
	FL_OPT(struct fl_wire_component, version, STR, 128, NULL, "of the running image"),
	FL_OPT(struct fl_wire_component, release_seq, U64, FL_U53_MAX, NULL, "of the running image"),
	FL_OPT(struct fl_wire_component, security_version, U64, FL_U53_MAX, NULL,
	       "of the running image"),
	FL_OPT(struct fl_wire_component, release, DIGEST, 0, NULL, "the committed release"),
};
static const struct fl_schema component_schema =
	FL_SCHEMA("component", struct fl_wire_component, component_fields, "What runs on a device.");

static const struct fl_field hello_fields[] = {
	TYPE_ROW(fl_wire_hello),
	FL_REQ(struct fl_wire_hello, device_id, NAME, FL_NAME_MAX, NULL,
	       "must be the CN of the certificate"),
	FL_REQ(struct fl_wire_hello, agent_version, STR, 64, NULL, "version of the agent"),
	FL_REQ(struct fl_wire_hello, boot_id, UUID, 36, NULL, "of this boot"),
	FL_OPT(struct fl_wire_hello, nonce, BYTES, FL_WIRE_NONCE_SIZE, NULL,
	       "32 bytes of the helper: answered by a heartbeat"),
	FL_REQ(struct fl_wire_hello, root_version, U64, FL_U53_MAX, NULL, "newer roots are sent"),
	FL_REQ(struct fl_wire_hello, job_seq, U64, FL_U53_MAX, NULL, "highest accepted"),
	FL_REQ(struct fl_wire_hello, report_seq, U64, FL_U53_MAX, NULL,
	       "highest that the fleet acknowledged"),
	FL_OPT(struct fl_wire_hello, state, DIGEST, 0, NULL,
	       "digest of the components sent last: equal = nothing new"),
	FL_REQ(struct fl_wire_hello, product, STR, 64, NULL, "what releases must be made for"),
	FL_REQ(struct fl_wire_hello, class_id, STR, 64, NULL, "hardware class"),
	FL_REQ(struct fl_wire_hello, hw_rev, U64, FL_U53_MAX, NULL, "hardware revision"),
	FL_OPT(struct fl_wire_hello, components, LIST, FL_WIRE_COMPONENTS_MAX, &component_schema,
	       "what runs"),
};
static const struct fl_schema hello_schema =
	FL_SCHEMA("hello", struct fl_wire_hello, hello_fields, "Device → fleet: the first message.");

static const struct fl_field nonce_fields[] = {
	TYPE_ROW(fl_wire_nonce),
	FL_REQ(struct fl_wire_nonce, nonce, BYTES, FL_WIRE_NONCE_SIZE, NULL, "32 bytes of the helper"),
};
static const struct fl_schema nonce_schema = FL_SCHEMA(
	"nonce", struct fl_wire_nonce, nonce_fields, "Device → fleet: asks for a fresh heartbeat.");

static const struct fl_field report_fields[] = {
	TYPE_ROW(fl_wire_report),
	FL_REQ(struct fl_wire_report, report_seq, U64, FL_U53_MAX, NULL,
	       "the same number as in the signed report"),
	FL_REQ(struct fl_wire_report, envelope, STR, SIGNED_MAX, NULL, "the text of a signed report"),
};
static const struct fl_schema report_schema =
	FL_SCHEMA("report", struct fl_wire_report, report_fields,
		  "Device → fleet: a change of state, sent again until it is acknowledged.");

static const struct fl_field progress_fields[] = {
	TYPE_ROW(fl_wire_progress),
	FL_REQ(struct fl_wire_progress, job_id, UUID, 36, NULL, "job"),
	FL_OPT(struct fl_wire_progress, component, NAME, FL_NAME_MAX, NULL, "component"),
	FL_OPT(struct fl_wire_progress, state, STR, 32, NULL, "a job state"),
	FL_OPT(struct fl_wire_progress, done_bytes, U64, FL_U53_MAX, NULL, "of the image"),
	FL_OPT(struct fl_wire_progress, total_bytes, U64, FL_U53_MAX, NULL, "of the image"),
	FL_OPT(struct fl_wire_progress, fetched_bytes, U64, FL_U53_MAX, NULL, "over the network"),
	FL_OPT(struct fl_wire_progress, rate_bytes_s, U64, FL_U53_MAX, NULL, "over the network"),
};
static const struct fl_schema progress_schema =
	FL_SCHEMA("progress", struct fl_wire_progress, progress_fields,
		  "Device → fleet: for people's eyes only; unsigned, may be lost, at most one a second.");

static const struct fl_field welcome_fields[] = {
	TYPE_ROW(fl_wire_welcome),
	FL_REQ(struct fl_wire_welcome, reconnect_spread_ms, U64, 3600000, NULL,
	       "after a loss: first try at a random moment of it"),
	FL_REQ(struct fl_wire_welcome, ping_s, U64, 3600, NULL, "the fleet pings this often"),
	FL_REQ(struct fl_wire_welcome, utc, U64, FL_U53_MAX, NULL, "a hint, unsigned"),
	FL_OPT(struct fl_wire_welcome, report_seq, U64, FL_U53_MAX, NULL,
	       "highest report that the fleet keeps: a device that lost its store goes on above it"),
};
static const struct fl_schema welcome_schema = FL_SCHEMA(
	"welcome", struct fl_wire_welcome, welcome_fields, "Fleet → device: the answer to hello.");

static const struct fl_field envelope_fields[] = {
	FL_REQ(struct fl_wire_envelope, envelope, STR, ROOT_MAX, NULL, "the text of a signed root"),
};
static const struct fl_schema envelope_schema = FL_SCHEMA(
	"envelope", struct fl_wire_envelope, envelope_fields, "One root document.");
static const struct fl_field roots_fields[] = {
	TYPE_ROW(fl_wire_roots),
	FL_REQ(struct fl_wire_roots, envelopes, LIST, FL_WIRE_ROOTS_MAX, &envelope_schema,
	       "ascending versions, without gaps"),
};
static const struct fl_schema roots_schema =
	FL_SCHEMA("roots", struct fl_wire_roots, roots_fields,
		  "Fleet → device: the roots after the device's own; several messages when there are many.");

static const struct fl_field job_fields[] = {
	TYPE_ROW(fl_wire_job),
	FL_REQ(struct fl_wire_job, envelope, STR, SIGNED_MAX, NULL, "the text of a signed job"),
	FL_OPT(struct fl_wire_job, release, STR, FL_ENVELOPE_MAX, NULL,
	       "the text of the release that the job pins, where it pins one"),
};
static const struct fl_schema job_schema =
	FL_SCHEMA("job", struct fl_wire_job, job_fields,
		  "Fleet → device: sent at every connection until a final report for it is kept.");

static const struct fl_field heartbeat_fields[] = {
	TYPE_ROW(fl_wire_heartbeat),
	FL_REQ(struct fl_wire_heartbeat, envelope, STR, SIGNED_MAX, NULL,
	       "the text of a signed heartbeat"),
};
static const struct fl_schema heartbeat_schema =
	FL_SCHEMA("heartbeat", struct fl_wire_heartbeat, heartbeat_fields,
		  "Fleet → device: the answer to a nonce, at its own cadence.");

static const struct fl_field report_ack_fields[] = {
	TYPE_ROW(fl_wire_report_ack),
	FL_REQ(struct fl_wire_report_ack, report_seq, U64, FL_U53_MAX, NULL,
	       "this one and all before it are kept by the fleet"),
};
static const struct fl_schema report_ack_schema =
	FL_SCHEMA("report_ack", struct fl_wire_report_ack, report_ack_fields,
		  "Fleet → device: sent after the report is durable.");

/* What a schema cannot say; NULL where it says all. */
typedef const char *check_fn(const void *msg);

static const char *check_hello(const void *msg)
{
	const struct fl_wire_hello *m = msg;
	bool ok = m->nonce.len == 0 || m->nonce.len == FL_WIRE_NONCE_SIZE;
	return ok ? NULL : "the nonce must have 32 bytes";
}

static const char *check_nonce(const void *msg)
{
	const struct fl_wire_nonce *m = msg;
	return m->nonce.len == FL_WIRE_NONCE_SIZE ? NULL : "the nonce must have 32 bytes";
}

struct row {
	const char *name;
	const struct fl_schema *schema;
	check_fn *check;
};

static const struct row rows[] = {
	[FL_WIRE_UNKNOWN] = {"unknown", NULL, NULL},
	[FL_WIRE_HELLO] = {"hello", &hello_schema, check_hello},
	[FL_WIRE_NONCE] = {"nonce", &nonce_schema, check_nonce},
	[FL_WIRE_REPORT] = {"report", &report_schema, NULL},
	[FL_WIRE_PROGRESS] = {"progress", &progress_schema, NULL},
	[FL_WIRE_WELCOME] = {"welcome", &welcome_schema, NULL},
	[FL_WIRE_ROOTS] = {"roots", &roots_schema, NULL},
	[FL_WIRE_JOB] = {"job", &job_schema, NULL},
	[FL_WIRE_HEARTBEAT] = {"heartbeat", &heartbeat_schema, NULL},
	[FL_WIRE_REPORT_ACK] = {"report_ack", &report_ack_schema, NULL},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

union any_message {
	const char *type; /* the first member of each of them */
	struct fl_wire_hello hello;
	struct fl_wire_nonce nonce;
	struct fl_wire_report report;
	struct fl_wire_progress progress;
	struct fl_wire_welcome welcome;
	struct fl_wire_roots roots;
	struct fl_wire_job job;
	struct fl_wire_heartbeat heartbeat;
	struct fl_wire_report_ack report_ack;
};

const struct fl_schema *fl_wire_schema(enum fl_wire_type type)
{
	return (size_t)type < N_ROWS ? rows[type].schema : NULL;
}

const char *fl_wire_name(enum fl_wire_type type)
{
	return (size_t)type < N_ROWS ? rows[type].name : rows[FL_WIRE_UNKNOWN].name;
}

static enum fl_wire_type type_of(const char *name)
{
	for (size_t i = FL_WIRE_UNKNOWN + 1; i < N_ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return (enum fl_wire_type)i;
	}
	return FL_WIRE_UNKNOWN;
}

static enum fl_rc broken(struct fl_err *err, const char *what)
{
	return fl_wrap(err, FL_E_PROTOCOL, "message '%s'", what);
}

struct peeked {
	const char *type;
};

static const struct fl_field peeked_fields[] = {
	FL_REQ(struct peeked, type, STR, TEXT_MAX, NULL, "the message's name"),
};
static const struct fl_schema peeked_schema =
	FL_SCHEMA("message", struct peeked, peeked_fields, "Any message.");

enum fl_rc fl_wire_peek(const void *text, size_t len, enum fl_wire_type *ret, struct fl_err *err)
{
	if (len > FL_WIRE_MESSAGE_MAX)
		return fl_fail(err, FL_E_PROTOCOL, 0, "a message of more than %zu bytes",
			       FL_WIRE_MESSAGE_MAX);
	struct fl_arena arena = FL_ARENA(PEEK_MEMORY);
	struct peeked msg;
	enum fl_rc rc = fl_json_decode(&peeked_schema, text, len, FL_JSON_IGNORE_UNKNOWN, &arena,
				       &msg, err);
	if (rc != FL_OK)
		rc = broken(err, "?");
	else
		*ret = type_of(msg.type);
	fl_arena_free(&arena);
	return rc;
}

enum fl_rc fl_wire_decode(enum fl_wire_type type, const void *text, size_t len,
			  struct fl_arena *arena, void *out, struct fl_err *err)
{
	FL_BUG_ON(fl_wire_schema(type) == NULL);
	const struct row *row = &rows[type];
	union any_message msg;
	if (len > FL_WIRE_MESSAGE_MAX)
		return fl_fail(err, FL_E_PROTOCOL, 0, "message '%s' of more than %zu bytes", row->name,
			       FL_WIRE_MESSAGE_MAX);
	enum fl_rc rc = fl_json_decode(row->schema, text, len, FL_JSON_IGNORE_UNKNOWN, arena, &msg,
				       err);
	if (rc != FL_OK)
		return broken(err, row->name);
	const char *wrong = row->check == NULL ? NULL : row->check(&msg);
	if (strcmp(msg.type, row->name) != 0)
		wrong = "it is of another type";
	if (wrong != NULL)
		return fl_fail(err, FL_E_PROTOCOL, 0, "message '%s': %s", row->name, wrong);
	memcpy(out, &msg, row->schema->size);
	return FL_OK;
}

enum fl_rc fl_wire_encode(enum fl_wire_type type, const void *in, struct fl_buf *out,
			  struct fl_err *err)
{
	FL_BUG_ON(fl_wire_schema(type) == NULL);
	const struct row *row = &rows[type];
	union any_message msg;
	memcpy(&msg, in, row->schema->size);
	msg.type = row->name;
	const char *wrong = row->check == NULL ? NULL : row->check(&msg);
	if (wrong != NULL)
		return fl_fail(err, FL_E_PROTOCOL, 0, "message '%s': %s", row->name, wrong);
	enum fl_rc rc = fl_json_encode(row->schema, &msg, out, err);
	return rc == FL_OK ? FL_OK : fl_wrap(err, rc, "message '%s'", row->name);
}
