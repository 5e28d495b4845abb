/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between agent and fleet (docs/protocol.md): WebSocket text messages, subprotocol fairlead.v1, one JSON
 * object each, whose first member `type` names the row of the table. Codec only. Unknown types and unknown members
 * are ignored; a message that is malformed or past its limit ends the connection (close code 1008).
 */
#ifndef FAIRLEAD_WIRE_MESSAGES_H
#define FAIRLEAD_WIRE_MESSAGES_H

#include <fairlead/base/schema.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_WIRE_SUBPROTOCOL "fairlead.v1"
#define FL_WIRE_MESSAGE_MAX ((size_t)1024 * 1024)

enum fl_wire_type {
	FL_WIRE_UNKNOWN, /* a type of a newer peer: ignore it */
	/* device → fleet */
	FL_WIRE_HELLO,
	FL_WIRE_NONCE,
	FL_WIRE_REPORT,
	FL_WIRE_PROGRESS,
	/* fleet → device */
	FL_WIRE_WELCOME,
	FL_WIRE_ROOTS,
	FL_WIRE_JOB,
	FL_WIRE_HEARTBEAT,
	FL_WIRE_REPORT_ACK,
};

struct fl_wire_component {
	const char *name;
	const char *handler;
	const char *slot;
	const char *version;
	uint64_t release_seq, security_version;
	struct fl_digest release;
};

/* The device speaks first. */
struct fl_wire_hello {
	const char *type;
	const char *device_id;
	const char *agent_version;
	const char *boot_id;
	struct fl_bytes nonce; /* of the helper: answered by heartbeat */
	uint64_t root_version;
	uint64_t job_seq;	/* highest accepted; newer jobs are sent */
	uint64_t report_seq;	/* highest that the fleet acknowledged */
	struct fl_digest state; /* SHA-256 of `components` as sent last: equal = nothing new */
	const char *product;
	const char *class_id;
	uint64_t hw_rev;
	FL_LIST(struct fl_wire_component) components;
};

struct fl_wire_nonce {
	const char *type;
	struct fl_bytes nonce;
};

struct fl_wire_report {
	const char *type;
	uint64_t report_seq;
	const char *envelope; /* the text of a signed report */
};

/* For people's eyes only: unsigned, may be lost; at most one a second. */
struct fl_wire_progress {
	const char *type;
	const char *job_id;
	const char *component;
	const char *state;
	uint64_t done_bytes, total_bytes; /* of the image */
	uint64_t fetched_bytes;		  /* over the network */
	uint64_t rate_bytes_s;
};

struct fl_wire_welcome {
	const char *type;
	uint64_t reconnect_spread_ms; /* after a loss: first try at a random moment of it */
	uint64_t ping_s;
	uint64_t utc; /* a hint, unsigned */
	uint64_t report_seq; /* highest that the fleet keeps: a device that lost its store goes on above it */
};

struct fl_wire_envelope {
	const char *envelope; /* the text of a signed root, up to 96 KiB */
};

struct fl_wire_roots {
	const char *type;
	FL_LIST(struct fl_wire_envelope) envelopes; /* ascending versions, at most 8 in one message */
};

struct fl_wire_job {
	const char *type;
	const char *envelope;
	const char *release; /* envelope of the release it pins, where it pins one */
};

struct fl_wire_heartbeat {
	const char *type;
	const char *envelope;
};

struct fl_wire_report_ack {
	const char *type;
	uint64_t report_seq; /* this one and all before it are kept by the fleet */
};

#define FL_WIRE_NONCE_SIZE     32
#define FL_WIRE_COMPONENTS_MAX 64
#define FL_WIRE_ROOTS_MAX      8

/* The schema of a type; NULL for FL_WIRE_UNKNOWN. */
const struct fl_schema *fl_wire_schema(enum fl_wire_type type);
/* "hello" */
const char *fl_wire_name(enum fl_wire_type type);
/* Checks the text by the lexer and reads its `type`. FL_E_PROTOCOL for what is no message. */
enum fl_rc fl_wire_peek(const void *text, size_t len, enum fl_wire_type *ret, struct fl_err *err)
	FL_CHECKED;
/* Into *out (the struct of that type), owned by the arena. FL_E_PROTOCOL. */
enum fl_rc fl_wire_decode(enum fl_wire_type type, const void *text, size_t len,
			  struct fl_arena *arena, void *out, struct fl_err *err) FL_CHECKED;
/* Appends the message; fills in `type` by itself. */
enum fl_rc fl_wire_encode(enum fl_wire_type type, const void *in, struct fl_buf *out,
			  struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
