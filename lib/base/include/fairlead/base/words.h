/* SPDX-License-Identifier: Apache-2.0 */
/* Words for people: times, sizes, numbers, and text of others that cannot steer a terminal. */
#ifndef FAIRLEAD_BASE_WORDS_H
#define FAIRLEAD_BASE_WORDS_H

#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_WORDS_MAX 64 /* the functions that write into `out` return it */

/* "2026-11-21 13:42:22Z (3 min ago)", "(in 2 h)"; "-" for 0. Both in seconds since 1970. */
const char *fl_words_time(uint64_t when_s, uint64_t now_s, char out[FL_WORDS_MAX]);
/* "3 min ago", "in 2 h", "now" */
const char *fl_words_relative(uint64_t when_s, uint64_t now_s, char out[FL_WORDS_MAX]);
/* "26.9 MiB" */
const char *fl_words_size(uint64_t bytes, char out[FL_WORDS_MAX]);
const char *fl_words_number(uint64_t value, char out[FL_WORDS_MAX]);
/* The system's clock, 0 before 1970. */
uint64_t fl_words_now(void);
/* text with '?' for every control character. */
void fl_words_print_clean(FILE *out, const char *text);

#ifdef __cplusplus
}
#endif

#endif
