/* SPDX-License-Identifier: Apache-2.0 */
/* A flow of steps in a child of its own, under a plan of flshim that may kill it anywhere. */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stdint.h>

/* Does its steps and puts the last one that was done into *acked, which outlives the child. */
typedef void child_flow(const void *ctx, volatile uint64_t *acked);

/* plan, dir, log: flshim.h. *struck: the plan has killed the child or failed a call. Returns the
 * last step that was done, 0 for none. */
uint64_t child_run(child_flow *flow, const void *ctx, const char *plan, const char *dir,
		   const char *log, bool *struck);

#endif
