/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A schema is a table that describes a struct: one row per member with its name, kind, limit and place. The
 * same table serves the JSON codec (fairlead/trust/json.h: documents, messages between agent and fleet, the
 * local socket), the binary codec (fairlead/ipc/codec.h: frames between the gateway's processes) and the
 * printed documentation. Everything a decoded struct points to is owned by the arena given to the decoder.
 *
 *   kind            member in the struct             absent (optional only)
 *   FL_K_STR        const char *                     NULL
 *   FL_K_NAME       const char *, fl_name_valid      NULL
 *   FL_K_UUID       const char *, fl_uuid_valid      NULL
 *   FL_K_U64        uint64_t, at most `max`          0
 *   FL_K_BOOL       bool                             false
 *   FL_K_DIGEST     struct fl_digest                 all zero    JSON: "sha256:<64 hex>"
 *   FL_K_BYTES      struct fl_bytes                  {NULL, 0}   JSON: canonical base64
 *   FL_K_OBJECT     const struct X * (`sub`)         NULL
 *   FL_K_LIST       FL_LIST(struct X) (`sub`)        {NULL, 0}   at most `max` elements
 *   FL_K_STRINGS    FL_LIST(const char *)            {NULL, 0}   each at most 256 bytes
 *   FL_K_DIGESTS    FL_LIST(struct fl_digest)        {NULL, 0}
 *   FL_K_EXT        const char *: the text of an object of unknown members      NULL
 */
#ifndef FAIRLEAD_BASE_SCHEMA_H
#define FAIRLEAD_BASE_SCHEMA_H

#include <fairlead/base/encode.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_kind {
	FL_K_STR,
	FL_K_NAME,
	FL_K_UUID,
	FL_K_U64,
	FL_K_BOOL,
	FL_K_DIGEST,
	FL_K_BYTES,
	FL_K_OBJECT,
	FL_K_LIST,
	FL_K_STRINGS,
	FL_K_DIGESTS,
	FL_K_EXT,
};

/* A decoded list; the layout is the same for every T. (T const: FL_LIST(const char *) holds const pointers.) */
#define FL_LIST(T)                                                                                 \
	struct {                                                                                   \
		T const *items;                                                                    \
		size_t n;                                                                          \
	}

struct fl_any_list {
	const void *items;
	size_t n;
};

struct fl_schema;

struct fl_field {
	const char *name;
	enum fl_kind kind;
	bool required;
	size_t offset;
	uint64_t max; /* STR and BYTES: bytes; U64: value; LIST, STRINGS, DIGESTS: elements */
	const struct fl_schema *sub;
	const char *doc; /* one line for the printed documentation */
};

struct fl_schema {
	const char *name;
	size_t size; /* of the struct */
	const struct fl_field *fields;
	size_t n_fields;
	const char *doc;
};

#define FL_U53_MAX UINT64_C(9007199254740991) /* what JSON can carry: 2^53 - 1 */

/* Rows: FL_REQ(struct x, member, KIND, max, sub, "doc"), FL_OPT(…) the same for optional members. */
#define FL_REQ(type, member, kind, max, sub, doc)                                                  \
	{#member, FL_K_##kind, true, offsetof(type, member), max, sub, doc}
#define FL_OPT(type, member, kind, max, sub, doc)                                                  \
	{#member, FL_K_##kind, false, offsetof(type, member), max, sub, doc}
#define FL_SCHEMA(name, type, fields, doc)                                                         \
	{name, sizeof(type), fields, sizeof(fields) / sizeof((fields)[0]), doc}

#ifdef __cplusplus
}
#endif
#endif
