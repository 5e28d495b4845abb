/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n, ours as well as those of OpenSSL and cJSON: nothing is
 * then believed, nothing crashes, and (under the address sanitizer) nothing leaks.
 */
#include "world.h"

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* The linker sends our objects' calls here (--wrap), and keeps the real ones under another name. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long countdown = -1; /* negative: nothing fails */

static bool fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return __wrap_malloc(size);
}

static void *openssl_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return __wrap_realloc(p, size);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* OpenSSL takes these only before its first allocation, which Criterion's own libraries may cause.
 */
static void hook_openssl(void)
{
	(void)CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}
__attribute__((section(".preinit_array"), used)) static void (*const hook)(void) = hook_openssl;

static struct world w;

static void setup(void)
{
	cJSON_Hooks hooks = {__wrap_malloc, free};
	CRYPTO_malloc_fn hooked = NULL;
	CRYPTO_get_mem_functions(&hooked, NULL, NULL);
	cr_assert_eq(hooked, openssl_malloc);
	cJSON_InitHooks(&hooks);
	world_init(&w);
}

static void teardown(void)
{
	countdown = -1;
	world_done(&w);
}

TestSuite(memory, .init = setup, .fini = teardown);

typedef enum fl_rc operation(struct fl_arena *arena, struct fl_err *err);

/* Runs the act with ever later failures (every one of the first 200, then in growing steps) until
 * one run has none. */
static void torture(operation *act)
{
	struct fl_err err;
	struct fl_arena warm = FL_ARENA(1 << 20);
	cr_assert_eq(act(&warm, &err), FL_OK, "%s", err.msg);
	fl_arena_free(&warm);
	for (long n = 0;; n += 1 + n / 200) {
		struct fl_arena arena = FL_ARENA(1 << 20);
		countdown = n;
		enum fl_rc rc = act(&arena, n % 2 == 0 ? &err : NULL);
		bool failed = countdown < 0;
		countdown = -1;
		fl_arena_free(&arena);
		if (!failed) {
			cr_assert_eq(rc, FL_OK);
			cr_assert_gt(n, 5);
			return;
		}
		/* OpenSSL does without some of its memory (caches); then the answer must be the
		 * right one */
		cr_assert_leq(rc, FL_OK);
		cr_assert_lt(n, 20000);
	}
}

static struct fl_envelope env;
static struct fl_buf text;

static enum fl_rc verify_job(struct fl_arena *arena, struct fl_err *err)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	return fl_verify_job(&w.state, &env, NOW, arena, &out, &verdict, err);
}

Test(memory, a_job_is_verified_or_refused)
{
	env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(DISPATCH));
	torture(verify_job);
}

static enum fl_rc refuse_job(struct fl_arena *arena, struct fl_err *err)
{
	/* never FL_OK, whatever fails: turned round so that torture() sees it */
	return verify_job(arena, err) == FL_OK ? FL_E_INTERNAL : FL_OK;
}

Test(memory, a_forged_job_is_refused_whatever_fails)
{
	env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(STRANGER, RELEASE_A));
	env.sigs[0].keyid = world_keyid(&w, DISPATCH);
	for (long n = 0; n < 500; n++) {
		struct fl_arena arena = FL_ARENA(1 << 20);
		countdown = n;
		enum fl_rc rc = refuse_job(&arena, NULL);
		countdown = -1;
		cr_assert_eq(rc, FL_OK, "%ld", n);
		fl_arena_free(&arena);
	}
}

static enum fl_rc verify_release(struct fl_arena *arena, struct fl_err *err)
{
	struct fl_release out;
	return fl_verify_release(&w.state, &w.job, &env, arena, &out, err);
}

Test(memory, a_release_is_verified_or_refused)
{
	env = world_sign(&w, FL_DOC_RELEASE, &w.release, SIGNERS(RELEASE_A, RELEASE_B));
	cr_assert_eq(fl_envelope_digest(&env, &w.job.release, &w.err), FL_OK);
	torture(verify_release);
}

static enum fl_rc verify_root(struct fl_arena *arena, struct fl_err *err)
{
	struct fl_root out;
	return fl_verify_root(NULL, &env, arena, &out, err);
}

Test(memory, a_root_is_verified_or_refused)
{
	env = world_sign(&w, FL_DOC_ROOT, &w.root_in, SIGNERS(ROOT_A, ROOT_B));
	torture(verify_root);
}

static enum fl_rc parse(struct fl_arena *arena, struct fl_err *err)
{
	struct fl_envelope out;
	return fl_envelope_parse_any(text.data, text.len, arena, &out, err);
}

Test(memory, an_envelope_is_parsed_or_refused)
{
	text = FL_BUF(FL_ENVELOPE_MAX);
	env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(DISPATCH, ROOT_A));
	cr_assert_eq(fl_envelope_write(&env, &text, &w.err), FL_OK);
	torture(parse);
	fl_buf_free(&text);
}

static enum fl_rc sign(struct fl_arena *arena, struct fl_err *err)
{
	(void)arena;
	struct fl_envelope mine = {.type = FL_DOC_JOB, .payload = env.payload};
	enum fl_rc rc = fl_envelope_sign(&mine, w.keys[DISPATCH], err);
	cr_assert_eq(mine.n_sigs, rc == FL_OK ? 1 : 0);
	return rc;
}

Test(memory, a_signature_is_made_whole_or_not)
{
	env = world_sign(&w, FL_DOC_JOB, &w.job, SIGNERS(DISPATCH));
	torture(sign);
}

static enum fl_rc encode(struct fl_arena *arena, struct fl_err *err)
{
	(void)arena;
	struct fl_buf out = FL_BUF(1 << 20);
	enum fl_rc rc = fl_json_encode(&fl_release_schema, &w.release, &out, err);
	cr_assert(rc == FL_OK || out.len == 0);
	fl_buf_free(&out);
	return rc;
}

Test(memory, a_document_is_written_whole_or_not)
{
	torture(encode);
}
