/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an envelope: what parses is written and parses again to the same. One known key,
 * whose private half was thrown away, has signed one payload (corpus/envelope/known-key); under no
 * mutation does it sign another.
 */
#include <fairlead/trust/envelope.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t known_spki[] = {
	0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x22, 0x4c, 0x70,
	0xd6, 0x86, 0xcc, 0x59, 0x3a, 0x2b, 0xf2, 0xcd, 0xb7, 0x49, 0xdb, 0xc2, 0x46, 0x0d, 0x21,
	0x5b, 0x72, 0xea, 0x32, 0x79, 0x54, 0x73, 0x29, 0x97, 0x47, 0xa2, 0x61, 0x20, 0x17};
static const char known_payload[] = "{\"type\":\"job\"}";

static void check_signatures(const struct fl_envelope *env)
{
	static struct fl_pubkey key;
	if (key.spki_len == 0)
		FL_BUG_ON(fl_pubkey_from_spki(known_spki, sizeof(known_spki), &key, NULL) != FL_OK);
	const struct fl_pubkey *keys[] = {&key, &key};
	size_t n = fl_envelope_count_valid(env, keys, 2);
	bool known = env->type == FL_DOC_JOB && env->payload.len == sizeof(known_payload) - 1 &&
		     memcmp(env->payload.data, known_payload, env->payload.len) == 0;
	FL_BUG_ON(n > 1 || (n == 1 && !known));
}

static void check_same(const struct fl_envelope *a, const struct fl_envelope *b)
{
	FL_BUG_ON(a->type != b->type || a->n_sigs != b->n_sigs || a->payload.len != b->payload.len);
	FL_BUG_ON(a->payload.len > 0 &&
		  memcmp(a->payload.data, b->payload.data, a->payload.len) != 0);
	FL_BUG_ON(memcmp(a->sigs, b->sigs, a->n_sigs * sizeof(a->sigs[0])) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_arena arena = FL_ARENA((size_t)4 << 20);
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_err err = {0};
	struct fl_envelope env, again;
	if (fl_envelope_parse_any(data, size, &arena, &env, &err) == FL_OK) {
		check_signatures(&env);
		FL_BUG_ON(fl_envelope_write(&env, &text, &err) != FL_OK);
		FL_BUG_ON(fl_envelope_parse(text.data, text.len, env.type, &arena, &again, &err) !=
			  FL_OK);
		check_same(&env, &again);
	}
	fl_buf_free(&text);
	fl_arena_free(&arena);
	return 0;
}
