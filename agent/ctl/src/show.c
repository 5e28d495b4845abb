/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

const char *fl_ctl_or_dash(const char *text)
{
	return text == NULL || text[0] == '\0' ? "-" : text;
}

void fl_ctl_line(FILE *out, const char *title, const char *text)
{
	(void)fprintf(out, "%-12s", title);
	fl_words_print_clean(out, fl_ctl_or_dash(text));
	(void)fputc('\n', out);
}
