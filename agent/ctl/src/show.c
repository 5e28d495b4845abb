/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

void fl_ctl_line(FILE *out, const char *title, const char *text)
{
	(void)fprintf(out, "%-12s", title);
	fl_words_print_clean(out, text == NULL || text[0] == '\0' ? "-" : text);
	(void)fputc('\n', out);
}
