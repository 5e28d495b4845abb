/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the back end grub: their exact text, that no damaged one is half believed, and what
 * its self-test finds. */
#include "machine.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <scratch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[SCRATCH_MAX];
static struct fl_boot_host host;

static void set_up(void)
{
	scratch_make(dir);
	host = machine_of(dir);
}

static void tear_down(void)
{
	scratch_remove(dir);
}

TestSuite(boot_grub_files, .init = set_up, .fini = tear_down);

static const struct fl_boot_backend *grub(void)
{
	return fl_boot_backend_find("grub");
}

static void path_of(const char *name, char path[160])
{
	snprintf(path, 160, "%s/%s", dir, name);
}

static struct fl_buf read_file(const char *name)
{
	char path[160];
	struct fl_buf text = FL_BUF(65536);
	path_of(name, path);
	cr_assert_eq(fl_file_read(path, &text, NULL), FL_OK);
	return text;
}

static void put(const char *name, const void *data, size_t len)
{
	char path[160];
	path_of(name, path);
	cr_assert_eq(fl_file_replace(path, data, len, 0644, NULL), FL_OK);
}

Test(boot_grub_files, the_text_is_the_one_that_the_script_reads)
{
	static const char head[] =
		"# GRUB Environment Block\nfl_format=fairlead-grub-1\nfl_copy=first\nfl_seq=2\n"
		"fl_good=a\nfl_trial=b\nfl_tries=2\nfl_withdrawn=\n"
		"fl_hash_b=" MACHINE_HASH "\n"
		"fl_count=fl_count_0\nfl_tokens=";
	machine_start_trial(grub(), &host, 2);
	struct fl_buf first = read_file("first");
	struct fl_buf sum = read_file("first.sum");
	struct fl_buf count = read_file("count");
	cr_assert_eq(first.len, 4096);
	cr_assert_eq(memcmp(first.data, head, sizeof(head) - 1), 0, "%s", fl_buf_str(&first));
	const char *tokens = fl_buf_str(&first) + sizeof(head) - 1;
	cr_assert_eq(tokens[16], ' ');
	cr_assert_eq(tokens[33], ' ');
	cr_assert_eq(tokens[50], '\n');
	cr_assert_eq(strspn(tokens + 51, "#"), first.len - (sizeof(head) - 1) - 51);
	cr_assert_str_eq(fl_buf_str(&sum) + 64, "  first\n");
	cr_assert_eq(count.len, 1024);
	cr_assert_eq(memcmp(count.data + 36, tokens + 34, 16), 0, "both tries are left");
	fl_buf_free(&first);
	fl_buf_free(&sum);
	fl_buf_free(&count);
}

/* Of the one copy there is: no byte may change, none may be missing, none may follow. */
Test(boot_grub_files, every_changed_byte_is_damage)
{
	static const char *const names[] = {"second", "second.sum"};
	struct fl_boot_state s;
	machine_start_trial(grub(), &host, 2);
	put("first", "", 0);
	cr_assert_eq(fl_boot_observe(grub(), &host, &s, NULL), FL_OK);
	for (size_t f = 0; f < 2; f++) {
		struct fl_buf text = read_file(names[f]);
		for (size_t i = 0; i < text.len; i += i < 300 ? 1 : 61) {
			text.data[i] ^= 1;
			put(names[f], text.data, text.len);
			cr_assert_eq(fl_boot_observe(grub(), &host, &s, NULL), FL_E_CORRUPT,
				     "%s, byte %zu", names[f], i);
			text.data[i] ^= 1;
		}
		put(names[f], text.data, text.len - 1);
		cr_assert_eq(fl_boot_observe(grub(), &host, &s, NULL), FL_E_CORRUPT);
		cr_assert_eq(fl_buf_append(&text, "#", 1, NULL), FL_OK);
		put(names[f], text.data, text.len);
		cr_assert_eq(fl_boot_observe(grub(), &host, &s, NULL), FL_E_CORRUPT);
		put(names[f], text.data, text.len - 1);
		fl_buf_free(&text);
	}
	cr_assert_eq(fl_boot_observe(grub(), &host, &s, NULL), FL_OK);
	cr_assert_str_eq(s.trial, "b");
}

/* Nothing is renamed, no block moves: GRUB finds the files where they were when the machine was
 * made. */
Test(boot_grub_files, files_are_written_in_place)
{
	static const char *const names[] = {"first", "second", "first.sum", "second.sum", "count"};
	struct stat before[5];
	struct stat after;
	char path[160];
	cr_assert_eq(fl_boot_init(grub(), &host, "a", NULL), FL_OK);
	for (size_t i = 0; i < 5; i++) {
		path_of(names[i], path);
		cr_assert_eq(stat(path, &before[i]), 0);
	}
	cr_assert_eq(fl_boot_withdraw(grub(), &host, "b", NULL), FL_OK);
	cr_assert_eq(fl_boot_trial(grub(), &host, &(struct fl_boot_trial){"b", 9, NULL}, NULL),
		     FL_OK);
	for (size_t i = 0; i < 5; i++) {
		path_of(names[i], path);
		cr_assert_eq(stat(path, &after), 0);
		cr_assert_eq(after.st_ino, before[i].st_ino);
		cr_assert_eq(after.st_size, before[i].st_size);
	}
}

Test(boot_grub_files, as_many_slots_as_there_may_be)
{
	struct fl_boot_state state = {
		.seq = 123456789012345678, .good = "a", .trial = "b", .tries = 9};
	struct fl_boot_state back;
	host.n_slots = 0;
	for (char letter = 'a'; letter <= 'z'; letter++) {
		host.slots[host.n_slots++] = (struct fl_boot_slot){{letter}};
		struct fl_boot_hash *h = &state.hashes[state.n_hashes++];
		h->slot[0] = letter;
		memset(h->hex, 'f', sizeof(h->hex) - 1);
		if (letter > 'b')
			state.withdrawn[state.n_withdrawn++][0] = letter;
	}
	cr_assert_eq(grub()->store(&host, NULL, &state, NULL), FL_OK);
	cr_assert_eq(fl_boot_observe(grub(), &host, &back, NULL), FL_OK);
	cr_assert_eq(memcmp(&back, &state, sizeof(state)), 0);
}

static const char *check(void)
{
	return machine_check(grub(), &host);
}

Test(boot_grub_files, the_self_test_tells_damage_before_it_matters)
{
	static const char slots[] = "set fl_part_a=\"x\"\nset fl_part_b=y\n";
	char script[160];
	machine_start_trial(grub(), &host, 2);
	cr_assert_not_null(strstr(check(), "FAULT GRUB's list of the slots"));
	put("slots.cfg", slots, strlen("set fl_part_a=\"x\"\n"));
	cr_assert_not_null(strstr(check(), "FAULT slots.cfg names the partition of slot b"));
	put("slots.cfg", slots, strlen(slots));
	cr_assert_not_null(strstr(check(), "ok slots.cfg names the partition of slot b"));
	cr_assert_null(strstr(check(), "FAULT copy"));
	cr_assert_null(strstr(check(), "FAULT the trial counter"));
	put("second", "x", 1);
	cr_assert_not_null(strstr(check(), "FAULT copy 'second'"));
	put("count", "x", 1);
	cr_assert_not_null(strstr(check(), "FAULT the trial counter"));
	cr_assert_eq(fl_boot_fallback(grub(), &host, NULL), FL_OK);
	cr_assert_not_null(strstr(check(), "ok copy 'second'"), "the next change mends it");
	put("grub.cfg", "menuentry x { }\n", 16);
	path_of("grub.cfg", script);
	host.loader = script;
	cr_assert_not_null(strstr(check(), "FAULT GRUB's configuration"));
}
