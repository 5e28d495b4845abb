/* SPDX-License-Identifier: Apache-2.0 */
/* Words for people: lines with a title. */
#ifndef FL_CTL_SHOW_H
#define FL_CTL_SHOW_H

#include <fairlead/base/words.h>

/* "title       text", "-" where there is none. */
void fl_ctl_line(FILE *out, const char *title, const char *text);

/* "-" for NULL and "". */
const char *fl_ctl_or_dash(const char *text);

#endif
