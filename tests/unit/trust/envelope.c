/* SPDX-License-Identifier: Apache-2.0 */
/* DSSE envelopes: form, the bytes that are signed, counting of signatures. */
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world w;
static struct fl_envelope out;

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_done(&w);
}

TestSuite(envelope, .init = setup, .fini = teardown);

static size_t count(const struct fl_envelope *env, const enum who *who)
{
	const struct fl_pubkey *keys[N_KEYS];
	size_t n = 0;
	for (; who[n] != NOBODY; n++)
		keys[n] = fl_key_public(w.keys[who[n]]);
	return fl_envelope_count_valid(env, keys, n);
}

static struct fl_buf text_of(const struct fl_envelope *env)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	cr_assert_eq(fl_envelope_write(env, &text, &w.err), FL_OK, "%s", w.err.msg);
	return text;
}

static enum fl_rc parse(const char *text)
{
	return fl_envelope_parse_any(text, strlen(text), &w.arena, &out, &w.err);
}

Test(envelope, what_is_written_parses_and_verifies)
{
	struct fl_envelope env =
		world_sign_text(&w, FL_DOC_JOB, "{\"a\":1}", SIGNERS(DISPATCH, ROOT_A));
	struct fl_buf text = text_of(&env);
	cr_assert_eq(fl_envelope_parse(text.data, text.len, FL_DOC_JOB, &w.arena, &out, &w.err),
		     FL_OK, "%s", w.err.msg);
	cr_assert_eq(out.type, FL_DOC_JOB);
	cr_assert_eq(out.payload.len, 7);
	cr_assert_arr_eq(out.payload.data, "{\"a\":1}", 7);
	cr_assert_eq(out.n_sigs, 2);
	cr_assert_eq(count(&out, SIGNERS(DISPATCH, ROOT_A, ROOT_B)), 2);
	fl_buf_free(&text);
}

Test(envelope, the_text_is_that_of_the_written_format)
{
	struct fl_envelope env = {
		.type = FL_DOC_RELEASE, .payload = {(const uint8_t *)"{}", 2}, .n_sigs = 1};
	memset(env.sigs[0].keyid.b, 0xab, 32);
	memset(env.sigs[0].sig, 0, 64);
	struct fl_buf text = text_of(&env);
	cr_assert_str_eq(
		fl_buf_str(&text),
		"{\"payloadType\":\"application/"
		"vnd.fairlead.release.v1+json\",\"payload\":\"e30=\",\"signatures\":["
		"{\"keyid\":\"abababababababababababababababababababababababababababababababab\","
		"\"sig\":\""
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAA==\"}]}");
	fl_buf_free(&text);
}

/*
 * A golden vector, made in Python from docs/formats.md:
 *   t = b'application/vnd.fairlead.job.v1+json'; p = b'{"type":"job"}'
 *   b'DSSEv1 %d %s %d %s' % (len(t), t, len(p), p)
 */
Test(envelope, the_signed_bytes_are_the_pae_of_type_and_payload)
{
	static const char pae[] =
		"DSSEv1 36 application/vnd.fairlead.job.v1+json 14 {\"type\":\"job\"}";
	struct fl_envelope env =
		world_sign_text(&w, FL_DOC_JOB, "{\"type\":\"job\"}", SIGNERS(ROOT_A));
	cr_assert_eq(fl_pubkey_verify(fl_key_public(w.keys[ROOT_A]), pae, sizeof(pae) - 1,
				      env.sigs[0].sig, &w.err),
		     FL_OK);
	/* and a signature over just these bytes counts */
	cr_assert_eq(fl_key_sign(w.keys[ROOT_B], pae, sizeof(pae) - 1, env.sigs[0].sig, &w.err),
		     FL_OK);
	env.sigs[0].keyid = world_keyid(&w, ROOT_B);
	cr_assert_eq(count(&env, SIGNERS(ROOT_B)), 1);
}

Test(envelope, unsigned_counts_nothing)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(NOBODY));
	cr_assert_eq(count(&env, SIGNERS(DISPATCH, ROOT_A)), 0);
	struct fl_buf text = text_of(&env);
	cr_assert_eq(fl_envelope_parse_any(text.data, text.len, &w.arena, &out, &w.err), FL_OK);
	fl_buf_free(&text);
}

Test(envelope, the_same_key_twice_counts_once)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_ROOT, "{}", SIGNERS(ROOT_A));
	env.sigs[1] = env.sigs[0];
	env.n_sigs = 2;
	cr_assert_eq(count(&env, SIGNERS(ROOT_A, ROOT_B)), 1);
	cr_assert_eq(count(&env, SIGNERS(ROOT_A, ROOT_A)), 1, "named twice by the caller");
}

Test(envelope, two_ecdsa_signatures_of_one_key_count_once)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH));
	struct fl_envelope again = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH));
	cr_assert_neq(memcmp(env.sigs[0].sig, again.sigs[0].sig, 64), 0);
	env.sigs[1] = again.sigs[0];
	env.n_sigs = 2;
	cr_assert_eq(count(&env, SIGNERS(DISPATCH, RELEASE_A)), 1);
}

Test(envelope, a_keyid_that_names_another_key_grants_nothing)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_ROOT, "{}", SIGNERS(STRANGER));
	env.sigs[0].keyid = world_keyid(&w, ROOT_A);
	cr_assert_eq(count(&env, SIGNERS(ROOT_A)), 0);
	/* one valid signature under the identifiers of two keys */
	env = world_sign_text(&w, FL_DOC_ROOT, "{}", SIGNERS(ROOT_A));
	env.sigs[1] = env.sigs[0];
	env.sigs[1].keyid = world_keyid(&w, ROOT_B);
	env.n_sigs = 2;
	cr_assert_eq(count(&env, SIGNERS(ROOT_A, ROOT_B)), 1);
}

Test(envelope, a_signature_is_for_one_type_only)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH));
	for (enum fl_doc_type type = FL_DOC_ROOT; type <= FL_DOC_REPORT; type++) {
		env.type = type;
		cr_assert_eq(count(&env, SIGNERS(DISPATCH)), type == FL_DOC_JOB ? 1 : 0);
	}
	env.type = 77; /* from a frame */
	cr_assert_eq(count(&env, SIGNERS(DISPATCH)), 0);
}

Test(envelope, any_other_payload_is_not_signed)
{
	struct fl_envelope env =
		world_sign_text(&w, FL_DOC_JOB, "{\"a\":1}", SIGNERS(DISPATCH, ROOT_A));
	char text[] = "{\"a\":1} ";
	for (size_t i = 0; i < 7; i++) {
		text[i] ^= 1;
		env.payload = (struct fl_bytes){(uint8_t *)text, 7};
		cr_assert_eq(count(&env, SIGNERS(DISPATCH, ROOT_A)), 0);
		text[i] ^= 1;
	}
	env.payload.len = 8;
	cr_assert_eq(count(&env, SIGNERS(DISPATCH, ROOT_A)), 0);
	env.payload.len = 6;
	cr_assert_eq(count(&env, SIGNERS(DISPATCH, ROOT_A)), 0);
	env.payload.len = 7;
	cr_assert_eq(count(&env, SIGNERS(DISPATCH, ROOT_A)), 2);
}

Test(envelope, every_flipped_bit_of_a_signature_voids_it)
{
	const enum who who[] = {DISPATCH, ROOT_A};
	for (int k = 0; k < 2; k++) {
		struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(who[k]));
		for (int bit = 0; bit < 512; bit++) {
			env.sigs[0].sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
			cr_assert_eq(count(&env, SIGNERS(who[k])), 0, "bit %d", bit);
			env.sigs[0].sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

Test(envelope, sixteen_signatures_are_the_most)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH));
	for (env.n_sigs = 1; env.n_sigs < 16; env.n_sigs++)
		env.sigs[env.n_sigs] = (struct fl_signature){.keyid = {{(uint8_t)env.n_sigs}}};
	struct fl_buf text = text_of(&env);
	cr_assert_eq(fl_envelope_parse_any(text.data, text.len, &w.arena, &out, &w.err), FL_OK,
		     "%s", w.err.msg);
	cr_assert_eq(fl_envelope_sign(&env, w.keys[ROOT_A], &w.err), FL_E_TOO_LARGE);
	cr_assert_eq(env.n_sigs, 16);
	cr_assert_eq(fl_envelope_sign(&env, w.keys[DISPATCH], &w.err), FL_OK,
		     "renewing one's own needs no room");
	/* a seventeenth, in text */
	const char *cut = strstr(fl_buf_str(&text), "]}");
	struct fl_buf more = FL_BUF(FL_ENVELOPE_MAX);
	cr_assert_eq(
		fl_buf_append(&more, text.data, (size_t)((const uint8_t *)cut - text.data), &w.err),
		FL_OK);
	const char *one = strchr(strstr(fl_buf_str(&text), "signatures"), '{');
	cr_assert_eq(
		fl_buf_appendf(&more, &w.err, ",%.*s]}", (int)(strchr(one, '}') - one + 1), one),
		FL_OK);
	cr_assert_eq(fl_envelope_parse_any(more.data, more.len, &w.arena, &out, &w.err),
		     FL_E_ENVELOPE);
	fl_buf_free(&text);
	fl_buf_free(&more);
}

Test(envelope, signing_again_renews_instead_of_adding)
{
	struct fl_envelope env =
		world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH, ROOT_A, DISPATCH));
	cr_assert_eq(env.n_sigs, 2);
	cr_assert_eq(count(&env, SIGNERS(DISPATCH, ROOT_A)), 2);
}

Test(envelope, a_known_type_that_was_not_expected_is_refused)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH));
	struct fl_buf text = text_of(&env);
	cr_assert_eq(fl_envelope_parse(text.data, text.len, FL_DOC_RELEASE, &w.arena, &out, &w.err),
		     FL_E_DOC_TYPE);
	fl_buf_free(&text);
}

#define TYPE(name) "\"payloadType\":\"application/vnd.fairlead." name ".v1+json\""

Test(envelope, unknown_types_are_refused)
{
	cr_expect_eq(parse("{" TYPE("admin") ",\"payload\":\"\",\"signatures\":[]}"),
		     FL_E_DOC_TYPE);
	cr_expect_eq(parse("{" TYPE("Job") ",\"payload\":\"\",\"signatures\":[]}"), FL_E_DOC_TYPE);
	cr_expect_eq(parse("{\"payloadType\":\"job\",\"payload\":\"\",\"signatures\":[]}"),
		     FL_E_DOC_TYPE);
	cr_expect_eq(parse("{\"payloadType\":\"application/"
			   "vnd.fairlead.job.v2+json\",\"payload\":\"\",\"signatures\":[]}"),
		     FL_E_DOC_TYPE);
	cr_expect_eq(parse("{\"payloadType\":\"application/"
			   "vnd.in-toto+json\",\"payload\":\"\",\"signatures\":[]}"),
		     FL_E_DOC_TYPE);
}

Test(envelope, only_the_three_members_stand_in_it)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{" TYPE("job") ",\"payload\":\"e30=\"}",
		"{" TYPE("job") ",\"signatures\":[]}",
		"{\"payload\":\"e30=\",\"signatures\":[]}",
		"{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[],\"x\":1}",
		"{" TYPE("job") "," TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[]}",
		"{" TYPE("job") ",\"payload\":\"e30=\",\"payload\":\"e30=\",\"signatures\":[]}",
		"{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":{}}",
		"{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[{}]}",
		"{" TYPE("job") ",\"payload\":{},\"signatures\":[]}",
		"{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[]} x",
		"{\"PayloadType\":\"x\",\"payload\":\"e30=\",\"signatures\":[]}",
		"{\"payloadtype\":\"x\",\"payload\":\"e30=\",\"signatures\":[]}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(parse(bad[i]), FL_E_ENVELOPE, "%s", bad[i]);
	cr_expect_eq(parse("{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[]}"), FL_OK, "%s",
		     w.err.msg);
}

Test(envelope, payloads_are_canonical_base64)
{
	static const char *const bad[] = {"e30", "e31=", "e30=\\n", " e30=", "e30==", "-_8="};
	char text[256];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
			 "{" TYPE("job") ",\"payload\":\"%s\",\"signatures\":[]}", bad[i]);
		cr_expect_eq(parse(text), FL_E_ENVELOPE, "%s", bad[i]);
	}
}

/* Mender, December 2025: a size was compared with > where != was meant */
Test(envelope, a_signature_has_exactly_64_bytes)
{
	struct fl_envelope env = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(ROOT_A));
	for (size_t len = 0; len <= 66; len++) {
		uint8_t sig[66] = {0};
		char sig64[FL_BASE64_SIZE(66)], keyid[65], text[512];
		memcpy(sig, env.sigs[0].sig, 64);
		fl_base64_encode(sig, len, sig64);
		fl_hex_encode(env.sigs[0].keyid.b, 32, keyid);
		snprintf(text, sizeof(text),
			 "{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[{\"keyid\":\"%s\","
					 "\"sig\":\"%s\"}]}",
			 keyid, sig64);
		cr_expect_eq(parse(text), len == 64 ? FL_OK : FL_E_ENVELOPE, "%zu", len);
	}
}

Test(envelope, a_keyid_is_64_lower_case_digits)
{
	static const char *const bad[] = {
		"", "ab", "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB",
		"gbababababababababababababababababababababababababababababababab",
		"sha256:abababababababababababababababababababababababababababababababab"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text),
			 "{" TYPE("job") ",\"payload\":\"e30=\",\"signatures\":[{\"keyid\":\"%s\","
					 "\"sig\":\""
					 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
					 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"}]}",
			 bad[i]);
		cr_expect_eq(parse(text), FL_E_ENVELOPE, "%s", bad[i]);
	}
}

Test(envelope, each_type_has_its_limit)
{
	char *payload = malloc(FL_DOC_PAYLOAD_MAX + 2);
	memset(payload, 'x', FL_DOC_PAYLOAD_MAX + 2);
	for (enum fl_doc_type type = FL_DOC_ROOT; type <= FL_DOC_REPORT; type++) {
		size_t max = fl_doc_type_max(type);
		cr_assert_eq(max, type == FL_DOC_RELEASE ? 262144 : 65536);
		struct fl_envelope env = {.type = type, .payload = {(uint8_t *)payload, max}};
		struct fl_buf text = text_of(&env);
		cr_assert_eq(fl_envelope_parse_any(text.data, text.len, &w.arena, &out, &w.err),
			     FL_OK);
		fl_buf_clear(&text);
		env.payload.len++;
		cr_assert_eq(fl_envelope_write(&env, &text, &w.err), FL_E_TOO_LARGE);
		char *base64 = malloc(FL_BASE64_SIZE(max + 1));
		fl_base64_encode(payload, max + 1, base64);
		cr_assert_eq(fl_buf_appendf(&text, &w.err,
					    "{\"payloadType\":\"application/"
					    "vnd.fairlead.%s.v1+json\",\"payload\":\"%s\","
					    "\"signatures\":[]}",
					    fl_doc_type_name(type), base64),
			     FL_OK);
		cr_assert_eq(fl_envelope_parse_any(text.data, text.len, &w.arena, &out, &w.err),
			     FL_E_TOO_LARGE, "%s", w.err.msg);
		free(base64);
		fl_buf_free(&text);
	}
	cr_assert_eq(fl_envelope_parse_any(payload, FL_ENVELOPE_MAX + 1, &w.arena, &out, &w.err),
		     FL_E_TOO_LARGE);
	free(payload);
}

Test(envelope, the_digest_is_of_the_payload_alone)
{
	struct fl_envelope a = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(DISPATCH));
	struct fl_envelope b = world_sign_text(&w, FL_DOC_JOB, "{}", SIGNERS(ROOT_A, ROOT_B));
	struct fl_digest da, db;
	char text[FL_DIGEST_TEXT_SIZE];
	cr_assert_eq(fl_envelope_digest(&a, &da, &w.err), FL_OK);
	cr_assert_eq(fl_envelope_digest(&b, &db, &w.err), FL_OK);
	cr_assert(fl_digest_equal(&da, &db));
	fl_digest_format(&da, text);
	cr_assert_str_eq(text,
			 "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* One changed byte of the text: it may parse, and may even mean the same; another payload never
 * counts. */
Test(envelope, twenty_thousand_mutations_sign_nothing_new)
{
	uint32_t state = 1;
	struct fl_envelope env =
		world_sign_text(&w, FL_DOC_JOB, "{\"a\":1}", SIGNERS(ROOT_A, ROOT_B));
	struct fl_buf text = text_of(&env);
	size_t parsed = 0;
	for (int i = 0; i < 20000; i++) {
		size_t at = next_random(&state) % text.len;
		uint8_t old = text.data[at];
		text.data[at] = (uint8_t)next_random(&state);
		struct fl_arena arena = FL_ARENA(1 << 16);
		if (text.data[at] != old &&
		    fl_envelope_parse_any(text.data, text.len, &arena, &out, NULL) == FL_OK) {
			parsed++;
			bool same =
				out.type == env.type && out.payload.len == env.payload.len &&
				memcmp(out.payload.data, env.payload.data, env.payload.len) == 0;
			size_t n = count(&out, SIGNERS(ROOT_A, ROOT_B));
			cr_assert(same ? n < 2 : n == 0, "mutation %d", i);
		}
		text.data[at] = old;
		fl_arena_free(&arena);
	}
	cr_assert_gt(parsed, 100);
	fl_buf_free(&text);
}
