/* SPDX-License-Identifier: Apache-2.0 */
/* The back end sim: a decision file that script/machine reads. */
#ifndef FAIRLEAD_BOOT_SIM_H
#define FAIRLEAD_BOOT_SIM_H

#include <fairlead/boot/boot.h>

extern const struct fl_boot_backend fl_boot_sim;

#endif
