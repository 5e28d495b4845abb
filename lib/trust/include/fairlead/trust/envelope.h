/* SPDX-License-Identifier: Apache-2.0 */
/* DSSE envelopes (docs/formats.md, section 1): parse, write, sign, and count valid signatures of distinct keys. */
#ifndef FAIRLEAD_TRUST_ENVELOPE_H
#define FAIRLEAD_TRUST_ENVELOPE_H

#include <fairlead/trust/key.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_doc_type {
	FL_DOC_ROOT = 1,
	FL_DOC_RELEASE,
	FL_DOC_COMPONENT,
	FL_DOC_ORDER,
	FL_DOC_JOB,
	FL_DOC_HEARTBEAT,
	FL_DOC_TIME,
	FL_DOC_REPORT,
};

#define FL_SIGS_MAX	   16
#define FL_DOC_PAYLOAD_MAX ((size_t)256 * 1024)
#define FL_ENVELOPE_MAX	   ((size_t)360 * 1024) /* base64 of the largest payload, and the signatures */

/* "release" */
const char *fl_doc_type_name(enum fl_doc_type type);
/* Payload limit of a type, bytes. */
size_t fl_doc_type_max(enum fl_doc_type type);

struct fl_signature {
	struct fl_digest keyid;
	uint8_t sig[FL_SIG_SIZE];
};

/* Also what the helper gets in a binary frame. */
struct fl_envelope {
	enum fl_doc_type type;
	struct fl_bytes payload; /* borrowed, or owned by the arena of fl_envelope_parse */
	size_t n_sigs;
	struct fl_signature sigs[FL_SIGS_MAX];
};

/* Unpacks an envelope's text; FL_E_ENVELOPE, FL_E_DOC_TYPE (not `type`), FL_E_TOO_LARGE. Verifies nothing. */
enum fl_rc fl_envelope_parse(const void *text, size_t len, enum fl_doc_type type,
			     struct fl_arena *arena, struct fl_envelope *ret, struct fl_err *err)
	FL_CHECKED;
/* The same for whatever type it says. */
enum fl_rc fl_envelope_parse_any(const void *text, size_t len, struct fl_arena *arena,
				 struct fl_envelope *ret, struct fl_err *err) FL_CHECKED;
/* Appends the envelope's text. */
enum fl_rc fl_envelope_write(const struct fl_envelope *env, struct fl_buf *out, struct fl_err *err)
	FL_CHECKED;
/* Adds (or renews) key's signature. */
enum fl_rc fl_envelope_sign(struct fl_envelope *env, const struct fl_key *key, struct fl_err *err)
	FL_CHECKED;
/* SHA-256 of the payload: the document's identity. */
enum fl_rc fl_envelope_digest(const struct fl_envelope *env, struct fl_digest *ret,
			      struct fl_err *err) FL_CHECKED;
/* How many of the n distinct keys have signed validly; each key and each signature counts once. Pure. */
size_t fl_envelope_count_valid(const struct fl_envelope *env, const struct fl_pubkey *const *keys,
			       size_t n);

#ifdef __cplusplus
}
#endif
#endif
