/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast may bytes come in? A rate that may differ inside a window (day and night), kept by a token bucket that all
 * transfers of a gateway share. Pure: the caller brings both clocks.
 *
 *   bucket_spend(n)     what has come in is paid, also when it is more than there was: the debt is waited for
 *   bucket_wait_ms()    0: more may come
 */
#ifndef FAIRLEAD_POLICY_RATE_H
#define FAIRLEAD_POLICY_RATE_H

#include <fairlead/policy/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_BUCKET_BYTES (UINT64_C(64) * 1024) /* what may come at once after a pause */
#define FL_RATE_MAX	(UINT64_C(1) << 40)   /* bytes per second */

struct fl_rate {
	uint64_t bytes_s;	/* 0: no limit; at most FL_RATE_MAX */
	struct fl_window window; /* days 0: none */
	uint64_t window_bytes_s;
};

/* The limit at that time, in bytes per second; 0: none. The window counts only while the time is known. */
uint64_t fl_rate_at(const struct fl_rate *rate, bool time_known, uint64_t now_s);

struct fl_bucket {
	int64_t level;	  /* byte-milliseconds per second: 1,000 are a byte; below 0: debt */
	uint64_t last_ms; /* monotonic */
};

/* Full. */
void fl_bucket_init(struct fl_bucket *bucket, uint64_t now_ms);
void fl_bucket_spend(struct fl_bucket *bucket, uint64_t bytes);
/* Milliseconds until anything may come, 0: now. bytes_s 0: no limit, and the bucket is full again. */
uint64_t fl_bucket_wait_ms(struct fl_bucket *bucket, uint64_t bytes_s, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
