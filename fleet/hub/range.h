/* SPDX-License-Identifier: Apache-2.0 */
/* One byte range of a Range header (RFC 9110, section 14). Pure. */
#ifndef FLEET_HUB_RANGE_H
#define FLEET_HUB_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum fl_range_kind {
	FL_RANGE_WHOLE,		/* no header, or another unit */
	FL_RANGE_PART,		/* first … first + len - 1 */
	FL_RANGE_UNSATISFIABLE, /* outside the content, malformed, or several ranges: 416 */
};

struct fl_range {
	uint64_t first;
	uint64_t len;
};

/* `header`: "bytes=a-b", "bytes=a-", "bytes=-n"; "" for none. *ret is filled for FL_RANGE_PART. */
enum fl_range_kind fl_range_parse(const char *header, uint64_t size, struct fl_range *ret);

#endif
