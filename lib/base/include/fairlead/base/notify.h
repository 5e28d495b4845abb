/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service tells its manager: ready, alive, stopping (the datagrams of sd_notify(3), without its library, so that the
 * helper need not load one). Without a manager nothing happens. One thread, the program's loop.
 */
#ifndef FAIRLEAD_BASE_NOTIFY_H
#define FAIRLEAD_BASE_NOTIFY_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * From the loop, each time before it waits: says READY=1 the first time, and WATCHDOG=1 whenever half of the manager's
 * patience (WATCHDOG_USEC) is over. timeout_ms: how long the loop wants to wait, -1: for ever; returns how long it may.
 */
int fl_notify_alive(int timeout_ms);
/* STOPPING=1: the end takes its time from here on, the watchdog is off. */
void fl_notify_stopping(void);

#ifdef __cplusplus
}
#endif
#endif
