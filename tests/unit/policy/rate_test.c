/* SPDX-License-Identifier: Apache-2.0 */
/* A cap on bytes per second: kept on the mean, hardly passed at once, whatever the pieces and the clock do. */
#include <fairlead/policy/rate.h>

#include <criterion/criterion.h>
#include <stdlib.h>

#define KIB UINT64_C(1024)

static struct fl_bucket bucket;

/* A source that is always ready, pieces of up to `most` bytes; the bytes that came within ms. */
static uint64_t run(uint64_t bytes_s, uint64_t most, uint64_t from_ms, uint64_t ms)
{
	uint64_t came = 0;
	uint64_t now = from_ms;
	while (now < from_ms + ms) {
		const uint64_t wait = fl_bucket_wait_ms(&bucket, bytes_s, now);
		if (wait > 0) {
			now += wait;
			continue;
		}
		const uint64_t piece = 1 + (uint64_t)rand() % most;
		fl_bucket_spend(&bucket, piece);
		came += piece;
	}
	return came;
}

Test(rate, the_mean_is_kept_with_pieces_of_any_size)
{
	static const uint64_t rates[] = {1 * KIB, 16 * KIB, 256 * KIB, 10 * KIB * KIB};
	static const uint64_t sizes[] = {1, 1400, 16 * KIB, 128 * KIB};
	for (size_t r = 0; r < 4; r++) {
		for (size_t s = 0; s < 4; s++) {
			const uint64_t s60 = 60 * rates[r];
			if (sizes[s] == 1 && r == 3)
				continue; /* slow, and says no more */
			fl_bucket_init(&bucket, 0);
			const uint64_t came = run(rates[r], sizes[s], 0, 60000);
			cr_assert_leq(came, s60 + FL_BUCKET_BYTES + sizes[s], "%llu %llu: %llu",
				      (unsigned long long)rates[r], (unsigned long long)sizes[s],
				      (unsigned long long)came);
			cr_assert_geq(came, s60 * 99 / 100);
		}
	}
}

Test(rate, a_pause_saves_no_more_than_the_bucket_holds)
{
	fl_bucket_init(&bucket, 0);
	(void)run(64 * KIB, 1400, 0, 10000);
	const uint64_t came = run(64 * KIB, 1400, 3600000, 1000);
	cr_assert_leq(came, 64 * KIB + FL_BUCKET_BYTES + 1400);
	cr_assert_geq(came, 64 * KIB);
}

Test(rate, debt_is_paid_before_more_comes)
{
	fl_bucket_init(&bucket, 1000);
	fl_bucket_spend(&bucket, FL_BUCKET_BYTES + 100000);
	const uint64_t wait = fl_bucket_wait_ms(&bucket, 1000, 1000);
	cr_assert_eq(wait, 100001);
	cr_assert_eq(fl_bucket_wait_ms(&bucket, 1000, 1000 + wait - 1), 1);
	cr_assert_eq(fl_bucket_wait_ms(&bucket, 1000, 1000 + wait), 0);
}

Test(rate, extremes_neither_overflow_nor_block_for_ever)
{
	fl_bucket_init(&bucket, 0);
	fl_bucket_spend(&bucket, UINT64_MAX);
	fl_bucket_spend(&bucket, UINT64_MAX);
	cr_assert_gt(fl_bucket_wait_ms(&bucket, 1, 1), 0);
	cr_assert_eq(fl_bucket_wait_ms(&bucket, FL_RATE_MAX, UINT64_MAX), 0);
	cr_assert_eq(bucket.level, (int64_t)FL_BUCKET_BYTES * 1000);
	cr_assert_eq(fl_bucket_wait_ms(&bucket, 1, 0), 0, "a clock that went back brings nothing");
	fl_bucket_spend(&bucket, UINT64_MAX);
	cr_assert_eq(fl_bucket_wait_ms(&bucket, 0, 5), 0, "no limit");
	cr_assert_eq(bucket.level, (int64_t)FL_BUCKET_BYTES * 1000, "and no debt is left");
}

Test(rate, another_rate_holds_inside_the_window)
{
	struct fl_err err;
	struct fl_rate rate = {.bytes_s = 100, .window_bytes_s = 0};
	cr_assert_eq(fl_rate_at(&rate, true, 0), 100, "no window");
	cr_assert_eq(fl_window_parse("mon-sun", "22:00", 480, &rate.window, &err), FL_OK);
	cr_assert_eq(fl_rate_at(&rate, true, 21 * 3600 + 3599), 100);
	cr_assert_eq(fl_rate_at(&rate, true, 22 * 3600), 0);
	cr_assert_eq(fl_rate_at(&rate, true, 30 * 3600 - 1), 0);
	cr_assert_eq(fl_rate_at(&rate, true, 30 * 3600), 100);
	cr_assert_eq(fl_rate_at(&rate, false, 22 * 3600), 100, "nobody knows that it is night");
}
