/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and randomness come in through these two ports, so that a test can put in its own. Order and deadlines
 * are kept by boot_ms; wall_s is for people, windows and certificates only.
 */
#ifndef FAIRLEAD_BASE_CLOCK_H
#define FAIRLEAD_BASE_CLOCK_H

#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_clock {
	uint64_t (*boot_ms)(void *ctx); /* milliseconds since boot, suspend included (CLOCK_BOOTTIME) */
	int64_t (*wall_s)(void *ctx);	/* seconds since 1970 UTC, as good as the system knows */
	void *ctx;
};

extern const struct fl_clock fl_clock_system;

static inline uint64_t fl_clock_boot_ms(const struct fl_clock *clock)
{
	return clock->boot_ms(clock->ctx);
}

static inline int64_t fl_clock_wall_s(const struct fl_clock *clock)
{
	return clock->wall_s(clock->ctx);
}

/* Random bytes from the kernel, fit for keys and nonces. */
enum fl_rc fl_random(void *out, size_t len, struct fl_err *err) FL_CHECKED;
/* A new random UUID (RFC 9562 version 4) into out[37]. */
enum fl_rc fl_uuid_new(char out[37], struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
