/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Torn writes and damaged media: whatever the two records look like, what is believed is the newest
 * whole one, the one before it, or nothing; never a mixture.
 */
#include <fairlead/anchor/file.h>

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <scratch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR	  512
#define FILE_SIZE (2 * FL_ANCHOR_RECORD)

static char dir[SCRATCH_MAX];
static char path[80];
static uint8_t before[FILE_SIZE]; /* the file after save n */
static uint8_t after[FILE_SIZE];  /* … and after save n + 1 */
static uint8_t state[FILE_SIZE];

static void set_up(void)
{
	scratch_make(dir);
	snprintf(path, sizeof(path), "%s/anchor", dir);
}

static void tear_down(void)
{
	scratch_remove(dir);
}

TestSuite(anchor_torn, .init = set_up, .fini = tear_down, .timeout = 120);

static void read_file(uint8_t out[FILE_SIZE])
{
	FL_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fl_pread_all(fd, out, FILE_SIZE, 0, NULL), FL_OK);
}

static void write_file(const uint8_t in[FILE_SIZE])
{
	FL_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(fl_pwrite_all(fd, in, FILE_SIZE, 0, NULL), FL_OK);
}

/* Save n has job_seq n and t_min 1000 + n everywhere, so that a mixture would show. */
static void save(uint64_t n)
{
	struct fl_anchor_file *file;
	struct fl_anchor a;
	enum fl_anchor_found found;
	cr_assert_eq(fl_anchor_open(dir, &file, &a, &found, NULL), FL_OK);
	a.lost = false;
	a.job_seq = n;
	a.offline_seq = n;
	a.t_min = 1000 + n;
	memset(&a.root, (int)n, sizeof(a.root));
	a.trial_start_ms = n;
	for (size_t i = 0; i < FL_ANCHOR_COMPONENTS; i++) {
		memset(&a.components[i].name, (int)i + 1, sizeof(a.components[i].name));
		a.components[i].release_seq = n;
	}
	a.n_components = FL_ANCHOR_COMPONENTS;
	cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
	fl_anchor_close(file);
}

/* What is believed of the file: 0 when it is lost. A mixture fails here. */
static uint64_t believed(enum fl_anchor_found *found)
{
	struct fl_anchor_file *file;
	struct fl_anchor a;
	cr_assert_eq(fl_anchor_open(dir, &file, &a, found, NULL), FL_OK);
	fl_anchor_close(file);
	if (*found == FL_ANCHOR_LOST) {
		cr_assert(a.lost);
		cr_assert_eq(a.job_seq, 0);
		return 0;
	}
	cr_assert_eq(a.t_min, 1000 + a.job_seq);
	cr_assert_eq(a.offline_seq, a.job_seq);
	cr_assert_eq(a.root.b[31], (uint8_t)a.job_seq);
	cr_assert_eq(a.trial_start_ms, a.job_seq);
	for (size_t i = 0; i < FL_ANCHOR_COMPONENTS; i++)
		cr_assert_eq(a.components[i].release_seq, a.job_seq);
	return a.job_seq;
}

Test(anchor_torn, a_write_torn_at_any_sector_leaves_the_old_or_the_new_state)
{
	enum fl_anchor_found found;
	save(1);
	for (uint64_t n = 1; n <= 6; n++) { /* both records, in turn */
		read_file(before);
		save(n + 1);
		read_file(after);
		for (int order = 0; order < 2; order++) {
			for (size_t cut = 0; cut <= FILE_SIZE; cut += SECTOR) {
				memcpy(state, order == 0 ? after : before, cut);
				memcpy(state + cut, (order == 0 ? before : after) + cut,
				       FILE_SIZE - cut);
				write_file(state);
				const uint64_t got = believed(&found);
				const bool whole = memcmp(state, after, FILE_SIZE) == 0;
				cr_assert_eq(got, whole ? n + 1 : n, "save %u, cut %zu, order %d",
					     (unsigned)n, cut, order);
			}
		}
		write_file(after);
	}
}

Test(anchor_torn, any_subset_of_sectors_may_have_reached_the_medium)
{
	enum fl_anchor_found found;
	save(1);
	save(2);
	read_file(before);
	save(3);
	read_file(after);
	const size_t at = memcmp(before, after, FL_ANCHOR_RECORD) != 0 ? 0 : FL_ANCHOR_RECORD;
	for (unsigned mask = 0; mask < 256; mask++) {
		memcpy(state, before, FILE_SIZE);
		for (unsigned k = 0; k < 8; k++) {
			if ((mask >> k & 1) != 0)
				memcpy(state + at + k * SECTOR, after + at + k * SECTOR, SECTOR);
		}
		write_file(state);
		const bool whole = memcmp(state, after, FILE_SIZE) == 0;
		cr_assert_eq(believed(&found), whole ? 3 : 2, "mask %02x", mask);
	}
}

Test(anchor_torn, after_a_torn_write_the_next_save_heals)
{
	enum fl_anchor_found found;
	save(1);
	save(2);
	read_file(before);
	save(3);
	read_file(after);
	for (size_t cut = SECTOR; cut < FILE_SIZE; cut += SECTOR) {
		memcpy(state, after, cut);
		memcpy(state + cut, before + cut, FILE_SIZE - cut);
		write_file(state);
		const uint64_t was = believed(&found);
		save(was + 10);
		cr_assert_eq(believed(&found), was + 10);
		cr_assert_eq(found, FL_ANCHOR_OK);
	}
}

Test(anchor_torn, any_damaged_byte_leads_to_the_other_record)
{
	enum fl_anchor_found found;
	save(1);
	save(2);
	read_file(after);
	const size_t newest = after[15] == 2 ? 0 : FL_ANCHOR_RECORD;
	for (size_t i = 0; i < FILE_SIZE; i++) {
		memcpy(state, after, FILE_SIZE);
		state[i] ^= (uint8_t)(1 << i % 8);
		write_file(state);
		const bool in_newest = i >= newest && i < newest + FL_ANCHOR_RECORD;
		cr_assert_eq(believed(&found), in_newest ? 1 : 2, "byte %zu", i);
		cr_assert_eq(found, FL_ANCHOR_OLDER);
	}
}

Test(anchor_torn, two_damaged_records_are_a_lost_anchor)
{
	enum fl_anchor_found found;
	save(1);
	save(2);
	read_file(after);
	for (size_t i = 0; i < FL_ANCHOR_RECORD; i += 61) {
		memcpy(state, after, FILE_SIZE);
		state[i] ^= 0x80;
		state[FILE_SIZE - 1 - i] ^= 1;
		write_file(state);
		cr_assert_eq(believed(&found), 0);
	}
	memset(state, 0, FILE_SIZE);
	write_file(state);
	cr_assert_eq(believed(&found), 0);
	memset(state, 0xff, FILE_SIZE);
	write_file(state);
	cr_assert_eq(believed(&found), 0);
	memcpy(state, after, FL_ANCHOR_RECORD); /* the same record twice is still one record */
	memcpy(state + FL_ANCHOR_RECORD, after, FL_ANCHOR_RECORD);
	write_file(state);
	cr_assert_neq(believed(&found), 0);
}
