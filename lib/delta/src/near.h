/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neighbourhood of a place in the source, every byte of it: what was recompiled has mostly
 * stayed there, in runs too short to be looked for everywhere.
 */
#ifndef FL_DELTA_NEAR_H
#define FL_DELTA_NEAR_H

#include "index.h"

#define NEAR_WINDOW 8u

struct near {
	const uint8_t *data;
	uint64_t len, radius;
	uint64_t from, until; /* what is in the table */
	uint32_t *places;     /* their low 32 bits */
};

enum fl_rc near_init(struct near *x, const uint8_t *data, uint64_t len, uint64_t radius,
		     struct fl_err *err) FL_CHECKED;
void near_done(struct near *x);
/* Has the table cover that place. */
void near_move(struct near *x, uint64_t place);
/* May the run at p stand in the neighbourhood? It is to be compared. */
bool near_find(const struct near *x, const uint8_t *p, uint64_t *ret);

#endif
