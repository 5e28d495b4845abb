/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/policy/rate.h>

#define BYTE  INT64_C(1000) /* of level */
#define FULL  ((int64_t)FL_BUCKET_BYTES * BYTE)
#define EMPTY (INT64_MIN / 2) /* no debt is deeper */

uint64_t fl_rate_at(const struct fl_rate *rate, bool time_known, uint64_t now_s)
{
	uint64_t change_s;
	const bool in = time_known && fl_window_open(&rate->window, now_s, &change_s);
	return in ? rate->window_bytes_s : rate->bytes_s;
}

void fl_bucket_init(struct fl_bucket *bucket, uint64_t now_ms)
{
	*bucket = (struct fl_bucket){FULL, now_ms};
}

void fl_bucket_spend(struct fl_bucket *bucket, uint64_t bytes)
{
	const uint64_t most = (uint64_t)(bucket->level - EMPTY) / (uint64_t)BYTE;
	bucket->level -= (int64_t)(bytes < most ? bytes : most) * BYTE;
}

/* A millisecond at n bytes per second brings n thousandths of a byte. */
static void refill(struct fl_bucket *bucket, uint64_t bytes_s, uint64_t now_ms)
{
	const uint64_t passed = now_ms > bucket->last_ms ? now_ms - bucket->last_ms : 0;
	const uint64_t lacks = (uint64_t)(FULL - bucket->level);
	bucket->last_ms = now_ms;
	bucket->level += (int64_t)(passed > lacks / bytes_s ? lacks : passed * bytes_s);
}

uint64_t fl_bucket_wait_ms(struct fl_bucket *bucket, uint64_t bytes_s, uint64_t now_ms)
{
	if (bytes_s == 0) {
		fl_bucket_init(bucket, now_ms);
		return 0;
	}
	refill(bucket, bytes_s, now_ms);
	return bucket->level > 0 ? 0 : (uint64_t)-bucket->level / bytes_s + 1;
}
