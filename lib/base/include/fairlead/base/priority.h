/* SPDX-License-Identifier: Apache-2.0 */
/* What works in the background gives way to what the machine is there for. */
#ifndef FAIRLEAD_BASE_PRIORITY_H
#define FAIRLEAD_BASE_PRIORITY_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * This process, and what it starts later, from now on: the idle I/O class (ioprio_set(2); it counts where the block device's
 * scheduler knows classes) and a tenth of the processor's share of an ordinary process (nice 10). What the kernel refuses is
 * let be.
 */
void fl_priority_background(void);

#ifdef __cplusplus
}
#endif
#endif
