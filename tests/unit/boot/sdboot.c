/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of the back end systemd-boot: their exact text, their names, damage, and what its
 * self-test finds. */
#include "machine.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <scratch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char esp[SCRATCH_MAX];
static char dir[SCRATCH_MAX + 8];
static struct fl_boot_host host;

/* A file below the ESP. */
static void put(const char *name, const char *text)
{
	scratch_put(esp, name, text);
}

static void set_up(void)
{
	scratch_make(esp);
	snprintf(dir, sizeof(dir), "%s/loader", esp);
	put("loader/fairlead.conf", "[entry]\nkernel = /EFI/fairlead/{slot}/vmlinuz\n"
				    "initrd = /EFI/fairlead/{slot}/initrd\noptions = ro panic=10\n"
				    "partuuid.a = 11-01\npartuuid.b = 11-02\n");
	put("EFI/fairlead/a/vmlinuz", "k");
	put("EFI/fairlead/a/initrd", "i");
	host = machine_of(dir);
}

static void tear_down(void)
{
	scratch_remove(esp);
}

TestSuite(boot_sdboot_files, .init = set_up, .fini = tear_down);

static const struct fl_boot_backend *sdboot(void)
{
	return fl_boot_backend_find("systemd-boot");
}

static struct fl_buf read_entry(const char *name)
{
	char path[160];
	struct fl_buf text = FL_BUF(65536);
	snprintf(path, sizeof(path), "%s/entries/%s", dir, name);
	cr_assert_eq(fl_file_read(path, &text, NULL), FL_OK, "%s", name);
	return text;
}

Test(boot_sdboot_files, the_text_is_the_one_that_systemd_boot_reads)
{
	static const char want[] =
		"title Fairlead b\nsort-key 0fairlead\noptions root=PARTUUID=11-02 fairlead.slot=b "
		"fairlead.trial=1 "
		"roothash=" MACHINE_HASH " ro "
		"panic=10\n"
		"initrd /EFI/fairlead/b/initrd\nlinux /EFI/fairlead/b/vmlinuz\n# sha256=";
	machine_start_trial(sdboot(), &host, 3);
	struct fl_buf text = read_entry("fairlead-0000000002-b+3.conf");
	const char *title = strstr(fl_buf_str(&text), "title ");
	cr_assert_eq(strncmp(title, want, strlen(want)), 0, "%s", fl_buf_str(&text));
	fl_buf_free(&text);
	cr_assert_eq(fl_boot_fallback(sdboot(), &host, NULL), FL_OK);
	cr_assert_eq(fl_boot_prove(sdboot(), &host, 1, NULL), FL_OK);
	text = read_entry("fairlead-0000000004-prove+1.conf");
	cr_assert_not_null(strstr(fl_buf_str(&text), "root=PARTUUID=11-01 fairlead.slot=prove ro"));
	cr_assert_not_null(strstr(fl_buf_str(&text), "\nlinux /EFI/fairlead/a/vmlinuz\n"));
	fl_buf_free(&text);
}

/* An initramfs that arms the watchdog of a good system would end it. */
Test(boot_sdboot_files, only_a_trial_is_told_that_it_is_one)
{
	static const char on_trial[] = "fairlead.trial=";
	struct fl_buf text;
	machine_start_trial(sdboot(), &host, 3);
	text = read_entry("fairlead-0000000001-a.conf");
	cr_assert_null(strstr(fl_buf_str(&text), on_trial));
	fl_buf_free(&text);
	memcpy(host.running, "b", 2);
	cr_assert_eq(fl_boot_good(sdboot(), &host, NULL), FL_OK);
	text = read_entry("fairlead-0000000003-b.conf");
	cr_assert_null(strstr(fl_buf_str(&text), on_trial));
	fl_buf_free(&text);
	cr_assert_eq(fl_boot_prove(sdboot(), &host, 1, NULL), FL_OK);
	text = read_entry("fairlead-0000000004-prove+1.conf");
	cr_assert_null(strstr(fl_buf_str(&text), on_trial));
	fl_buf_free(&text);
}

/* A changed byte anywhere in the trial's entry: it is not believed, and the decision before it is.
 */
Test(boot_sdboot_files, every_changed_byte_is_damage)
{
	struct fl_boot_state s;
	char path[160];
	machine_start_trial(sdboot(), &host, 1);
	struct fl_buf text = read_entry("fairlead-0000000002-b+1.conf");
	snprintf(path, sizeof(path), "%s/entries/fairlead-0000000002-b+1.conf", dir);
	for (size_t i = 0; i < text.len; i++) {
		text.data[i] ^= 1;
		cr_assert_eq(fl_file_replace(path, text.data, text.len, 0644, NULL), FL_OK);
		cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
		cr_assert_str_eq(s.trial, "", "byte %zu", i);
		cr_assert_eq(s.seq, 1);
		text.data[i] ^= 1;
	}
	fl_buf_free(&text);
	snprintf(path, sizeof(path), "%s/entries/fairlead-0000000001-a.conf", dir);
	put("loader/entries/fairlead-0000000002-b+1.conf", "linux /x\n");
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_E_CORRUPT);
}

Test(boot_sdboot_files, other_names_are_not_ours)
{
	static const char *const names[] = {"fairlead-1-b",	    "fairlead-1-B.conf",
					    "fairlead--b.conf",	    "fairlead-1-b+.conf",
					    "fairlead-1-b+1-.conf", "fairlead-1-bc.conf",
					    "debian.conf",	    "FAIRLE~1.CON"};
	struct fl_boot_state s;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];
		snprintf(path, sizeof(path), "loader/entries/%s", names[i]);
		put(path, "linux /x\n");
	}
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_E_NOT_FOUND);
}

/* Whatever systemd-boot has made of the name. */
Test(boot_sdboot_files, the_count_is_read_from_the_name)
{
	static const char *const counts[] = {"+3", "+2-1", "+1-2", "+0-3"};
	struct fl_boot_state s;
	char from[160];
	char to[160];
	machine_start_trial(sdboot(), &host, 3);
	snprintf(from, sizeof(from), "%s/entries/fairlead-0000000002-b+3.conf", dir);
	for (unsigned used = 0; used < 4; used++) {
		snprintf(to, sizeof(to), "%s/entries/fairlead-0000000002-b%s.conf", dir,
			 counts[used]);
		cr_assert_eq(rename(from, to), 0);
		cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
		cr_assert_eq(s.used, used);
		memcpy(from, to, sizeof(from));
	}
}

Test(boot_sdboot_files, settings_that_lack_change_nothing)
{
	struct fl_boot_state s;
	machine_start_trial(sdboot(), &host, 1);
	cr_assert_eq(fl_boot_fallback(sdboot(), &host, NULL), FL_OK);
	put("loader/fairlead.conf", "[entry]\nkernel = /k\npartuuid.a = 11-01\n");
	cr_assert_eq(fl_boot_trial(sdboot(), &host, &(struct fl_boot_trial){"b", 1, NULL}, NULL),
		     FL_E_CONFIG);
	cr_assert_eq(fl_boot_observe(sdboot(), &host, &s, NULL), FL_OK);
	cr_assert_eq(s.seq, 3);
}

/* Its faults; on what this test's folder stands is none of them. */
static const char *faults(void)
{
	char *found = machine_check(sdboot(), &host);
	char *place = strstr(found, "FAULT the folder of the loader is on FAT");
	if (place != NULL)
		memcpy(place, "other", 5);
	char *first = strstr(found, "FAULT");
	return first == NULL ? "" : first;
}

Test(boot_sdboot_files, the_self_test_tells_what_bypasses_the_count)
{
	char variables[96];
	machine_start_trial(sdboot(), &host, 1);
	cr_assert_not_null(strstr(faults(), "FAULT the kernel of slot b"));
	put("EFI/fairlead/b/vmlinuz", "k");
	put("EFI/fairlead/b/initrd", "i");
	cr_assert_str_eq(faults(), "");
	put("loader/loader.conf", "timeout 3\n#default x\ndefaults x\n");
	cr_assert_str_eq(faults(), "");
	put("loader/loader.conf", "timeout 3\n default\tfairlead-*\n");
	cr_assert_not_null(strstr(faults(), "FAULT loader.conf names no default"));
	put("loader/loader.conf", "");
	put("variables/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "x");
	snprintf(variables, sizeof(variables), "%s/variables", esp);
	host.loader = variables;
	cr_assert_not_null(strstr(faults(), "FAULT the EFI variable LoaderEntryOneShot"));
	put("variables/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "");
	put("variables/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "x");
	cr_assert_not_null(strstr(faults(), "FAULT the EFI variable LoaderEntryDefault"));
	host.loader = NULL;
	put("loader/entries/debian.conf", "linux /x\n");
	cr_assert_not_null(strstr(faults(), "FAULT no entry in entries"));
	put("EFI/Linux/other.EFI", "x");
	cr_assert_not_null(strstr(faults(), "FAULT no entry in ../EFI/Linux"));
	put("loader/entries/fairlead-0000000001-a.conf", "linux /x\n");
	cr_assert_not_null(strstr(faults(), "FAULT the fallback has an entry"));
}
