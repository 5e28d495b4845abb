/* SPDX-License-Identifier: Apache-2.0 */
/* What one document can tell by itself: types, words, limits and the checks across members. */
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct world w;

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_done(&w);
}

TestSuite(documents, .init = setup, .fini = teardown);

static struct fl_bytes encode(const struct fl_schema *schema, const void *doc)
{
	struct fl_buf text = FL_BUF(FL_DOC_PAYLOAD_MAX);
	cr_assert_eq(fl_json_encode(schema, doc, &text, &w.err), FL_OK, "%s", w.err.msg);
	struct fl_bytes kept = {(uint8_t *)fl_arena_copy(&w.arena, text.data, text.len, &w.err),
				text.len};
	cr_assert_not_null(kept.data);
	fl_buf_free(&text);
	return kept;
}

static enum fl_rc root(void)
{
	struct fl_root out;
	return fl_root_decode(encode(&fl_root_schema, &w.root_in), &w.arena, &out, &w.err);
}

static enum fl_rc release(void)
{
	struct fl_release out;
	return fl_release_decode(encode(&fl_release_schema, &w.release), &w.arena, &out, &w.err);
}

static enum fl_rc job(void)
{
	struct fl_job out;
	return fl_job_decode(encode(&fl_job_schema, &w.job), &w.arena, &out, &w.err);
}

static bool says(const char *part)
{
	return strstr(w.err.msg, part) != NULL;
}

#define REFUSES(doc, part)                                                                         \
	do {                                                                                       \
		enum fl_rc rc_ = doc();                                                            \
		cr_expect_eq(rc_, FL_E_DOC_FIELD, "%s", fl_rc_name(rc_));                          \
		cr_expect(says(part), "'%s' is not in '%s'", part, w.err.msg);                     \
	} while (0)

Test(documents, the_world_s_own_are_right)
{
	cr_assert_eq(root(), FL_OK, "%s", w.err.msg);
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
	cr_assert_eq(job(), FL_OK, "%s", w.err.msg);
}

Test(documents, the_type_inside_must_be_the_type_outside)
{
	w.root_in.type = "release";
	cr_assert_eq(root(), FL_E_DOC_TYPE);
	w.release.type = "root";
	cr_assert_eq(release(), FL_E_DOC_TYPE);
	w.job.type = "Job";
	cr_assert_eq(job(), FL_E_DOC_TYPE);
}

Test(documents, spec_must_be_1)
{
	w.root_in.spec = 0;
	REFUSES(root, "spec");
	w.release.spec = 0;
	REFUSES(release, "spec");
	w.job.spec = 0;
	REFUSES(job, "spec");
	struct fl_job out;
	const char text[] = "{\"type\":\"job\",\"spec\":2}";
	cr_assert_eq(fl_job_decode((struct fl_bytes){(const uint8_t *)text, sizeof(text) - 1},
				   &w.arena, &out, &w.err),
		     FL_E_DOC_FIELD);
	cr_assert(says("job: spec: above 1"));
}

Test(documents, outputs_stay_untouched_on_failure)
{
	struct fl_job out, before;
	memset(&out, 0x5a, sizeof(out));
	before = out;
	w.job.intent = "reboot";
	cr_assert_eq(fl_job_decode(encode(&fl_job_schema, &w.job), &w.arena, &out, &w.err),
		     FL_E_DOC_FIELD);
	cr_assert_eq(memcmp(&out, &before, sizeof(out)), 0);
}

Test(documents, a_payload_over_its_limit_is_refused_unread)
{
	static uint8_t big[256 * 1024 + 1];
	struct fl_root r;
	struct fl_release rel;
	struct fl_image_info info;
	memset(big, ' ', sizeof(big));
	cr_assert_eq(fl_root_decode((struct fl_bytes){big, 65537}, &w.arena, &r, &w.err),
		     FL_E_TOO_LARGE);
	cr_assert_eq(fl_root_decode((struct fl_bytes){big, 65536}, &w.arena, &r, &w.err),
		     FL_E_DOC_SYNTAX);
	cr_assert_eq(fl_release_decode((struct fl_bytes){big, sizeof(big)}, &w.arena, &rel, &w.err),
		     FL_E_TOO_LARGE);
	cr_assert_eq(fl_image_info_decode((struct fl_bytes){big, 4097}, &w.arena, &info, &w.err),
		     FL_E_TOO_LARGE);
}

/* --- root --- */

Test(documents, a_keyid_must_be_the_digest_of_its_key)
{
	w.root_keys[RELEASE_A].keyid = world_keyid(&w, STRANGER);
	REFUSES(root, "keys: [3]: keyid: not the SHA-256");
}

Test(documents, the_algorithm_must_be_the_key_s)
{
	w.root_keys[ROOT_A].alg = "ecdsa-p256-sha256";
	REFUSES(root, "keys: [0]: alg");
	w.root_keys[ROOT_A].alg = "none";
	REFUSES(root, "keys: [0]: alg");
}

Test(documents, a_key_stands_once)
{
	w.root_keys[ROOT_B] = w.root_keys[ROOT_A];
	REFUSES(root, "keys: [1]: keyid: stands twice");
}

Test(documents, a_small_order_key_makes_no_root)
{
	uint8_t spki[44] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b,
			    0x65, 0x70, 0x03, 0x21, 0x00, 0x01};
	w.root_keys[OPERATOR].spki = (struct fl_bytes){spki, sizeof(spki)};
	cr_assert_eq(fl_sha256(NULL, 0, spki, sizeof(spki), &w.root_keys[OPERATOR].keyid, &w.err),
		     FL_OK);
	w.role_keyids[ROLE_OPERATOR][0] = w.root_keys[OPERATOR].keyid;
	REFUSES(root, "spki");
}

Test(documents, thresholds_lie_between_1_and_the_number_of_keys)
{
	w.roles[ROLE_ROOT].threshold = 0;
	REFUSES(root, "roles: [0]: threshold");
	w.roles[ROLE_ROOT].threshold = 4;
	REFUSES(root, "roles: [0]: threshold");
	w.roles[ROLE_ROOT].threshold = 3;
	cr_assert_eq(root(), FL_OK);
}

Test(documents, a_key_counts_once_in_a_role)
{
	w.role_keyids[ROLE_RELEASE][1] = w.role_keyids[ROLE_RELEASE][0];
	REFUSES(root, "roles: [1]: keyids: a digest stands twice");
}

Test(documents, a_role_names_keys_of_the_document)
{
	w.role_keyids[ROLE_RELEASE][1] = world_keyid(&w, STRANGER);
	REFUSES(root, "roles: [1]: keyids: not a key");
}

Test(documents, a_root_has_one_whole_root_role)
{
	w.roles[ROLE_ROOT].role = "operator";
	REFUSES(root, "one root role");
	w.roles[ROLE_ROOT].role = "root";
	w.roles[ROLE_OPERATOR].role = "root";
	REFUSES(root, "one root role");
	w.roles[ROLE_OPERATOR].role = "operator";
	w.roles[ROLE_ROOT].scope = &w.vendor_scope;
	REFUSES(root, "no scope");
}

Test(documents, unknown_roles_are_refused)
{
	w.roles[ROLE_VENDOR].role = "admin";
	REFUSES(root, "role: unknown word 'admin'");
}

Test(documents, an_empty_list_in_a_scope_does_not_mean_any)
{
	w.vendor_scope.products.items = &w.release.product; /* present, no element */
	w.vendor_scope.products.n = 0;
	REFUSES(root, "scope: products: an empty list");
}

Test(documents, dispatch_is_not_limited_by_what_nobody_checks)
{
	w.roles[ROLE_DISPATCH].scope = &w.vendor_scope;
	REFUSES(root, "scope: dispatch");
}

Test(documents, a_root_has_a_version_and_a_life)
{
	w.root_in.version = 0;
	REFUSES(root, "version");
	w.root_in.version = 1;
	w.root_in.expires = w.root_in.issued - 1;
	REFUSES(root, "expires");
}

/* --- release --- */

Test(documents, words_of_a_release_are_known_ones)
{
	w.release.kind = "urgent";
	REFUSES(release, "kind: unknown word");
	w.release.kind = NULL;
	w.components[0].restart = "maybe";
	REFUSES(release, "components: [0]: restart");
	w.components[0].restart = "host";
	w.installed.slot_fill = "random";
	REFUSES(release, "slot_fill");
	w.installed.slot_fill = NULL;
}

Test(documents, a_decoder_has_memory_and_a_delta_its_source)
{
	struct fl_tree_ref tree = w.tree;
	const struct fl_source_ref source = {.release_seq = 1, .size = 100, .tree = &tree};
	w.artifact.mem_max = 1;
	REFUSES(release, "mem_max: of a format without a decoder");
	w.artifact.mem_max = 0;
	w.artifact.source = &source;
	REFUSES(release, "source: of a format without a decoder");
	w.artifact.format = "delta";
	REFUSES(release, "frame: of a format without frames");
	w.artifact.frame = 0;
	REFUSES(release, "mem_max: missing");
	w.artifact.mem_max = 1 << 20;
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
	tree.alg = "md5";
	REFUSES(release, "tree: alg");
	tree.alg = "sha256-wide1";
	w.artifact.source = NULL;
	REFUSES(release, "source: missing");
	w.artifact.format = "vendors-own";
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
}

Test(documents, a_tree_is_of_the_one_kind)
{
	w.tree.alg = "md5";
	REFUSES(release, "tree: alg");
	w.tree.alg = "sha256-wide1";
	w.tree.chunk = 4096;
	REFUSES(release, "tree: chunk");
}

Test(documents, a_frame_is_a_multiple_of_64_kib)
{
	w.artifact.frame = 65537;
	REFUSES(release, "frame");
	w.artifact.frame = 8 << 20;
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
	w.artifact.frame = 0;
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
}

Test(documents, the_order_names_every_component_once)
{
	static const char *const lists[][3] = {{"rootfs", "rootfs"},
					       {"rootfs", "other"},
					       {"rootfs", "mcu_a", "other"},
					       {"rootfs"}};
	static const size_t lengths[] = {2, 2, 3, 1};
	for (size_t i = 0; i < 4; i++) {
		w.set.order.items = lists[i];
		w.set.order.n = lengths[i];
		REFUSES(release, "order");
	}
}

Test(documents, a_component_stands_once)
{
	static const char *const order[] = {"rootfs", "mcu_a"};
	w.set.order.items = order;
	w.components[1].name = "rootfs";
	REFUSES(release, "components: 'rootfs' stands twice");
}

Test(documents, hardware_revisions_are_a_range)
{
	w.compat.hw_rev_min = 5;
	REFUSES(release, "compat: hw_rev_max");
	w.compat.hw_rev_max = 5;
	cr_assert_eq(release(), FL_OK);
}

Test(documents, a_release_is_for_some_class)
{
	w.compat.class_ids.n = 0;
	REFUSES(release, "class_ids: an empty list");
}

Test(documents, a_component_is_whole_or_a_vendor_s)
{
	struct fl_component whole = w.components[0];
	struct fl_component *c = &w.components[0];
	c->handler = NULL;
	REFUSES(release, "components: [0]: handler: missing");
	*c = whole;
	c->version = NULL;
	REFUSES(release, "version: missing");
	*c = whole;
	c->release_seq = 0;
	REFUSES(release, "release_seq: missing");
	*c = whole;
	c->installed = NULL;
	REFUSES(release, "installed: missing");
	*c = whole;
	c->artifacts.items = NULL;
	c->artifacts.n = 0;
	REFUSES(release, "artifacts: missing");
	*c = whole;
	c->restart = NULL;
	REFUSES(release, "restart: missing");
	*c = whole;
	c->document = w.tree.root;
	REFUSES(release, "document: stands beside");
	*c = (struct fl_component){.name = "rootfs", .document = w.tree.root};
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
}

Test(documents, artifact_ids_are_distinct)
{
	struct fl_artifact two[] = {w.artifact, w.artifact};
	w.components[0].artifacts.items = two;
	w.components[0].artifacts.n = 2;
	REFUSES(release, "artifacts: [1]: id: stands twice");
	two[1].id = "d-1";
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
}

Test(documents, health_has_rules_and_a_deadline_it_can_keep)
{
	static const char *const odd[] = {"internet"};
	w.health.deadline_s = 29;
	REFUSES(release, "deadline_s");
	w.health.deadline_s = 30;
	cr_assert_eq(release(), FL_OK);
	w.health.reach.items = odd;
	w.health.reach.n = 1;
	REFUSES(release, "reach: unknown word");
	w.health.reach.n = 0;
	REFUSES(release, "reach: empty");
}

Test(documents, units_are_names_that_the_service_manager_takes_as_such)
{
	static const char *const good[] = {"nginx.service", "getty@tty1.service", "a\\x2db.socket"};
	static const char *const odd[] = {"nginx",	 "--now.service", "/etc/x.service",
					  "a b.service", ".service",	  "x.service;reboot"};
	w.health.units.items = good;
	w.health.units.n = 3;
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
	w.health.units.n = 1;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		w.health.units.items = &odd[i];
		REFUSES(release, "is no unit");
	}
}

Test(documents, a_soak_has_a_length_and_limits_that_an_equal_system_keeps)
{
	struct fl_soak soak = {.duration_s = 60, .memory_pct = 100, .load_pct = 150};
	w.health.soak = &soak;
	cr_assert_eq(release(), FL_OK, "%s", w.err.msg);
	soak.duration_s = 59;
	REFUSES(release, "duration_s: below 60");
	soak.duration_s = 60;
	soak.memory_pct = 99;
	REFUSES(release, "memory_pct: below 100");
	soak.memory_pct = 0;
	soak.load_pct = 1;
	REFUSES(release, "load_pct: below 100");
	soak.load_pct = 0;
	soak.round_trip_pct = 99;
	REFUSES(release, "round_trip_pct: below 100");
}

Test(documents, sizes_end_at_256_gib)
{
	struct fl_buf text = FL_BUF(FL_DOC_PAYLOAD_MAX);
	w.installed.size = UINT64_C(256) << 30;
	cr_assert_eq(release(), FL_OK);
	w.installed.size++;
	cr_assert_eq(fl_json_encode(&fl_release_schema, &w.release, &text, &w.err), FL_E_DOC_FIELD);
	cr_assert(says("size: above 274877906944"));
	fl_buf_free(&text);
}

Test(documents, components_and_artifacts_are_found_by_name)
{
	struct fl_artifact two[] = {w.artifact, w.artifact};
	two[1].id = "d-1";
	two[1].format = "delta";
	w.components[1].artifacts.items = two;
	w.components[1].artifacts.n = 2;
	const struct fl_component *c = fl_release_component(&w.release, "mcu_a");
	cr_assert_eq(c, &w.components[1]);
	cr_assert_null(fl_release_component(&w.release, "mcu"));
	cr_assert_eq(fl_component_artifact(c, "d-1", NULL), &two[1]);
	cr_assert_eq(fl_component_artifact(c, NULL, "delta"), &two[1]);
	cr_assert_eq(fl_component_artifact(c, NULL, "zstd-frames"), &two[0]);
	cr_assert_null(fl_component_artifact(c, "d-2", NULL));
	cr_assert_null(fl_component_artifact(c, NULL, "tar"));
}

/* --- job, heartbeat, report, image-info --- */

Test(documents, an_intent_is_a_known_word)
{
	w.job.intent = "open_session";
	REFUSES(job, "intent: unknown word");
}

Test(documents, install_and_rollback_pin_a_release)
{
	memset(&w.job.release, 0, sizeof(w.job.release));
	REFUSES(job, "release: missing");
	w.job.intent = "rollback";
	REFUSES(job, "release: missing");
	w.job.intent = "inventory";
	cr_assert_eq(job(), FL_OK);
}

Test(documents, cancel_names_its_target)
{
	w.job.intent = "cancel";
	REFUSES(job, "target: missing");
	w.job.target = w.tree.root;
	cr_assert_eq(job(), FL_OK);
}

Test(documents, a_job_ends_after_it_begins)
{
	w.job.expires = w.job.issued - 1;
	REFUSES(job, "expires");
	w.job.expires = w.job.issued;
	cr_assert_eq(job(), FL_OK);
	w.job.not_before = w.job.expires + 1;
	REFUSES(job, "expires");
}

Test(documents, an_empty_list_of_components_does_not_mean_all)
{
	w.job.components.items = &w.job.tenant;
	REFUSES(job, "components: an empty list");
}

Test(documents, ids_that_become_paths_are_names)
{
	struct fl_buf text = FL_BUF(4096);
	w.job.artifact = "../../etc/passwd";
	cr_assert_eq(fl_json_encode(&fl_job_schema, &w.job, &text, &w.err), FL_E_DOC_FIELD);
	w.job.artifact = NULL;
	w.job.job_id = "5f0c8f55-2a2c-4b42-9d3b-6a2c6fb9f6d";
	cr_assert_eq(fl_json_encode(&fl_job_schema, &w.job, &text, &w.err), FL_E_DOC_FIELD);
	fl_buf_free(&text);
}

Test(documents, a_heartbeat_has_a_nonce_of_32_bytes)
{
	uint8_t nonce[32] = {1};
	struct fl_heartbeat out, hb = {"heartbeat", 1, "gw-0001", {nonce, 32}, NOW, 42, 1};
	cr_assert_eq(fl_heartbeat_decode(encode(&fl_heartbeat_schema, &hb), &w.arena, &out, &w.err),
		     FL_OK);
	hb.nonce.len = 31;
	cr_assert_eq(fl_heartbeat_decode(encode(&fl_heartbeat_schema, &hb), &w.arena, &out, &w.err),
		     FL_E_DOC_FIELD);
}

Test(documents, a_report_speaks_in_known_states)
{
	struct fl_report_component c = {.name = "rootfs", .state = "staging"};
	struct fl_report out, in = {.type = "report",
				    .spec = 1,
				    .device_id = "gw-0001",
				    .report_seq = 1,
				    .boot_id = "5f0c8f55-2a2c-4b42-9d3b-6a2c6fb9f6d0",
				    .state = "waiting_to_activate",
				    .utc = NOW,
				    .time_quality = "fleet"};
	in.components.items = &c;
	in.components.n = 1;
	cr_assert_eq(fl_report_decode(encode(&fl_report_schema, &in), &w.arena, &out, &w.err),
		     FL_OK, "%s", w.err.msg);
	in.state = "refused";
	cr_assert_eq(fl_report_decode(encode(&fl_report_schema, &in), &w.arena, &out, &w.err),
		     FL_OK);
	in.state = "done";
	cr_assert_eq(fl_report_decode(encode(&fl_report_schema, &in), &w.arena, &out, &w.err),
		     FL_E_DOC_FIELD);
	in.state = "committed";
	c.state = "refused";
	cr_assert_eq(fl_report_decode(encode(&fl_report_schema, &in), &w.arena, &out, &w.err),
		     FL_E_DOC_FIELD);
	c.state = NULL;
	in.time_quality = "good";
	cr_assert_eq(fl_report_decode(encode(&fl_report_schema, &in), &w.arena, &out, &w.err),
		     FL_E_DOC_FIELD);
}

Test(documents, the_log_of_a_boot_has_lines_and_a_limit)
{
	char log[FL_BOOT_LOG_MAX + 2];
	struct fl_report out, in = {.type = "report", .spec = 1, .device_id = "gw-0001", .report_seq = 1,
				    .boot_id = "5f0c8f55-2a2c-4b42-9d3b-6a2c6fb9f6d0",
				    .state = "rolled_back", .boot_log = log, .utc = NOW,
				    .time_quality = "fleet"};
	struct fl_buf text = FL_BUF((size_t)64 * 1024);
	memset(log, '\n', sizeof(log));
	log[FL_BOOT_LOG_MAX] = '\0';
	cr_assert_eq(fl_report_decode(encode(&fl_report_schema, &in), &w.arena, &out, &w.err),
		     FL_OK, "%s", w.err.msg);
	cr_assert_str_eq(out.boot_log, log);
	log[FL_BOOT_LOG_MAX] = 'x';
	log[FL_BOOT_LOG_MAX + 1] = '\0';
	cr_assert_eq(fl_json_encode(&fl_report_schema, &in, &text, &w.err), FL_E_DOC_FIELD);
	fl_buf_free(&text);
}

Test(documents, image_info_is_five_members)
{
	struct fl_image_info out;
	const char text[] = "{\n  \"product\": \"gw-x\",\n  \"component\": \"rootfs\",\n  "
			    "\"version\": \"2.0\",\n"
			    "  \"release_seq\": 412,\n  \"security_version\": 9\n}\n";
	cr_assert_eq(
		fl_image_info_decode((struct fl_bytes){(const uint8_t *)text, sizeof(text) - 1},
				     &w.arena, &out, &w.err),
		FL_OK, "%s", w.err.msg);
	cr_assert_eq(out.release_seq, 412);
	cr_assert_eq(out.security_version, 9);
	const char lacks[] = "{\"product\":\"gw-x\",\"component\":\"rootfs\",\"version\":\"2\","
			     "\"release_seq\":1}";
	cr_assert_eq(
		fl_image_info_decode((struct fl_bytes){(const uint8_t *)lacks, sizeof(lacks) - 1},
				     &w.arena, &out, &w.err),
		FL_E_DOC_FIELD);
	cr_assert(says("security_version: missing"));
}
