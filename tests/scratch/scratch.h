/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own. */
#ifndef SCRATCH_H
#define SCRATCH_H

#define SCRATCH_MAX 32

/* In memory, where there is such a place: no power goes off here. */
void scratch_make(char path[SCRATCH_MAX]);
/* With all that is below it; nothing to do when it is not there. */
void scratch_remove(const char *path);
/* Puts the text into the file top/name, and makes its folders. */
void scratch_put(const char *top, const char *name, const char *text);

#endif
