/* SPDX-License-Identifier: Apache-2.0 */
/* DSSE envelopes: form, signatures, counting. */
#include <fairlead/trust/envelope.h>

#include <criterion/criterion.h>
#include <string.h>

static struct fl_bytes bytes(const char *text)
{
	return (struct fl_bytes){(const uint8_t *)text, strlen(text)};
}

static struct fl_key *new_key(enum fl_alg alg)
{
	struct fl_key *key = NULL;
	struct fl_err err;
	cr_assert_eq(fl_key_generate(alg, &key, &err), FL_OK, "%s", err.msg);
	return key;
}

static size_t count_one(const struct fl_envelope *env, const struct fl_key *key)
{
	const struct fl_pubkey *pub = fl_key_public(key);
	return fl_envelope_count_valid(env, &pub, 1);
}

Test(envelope, what_is_written_parses_and_verifies)
{
	const enum fl_alg algs[] = {FL_ALG_ED25519, FL_ALG_P256};
	for (size_t i = 0; i < 2; i++) {
		struct fl_err err = {0};
		struct fl_key *key = new_key(algs[i]);
		struct fl_envelope env = {.type = FL_DOC_JOB, .payload = bytes("{\"a\":1}")};
		cr_assert_eq(fl_envelope_sign(&env, key, &err), FL_OK, "%s", err.msg);
		struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
		cr_assert_eq(fl_envelope_write(&env, &text, &err), FL_OK, "%s", err.msg);
		struct fl_arena arena = FL_ARENA(1 << 20);
		struct fl_envelope back;
		cr_assert_eq(
			fl_envelope_parse(text.data, text.len, FL_DOC_JOB, &arena, &back, &err),
			FL_OK, "%s", err.msg);
		cr_assert_eq(count_one(&back, key), 1);
		fl_arena_free(&arena);
		fl_buf_free(&text);
		fl_key_free(key);
	}
}
