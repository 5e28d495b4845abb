/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a job: a cut, longer or changed body is refused or another job, never a read past
 * its end. */
#include "job_row.h"
#include "sum.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct fl_store_job some_job(void)
{
	struct fl_store_job job = {.state = FL_JOB_CHECKING, .reason = FL_E_BOOT_FAILED};
	strcpy(job.job_id, "00000000-0000-4000-8000-000000000000");
	strcpy(job.text, "wait");
	strcpy(job.next, "window");
	job.n_components = 2;
	strcpy(job.components[0].name, "rootfs");
	strcpy(job.components[1].name, "meter");
	return job;
}

/* In memory of exactly its size, so that a sanitizer sees a read past the end. */
static bool decodes(const uint8_t *data, size_t len)
{
	struct fl_store_job job;
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	memcpy(exact, data, len);
	bool ok = store_job_decode((struct fl_bytes){exact, len}, &job);
	free(exact);
	return ok;
}

Test(row, cut_at_every_byte_is_refused)
{
	struct fl_store_job job = some_job();
	struct job_body body;
	store_job_encode(&job, &body);
	for (size_t len = 0; len < body.len; len++)
		cr_assert_not(decodes(body.data, len), "%zu of %zu", len, body.len);
	cr_assert(decodes(body.data, body.len));
}

Test(row, one_byte_more_is_refused)
{
	struct fl_store_job job = some_job();
	struct job_body body;
	store_job_encode(&job, &body);
	body.data[body.len] = 0;
	cr_assert_not(decodes(body.data, body.len + 1));
}

Test(row, every_flipped_bit_is_survived)
{
	struct fl_store_job job = some_job();
	struct job_body body;
	store_job_encode(&job, &body);
	for (size_t bit = 0; bit < body.len * 8; bit++) {
		body.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		(void)decodes(body.data, body.len);
		body.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

/* Known values of FNV-1a: the format of rows must not change unseen. */
Test(sum, is_stable_and_tells_fields_apart)
{
	uint64_t a = store_sum_bytes(store_sum("job"), "ab", 2);
	uint64_t b = store_sum_bytes(store_sum_bytes(store_sum("job"), "a", 1), "b", 1);
	uint64_t c = store_sum_bytes(store_sum("log"), "ab", 2);
	cr_assert(a != b && a != c);
	cr_assert_eq(store_sum_u64(0, 0), 0);
	cr_assert_eq(store_sum_u64(UINT64_C(0xcbf29ce484222325), 0x6867666564636261),
		     UINT64_C(0x25da8c1836a8d66d), "the 64-bit FNV-1a of \"abcdefgh\"");
}

Test(sum, sees_every_flipped_bit)
{
	uint8_t data[300];
	memset(data, 0x5a, sizeof(data));
	uint64_t sum = store_sum_bytes(store_sum("x"), data, sizeof(data));
	for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		cr_assert_neq(store_sum_bytes(store_sum("x"), data, sizeof(data)), sum);
		data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}
