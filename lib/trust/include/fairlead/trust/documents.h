/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents as structs (docs/formats.md, section 3). Decoding checks form, limits and what one
 * document can tell by itself; whether it may be believed is verify.h's business. Everything is
 * owned by the given arena.
 */
#ifndef FAIRLEAD_TRUST_DOCUMENTS_H
#define FAIRLEAD_TRUST_DOCUMENTS_H

#include <fairlead/base/schema.h>
#include <fairlead/trust/envelope.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_root_key {
	struct fl_digest keyid;
	const char *alg;
	struct fl_bytes spki;
};

struct fl_scope {
	const char *vendor;
	FL_LIST(const char *) products;
	FL_LIST(const char *) classes;
	FL_LIST(const char *) components;
	FL_LIST(const char *) handlers;
};

struct fl_role {
	const char *role;
	uint64_t threshold;
	FL_LIST(struct fl_digest) keyids;
	const struct fl_scope *scope;
	FL_LIST(const char *) intents;
};

struct fl_revoked {
	FL_LIST(struct fl_digest) keyids;
	FL_LIST(struct fl_digest) releases;
};

struct fl_floor {
	const char *product;
	const char *component;
	uint64_t min_release_seq;
	uint64_t min_security_version;
};

struct fl_root {
	const char *type;
	uint64_t spec, version, epoch, issued, expires;
	FL_LIST(struct fl_root_key) keys;
	FL_LIST(struct fl_role) roles;
	const struct fl_revoked *revoked;
	FL_LIST(struct fl_floor) floors;
	const char *ext;
};

struct fl_tree_ref {
	const char *alg;
	uint64_t chunk;
	struct fl_digest root;
};

struct fl_installed_ref {
	uint64_t size;
	const struct fl_tree_ref *tree;
	const char *slot_fill;
	struct fl_digest verity_root; /* of dm-verity over the image, whose hash tree it ends with;
					 all zero: none */
};

/* What an artifact was made against. */
struct fl_source_ref {
	uint64_t release_seq; /* of the component where that is installed; 0: not told */
	uint64_t size;
	const struct fl_tree_ref *tree;
};

struct fl_artifact {
	const char *id;
	const char *format; /* "zstd-frames", or the name of a decoder */
	uint64_t frame;
	uint64_t size; /* of the transport bytes */
	const struct fl_tree_ref *tree;
	uint64_t mem_max; /* of the decoder, bytes */
	const struct fl_source_ref *source; /* NULL: none */
};

struct fl_component {
	const char *name;
	const char *handler;
	const char *version;
	uint64_t release_seq;
	uint64_t security_version;
	const char *slot;
	const struct fl_installed_ref *installed;
	FL_LIST(struct fl_artifact) artifacts;
	const char *restart;
	struct fl_digest document;
};

/* After the checks: how long the new system must go on as well as the old one did. */
struct fl_soak {
	uint64_t duration_s;
	uint64_t memory_pct, load_pct,
		round_trip_pct; /* of what was measured before; 0: not looked at */
	uint64_t restarts;	/* of the agent and of each listed unit, at most */
};

struct fl_health {
	FL_LIST(const char *) reach;
	uint64_t deadline_s;
	FL_LIST(const char *) units;
	const struct fl_soak *soak;
};

struct fl_set {
	FL_LIST(const char *) order;
	const struct fl_health *health;
};

struct fl_compat {
	FL_LIST(const char *) class_ids;
	uint64_t hw_rev_min, hw_rev_max;
};

struct fl_release {
	const char *type;
	uint64_t spec;
	const char *product;
	const char *vendor_id;
	const char *release_id;
	const char *version;
	uint64_t created, expires;
	const char *kind;
	const char *notes_url;
	const struct fl_compat *compat;
	FL_LIST(struct fl_digest) permits_rollback_to;
	const struct fl_set *set;
	FL_LIST(struct fl_component) components;
	const char *ext;
};

/* One of the devices of an offline job. */
struct fl_job_device {
	const char *device_id;
	struct fl_digest identity; /* zero: whatever key it has */
};

#define FL_JOB_DEVICES_MAX 256

struct fl_job {
	const char *type;
	uint64_t spec;
	const char *tenant;
	const char *device_id;
	struct fl_digest identity;
	FL_LIST(struct fl_job_device) devices; /* of an offline job, instead */
	uint64_t epoch, job_seq;
	uint64_t offline_seq; /* of an offline job, instead of job_seq */
	const char *job_id;
	uint64_t issued, not_before, expires;
	const char *intent;
	struct fl_digest release;
	FL_LIST(const char *) components;
	const char *artifact;
	FL_LIST(const char *) urls;
	uint64_t root_version;
	const char *deployment;
	uint64_t priority;
	struct fl_digest target;
	const char *ext;
};

struct fl_heartbeat {
	const char *type;
	uint64_t spec;
	const char *device_id;
	struct fl_bytes nonce;
	uint64_t utc, latest_job_seq, root_version;
};

struct fl_report_component {
	const char *name;
	const char *state;
	const char *slot;
	const char *version;
	uint64_t release_seq, security_version;
	struct fl_digest release;
};

#define FL_BOOT_LOG_MAX 4096

struct fl_report {
	const char *type;
	uint64_t spec;
	const char *device_id;
	uint64_t report_seq;
	const char *boot_id;
	const char *job_id;
	uint64_t job_seq;
	uint64_t offline_seq; /* of an offline job, instead */
	const char *state;
	const char *reason;
	const char *text;
	uint64_t until;
	const char *next;
	const char *boot_log;
	uint64_t utc;
	const char *time_quality;
	FL_LIST(struct fl_report_component) components;
	const char *ext;
};

struct fl_image_info {
	const char *product;
	const char *component;
	const char *version;
	uint64_t release_seq, security_version;
};

extern const struct fl_schema fl_root_schema, fl_release_schema, fl_job_schema, fl_heartbeat_schema,
	fl_report_schema, fl_image_info_schema;

enum fl_rc fl_root_decode(struct fl_bytes payload, struct fl_arena *arena, struct fl_root *ret,
			  struct fl_err *err) FL_CHECKED;
enum fl_rc fl_release_decode(struct fl_bytes payload, struct fl_arena *arena,
			     struct fl_release *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_job_decode(struct fl_bytes payload, struct fl_arena *arena, struct fl_job *ret,
			 struct fl_err *err) FL_CHECKED;
enum fl_rc fl_heartbeat_decode(struct fl_bytes payload, struct fl_arena *arena,
			       struct fl_heartbeat *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_report_decode(struct fl_bytes payload, struct fl_arena *arena, struct fl_report *ret,
			    struct fl_err *err) FL_CHECKED;
/* At most 4 KiB. */
enum fl_rc fl_image_info_decode(struct fl_bytes payload, struct fl_arena *arena,
				struct fl_image_info *ret, struct fl_err *err) FL_CHECKED;

/* Does it come in a bundle (intent install_offline)? */
bool fl_job_is_offline(const struct fl_job *job);
/* Does it bring a release: install, rollback, install_offline? */
bool fl_job_has_release(const struct fl_job *job);
/* The component of that name, or NULL. */
const struct fl_component *fl_release_component(const struct fl_release *release, const char *name);
/* The artifact of that id; with id NULL the first of the format; or NULL. */
const struct fl_artifact *fl_component_artifact(const struct fl_component *component,
						const char *id, const char *format);

#ifdef __cplusplus
}
#endif
#endif
