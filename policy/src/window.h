/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAIRLEAD_POLICY_SRC_WINDOW_H
#define FAIRLEAD_POLICY_SRC_WINDOW_H

#include <fairlead/policy/policy.h>

/*
 * The first second from from_s on at which the window is open and stays so for duration_s;
 * FL_WINDOW_NEVER when no stretch is that long.
 */
uint64_t window_fits_from(const struct fl_window *window, uint64_t from_s, uint64_t duration_s);

#endif
