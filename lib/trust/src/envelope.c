/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSSE envelopes. Unpacking believes nothing: it only takes the text apart. What is verified is the
 * pre-authentication encoding (PAE) of type and payload bytes, and only those bytes are parsed
 * afterwards.
 */
#include <fairlead/trust/envelope.h>

#include <fairlead/trust/digest.h>

#include "json_lex.h"

#include <stdio.h>
#include <string.h>

#define TYPE_HEAD "application/vnd.fairlead."
#define TYPE_TAIL ".v1+json"
#define TYPE_MAX  64

#define KIB 1024

static const struct doc_type {
	const char *name;
	size_t max;
} doc_types[] = {
	[FL_DOC_ROOT] = {"root", 64 * KIB},
	[FL_DOC_RELEASE] = {"release", 256 * KIB},
	[FL_DOC_COMPONENT] = {"component", 64 * KIB},
	[FL_DOC_ORDER] = {"order", 64 * KIB},
	[FL_DOC_JOB] = {"job", 64 * KIB},
	[FL_DOC_HEARTBEAT] = {"heartbeat", 64 * KIB},
	[FL_DOC_TIME] = {"time", 64 * KIB},
	[FL_DOC_REPORT] = {"report", 64 * KIB},
};

static bool type_known(enum fl_doc_type type)
{
	return type >= FL_DOC_ROOT && type <= FL_DOC_REPORT;
}

const char *fl_doc_type_name(enum fl_doc_type type)
{
	FL_BUG_ON(!type_known(type));
	return doc_types[type].name;
}

size_t fl_doc_type_max(enum fl_doc_type type)
{
	FL_BUG_ON(!type_known(type));
	return doc_types[type].max;
}

static void type_text(enum fl_doc_type type, char out[TYPE_MAX])
{
	snprintf(out, TYPE_MAX, TYPE_HEAD "%s" TYPE_TAIL, fl_doc_type_name(type));
}

static bool type_from_text(const char *text, enum fl_doc_type *ret)
{
	for (enum fl_doc_type type = FL_DOC_ROOT; type <= FL_DOC_REPORT; type++) {
		char want[TYPE_MAX];
		type_text(type, want);
		if (strcmp(text, want) == 0) {
			*ret = type;
			return true;
		}
	}
	return false;
}

/* The envelope as JSON has it. */
struct raw_signature {
	const char *keyid;
	struct fl_bytes sig;
};

struct raw_envelope {
	const char *payload_type;
	struct fl_bytes payload;
	FL_LIST(struct raw_signature) signatures;
};

static const struct fl_field signature_fields[] = {
	FL_REQ(struct raw_signature, keyid, STR, 2 * FL_DIGEST_SIZE, NULL,
	       "SHA-256 of the key's SPKI, a hint"),
	FL_REQ(struct raw_signature, sig, BYTES, FL_SIG_SIZE, NULL, "64 bytes"),
};
static const struct fl_schema signature_schema =
	FL_SCHEMA("signature", struct raw_signature, signature_fields, NULL);

static const struct fl_field envelope_fields[] = {
	{"payloadType", FL_K_STR, true, offsetof(struct raw_envelope, payload_type), TYPE_MAX, NULL,
	 "the type, signed with the payload"},
	FL_REQ(struct raw_envelope, payload, BYTES, FL_ENVELOPE_MAX, NULL, "the document"),
	FL_REQ(struct raw_envelope, signatures, LIST, FL_SIGS_MAX, &signature_schema, "of the PAE"),
};
static const struct fl_schema envelope_schema =
	FL_SCHEMA("envelope", struct raw_envelope, envelope_fields, NULL);

static enum fl_rc take_signature(const struct raw_signature *raw, struct fl_signature *ret,
				 struct fl_err *err)
{
	if (raw->sig.len != FL_SIG_SIZE)
		return fl_fail(err, FL_E_ENVELOPE, 0, "sig: not 64 bytes");
	if (!fl_hex_decode(raw->keyid, strlen(raw->keyid), ret->keyid.b, sizeof(ret->keyid.b)))
		return fl_fail(err, FL_E_ENVELOPE, 0, "keyid: not 64 hexadecimal digits");
	memcpy(ret->sig, raw->sig.data, FL_SIG_SIZE);
	return FL_OK;
}

static enum fl_rc check_size(const struct fl_envelope *env, struct fl_err *err)
{
	size_t max = fl_doc_type_max(env->type);
	if (env->payload.len > max)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "a %s of more than %zu bytes",
			       fl_doc_type_name(env->type), max);
	return FL_OK;
}

static enum fl_rc take_raw(const struct raw_envelope *raw, struct fl_envelope *ret,
			   struct fl_err *err)
{
	struct fl_envelope env = {.payload = raw->payload, .n_sigs = raw->signatures.n};
	if (!type_from_text(raw->payload_type, &env.type))
		return fl_fail(err, FL_E_DOC_TYPE, 0, "no such document type");
	enum fl_rc rc = check_size(&env, err);
	for (size_t i = 0; rc == FL_OK && i < env.n_sigs; i++) {
		rc = take_signature(&raw->signatures.items[i], &env.sigs[i], err);
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "signatures: [%zu]", i);
	}
	if (rc == FL_OK)
		*ret = env;
	return rc;
}

enum fl_rc fl_envelope_parse_any(const void *text, size_t len, struct fl_arena *arena,
				 struct fl_envelope *ret, struct fl_err *err)
{
	if (len > FL_ENVELOPE_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "an envelope of more than %zu bytes",
			       FL_ENVELOPE_MAX);
	struct raw_envelope raw;
	enum fl_rc rc = fl_json_decode_keys(&envelope_schema, (struct fl_bytes){text, len},
					    FL_JSON_KEYS_ENVELOPE, FL_JSON_REFUSE_UNKNOWN, arena,
					    &raw, err);
	if (rc == FL_E_DOC_SYNTAX || rc == FL_E_DOC_FIELD)
		return fl_wrap(err, FL_E_ENVELOPE, "envelope");
	return rc == FL_OK ? take_raw(&raw, ret, err) : rc;
}

enum fl_rc fl_envelope_parse(const void *text, size_t len, enum fl_doc_type type,
			     struct fl_arena *arena, struct fl_envelope *ret, struct fl_err *err)
{
	struct fl_envelope env;
	enum fl_rc rc = fl_envelope_parse_any(text, len, arena, &env, err);
	if (rc != FL_OK)
		return rc;
	if (env.type != type)
		return fl_fail(err, FL_E_DOC_TYPE, 0, "a %s where a %s was expected",
			       fl_doc_type_name(env.type), fl_doc_type_name(type));
	*ret = env;
	return FL_OK;
}

enum fl_rc fl_envelope_write(const struct fl_envelope *env, struct fl_buf *out, struct fl_err *err)
{
	char type[TYPE_MAX];
	char keyids[FL_SIGS_MAX][FL_DIGEST_HEX_SIZE];
	struct raw_signature sigs[FL_SIGS_MAX];
	type_text(env->type, type);
	FL_BUG_ON(env->n_sigs > FL_SIGS_MAX);
	for (size_t i = 0; i < env->n_sigs; i++) {
		fl_hex_encode(env->sigs[i].keyid.b, FL_DIGEST_SIZE, keyids[i]);
		sigs[i] = (struct raw_signature){keyids[i], {env->sigs[i].sig, FL_SIG_SIZE}};
	}
	struct raw_envelope raw = {type, env->payload, {sigs, env->n_sigs}};
	enum fl_rc rc = check_size(env, err);
	if (rc != FL_OK)
		return rc;
	return fl_json_encode_keys(&envelope_schema, &raw, FL_JSON_KEYS_ENVELOPE, out, err);
}

enum fl_rc fl_envelope_digest(const struct fl_envelope *env, struct fl_digest *ret,
			      struct fl_err *err)
{
	return fl_sha256(NULL, 0, env->payload.data, env->payload.len, ret, err);
}

/* "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload */
static enum fl_rc pae(const struct fl_envelope *env, struct fl_buf *out, struct fl_err *err)
{
	char type[TYPE_MAX];
	type_text(env->type, type);
	enum fl_rc rc = fl_buf_appendf(out, err, "DSSEv1 %zu %s %zu ", strlen(type), type,
				       env->payload.len);
	return rc == FL_OK ? fl_buf_append(out, env->payload.data, env->payload.len, err) : rc;
}

#define PAE_MAX (FL_DOC_PAYLOAD_MAX + 256)

static struct fl_signature *slot_of(struct fl_envelope *env, const struct fl_digest *keyid)
{
	for (size_t i = 0; i < env->n_sigs; i++) {
		if (fl_digest_equal(&env->sigs[i].keyid, keyid))
			return &env->sigs[i];
	}
	return env->n_sigs < FL_SIGS_MAX ? &env->sigs[env->n_sigs] : NULL;
}

enum fl_rc fl_envelope_sign(struct fl_envelope *env, const struct fl_key *key, struct fl_err *err)
{
	const struct fl_digest *keyid = &fl_key_public(key)->keyid;
	struct fl_signature *slot = slot_of(env, keyid);
	if (slot == NULL)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d signatures", FL_SIGS_MAX);
	struct fl_signature sig = {.keyid = *keyid};
	struct fl_buf msg = FL_BUF(PAE_MAX);
	enum fl_rc rc = pae(env, &msg, err);
	if (rc == FL_OK)
		rc = fl_key_sign(key, msg.data, msg.len, sig.sig, err);
	fl_buf_free(&msg);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "sign %s", fl_doc_type_name(env->type));
	if (slot == &env->sigs[env->n_sigs])
		env->n_sigs++;
	*slot = sig;
	return FL_OK;
}

static bool named_before(const struct fl_pubkey *const *keys, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (fl_digest_equal(&keys[k]->keyid, &keys[i]->keyid))
			return true;
	}
	return false;
}

/* Only signatures that name the key are tried: the hint saves work and grants nothing. */
static bool signed_by(const struct fl_envelope *env, const struct fl_buf *msg,
		      const struct fl_pubkey *key)
{
	for (size_t i = 0; i < env->n_sigs; i++) {
		if (fl_digest_equal(&env->sigs[i].keyid, &key->keyid) &&
		    fl_pubkey_verify(key, msg->data, msg->len, env->sigs[i].sig, NULL) == FL_OK)
			return true;
	}
	return false;
}

size_t fl_envelope_count_valid(const struct fl_envelope *env, const struct fl_pubkey *const *keys,
			       size_t n)
{
	size_t valid = 0;
	struct fl_buf msg = FL_BUF(PAE_MAX);
	bool ready = type_known(env->type) && env->n_sigs <= FL_SIGS_MAX &&
		     pae(env, &msg, NULL) == FL_OK;
	for (size_t i = 0; ready && i < n; i++) {
		if (!named_before(keys, i) && signed_by(env, &msg, keys[i]))
			valid++;
	}
	fl_buf_free(&msg);
	return valid;
}
