/* SPDX-License-Identifier: Apache-2.0 */
/* What the fleet removes by itself, and above all what it doesn't. */
#include "fixture.h"
#include "retention/retention.h"

#include <fairlead/trust/tree.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY UINT64_C(86400)

static const char *const folders[] = {"blobs/sha256-wide1", "trees/sha256-wide1"};

static struct fl_retention retention_of(struct fixture *f)
{
	f->now_s = (uint64_t)time(NULL); /* files have the real time */
	return (struct fl_retention){.db = &f->db, .blob = &f->blob, .releases = &f->releases,
				     .clock = &f->clock, .reports_s = 30 * DAY, .unused_s = 7 * DAY};
}

static struct fl_digest put_content(struct fixture *f, uint8_t fill)
{
	struct fl_err err;
	uint8_t data[1000];
	struct fl_digest root;
	struct fl_tree_builder *builder = NULL;
	struct fl_blob_upload *u = NULL;
	uint64_t size;
	memset(data, fill, sizeof(data));
	MUST(fl_tree_builder_new(&builder, &err));
	MUST(fl_tree_builder_add(builder, data, sizeof(data), &err));
	MUST(fl_tree_builder_finish(builder, &root, &size, NULL, &err));
	fl_tree_builder_free(builder);
	MUST(f->blob.ops->upload_new(f->blob.self, FL_BLOB_PAYLOAD, &root, size, &u, &err));
	MUST(f->blob.ops->upload_add(u, data, sizeof(data), &err));
	MUST(f->blob.ops->upload_keep(u, &err));
	f->blob.ops->upload_free(u);
	return root;
}

/* All content was last of use so many days ago; how many files there are. */
static size_t age(const struct fixture *f, uint64_t days)
{
	const struct timespec then = {.tv_sec = (time_t)(f->now_s - days * DAY)};
	size_t n = 0;
	for (size_t i = 0; i < 2; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", f->dir, folders[i]);
		DIR *dir = opendir(path);
		cr_assert_not_null(dir);
		for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
			if (e->d_name[0] == '.')
				continue;
			cr_assert_eq(utimensat(dirfd(dir), e->d_name,
					       (const struct timespec[]){then, then}, 0), 0);
			n++;
		}
		closedir(dir);
	}
	return n;
}

static bool is_there(const struct fixture *f, const struct fl_digest *root)
{
	char hex[FL_DIGEST_HEX_SIZE], path[256];
	fl_hex_encode(root->b, sizeof(root->b), hex);
	snprintf(path, sizeof(path), "%s/%s/%s", f->dir, folders[0], hex);
	return access(path, F_OK) == 0;
}

static bool turn(struct fl_retention *r)
{
	struct fl_err err;
	bool more = false;
	MUST(fl_retention_turn(r, &more, &err));
	return more;
}

Test(unit_fleet_retention, what_a_release_names_stays_for_ever)
{
	struct fixture f;
	fixture_make(&f, NULL, 0);
	(void)fixture_add_release(&f, "1.0", 1);
	(void)fixture_add_release(&f, "2.0", 2);
	struct fl_retention r = retention_of(&f);
	const size_t named = age(&f, 0);
	cr_assert_gt(named, 0);
	struct fl_digest orphan = put_content(&f, 0xee);
	cr_assert_eq(age(&f, 1000), named + 1);
	cr_assert_not(turn(&r));
	cr_assert_not(is_there(&f, &orphan));
	cr_assert_eq(age(&f, 1000), named);
	fixture_free(&f);
}

Test(unit_fleet_retention, a_publication_under_way_is_safe)
{
	struct fixture f;
	fixture_make(&f, NULL, 0);
	struct fl_retention r = retention_of(&f);
	struct fl_digest asked = put_content(&f, 1), left = put_content(&f, 2);
	(void)age(&f, 8);
	cr_assert(f.blob.ops->has(f.blob.self, FL_BLOB_PAYLOAD, &asked), "'is it there?' before it isn't sent");
	struct fl_digest sent = put_content(&f, 3);
	(void)turn(&r);
	cr_assert(is_there(&f, &asked));
	cr_assert(is_there(&f, &sent));
	cr_assert_not(is_there(&f, &left));
	(void)age(&f, 6);
	(void)turn(&r);
	cr_assert(is_there(&f, &sent), "not yet");
	r.unused_s = 0;
	(void)age(&f, 1000);
	(void)turn(&r);
	cr_assert(is_there(&f, &sent), "0 is for ever");
	fixture_free(&f);
}

Test(unit_fleet_retention, much_content_goes_a_little_at_a_time)
{
	struct fixture f;
	size_t turns = 1;
	fixture_make(&f, NULL, 0);
	struct fl_retention r = retention_of(&f);
	for (uint8_t i = 0; i < 20; i++)
		(void)put_content(&f, i);
	cr_assert_eq(age(&f, 8), 20);
	while (turn(&r))
		turns++;
	cr_assert_eq(age(&f, 8), 0);
	cr_assert_eq(turns, 3);
	fixture_free(&f);
}

static void add_report(struct fixture *f, uint64_t seq, const char *job, uint64_t received)
{
	struct fl_err err;
	MUST(fl_db_run(&f->db,
		       "INSERT INTO reports (device_id, report_seq, digest, job_id, state, utc, received,"
		       " envelope) VALUES ('gw-1', $1, '', $2, 'staging', 0, $3, '')",
		       FL_DB_PARAMS(fl_db_num(seq), fl_db_str(job), fl_db_num(received)), &err));
}

Test(unit_fleet_retention, reports_of_open_jobs_and_young_ones_stay)
{
	struct fl_err err;
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	struct fl_retention r = retention_of(&f);
	MUST(fl_db_run(&f.db,
		       "INSERT INTO jobs (job_id, device_id, job_seq, intent, digest, envelope, state, final,"
		       " report_seq, created, updated) VALUES ('open', 'gw-1', 1, '', '', '', '', 0, 0, 0, 0),"
		       " ('over', 'gw-1', 2, '', '', '', '', 1, 0, 0, 0)", NULL, 0, &err));
	add_report(&f, 1, "open", 5);
	add_report(&f, 2, "over", f.now_s - 31 * DAY);
	add_report(&f, 3, NULL, f.now_s - 31 * DAY);
	add_report(&f, 4, "over", f.now_s - 29 * DAY);
	for (uint64_t i = 5; i < 2005; i++)
		add_report(&f, i, "over", 7);
	r.reports_s = 0;
	cr_assert_not(turn(&r));
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM reports"), 2004, "0 is for ever");
	r.reports_s = 30 * DAY;
	cr_assert(turn(&r));
	while (turn(&r))
		;
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM reports"), 2);
	cr_assert_eq(fixture_number(&f, "SELECT sum(report_seq) FROM reports"), 1 + 4);
	fixture_free(&f);
}
