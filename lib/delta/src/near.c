/* SPDX-License-Identifier: Apache-2.0 */
#include "near.h"

#include <stdlib.h>

#define TABLE_BITS 17

static uint32_t *place_of(const struct near *x, const uint8_t *p)
{
	return x->places + (hash_bytes(p, NEAR_WINDOW) >> (64 - TABLE_BITS));
}

enum fl_rc near_init(struct near *x, const uint8_t *data, uint64_t len, uint64_t radius,
		     struct fl_err *err)
{
	*x = (struct near){.data = data, .len = len, .radius = radius};
	x->places = calloc((size_t)1 << TABLE_BITS, sizeof(*x->places));
	return x->places == NULL ? fl_fail(err, FL_E_NO_MEMORY, 0, "neighbourhood") : FL_OK;
}

void near_done(struct near *x)
{
	free(x->places);
	x->places = NULL;
}

static uint64_t last_window(const struct near *x)
{
	return x->len < NEAR_WINDOW ? 0 : x->len - NEAR_WINDOW + 1;
}

void near_move(struct near *x, uint64_t place)
{
	const uint64_t half = x->radius / 2;
	const bool inside = place >= x->from && place + half <= x->until;
	if (x->radius == 0 || inside || (place >= x->from && x->until == last_window(x)))
		return;
	uint64_t from = place < x->radius ? 0 : place - x->radius, until = place + x->radius;
	if (until > last_window(x))
		until = last_window(x);
	if (from > until)
		from = until;
	const bool goes_on = from >= x->from && from <= x->until;
	for (uint64_t at = goes_on ? x->until : from; at < until; at++)
		*place_of(x, x->data + at) = (uint32_t)at;
	x->from = from;
	x->until = until;
}

bool near_find(const struct near *x, const uint8_t *p, uint64_t *ret)
{
	const uint64_t at = x->from + (uint32_t)(*place_of(x, p) - (uint32_t)x->from);
	if (at >= x->until)
		return false;
	*ret = at;
	return true;
}
