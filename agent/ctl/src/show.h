/* SPDX-License-Identifier: Apache-2.0 */
/* Words for people: lines with a title, times, sizes. */
#ifndef FL_CTL_SHOW_H
#define FL_CTL_SHOW_H

#include <stdint.h>
#include <stdio.h>

#define FL_CTL_TEXT 80

/* text with '?' for every control character. */
void fl_ctl_print_clean(FILE *out, const char *text);
/* "title       text", "-" where there is none. */
void fl_ctl_line(FILE *out, const char *title, const char *text);
/* "2026-11-21 13:42:22Z (3 min ago)", "(in 2 h)"; "-" for 0. */
const char *fl_ctl_time(uint64_t when_s, uint64_t now_s, char out[FL_CTL_TEXT]);
/* "26.9 MiB" */
const char *fl_ctl_size(uint64_t bytes, char out[FL_CTL_TEXT]);
uint64_t fl_ctl_now(void);

#endif
