/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of docs/formats.md, section 3: members, kinds and limits. What no table can say is in
 * the *_check.c files. */
#include "documents.h"

#include <fairlead/trust/json.h>
#include <fairlead/trust/tree.h>

#define ANY	     FL_U53_MAX
#define WORD	     32 /* an enumeration's word */
#define VERSION	     64
#define MEM_MAX	     (UINT64_C(1) << 30)
#define FRAME_MAX    (UINT64_C(8) << 20)
#define COMPONENTS   64
#define SOAK_MAX_S   (UINT64_C(7) * 86400)
#define PERCENT_MAX  10000
#define RESTARTS_MAX 1000

/* root */
static const struct fl_field root_key_fields[] = {
	FL_REQ(struct fl_root_key, keyid, DIGEST, 0, NULL, "SHA-256 of spki"),
	FL_REQ(struct fl_root_key, alg, STR, WORD, NULL, "ed25519 or ecdsa-p256-sha256"),
	FL_REQ(struct fl_root_key, spki, BYTES, FL_SPKI_MAX, NULL, "DER SubjectPublicKeyInfo"),
};
static const struct fl_schema root_key_schema =
	FL_SCHEMA("key", struct fl_root_key, root_key_fields, NULL);

static const struct fl_field scope_fields[] = {
	FL_OPT(struct fl_scope, vendor, NAME, 0, NULL, "the release's vendor_id must be this"),
	FL_OPT(struct fl_scope, products, STRINGS, 64, NULL, "products that may be signed"),
	FL_OPT(struct fl_scope, classes, STRINGS, 64, NULL,
	       "every class of the release must be among them"),
	FL_OPT(struct fl_scope, components, STRINGS, 64, NULL, "components that may be signed"),
	FL_OPT(struct fl_scope, handlers, STRINGS, 64, NULL, "handlers that may be signed"),
};
static const struct fl_schema scope_schema =
	FL_SCHEMA("scope", struct fl_scope, scope_fields, "An absent list means any.");

static const struct fl_field role_fields[] = {
	FL_REQ(struct fl_role, role, STR, WORD, NULL, "root, release, operator or dispatch"),
	FL_REQ(struct fl_role, threshold, U64, FL_SIGS_MAX, NULL, "how many of the keys must sign"),
	FL_REQ(struct fl_role, keyids, DIGESTS, FL_SIGS_MAX, NULL, "keys of this document"),
	FL_OPT(struct fl_role, scope, OBJECT, 0, &scope_schema, "absent: everything"),
	FL_OPT(struct fl_role, intents, STRINGS, 16, NULL, "dispatch: the intents it may order"),
};
static const struct fl_schema role_schema = FL_SCHEMA("role", struct fl_role, role_fields, NULL);

static const struct fl_field revoked_fields[] = {
	FL_OPT(struct fl_revoked, keyids, DIGESTS, 512, NULL, "keys that count no more"),
	FL_OPT(struct fl_revoked, releases, DIGESTS, 512, NULL,
	       "releases that may not be installed"),
};
static const struct fl_schema revoked_schema =
	FL_SCHEMA("revoked", struct fl_revoked, revoked_fields, NULL);

static const struct fl_field floor_fields[] = {
	FL_REQ(struct fl_floor, product, NAME, 0, NULL, "product"),
	FL_REQ(struct fl_floor, component, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_floor, min_release_seq, U64, ANY, NULL, "least release_seq"),
	FL_REQ(struct fl_floor, min_security_version, U64, ANY, NULL, "least security_version"),
};
static const struct fl_schema floor_schema =
	FL_SCHEMA("floor", struct fl_floor, floor_fields, NULL);

static const struct fl_field root_fields[] = {
	FL_REQ(struct fl_root, type, STR, WORD, NULL, "\"root\""),
	FL_REQ(struct fl_root, spec, U64, 1, NULL, "1"),
	FL_REQ(struct fl_root, version, U64, ANY, NULL, "one more than the root before"),
	FL_REQ(struct fl_root, epoch, U64, ANY, NULL, "a higher one resets job numbers and time"),
	FL_REQ(struct fl_root, issued, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_root, expires, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_root, keys, LIST, FL_ROOT_KEYS_MAX, &root_key_schema, "all keys"),
	FL_REQ(struct fl_root, roles, LIST, 64, &role_schema, "who may sign what"),
	FL_OPT(struct fl_root, revoked, OBJECT, 0, &revoked_schema, "what counts no more"),
	FL_OPT(struct fl_root, floors, LIST, 256, &floor_schema, "least versions"),
	FL_OPT(struct fl_root, ext, EXT, 0, NULL, "members unknown to this version"),
};
const struct fl_schema fl_root_schema = FL_SCHEMA("root", struct fl_root, root_fields, NULL);

/* release */
static const struct fl_field tree_fields[] = {
	FL_REQ(struct fl_tree_ref, alg, STR, WORD, NULL, "\"sha256-wide1\""),
	FL_REQ(struct fl_tree_ref, chunk, U64, FL_CHUNK_SIZE, NULL, "65536"),
	FL_REQ(struct fl_tree_ref, root, DIGEST, 0, NULL, "root of the hash tree"),
};
static const struct fl_schema tree_schema =
	FL_SCHEMA("tree", struct fl_tree_ref, tree_fields, NULL);

static const struct fl_field installed_fields[] = {
	FL_REQ(struct fl_installed_ref, size, U64, FL_TREE_SIZE_MAX, NULL, "bytes in the target"),
	FL_REQ(struct fl_installed_ref, tree, OBJECT, 0, &tree_schema,
	       "over the bytes in the target"),
	FL_OPT(struct fl_installed_ref, slot_fill, STR, WORD, NULL,
	       "rest of the slot: keep or zero"),
	FL_OPT(struct fl_installed_ref, verity_root, DIGEST, 0, NULL,
	       "root hash of dm-verity over the image"),
};
static const struct fl_schema installed_schema =
	FL_SCHEMA("installed", struct fl_installed_ref, installed_fields, NULL);

static const struct fl_field source_fields[] = {
	FL_OPT(struct fl_source_ref, release_seq, U64, ANY, NULL,
	       "of the component where that is installed"),
	FL_REQ(struct fl_source_ref, size, U64, FL_TREE_SIZE_MAX, NULL, "bytes of it"),
	FL_REQ(struct fl_source_ref, tree, OBJECT, 0, &tree_schema, "over them"),
};
static const struct fl_schema source_schema =
	FL_SCHEMA("source", struct fl_source_ref, source_fields, NULL);

static const struct fl_field artifact_fields[] = {
	FL_REQ(struct fl_artifact, id, NAME, 0, NULL, "name within the component"),
	FL_REQ(struct fl_artifact, format, NAME, 0, NULL,
	       "zstd-frames, or the name of a decoder: delta"),
	FL_OPT(struct fl_artifact, frame, U64, FRAME_MAX, NULL,
	       "bytes of image per frame, a multiple of 65536"),
	FL_REQ(struct fl_artifact, size, U64, FL_TREE_SIZE_MAX, NULL, "bytes to transfer"),
	FL_REQ(struct fl_artifact, tree, OBJECT, 0, &tree_schema, "over the bytes to transfer"),
	FL_OPT(struct fl_artifact, mem_max, U64, MEM_MAX, NULL, "memory of the decoder, bytes"),
	FL_OPT(struct fl_artifact, source, OBJECT, 0, &source_schema,
	       "what the decoder must have to read"),
};
static const struct fl_schema artifact_schema =
	FL_SCHEMA("artifact", struct fl_artifact, artifact_fields, NULL);

static const struct fl_field component_fields[] = {
	FL_REQ(struct fl_component, name, NAME, 0, NULL, "component"),
	FL_OPT(struct fl_component, handler, NAME, 0, NULL, "the plugin that installs it"),
	FL_OPT(struct fl_component, version, STR, VERSION, NULL, "for people"),
	FL_OPT(struct fl_component, release_seq, U64, ANY, NULL,
	       "rises with every release, from 1"),
	FL_OPT(struct fl_component, security_version, U64, ANY, NULL,
	       "rises when older ones are unsafe"),
	FL_OPT(struct fl_component, slot, NAME, 0, NULL, "group of slots, default the name"),
	FL_OPT(struct fl_component, installed, OBJECT, 0, &installed_schema,
	       "what stands in the target"),
	FL_OPT(struct fl_component, artifacts, LIST, 32, &artifact_schema, "ways to get there"),
	FL_OPT(struct fl_component, restart, STR, WORD, NULL, "none, component or host"),
	FL_OPT(struct fl_component, document, DIGEST, 0, NULL,
	       "a vendor's component document, instead"),
};
static const struct fl_schema component_schema =
	FL_SCHEMA("component", struct fl_component, component_fields, NULL);

static const struct fl_field soak_fields[] = {
	FL_REQ(struct fl_soak, duration_s, U64, SOAK_MAX_S, NULL, "60 to 604800"),
	FL_OPT(struct fl_soak, memory_pct, U64, PERCENT_MAX, NULL,
	       "memory in use, of that before; 100 or more"),
	FL_OPT(struct fl_soak, load_pct, U64, PERCENT_MAX, NULL,
	       "load over 5 minutes, of that before; 100 or more"),
	FL_OPT(struct fl_soak, round_trip_pct, U64, PERCENT_MAX, NULL,
	       "round trip to the fleet, of that before; 100 or more"),
	FL_OPT(struct fl_soak, restarts, U64, RESTARTS_MAX, NULL,
	       "of the agent or of any listed unit, at most"),
};
static const struct fl_schema soak_schema = FL_SCHEMA("soak", struct fl_soak, soak_fields, NULL);

static const struct fl_field health_fields[] = {
	FL_REQ(struct fl_health, reach, STRINGS, 3, NULL,
	       "fleet, fleet-or-gateway, local: those allowed"),
	FL_REQ(struct fl_health, deadline_s, U64, 86400, NULL, "30 to 86400"),
	FL_OPT(struct fl_health, units, STRINGS, 32, NULL, "system services that must run"),
	FL_OPT(struct fl_health, soak, OBJECT, 0, &soak_schema, "then, before commit"),
};
static const struct fl_schema health_schema =
	FL_SCHEMA("health", struct fl_health, health_fields, NULL);

static const struct fl_field set_fields[] = {
	FL_REQ(struct fl_set, order, STRINGS, COMPONENTS, NULL,
	       "every component once, in order of activation"),
	FL_REQ(struct fl_set, health, OBJECT, 0, &health_schema, "what must hold before commit"),
};
static const struct fl_schema set_schema = FL_SCHEMA("set", struct fl_set, set_fields, NULL);

static const struct fl_field compat_fields[] = {
	FL_REQ(struct fl_compat, class_ids, STRINGS, 32, NULL, "device classes it was made for"),
	FL_REQ(struct fl_compat, hw_rev_min, U64, ANY, NULL, "least hardware revision"),
	FL_REQ(struct fl_compat, hw_rev_max, U64, ANY, NULL, "highest hardware revision"),
};
static const struct fl_schema compat_schema =
	FL_SCHEMA("compat", struct fl_compat, compat_fields, NULL);

static const struct fl_field release_fields[] = {
	FL_REQ(struct fl_release, type, STR, WORD, NULL, "\"release\""),
	FL_REQ(struct fl_release, spec, U64, 1, NULL, "1"),
	FL_REQ(struct fl_release, product, NAME, 0, NULL, "product"),
	FL_OPT(struct fl_release, vendor_id, NAME, 0, NULL, "vendor"),
	FL_REQ(struct fl_release, release_id, UUID, 0, NULL, "UUID"),
	FL_REQ(struct fl_release, version, STR, VERSION, NULL, "for people"),
	FL_REQ(struct fl_release, created, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_release, expires, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_OPT(struct fl_release, kind, STR, WORD, NULL, "security, functional or mixed"),
	FL_OPT(struct fl_release, notes_url, STR, 256, NULL, "for people"),
	FL_REQ(struct fl_release, compat, OBJECT, 0, &compat_schema, "which devices"),
	FL_OPT(struct fl_release, permits_rollback_to, DIGESTS, 64, NULL,
	       "older releases that may follow it"),
	FL_REQ(struct fl_release, set, OBJECT, 0, &set_schema, "order and health"),
	FL_REQ(struct fl_release, components, LIST, COMPONENTS, &component_schema,
	       "what is installed"),
	FL_OPT(struct fl_release, ext, EXT, 0, NULL, "members unknown to this version"),
};
const struct fl_schema fl_release_schema =
	FL_SCHEMA("release", struct fl_release, release_fields, NULL);

/* job */
static const struct fl_field job_device_fields[] = {
	FL_REQ(struct fl_job_device, device_id, NAME, 0, NULL, "device"),
	FL_OPT(struct fl_job_device, identity, DIGEST, 0, NULL,
	       "SHA-256 of the device key's SPKI; absent: any key"),
};
static const struct fl_schema job_device_schema =
	FL_SCHEMA("job device", struct fl_job_device, job_device_fields, NULL);

static const struct fl_field job_fields[] = {
	FL_REQ(struct fl_job, type, STR, WORD, NULL, "\"job\""),
	FL_REQ(struct fl_job, spec, U64, 1, NULL, "1"),
	FL_REQ(struct fl_job, tenant, NAME, 0, NULL, "owner of the device"),
	FL_OPT(struct fl_job, device_id, NAME, 0, NULL, "device"),
	FL_OPT(struct fl_job, identity, DIGEST, 0, NULL, "SHA-256 of the device key's SPKI"),
	FL_OPT(struct fl_job, devices, LIST, FL_JOB_DEVICES_MAX, &job_device_schema,
	       "install_offline: the devices, instead of device_id and identity"),
	FL_REQ(struct fl_job, epoch, U64, ANY, NULL, "of the root"),
	FL_OPT(struct fl_job, job_seq, U64, ANY, NULL, "rises with every job for the device"),
	FL_OPT(struct fl_job, offline_seq, U64, ANY, NULL,
	       "install_offline: rises with every bundle, instead of job_seq"),
	FL_REQ(struct fl_job, job_id, UUID, 0, NULL, "UUID"),
	FL_REQ(struct fl_job, issued, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_OPT(struct fl_job, not_before, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_job, expires, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_job, intent, STR, WORD, NULL,
	       "install, rollback, cancel, inventory, collect_logs or install_offline"),
	FL_OPT(struct fl_job, release, DIGEST, 0, NULL,
	       "install, rollback, install_offline: the release"),
	FL_OPT(struct fl_job, components, STRINGS, COMPONENTS, NULL, "a subset; absent: all"),
	FL_OPT(struct fl_job, artifact, NAME, 0, NULL, "preferred artifact"),
	FL_OPT(struct fl_job, urls, STRINGS, 16, NULL, "bases of sources"),
	FL_OPT(struct fl_job, root_version, U64, ANY, NULL, "the fleet's root version"),
	FL_OPT(struct fl_job, deployment, UUID, 0, NULL, "UUID"),
	FL_OPT(struct fl_job, priority, U64, ANY, NULL, "higher goes first"),
	FL_OPT(struct fl_job, target, DIGEST, 0, NULL, "cancel: the job to withdraw"),
	FL_OPT(struct fl_job, ext, EXT, 0, NULL, "members unknown to this version"),
};
const struct fl_schema fl_job_schema = FL_SCHEMA("job", struct fl_job, job_fields, NULL);

/* heartbeat */
static const struct fl_field heartbeat_fields[] = {
	FL_REQ(struct fl_heartbeat, type, STR, WORD, NULL, "\"heartbeat\""),
	FL_REQ(struct fl_heartbeat, spec, U64, 1, NULL, "1"),
	FL_REQ(struct fl_heartbeat, device_id, NAME, 0, NULL, "device"),
	FL_REQ(struct fl_heartbeat, nonce, BYTES, 32, NULL, "the helper's 32 bytes"),
	FL_REQ(struct fl_heartbeat, utc, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_heartbeat, latest_job_seq, U64, ANY, NULL,
	       "no job up to this number is still to be done"),
	FL_REQ(struct fl_heartbeat, root_version, U64, ANY, NULL, "the fleet's root version"),
};
const struct fl_schema fl_heartbeat_schema =
	FL_SCHEMA("heartbeat", struct fl_heartbeat, heartbeat_fields, NULL);

/* report */
static const struct fl_field report_component_fields[] = {
	FL_REQ(struct fl_report_component, name, NAME, 0, NULL, "component"),
	FL_OPT(struct fl_report_component, state, STR, WORD, NULL, "a job's state"),
	FL_OPT(struct fl_report_component, slot, NAME, 0, NULL, "slot that runs"),
	FL_OPT(struct fl_report_component, version, STR, VERSION, NULL, "for people"),
	FL_OPT(struct fl_report_component, release_seq, U64, ANY, NULL, "committed"),
	FL_OPT(struct fl_report_component, security_version, U64, ANY, NULL, "committed"),
	FL_OPT(struct fl_report_component, release, DIGEST, 0, NULL, "committed"),
};
static const struct fl_schema report_component_schema =
	FL_SCHEMA("report component", struct fl_report_component, report_component_fields, NULL);

static const struct fl_field report_fields[] = {
	FL_REQ(struct fl_report, type, STR, WORD, NULL, "\"report\""),
	FL_REQ(struct fl_report, spec, U64, 1, NULL, "1"),
	FL_REQ(struct fl_report, device_id, NAME, 0, NULL, "device"),
	FL_REQ(struct fl_report, report_seq, U64, ANY, NULL, "rises with every report"),
	FL_REQ(struct fl_report, boot_id, UUID, 0, NULL, "of the kernel"),
	FL_OPT(struct fl_report, job_id, UUID, 0, NULL, "the job, if any"),
	FL_OPT(struct fl_report, job_seq, U64, ANY, NULL, "its number"),
	FL_OPT(struct fl_report, offline_seq, U64, ANY, NULL, "the number of an offline job"),
	FL_REQ(struct fl_report, state, STR, WORD, NULL, "the job's state, or refused"),
	FL_OPT(struct fl_report, reason, NAME, 0, NULL, "a code's name"),
	FL_OPT(struct fl_report, text, STR, 1024, NULL, "for people"),
	FL_OPT(struct fl_report, until, U64, ANY, NULL, "waiting until, seconds since 1970 UTC"),
	FL_OPT(struct fl_report, next, STR, 256, NULL, "what is waited for"),
	FL_OPT(struct fl_report, boot_log, STR, FL_BOOT_LOG_MAX, NULL, "of the boot that failed"),
	FL_REQ(struct fl_report, utc, U64, ANY, NULL, "seconds since 1970 UTC"),
	FL_REQ(struct fl_report, time_quality, STR, WORD, NULL, "none, system or fleet"),
	FL_REQ(struct fl_report, components, LIST, COMPONENTS, &report_component_schema,
	       "what runs"),
	FL_OPT(struct fl_report, ext, EXT, 0, NULL, "members unknown to this version"),
};
const struct fl_schema fl_report_schema =
	FL_SCHEMA("report", struct fl_report, report_fields, NULL);

/* image-info */
static const struct fl_field image_info_fields[] = {
	FL_REQ(struct fl_image_info, product, NAME, 0, NULL, "product"),
	FL_REQ(struct fl_image_info, component, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_image_info, version, STR, VERSION, NULL, "for people"),
	FL_REQ(struct fl_image_info, release_seq, U64, ANY, NULL, "as in the release"),
	FL_REQ(struct fl_image_info, security_version, U64, ANY, NULL, "as in the release"),
};
const struct fl_schema fl_image_info_schema =
	FL_SCHEMA("image-info", struct fl_image_info, image_info_fields, NULL);

#define IMAGE_INFO_MAX ((size_t)4 * 1024)

static enum fl_rc decode(const struct fl_schema *schema, struct fl_bytes payload, size_t max,
			 struct fl_arena *arena, void *out, struct fl_err *err)
{
	if (payload.len > max)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "%s: more than %zu bytes", schema->name,
			       max);
	enum fl_rc rc = fl_json_decode(schema, payload.data, payload.len, FL_JSON_REFUSE_UNKNOWN,
				       arena, out, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "%s", schema->name);
}

/* fl_<name>_decode: the table, then the checks across members; *ret is set on success only. */
#define DECODE(name, doc_type)                                                                     \
	enum fl_rc fl_##name##_decode(struct fl_bytes payload, struct fl_arena *arena,             \
				      struct fl_##name *ret, struct fl_err *err)                   \
	{                                                                                          \
		struct fl_##name doc;                                                              \
		enum fl_rc rc = decode(&fl_##name##_schema, payload, fl_doc_type_max(doc_type),    \
				       arena, &doc, err);                                          \
		if (rc != FL_OK)                                                                   \
			return rc;                                                                 \
		rc = fl_##name##_check(&doc, err);                                                 \
		if (rc != FL_OK)                                                                   \
			return fl_wrap(err, rc, #name);                                            \
		*ret = doc;                                                                        \
		return FL_OK;                                                                      \
	}

DECODE(root, FL_DOC_ROOT)
DECODE(release, FL_DOC_RELEASE)
DECODE(job, FL_DOC_JOB)
DECODE(heartbeat, FL_DOC_HEARTBEAT)
DECODE(report, FL_DOC_REPORT)

enum fl_rc fl_image_info_decode(struct fl_bytes payload, struct fl_arena *arena,
				struct fl_image_info *ret, struct fl_err *err)
{
	struct fl_image_info doc;
	enum fl_rc rc = decode(&fl_image_info_schema, payload, IMAGE_INFO_MAX, arena, &doc, err);
	if (rc == FL_OK)
		*ret = doc;
	return rc;
}
