/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of systemd-boot 252: which entries it reads, how it sorts them and how it counts in their
 * names. tests/system/boot has the real one.
 */
#ifndef SD_LOADER_H
#define SD_LOADER_H

#include <stdbool.h>

/* What [entry] in fairlead.conf has to say for this model: it tells slots by their kernel's path.
 */
#define SD_SETTINGS                                                                                \
	"[entry]\nkernel = /EFI/fairlead/{slot}/vmlinuz\n"                                         \
	"initrd = /EFI/fairlead/{slot}/initrd\noptions = ro panic=10\n"                            \
	"partuuid.a = 1-01\npartuuid.b = 1-02\npartuuid.c = 1-03\n"

/* loader: the folder `loader` of an ESP. One boot: the slot's letter, 'p' for prove, '-' for none,
 * and the count is written. `missing`: a slot whose kernel is gone. */
char sd_boot(const char *loader, char missing);
/* What n boots in a row would take, where nobody says good; nothing is written. */
void sd_boots(const char *loader, unsigned n, char *out);
/* How many names in entries/ have this in them. */
unsigned sd_count(const char *loader, const char *part);

#endif
