/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices, and which of them the mounted root stands on. */
#ifndef FAIRLEAD_BOOT_DEVICES_H
#define FAIRLEAD_BOOT_DEVICES_H

#include <fairlead/boot/slots.h>

#define DEVICES_MAX 32

/* Device numbers as makedev(3) makes them. */
struct device_list {
	uint64_t items[DEVICES_MAX];
	size_t n;
};

bool device_list_has(const struct device_list *list, uint64_t device);

/* The number of the block device at path; false when there is none. */
bool device_of_path(const struct fl_boot_roots *roots, const char *path, uint64_t *ret);

/* The device that is mounted as "/", the lower one when that is an overlay, and all below it (dm-verity, dm-linear). */
void devices_of_root(const struct fl_boot_roots *roots, struct device_list *ret);

/* Is fairlead.slot=prove on the kernel's command line? */
bool kernel_says_prove(const struct fl_boot_roots *roots);

/* The file's first line, "" when there is none or it is longer than size - 1. */
void read_word(const char *path, char *ret, size_t size);

#endif
