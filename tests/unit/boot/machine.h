/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of one back end stand on: a machine with the slots a and b, of which a runs. */
#ifndef MACHINE_H
#define MACHINE_H

#include <fairlead/boot/boot.h>

#define MACHINE_HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct fl_boot_host machine_of(const char *dir);
/* The first decision, and slot b, with MACHINE_HASH, on trial. */
void machine_start_trial(const struct fl_boot_backend *b, struct fl_boot_host *host,
			 unsigned tries);
/* What the self-test reports, a line each: "ok …" and "FAULT …". Valid until the next call. */
char *machine_check(const struct fl_boot_backend *b, struct fl_boot_host *host);

#endif
