/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>
#include <fairlead/trust/tree.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char content[] = "image";

static uint64_t boot_ms(void *ctx)
{
	(void)ctx;
	return 1000;
}

static int64_t wall_s(void *ctx)
{
	return (int64_t)((struct fixture *)ctx)->now_s;
}

static void on_event(void *ctx, const struct fl_bus_event *event)
{
	struct fixture *f = ctx;
	f->n_events[event->kind]++;
}

static struct fl_root_key root_key_of(const struct fl_key *key)
{
	const struct fl_pubkey *p = fl_key_public(key);
	return (struct fl_root_key){p->keyid, fl_alg_name(p->alg), {p->spki, p->spki_len}};
}

static struct fl_buf sealed(enum fl_doc_type type, const struct fl_schema *schema, const void *doc,
			    const struct fl_key *key)
{
	struct fl_err err;
	struct fl_buf payload = FL_BUF(FL_DOC_PAYLOAD_MAX), text = FL_BUF(FL_ENVELOPE_MAX);
	MUST(fl_json_encode(schema, doc, &payload, &err));
	struct fl_envelope env = {.type = type, .payload = {payload.data, payload.len}};
	MUST(fl_envelope_sign(&env, key, &err));
	MUST(fl_envelope_write(&env, &text, &err));
	fl_buf_free(&payload);
	return text;
}

static void add_root(struct fixture *f, const char *const *intents, size_t n_intents)
{
	struct fl_err err;
	struct fl_root_key keys[] = {root_key_of(f->root_key), root_key_of(f->release_key),
				     root_key_of(f->dispatch_key)};
	struct fl_role roles[] = {
		{.role = "root", .threshold = 1, .keyids = {&keys[0].keyid, 1}},
		{.role = "release", .threshold = 1, .keyids = {&keys[1].keyid, 1}},
		{.role = "dispatch", .threshold = 1, .keyids = {&keys[2].keyid, 1},
		 .intents = {intents, n_intents}},
	};
	struct fl_root root = {.type = "root", .spec = 1, .version = 1, .epoch = 1, .issued = NOW - 1000,
			       .expires = NOW + 1000000, .keys = {keys, 3}, .roles = {roles, 3}};
	struct fl_buf text = sealed(FL_DOC_ROOT, &fl_root_schema, &root, f->root_key);
	MUST(fl_roots_add(&f->roots, "test", text.data, text.len, &err));
	fl_buf_free(&text);
}

static void join(struct fixture *f)
{
	f->roots = (struct fl_roots){.db = &f->db, .bus = &f->bus, .clock = &f->clock};
	f->registry = (struct fl_registry){.db = &f->db, .bus = &f->bus, .clock = &f->clock};
	f->releases = (struct fl_releases){&f->db, &f->blob, &f->roots, &f->clock};
	f->jobs.db = &f->db;
	f->jobs.registry = &f->registry;
	f->jobs.releases = &f->releases;
	f->jobs.roots = &f->roots;
	f->jobs.bus = &f->bus;
	f->jobs.clock = &f->clock;
	f->jobs.dispatch = f->dispatch_key;
	f->jobs.base_url = "https://fleet.example:8443";
}

void fixture_make(struct fixture *f, const char *const *dispatch_intents, size_t n_intents)
{
	static const char *const usual[] = {"install", "rollback", "cancel"};
	struct fl_err err;
	char path[96];
	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/unit-fleet-XXXXXX");
	cr_assert_not_null(mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/fleet.db", f->dir);
	f->now_s = NOW;
	f->clock = (struct fl_clock){boot_ms, wall_s, f};
	MUST(fl_db_open_sqlite(path, &f->db, &err));
	MUST(fl_blob_open_files(f->dir, &f->blob, &err));
	MUST(fl_bus_open_local(&f->bus, &err));
	f->listener = (struct fl_bus_listener){.on_event = on_event, .ctx = f};
	f->bus.ops->subscribe(f->bus.self, &f->listener);
	MUST(fl_key_generate(FL_ALG_ED25519, &f->root_key, &err));
	MUST(fl_key_generate(FL_ALG_ED25519, &f->release_key, &err));
	MUST(fl_key_generate(FL_ALG_P256, &f->dispatch_key, &err));
	MUST(fl_key_generate(FL_ALG_P256, &f->device_key, &err));
	join(f);
	if (dispatch_intents == NULL)
		add_root(f, usual, 3);
	else
		add_root(f, dispatch_intents, n_intents);
}

void fixture_free(struct fixture *f)
{
	char command[96];
	fl_roots_done(&f->roots);
	fl_db_close(&f->db);
	f->blob.ops->close(f->blob.self);
	f->bus.ops->close(f->bus.self);
	fl_key_free(f->root_key);
	fl_key_free(f->release_key);
	fl_key_free(f->dispatch_key);
	fl_key_free(f->device_key);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	cr_assert_eq(system(command), 0);
}

void fixture_add_device(struct fixture *f)
{
	struct fl_err err;
	bool created = false;
	MUST(fl_registry_authorize(&f->registry, "test", "gw-1", &fl_key_public(f->device_key)->keyid,
				   &created, &err));
	cr_assert(created);
}

/* Payload and tree of the only content these tests know. */
static struct fl_digest add_content(struct fixture *f)
{
	struct fl_err err;
	struct fl_digest root;
	uint64_t size;
	struct fl_tree_builder *builder = NULL;
	struct fl_buf object = FL_BUF((size_t)65536);
	MUST(fl_tree_builder_new(&builder, &err));
	MUST(fl_tree_builder_add(builder, content, sizeof(content), &err));
	MUST(fl_tree_builder_finish(builder, &root, &size, &object, &err));
	fl_tree_builder_free(builder);
	for (int kind = FL_BLOB_PAYLOAD; kind <= FL_BLOB_TREE; kind++) {
		struct fl_blob_upload *upload = NULL;
		const void *data = kind == FL_BLOB_TREE ? object.data : (const uint8_t *)content;
		size_t len = kind == FL_BLOB_TREE ? object.len : sizeof(content);
		MUST(f->blob.ops->upload_new(f->blob.self, (enum fl_blob_kind)kind, &root, size, &upload,
					     &err));
		MUST(f->blob.ops->upload_add(upload, data, len, &err));
		MUST(f->blob.ops->upload_keep(upload, &err));
		f->blob.ops->upload_free(upload);
	}
	fl_buf_free(&object);
	return root;
}

struct fl_digest fixture_add_release(struct fixture *f, const char *version, uint64_t release_seq)
{
	static const char *const order[] = {"rootfs"}, *const reach[] = {"fleet"}, *const classes[] = {"c1"};
	struct fl_err err;
	struct fl_digest digest;
	bool created = false;
	struct fl_tree_ref tree = {"sha256-wide1", FL_CHUNK_SIZE, add_content(f)};
	struct fl_installed_ref installed = {.size = sizeof(content), .tree = &tree};
	struct fl_artifact artifact = {.id = "full", .format = "zstd-frames", .frame = 1048576,
				       .size = sizeof(content), .tree = &tree};
	struct fl_component component = {.name = "rootfs", .handler = "rootfs", .version = version,
					 .release_seq = release_seq, .security_version = 1,
					 .installed = &installed, .artifacts = {&artifact, 1},
					 .restart = "host"};
	struct fl_health health = {.reach = {reach, 1}, .deadline_s = 60};
	struct fl_set set = {.order = {order, 1}, .health = &health};
	struct fl_compat compat = {.class_ids = {classes, 1}, .hw_rev_min = 1, .hw_rev_max = 3};
	struct fl_release release = {.type = "release", .spec = 1, .product = "gw",
				     .release_id = "0f0e0d0c-0b0a-4908-8706-050403020100",
				     .version = version, .created = NOW, .expires = NOW + 100000,
				     .compat = &compat, .set = &set, .components = {&component, 1}};
	struct fl_buf text = sealed(FL_DOC_RELEASE, &fl_release_schema, &release, f->release_key);
	MUST(fl_releases_add(&f->releases, "test", text.data, text.len, &digest, &created, &err));
	fl_buf_free(&text);
	return digest;
}

struct fl_buf fixture_report(const struct fl_key *key, const struct fl_report *report)
{
	return sealed(FL_DOC_REPORT, &fl_report_schema, report, key);
}

struct looked_up {
	uint64_t number;
	char *text;
	size_t size;
};

static enum fl_rc take(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	(void)err;
	struct looked_up *l = ctx;
	l->number = (uint64_t)columns[0].number;
	if (l->text != NULL)
		snprintf(l->text, l->size, "%s", columns[0].text == NULL ? "" : columns[0].text);
	return FL_OK;
}

uint64_t fixture_number(struct fixture *f, const char *sql)
{
	struct fl_err err;
	struct looked_up l = {0};
	struct fl_db_query query = {.sql = sql, .on_row = take, .ctx = &l};
	MUST(fl_db_each(&f->db, &query, &err));
	return l.number;
}

void fixture_text(struct fixture *f, const char *sql, char *out, size_t size)
{
	struct fl_err err;
	struct looked_up l = {0, out, size};
	struct fl_db_query query = {.sql = sql, .on_row = take, .ctx = &l};
	out[0] = '\0';
	MUST(fl_db_each(&f->db, &query, &err));
}
