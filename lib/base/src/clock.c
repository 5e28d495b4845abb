/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/clock.h>

#include <fairlead/base/encode.h>

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static uint64_t system_boot_ms(void *ctx)
{
	(void)ctx;
	struct timespec ts = {0};
	FL_BUG_ON(clock_gettime(CLOCK_BOOTTIME, &ts) != 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int64_t system_wall_s(void *ctx)
{
	(void)ctx;
	return (int64_t)time(NULL);
}

const struct fl_clock fl_clock_system = {system_boot_ms, system_wall_s, NULL};

enum fl_rc fl_random(void *out, size_t len, struct fl_err *err)
{
	uint8_t *p = out;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fl_fail(err, FL_E_IO, errno, "random bytes");
		p += n;
		len -= (size_t)n;
	}
	return FL_OK;
}

enum fl_rc fl_uuid_new(char out[37], struct fl_err *err)
{
	uint8_t b[16];
	enum fl_rc rc = fl_random(b, sizeof(b), err);
	if (rc != FL_OK)
		return rc;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	char hex[33];
	fl_hex_encode(b, sizeof(b), hex);
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	return FL_OK;
}
