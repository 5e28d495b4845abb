/* SPDX-License-Identifier: Apache-2.0 */
/* The blob store on files, the inventory of a device, and enrolment's list. */
#include "fixture.h"
#include "registry/components.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/digest.h>
#include <fairlead/trust/tree.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE ((size_t)200001)

struct content {
	uint8_t data[SIZE];
	struct fl_digest root;
	struct fl_buf tree;
};

static void make_content(struct content *c)
{
	struct fl_err err;
	struct fl_tree_builder *builder = NULL;
	uint64_t size;
	for (size_t i = 0; i < SIZE; i++)
		c->data[i] = (uint8_t)(i * 7 + i / 251);
	c->tree = FL_BUF((size_t)65536);
	MUST(fl_tree_builder_new(&builder, &err));
	MUST(fl_tree_builder_add(builder, c->data, SIZE, &err));
	MUST(fl_tree_builder_finish(builder, &c->root, &size, &c->tree, &err));
	fl_tree_builder_free(builder);
}

static size_t files_in(const struct fixture *f, const char *folder)
{
	char path[128];
	size_t n = 0;
	snprintf(path, sizeof(path), "%s/%s", f->dir, folder);
	DIR *dir = opendir(path);
	cr_assert_not_null(dir);
	for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Uploads in pieces; what keep said. */
static enum fl_rc upload(struct fixture *f, enum fl_blob_kind kind, const struct fl_digest *root,
			 uint64_t size, struct fl_bytes data)
{
	struct fl_err err;
	struct fl_blob_upload *u = NULL;
	const struct fl_blob_ops *ops = f->blob.ops;
	MUST(ops->upload_new(f->blob.self, kind, root, size, &u, &err));
	enum fl_rc rc = FL_OK;
	for (size_t at = 0; at < data.len && rc == FL_OK; at += 1013) {
		size_t part = data.len - at < 1013 ? data.len - at : 1013;
		rc = ops->upload_add(u, data.data + at, part, &err);
	}
	if (rc == FL_OK)
		rc = ops->upload_keep(u, &err);
	ops->upload_free(u);
	return rc;
}

Test(unit_fleet_blob, only_what_was_announced_is_kept)
{
	static struct content c;
	struct fixture f;
	struct fl_digest wrong;
	make_content(&c);
	fixture_make(&f, NULL, 0);
	wrong = c.root;
	wrong.b[0] ^= 1;
	struct fl_bytes all = {c.data, SIZE}, tree = {c.tree.data, c.tree.len};
	cr_assert_eq(upload(&f, FL_BLOB_PAYLOAD, &wrong, SIZE, all), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(upload(&f, FL_BLOB_PAYLOAD, &c.root, SIZE - 1, all), FL_E_SIZE_MISMATCH);
	cr_assert_eq(upload(&f, FL_BLOB_PAYLOAD, &c.root, SIZE + 1, all), FL_E_SIZE_MISMATCH);
	cr_assert_eq(upload(&f, FL_BLOB_PAYLOAD, &c.root, SIZE, (struct fl_bytes){c.data, SIZE - 1}),
		     FL_E_SIZE_MISMATCH);
	cr_assert_eq(upload(&f, FL_BLOB_TREE, &wrong, SIZE, tree), FL_E_CHUNK_MISMATCH);
	cr_assert_eq(upload(&f, FL_BLOB_TREE, &c.root, SIZE, (struct fl_bytes){tree.data, tree.len - 1}),
		     FL_E_SIZE_MISMATCH);
	c.tree.data[5] ^= 1;
	cr_assert_eq(upload(&f, FL_BLOB_TREE, &c.root, SIZE, tree), FL_E_CHUNK_MISMATCH);
	c.tree.data[5] ^= 1;
	cr_assert_eq(files_in(&f, "tmp"), 0);
	cr_assert_eq(files_in(&f, "blobs/sha256-wide1"), 0);
	cr_assert_eq(files_in(&f, "trees/sha256-wide1"), 0);
	cr_assert_eq(upload(&f, FL_BLOB_PAYLOAD, &c.root, SIZE, all), FL_OK);
	cr_assert_eq(upload(&f, FL_BLOB_TREE, &c.root, SIZE, tree), FL_OK);
	cr_assert_eq(files_in(&f, "tmp"), 0);
	cr_assert(f.blob.ops->has(f.blob.self, FL_BLOB_PAYLOAD, &c.root));
	cr_assert(f.blob.ops->has(f.blob.self, FL_BLOB_TREE, &c.root));
	cr_assert_not(f.blob.ops->has(f.blob.self, FL_BLOB_PAYLOAD, &wrong));
	fl_buf_free(&c.tree);
	fixture_free(&f);
}

Test(unit_fleet_blob, leftovers_of_a_crash_are_swept)
{
	struct fl_err err;
	struct fixture f;
	struct fl_blob again;
	struct fl_digest root = {{1}};
	struct fl_blob_upload *u = NULL;
	fixture_make(&f, NULL, 0);
	MUST(f.blob.ops->upload_new(f.blob.self, FL_BLOB_PAYLOAD, &root, 100, &u, &err));
	cr_assert_eq(files_in(&f, "tmp"), 1);
	MUST(fl_blob_open_files(f.dir, &again, &err));
	cr_assert_eq(files_in(&f, "tmp"), 0);
	again.ops->close(again.self);
	f.blob.ops->upload_free(u);
	fixture_free(&f);
}

Test(unit_fleet_registry, a_commit_renews_what_runs)
{
	struct fl_err err;
	struct fl_arena arena = FL_ARENA((size_t)65536);
	struct fl_buf text = FL_BUF((size_t)65536);
	struct fl_wire_component known[] = {
		{.name = "rootfs", .handler = "rootfs", .slot = "a", .version = "1", .release_seq = 1},
		{.name = "app", .version = "7"}};
	struct fl_report_component now[] = {{.name = "rootfs", .slot = "b", .version = "2", .release_seq = 2},
					    {.name = "mcu", .version = "3"}};
	struct fl_inventory inventory = {.components = {known, 2}}, back;
	struct fl_report report = {.components = {now, 2}};
	MUST(fl_inventory_merge(&inventory, &report, &arena, &err));
	MUST(fl_inventory_write(&inventory, &text, &err));
	MUST(fl_inventory_read(fl_buf_str(&text), &arena, &back, &err));
	cr_assert_eq(back.components.n, 3);
	cr_assert_str_eq(back.components.items[0].version, "2");
	cr_assert_str_eq(back.components.items[0].slot, "b");
	cr_assert_str_eq(back.components.items[0].handler, "rootfs", "what isn't said stays");
	cr_assert_str_eq(back.components.items[1].version, "7");
	cr_assert_str_eq(back.components.items[2].name, "mcu");
	fl_buf_free(&text);
	fl_arena_free(&arena);
}

Test(unit_fleet_registry, the_list_decides_who_comes_in)
{
	struct fl_err err;
	struct fixture f;
	bool created = true;
	fixture_make(&f, NULL, 0);
	struct fl_digest mine = fl_key_public(f.device_key)->keyid;
	struct fl_digest other = fl_key_public(f.root_key)->keyid;
	cr_assert_eq(fl_registry_check(&f.registry, "gw-1", &mine, &err), FL_E_AUTH);
	fixture_add_device(&f);
	MUST(fl_registry_check(&f.registry, "gw-1", &mine, &err));
	cr_assert_eq(fl_registry_check(&f.registry, "gw-2", &mine, &err), FL_E_AUTH);
	cr_assert_eq(fl_registry_check(&f.registry, "gw-1", &other, &err), FL_E_AUTH);
	MUST(fl_registry_revoke(&f.registry, "test", "gw-1", &err));
	cr_assert_eq(fl_registry_check(&f.registry, "gw-1", &mine, &err), FL_E_AUTH);
	MUST(fl_registry_authorize(&f.registry, "test", "gw-1", &other, &created, &err));
	cr_assert_not(created);
	MUST(fl_registry_check(&f.registry, "gw-1", &other, &err));
	cr_assert_eq(fl_registry_check(&f.registry, "gw-1", &mine, &err), FL_E_AUTH);
	cr_assert_eq(fl_registry_revoke(&f.registry, "test", "gw-2", &err), FL_E_NOT_FOUND);
	cr_assert_eq(f.n_events[FL_BUS_DEVICE_CHANGED], 3);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM audit"), 4, "with the root");
	fixture_free(&f);
}

Test(unit_fleet_registry, events_of_a_device_are_bounded)
{
	struct fl_err err;
	struct fixture f;
	fixture_make(&f, NULL, 0);
	fixture_add_device(&f);
	MUST(fl_registry_event(&f.registry, "gw-2", "other", NULL, NULL, &err));
	MUST(fl_db_batch(&f.db, &err));
	for (int i = 0; i < 500; i++)
		MUST(fl_registry_event(&f.registry, "gw-1", "flood", NULL, NULL, &err));
	fl_db_batch_end(&f.db, FL_OK);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM events WHERE device_id = 'gw-1'"), 200);
	cr_assert_eq(fixture_number(&f, "SELECT count(*) FROM events WHERE device_id = 'gw-2'"), 1);
	fixture_free(&f);
}
