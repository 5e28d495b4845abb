/* SPDX-License-Identifier: Apache-2.0 */
#include "paper.h"

#include <fairlead/base/clock.h>
#include <fairlead/trust/json.h>
#include <fairlead/trust/tree.h>

#include <criterion/criterion.h>
#include <string.h>

#define OK(call)                                                                                   \
	do {                                                                                       \
		struct fl_err err = {0};                                                           \
		cr_assert_eq((call), FL_OK, "%s: %s", #call, err.msg);                             \
	} while (0)

void paper_init(struct paper *p)
{
	p->arena = FL_ARENA((size_t)64 << 20);
	struct fl_key **keys[] = {&p->root, &p->release, &p->dispatch, &p->operator, &p->device,
				 &p->stranger};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		OK(fl_key_generate(FL_ALG_ED25519, keys[i], &err));
}

void paper_done(struct paper *p)
{
	fl_key_free(p->root);
	fl_key_free(p->release);
	fl_key_free(p->dispatch);
	fl_key_free(p->operator);
	fl_key_free(p->device);
	fl_key_free(p->stranger);
	fl_arena_free(&p->arena);
}

static struct paper_doc sign(struct paper *p, enum fl_doc_type type, const struct fl_schema *schema,
			     const void *in, const struct fl_key *key)
{
	struct paper_doc doc = {.env = {.type = type}};
	struct fl_buf text = FL_BUF(FL_DOC_PAYLOAD_MAX);
	OK(fl_json_encode(schema, in, &text, &err));
	doc.env.payload.data = (uint8_t *)fl_arena_copy(&p->arena, text.data, text.len, NULL);
	doc.env.payload.len = text.len;
	fl_buf_free(&text);
	OK(fl_envelope_sign(&doc.env, key, &err));
	OK(fl_envelope_digest(&doc.env, &doc.digest, &err));
	return doc;
}

static struct fl_root_key root_key(const struct fl_key *key)
{
	const struct fl_pubkey *pub = fl_key_public(key);
	return (struct fl_root_key){pub->keyid, fl_alg_name(pub->alg), {pub->spki, pub->spki_len}};
}

struct paper_doc paper_root(struct paper *p, const struct paper_root *ask)
{
	const struct fl_root_key keys[] = {root_key(p->root), root_key(p->release),
					   root_key(p->dispatch), root_key(p->operator)};
	static const char *const intents[] = {"install", "rollback", "cancel", "inventory"};
	static const char *const of_operators[] = {"install_offline"};
	const struct fl_role roles[] = {
		{.role = "root", .threshold = 1, .keyids = {&keys[0].keyid, 1}},
		{.role = "release", .threshold = 1, .keyids = {&keys[1].keyid, 1}},
		{.role = "dispatch",
		 .threshold = 1,
		 .keyids = {&keys[2].keyid, 1},
		 .intents = {intents, 4}},
		{.role = "operator",
		 .threshold = 1,
		 .keyids = {&keys[3].keyid, 1},
		 .intents = {of_operators, 1}},
	};
	const struct fl_revoked revoked = {.releases = {ask->revoked, 1}};
	const struct fl_floor floor = {"gw", "rootfs", 0, ask->floor};
	const struct fl_root root = {.type = "root",
				     .spec = 1,
				     .version = ask->version,
				     .epoch = ask->epoch,
				     .issued = PAPER_NOW - 1000 + ask->version,
				     .expires = PAPER_NOW + 100000000,
				     .keys = {keys, 4},
				     .roles = {roles, 4},
				     .revoked = ask->revoked == NULL ? NULL : &revoked,
				     .floors = {&floor, ask->floor > 0 ? 1 : 0}};
	return sign(p, FL_DOC_ROOT, &fl_root_schema, &root, p->root);
}

static struct fl_tree_ref tree_of(const void *data, size_t len)
{
	struct fl_tree_ref ref = {.alg = "sha256-wide1", .chunk = FL_CHUNK_SIZE};
	struct fl_tree_builder *builder;
	uint64_t size;
	OK(fl_tree_builder_new(&builder, &err));
	OK(fl_tree_builder_add(builder, data, len, &err));
	OK(fl_tree_builder_finish(builder, &ref.root, &size, NULL, &err));
	fl_tree_builder_free(builder);
	return ref;
}

struct paper_doc paper_release(struct paper *p, const struct paper_release *ask)
{
	static const char *const classes[] = {PAPER_CLASS};
	const char *const order[] = {ask->component == NULL ? "rootfs" : ask->component, "app"};
	const size_t n = ask->with_app ? 2 : 1;
	const char *reach[] = {ask->reach == NULL ? "fleet" : ask->reach};
	const struct fl_tree_ref tree = tree_of(ask->image, ask->image_len);
	const struct fl_installed_ref installed = {.size = ask->image_len,
						   .tree = &tree,
						   .slot_fill = ask->zero_tail ? "zero" : "keep"};
	const struct fl_source_ref source = {.release_seq = 1, .size = ask->image_len, .tree = &tree};
	const struct fl_artifact artifacts[] = {
		{.id = "full", .format = "zstd-frames", .frame = 1048576, .size = 100, .tree = &tree},
		{.id = "delta",
		 .format = "delta",
		 .size = 50,
		 .tree = &tree,
		 .mem_max = ask->delta_memory,
		 .source = &source}};
	struct fl_component components[2];
	for (size_t i = 0; i < 2; i++)
		components[i] = (struct fl_component){.name = order[i],
						      .handler = "rootfs",
						      .version = ask->version,
						      .release_seq = ask->release_seq,
						      .security_version = ask->security_version,
						      .installed = &installed,
						      .artifacts = {artifacts, ask->delta_memory == 0 ? 1 : 2},
						      .restart = "host"};
	const struct fl_soak soak = {.duration_s = ask->soak_s};
	const struct fl_health health = {
		.reach = {(const char *const *)reach, 1},
		.deadline_s = ask->deadline_s == 0 ? 600 : ask->deadline_s,
		.soak = ask->soak_s == 0 ? NULL : &soak};
	const struct fl_set set = {.order = {order, n}, .health = &health};
	const struct fl_compat compat = {{classes, 1}, 1, 9};
	const struct fl_release release = {
		.type = "release",
		.spec = 1,
		.product = "gw",
		.release_id = "b7b0a7f6-52b5-4b5e-8a8e-1f7a3f0f6a10",
		.version = ask->version,
		.created = PAPER_NOW - 100,
		.expires = PAPER_NOW + 1000000,
		.compat = &compat,
		.permits_rollback_to = {ask->permits, ask->permits == NULL ? 0 : 1},
		.set = &set,
		.components = {components, n}};
	return sign(p, FL_DOC_RELEASE, &fl_release_schema, &release,
		    ask->signer == NULL ? p->release : ask->signer);
}

struct paper_doc paper_job(struct paper *p, const struct paper_job *ask)
{
	char id[37];
	OK(fl_uuid_new(id, &err));
	struct fl_job job = {.type = "job",
			     .spec = 1,
			     .tenant = "default",
			     .device_id = ask->device_id == NULL ? "gw-1" : ask->device_id,
			     .identity = fl_key_public(p->device)->keyid,
			     .epoch = ask->epoch == 0 ? 1 : ask->epoch,
			     .job_seq = ask->job_seq,
			     .job_id = id,
			     .issued = PAPER_NOW - 10,
			     .expires = ask->expires == 0 ? PAPER_NOW + 1000000 : ask->expires,
			     .intent = ask->cancels == NULL ? "install" : "cancel"};
	const struct fl_job_device devices[] = {{.device_id = "gw-0"},
						{job.device_id, job.identity}};
	if (ask->offline_seq != 0) {
		job.intent = "install_offline";
		job.offline_seq = ask->offline_seq;
		job.devices.items = devices;
		job.devices.n = 2;
		job.device_id = NULL;
		job.identity = (struct fl_digest){{0}};
	}
	if (ask->release != NULL)
		job.release = *ask->release;
	if (ask->cancels != NULL)
		job.target = *ask->cancels;
	return sign(p, FL_DOC_JOB, &fl_job_schema, &job,
		    ask->signer != NULL	     ? ask->signer
		    : ask->offline_seq != 0 ? p->operator
					     : p->dispatch);
}

struct paper_doc paper_heartbeat(struct paper *p, const struct paper_heartbeat *ask)
{
	const struct fl_heartbeat heartbeat = {.type = "heartbeat",
					       .spec = 1,
					       .device_id = "gw-1",
					       .nonce = {ask->nonce, 32},
					       .utc = ask->utc == 0 ? PAPER_NOW : ask->utc,
					       .latest_job_seq = ask->latest_job_seq,
					       .root_version =
						       ask->root_version == 0 ? 1 : ask->root_version};
	return sign(p, FL_DOC_HEARTBEAT, &fl_heartbeat_schema, &heartbeat,
		    ask->signer == NULL ? p->dispatch : ask->signer);
}
