/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char found[8192];

struct fl_boot_host machine_of(const char *dir)
{
	struct fl_boot_host host = {.dir = dir, .n_slots = 2, .running = "a"};
	host.slots[0] = (struct fl_boot_slot){"a"};
	host.slots[1] = (struct fl_boot_slot){"b"};
	return host;
}

void machine_start_trial(const struct fl_boot_backend *b, struct fl_boot_host *host, unsigned tries)
{
	const struct fl_boot_trial trial = {"b", tries, MACHINE_HASH};
	cr_assert_eq(fl_boot_init(b, host, "a", NULL), FL_OK);
	cr_assert_eq(fl_boot_trial(b, host, &trial, NULL), FL_OK);
}

static void note(void *ctx, bool ok, const char *text)
{
	(void)ctx;
	const size_t len = strlen(found);
	snprintf(found + len, sizeof(found) - len, "%s %s\n", ok ? "ok" : "FAULT", text);
}

char *machine_check(const struct fl_boot_backend *b, struct fl_boot_host *host)
{
	struct fl_boot_state s;
	const bool valid = fl_boot_observe(b, host, &s, NULL) == FL_OK;
	found[0] = '\0';
	(void)b->check(host, valid ? &s : NULL, note, NULL);
	return found;
}
