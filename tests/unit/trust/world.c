/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const classes[] = {"class-a"};
static const char *const order[] = {"rootfs", "mcu_a"};
static const char *const reach[] = {"fleet", "local"};
static const char *const intents[] = {"install", "rollback", "cancel", "inventory", "collect_logs",
				      "install_offline"};
static const char *const operator_intents[] = {"install_offline"};
static const char *const vendor_components[] = {"mcu_a"};

static struct fl_digest some_digest(uint8_t seed)
{
	struct fl_digest d;
	memset(d.b, seed, sizeof(d.b));
	return d;
}

struct fl_digest world_keyid(const struct world *w, enum who who)
{
	return fl_key_public(w->keys[who])->keyid;
}

static void make_keys(struct world *w)
{
	for (int i = 0; i < N_KEYS; i++) {
		enum fl_alg alg = i == RELEASE_A || i == DISPATCH ? FL_ALG_P256 : FL_ALG_ED25519;
		cr_assert_eq(fl_key_generate(alg, &w->keys[i], &w->err), FL_OK, "%s", w->err.msg);
		const struct fl_pubkey *pub = fl_key_public(w->keys[i]);
		w->root_keys[i] = (struct fl_root_key){
			pub->keyid, fl_alg_name(alg), {pub->spki, pub->spki_len}};
	}
}

static void set_role(struct world *w, int role, const char *name, uint64_t threshold,
		     const enum who *keys)
{
	size_t n = 0;
	for (; keys[n] != NOBODY; n++)
		w->role_keyids[role][n] = world_keyid(w, keys[n]);
	w->roles[role] = (struct fl_role){.role = name, .threshold = threshold};
	w->roles[role].keyids.items = w->role_keyids[role];
	w->roles[role].keyids.n = n;
}

static void make_root(struct world *w)
{
	set_role(w, ROLE_ROOT, "root", 2, SIGNERS(ROOT_A, ROOT_B, ROOT_C));
	set_role(w, ROLE_RELEASE, "release", 2, SIGNERS(RELEASE_A, RELEASE_B));
	set_role(w, ROLE_VENDOR, "release", 1, SIGNERS(VENDOR));
	set_role(w, ROLE_DISPATCH, "dispatch", 1, SIGNERS(DISPATCH));
	set_role(w, ROLE_OPERATOR, "operator", 1, SIGNERS(OPERATOR));
	w->vendor_scope.components.items = vendor_components;
	w->vendor_scope.components.n = 1;
	w->roles[ROLE_VENDOR].scope = &w->vendor_scope;
	w->roles[ROLE_DISPATCH].intents.items = intents;
	w->roles[ROLE_DISPATCH].intents.n = 6;
	w->roles[ROLE_OPERATOR].intents.items = operator_intents;
	w->roles[ROLE_OPERATOR].intents.n = 1;
	w->root_in = (struct fl_root){.type = "root",
				      .spec = 1,
				      .version = 1,
				      .epoch = 3,
				      .issued = NOW - 100 * DAY,
				      .expires = NOW + 1000 * DAY};
	w->root_in.keys.items = w->root_keys;
	w->root_in.keys.n = STRANGER; /* those before it */
	w->root_in.roles.items = w->roles;
	w->root_in.roles.n = N_ROLES;
}

static void make_release(struct world *w)
{
	w->tree = (struct fl_tree_ref){"sha256-wide1", 65536, some_digest(7)};
	w->installed = (struct fl_installed_ref){.size = 1 << 20, .tree = &w->tree, .slot_fill = "zero"};
	w->artifact = (struct fl_artifact){.id = "full", .format = "zstd-frames", .frame = 1 << 20, .size = 5000, .tree = &w->tree};
	for (int i = 0; i < 2; i++) {
		struct fl_component *c = &w->components[i];
		*c = (struct fl_component){.name = order[i],
					   .handler = i == 0 ? "rootfs" : "mcu",
					   .version = "2.0",
					   .release_seq = 2,
					   .security_version = 5,
					   .installed = &w->installed,
					   .restart = i == 0 ? "host" : "none"};
		c->artifacts.items = &w->artifact;
		c->artifacts.n = 1;
	}
	w->health = (struct fl_health){.deadline_s = 600};
	w->health.reach.items = reach;
	w->health.reach.n = 2;
	w->set.order.items = order;
	w->set.order.n = 2;
	w->set.health = &w->health;
	w->compat = (struct fl_compat){.hw_rev_min = 2, .hw_rev_max = 4};
	w->compat.class_ids.items = classes;
	w->compat.class_ids.n = 1;
	w->release = (struct fl_release){.type = "release",
					 .spec = 1,
					 .product = "gw-x",
					 .release_id = "0b5b4a36-93b0-4e0a-8c9c-0a4c0f1f2a11",
					 .version = "2.0",
					 .created = NOW - DAY,
					 .expires = NOW + 300 * DAY,
					 .kind = "security",
					 .compat = &w->compat,
					 .set = &w->set};
	w->release.components.items = w->components;
	w->release.components.n = 2;
}

static void make_device(struct world *w)
{
	w->device = (struct fl_device_facts){"acme",	"gw-0001", "gw-x",
					     "class-a", 3,	   world_keyid(w, DEVICE)};
	for (int i = 0; i < 2; i++)
		w->facts[i] = (struct fl_component_facts){.name = order[i],
							  .handler = w->components[i].handler,
							  .release_seq = 1,
							  .security_floor = 4,
							  .release = some_digest(9)};
	w->state = (struct fl_trust_state){
		.root = &w->root, .device = &w->device, .t_min = NOW, .job_seq = 41,
		.offline_seq = NOW - DAY};
	w->state.components.items = w->facts;
	w->state.components.n = 2;
	w->job = (struct fl_job){.type = "job",
				 .spec = 1,
				 .tenant = "acme",
				 .device_id = "gw-0001",
				 .identity = w->device.identity,
				 .epoch = 3,
				 .job_seq = 42,
				 .job_id = "5f0c8f55-2a2c-4b42-9d3b-6a2c6fb9f6d0",
				 .issued = NOW,
				 .expires = NOW + 7 * DAY,
				 .intent = "install",
				 .release = some_digest(1)};
}

void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->arena = FL_ARENA((size_t)64 << 20);
	make_keys(w);
	make_root(w);
	make_release(w);
	make_device(w);
	world_apply_root(w);
}

void world_done(struct world *w)
{
	for (int i = 0; i < N_KEYS; i++)
		fl_key_free(w->keys[i]);
	fl_arena_free(&w->arena);
}

static const struct fl_schema *schema_of(enum fl_doc_type type)
{
	switch (type) {
	case FL_DOC_ROOT:
		return &fl_root_schema;
	case FL_DOC_RELEASE:
		return &fl_release_schema;
	case FL_DOC_HEARTBEAT:
		return &fl_heartbeat_schema;
	case FL_DOC_REPORT:
		return &fl_report_schema;
	case FL_DOC_JOB:
	case FL_DOC_COMPONENT:
	case FL_DOC_ORDER:
	case FL_DOC_TIME:
	default:
		return &fl_job_schema;
	}
}

static const char *encode(struct world *w, enum fl_doc_type type, const void *doc)
{
	struct fl_buf text = FL_BUF(FL_DOC_PAYLOAD_MAX);
	cr_assert_eq(fl_json_encode(schema_of(type), doc, &text, &w->err), FL_OK, "%s", w->err.msg);
	const char *kept = fl_arena_copy(&w->arena, text.data, text.len, &w->err);
	cr_assert_not_null(kept);
	fl_buf_free(&text);
	return kept;
}

void world_apply_root(struct world *w)
{
	const char *text = encode(w, FL_DOC_ROOT, &w->root_in);
	struct fl_bytes payload = {(const uint8_t *)text, strlen(text)};
	cr_assert_eq(fl_root_decode(payload, &w->arena, &w->root, &w->err), FL_OK, "%s",
		     w->err.msg);
}

struct fl_envelope world_sign_text(struct world *w, enum fl_doc_type type, const char *text,
				   const enum who *signers)
{
	struct fl_envelope env = {.type = type, .payload = {(const uint8_t *)text, strlen(text)}};
	for (; *signers != NOBODY; signers++)
		cr_assert_eq(fl_envelope_sign(&env, w->keys[*signers], &w->err), FL_OK, "%s",
			     w->err.msg);
	return env;
}

struct fl_envelope world_sign(struct world *w, enum fl_doc_type type, const void *doc,
			      const enum who *signers)
{
	return world_sign_text(w, type, encode(w, type, doc), signers);
}

enum fl_rc world_verify_release_by(struct world *w, const enum who *signers)
{
	struct fl_release out;
	struct fl_envelope env = world_sign(w, FL_DOC_RELEASE, &w->release, signers);
	cr_assert_eq(fl_envelope_digest(&env, &w->job.release, &w->err), FL_OK);
	return fl_verify_release(&w->state, &w->job, &env, &w->arena, &out, &w->err);
}

enum fl_rc world_verify_release(struct world *w)
{
	return world_verify_release_by(w, SIGNERS(RELEASE_A, RELEASE_B));
}

enum fl_rc world_verify_job_by(struct world *w, const enum who *signers)
{
	struct fl_job out;
	enum fl_job_verdict verdict;
	struct fl_envelope env = world_sign(w, FL_DOC_JOB, &w->job, signers);
	return fl_verify_job(&w->state, &env, NOW, &w->arena, &out, &verdict, &w->err);
}

enum fl_rc world_verify_job(struct world *w)
{
	return world_verify_job_by(w, SIGNERS(DISPATCH));
}
