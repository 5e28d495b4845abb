/* SPDX-License-Identifier: Apache-2.0 */
/* The file of records and the documents beside it, without faults: those are in tests/fault/anchor. */
#include <fairlead/anchor/file.h>

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct fl_anchor_file *file;
static struct fl_anchor a;
static enum fl_anchor_found found;

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/fl-anchor-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(fl_anchor_open(dir, &file, &a, &found, NULL), FL_OK);
}

static void tear_down(void)
{
	fl_anchor_close(file);
	(void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(anchor_file, .init = set_up, .fini = tear_down);

static void reopen(void)
{
	fl_anchor_close(file);
	file = NULL;
	memset(&a, 0xff, sizeof(a));
	cr_assert_eq(fl_anchor_open(dir, &file, &a, &found, NULL), FL_OK);
}

static const char *path_of(const char *name)
{
	static char path[200];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static size_t count_files(void)
{
	size_t n = 0;
	DIR *d = opendir(dir);
	for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

Test(anchor_file, a_new_one_is_lost_and_takes_its_room_at_once)
{
	struct stat st;
	cr_assert_eq(found, FL_ANCHOR_LOST);
	cr_assert(a.lost);
	cr_assert_eq(stat(path_of("anchor"), &st), 0);
	cr_assert_eq(st.st_size, 8192);
	cr_assert_geq(st.st_blocks * 512, 8192);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(anchor_file, the_last_save_is_what_is_read)
{
	struct stat before;
	struct stat after;
	cr_assert_eq(stat(path_of("anchor"), &before), 0);
	for (uint64_t i = 1; i <= 9; i++) {
		a.job_seq = i;
		a.lost = false;
		cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
		reopen();
		cr_assert_eq(found, FL_ANCHOR_OK);
		cr_assert_eq(a.job_seq, i);
		cr_assert_not(a.lost);
	}
	cr_assert_eq(stat(path_of("anchor"), &after), 0);
	cr_assert_eq(before.st_ino, after.st_ino, "written in place");
	cr_assert_eq(after.st_size, 8192);
}

Test(anchor_file, one_process_at_a_time)
{
	struct fl_anchor_file *second = NULL;
	struct fl_anchor b;
	cr_assert_eq(fl_anchor_open(dir, &second, &b, &found, NULL), FL_E_BUSY);
	cr_assert_null(second);
}

Test(anchor_file, a_folder_that_others_may_write_to_is_refused)
{
	struct fl_anchor_file *second = NULL;
	struct fl_anchor b;
	fl_anchor_close(file);
	file = NULL;
	cr_assert_eq(chmod(dir, 0770), 0);
	cr_assert_eq(fl_anchor_open(dir, &second, &b, &found, NULL), FL_E_CONFIG);
	cr_assert_eq(chmod(dir, 0700), 0);
	cr_assert_eq(unlink(path_of("anchor")), 0);
	cr_assert_eq(symlink("/etc/passwd", path_of("anchor")), 0);
	cr_assert_neq(fl_anchor_open(dir, &second, &b, &found, NULL), FL_OK, "a link is not followed");
}

Test(anchor_file, a_short_file_is_made_whole)
{
	a.job_seq = 5;
	cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
	a.job_seq = 6;
	cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
	cr_assert_eq(truncate(path_of("anchor"), 5000), 0);
	reopen();
	cr_assert_eq(found, FL_ANCHOR_OLDER);
	cr_assert_eq(a.job_seq, 5);
	cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
	reopen();
	cr_assert_eq(found, FL_ANCHOR_OK);
}

/* --- documents --- */

static struct fl_envelope document(const char *text, size_t n_sigs)
{
	struct fl_envelope env = {.type = FL_DOC_JOB, .n_sigs = n_sigs};
	env.payload = (struct fl_bytes){(const uint8_t *)text, strlen(text)};
	for (size_t i = 0; i < n_sigs; i++) {
		memset(&env.sigs[i].keyid, (int)i + 1, sizeof(env.sigs[i].keyid));
		memset(env.sigs[i].sig, (int)i + 101, sizeof(env.sigs[i].sig));
	}
	return env;
}

static struct fl_digest digest_of(const char *text)
{
	struct fl_digest d;
	cr_assert_eq(fl_sha256(NULL, 0, text, strlen(text), &d, NULL), FL_OK);
	return d;
}

static enum fl_rc fetch(const char *text, struct fl_envelope *env, struct fl_arena *arena)
{
	struct fl_digest digest = digest_of(text);
	struct fl_digest whole;
	struct fl_anchor_id id = fl_anchor_id(&digest);
	enum fl_rc rc = fl_anchor_fetch(file, &id, arena, env, &whole, NULL);
	cr_assert(rc != FL_OK || fl_digest_equal(&whole, &digest));
	return rc;
}

Test(anchor_file, a_document_comes_back_with_its_signatures)
{
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_envelope back;
	for (size_t n = 0; n <= FL_SIGS_MAX; n += 4) {
		const struct fl_envelope env = document("{\"a\":1}", n);
		cr_assert_eq(fl_anchor_keep(file, &env, NULL), FL_OK);
		cr_assert_eq(fetch("{\"a\":1}", &back, &arena), FL_OK);
		cr_assert_eq(back.type, FL_DOC_JOB);
		cr_assert_eq(back.n_sigs, n);
		cr_assert_eq(memcmp(back.sigs, env.sigs, n * sizeof(env.sigs[0])), 0);
		cr_assert_eq(back.payload.len, env.payload.len);
		cr_assert_eq(memcmp(back.payload.data, env.payload.data, back.payload.len), 0);
	}
	cr_assert_eq(fetch("another", &back, &arena), FL_E_NOT_FOUND);
	const struct fl_anchor_id none = {{0}};
	cr_assert_eq(fl_anchor_fetch(file, &none, &arena, &back, NULL, NULL), FL_E_NOT_FOUND);
	fl_arena_free(&arena);
}

Test(anchor_file, a_damaged_document_is_never_handed_out)
{
	struct fl_arena arena = FL_ARENA((size_t)64 << 20);
	struct fl_envelope back;
	struct fl_buf whole = FL_BUF(4096);
	char name[FL_DIGEST_HEX_SIZE];
	const struct fl_digest digest = digest_of("payload");
	const struct fl_envelope env = document("payload", 2);
	fl_hex_encode(digest.b, sizeof(digest.b), name);
	cr_assert_eq(fl_anchor_keep(file, &env, NULL), FL_OK);
	cr_assert_eq(fl_file_read(path_of(name), &whole, NULL), FL_OK);
	for (size_t len = 0; len < whole.len; len++) { /* cut */
		cr_assert_eq(fl_file_replace(path_of(name), whole.data, len, 0600, NULL), FL_OK);
		cr_assert_eq(fetch("payload", &back, &arena), FL_E_CORRUPT);
	}
	cr_assert_eq(fl_buf_append(&whole, "x", 1, NULL), FL_OK); /* longer */
	cr_assert_eq(fl_file_replace(path_of(name), whole.data, whole.len, 0600, NULL), FL_OK);
	cr_assert_eq(fetch("payload", &back, &arena), FL_E_CORRUPT);
	whole.len--;
	for (size_t i = 0; i < 7; i++) { /* its payload */
		whole.data[whole.len - 1 - i] ^= 1;
		cr_assert_eq(fl_file_replace(path_of(name), whole.data, whole.len, 0600, NULL), FL_OK);
		cr_assert_eq(fetch("payload", &back, &arena), FL_E_CORRUPT);
		whole.data[whole.len - 1 - i] ^= 1;
	}
	fl_buf_free(&whole);
	fl_arena_free(&arena);
}

static void name_as_root(const char *text)
{
	a.root = digest_of(text);
	cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
}

Test(anchor_file, documents_go_when_neither_record_names_them)
{
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_envelope back;
	static const char *const texts[] = {"one", "two", "three"};
	for (size_t i = 0; i < 3; i++) {
		const struct fl_envelope env = document(texts[i], 1);
		cr_assert_eq(fl_anchor_keep(file, &env, NULL), FL_OK);
		name_as_root(texts[i]);
	}
	cr_assert_eq(fetch("one", &back, &arena), FL_E_NOT_FOUND);
	cr_assert_eq(fetch("two", &back, &arena), FL_OK, "the older record still names it");
	cr_assert_eq(fetch("three", &back, &arena), FL_OK);
	reopen();
	name_as_root("three");
	cr_assert_eq(fetch("two", &back, &arena), FL_E_NOT_FOUND);
	cr_assert_eq(count_files(), 2);
	fl_arena_free(&arena);
}

Test(anchor_file, jobs_releases_and_committed_releases_are_names_too)
{
	struct fl_arena arena = FL_ARENA((size_t)1 << 20);
	struct fl_envelope back;
	struct fl_anchor_component *c;
	struct fl_anchor_name name = {{1, 2, 3}};
	static const char *const texts[] = {"job", "release", "committed", "nobody's"};
	struct fl_digest digests[4];
	int place;
	for (size_t i = 0; i < 4; i++) {
		const struct fl_envelope env = document(texts[i], 1);
		digests[i] = digest_of(texts[i]);
		cr_assert_eq(fl_anchor_keep(file, &env, NULL), FL_OK);
	}
	a.lost = false;
	cr_assert_eq(fl_anchor_open_job(&a, &digests[0], &digests[1], 5, &place, NULL), FL_OK);
	cr_assert_eq(fl_anchor_add_component(&a, name, &c, NULL), FL_OK);
	c->release = fl_anchor_id(&digests[2]);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(fetch(texts[i], &back, &arena), i < 3 ? FL_OK : FL_E_NOT_FOUND);
	fl_arena_free(&arena);
}

Test(anchor_file, other_peoples_files_are_left_alone)
{
	char leftover[80];
	memset(leftover, 'a', 64);
	memcpy(leftover + 64, ".new", 5);
	static const char *const mine[] = {"README", "0123", "anchor.bak"};
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(fl_file_replace(path_of(mine[i]), "x", 1, 0600, NULL), FL_OK);
	cr_assert_eq(fl_file_replace(path_of(leftover), "x", 1, 0600, NULL), FL_OK);
	cr_assert_eq(fl_anchor_save(file, &a, NULL), FL_OK);
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(access(path_of(mine[i]), F_OK), 0);
	cr_assert_neq(access(path_of(leftover), F_OK), 0, "but the rest of a cut-off write goes");
}
