/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/range.h"

#include <string.h>

/* Digits at *p; false without any, or past 2^63. */
static bool number(const char **p, uint64_t *ret)
{
	uint64_t value = 0;
	const char *start = *p;
	while (**p >= '0' && **p <= '9') {
		if (value > INT64_MAX / 10 - 1)
			return false;
		value = value * 10 + (uint64_t)(**p - '0');
		(*p)++;
	}
	*ret = value;
	return *p != start;
}

static enum fl_range_kind suffix(const char *p, uint64_t size, struct fl_range *ret)
{
	uint64_t n;
	if (!number(&p, &n) || *p != '\0' || n == 0 || size == 0)
		return FL_RANGE_UNSATISFIABLE;
	ret->len = n < size ? n : size;
	ret->first = size - ret->len;
	return FL_RANGE_PART;
}

enum fl_range_kind fl_range_parse(const char *header, uint64_t size, struct fl_range *ret)
{
	static const char unit[] = "bytes=";
	uint64_t first, last;
	if (strncmp(header, unit, sizeof(unit) - 1) != 0)
		return FL_RANGE_WHOLE;
	const char *p = header + sizeof(unit) - 1;
	if (*p == '-')
		return suffix(p + 1, size, ret);
	if (!number(&p, &first) || *p++ != '-' || first >= size)
		return FL_RANGE_UNSATISFIABLE;
	last = size - 1;
	if (*p != '\0') {
		if (!number(&p, &last) || *p != '\0' || last < first)
			return FL_RANGE_UNSATISFIABLE;
		last = last < size ? last : size - 1;
	}
	*ret = (struct fl_range){first, last - first + 1};
	return FL_RANGE_PART;
}
