/* SPDX-License-Identifier: Apache-2.0 */
#include "documents.h"

#include <fairlead/base/job_state.h>
#include <fairlead/trust/tree.h>

#include <string.h>

#define TREE_ALG      "sha256-wide1"
#define FRAME_UNIT    65536
#define NONCE_SIZE    32
#define DEADLINE_MIN  30
#define SOAK_MIN_S    60
#define UNIT_NAME_MAX 128

static enum fl_rc bad(struct fl_err *err, const char *member, const char *what)
{
	return fl_fail(err, FL_E_DOC_FIELD, 0, "%s: %s", member, what);
}

/* words: NULL ends the list; an absent (optional) member is no wrong word. */
static enum fl_rc check_word(const char *member, const char *value, const char *const *words,
			     struct fl_err *err)
{
	if (value == NULL)
		return FL_OK;
	for (; *words != NULL; words++) {
		if (strcmp(value, *words) == 0)
			return FL_OK;
	}
	return fl_fail(err, FL_E_DOC_FIELD, 0, "%s: unknown word '%.64s'", member, value);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static enum fl_rc check_head(const char *type, uint64_t spec, const char *want, struct fl_err *err)
{
	if (strcmp(type, want) != 0)
		return fl_fail(err, FL_E_DOC_TYPE, 0, "type: '%.32s'", type);
	return spec == 1 ? FL_OK : bad(err, "spec", "not 1");
}

/* Names, each once. An empty list would read as an absent one: refused. */
static enum fl_rc check_names(const char *member, const char *const *names, size_t n,
			      struct fl_err *err)
{
	if (names != NULL && n == 0)
		return bad(err, member, "an empty list");
	for (size_t i = 0; i < n; i++) {
		if (!fl_name_valid(names[i]))
			return bad(err, member, "not a name");
		for (size_t k = 0; k < i; k++) {
			if (strcmp(names[i], names[k]) == 0)
				return fl_fail(err, FL_E_DOC_FIELD, 0, "%s: '%s' stands twice",
					       member, names[i]);
		}
	}
	return FL_OK;
}
#define CHECK_NAMES(doc, member, err)                                                              \
	check_names(#member, (doc)->member.items, (doc)->member.n, err)

static enum fl_rc check_distinct(const char *member, const struct fl_digest *digests, size_t n,
				 struct fl_err *err)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (fl_digest_equal(&digests[i], &digests[k]))
				return bad(err, member, "a digest stands twice");
		}
	}
	return FL_OK;
}

static bool contains(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* root */

static enum fl_rc check_root_key(const struct fl_root *root, size_t i, struct fl_err *err)
{
	const struct fl_root_key *key = &root->keys.items[i];
	struct fl_pubkey pub;
	enum fl_alg alg;
	enum fl_rc rc = fl_pubkey_from_spki(key->spki.data, key->spki.len, &pub, err);
	if (rc != FL_OK)
		return fl_wrap(err, FL_E_DOC_FIELD, "spki");
	if (!fl_alg_from_name(key->alg, &alg) || alg != pub.alg)
		return bad(err, "alg", "not the key's");
	if (!fl_digest_equal(&key->keyid, &pub.keyid))
		return bad(err, "keyid", "not the SHA-256 of spki");
	for (size_t k = 0; k < i; k++) {
		if (fl_digest_equal(&root->keys.items[k].keyid, &key->keyid))
			return bad(err, "keyid", "stands twice");
	}
	return FL_OK;
}

static bool has_key(const struct fl_root *root, const struct fl_digest *keyid)
{
	for (size_t i = 0; i < root->keys.n; i++) {
		if (fl_digest_equal(&root->keys.items[i].keyid, keyid))
			return true;
	}
	return false;
}

/* Dispatch names devices, not contents: a limit on contents would be read by nobody, so it is
 * refused. */
static enum fl_rc check_scope(const struct fl_role *role, struct fl_err *err)
{
	const struct fl_scope *scope = role->scope;
	if (scope == NULL)
		return FL_OK;
	enum fl_rc rc = CHECK_NAMES(scope, products, err);
	if (rc == FL_OK)
		rc = CHECK_NAMES(scope, classes, err);
	if (rc == FL_OK)
		rc = CHECK_NAMES(scope, components, err);
	if (rc == FL_OK)
		rc = CHECK_NAMES(scope, handlers, err);
	if (rc == FL_OK && strcmp(role->role, "dispatch") == 0 &&
	    (scope->vendor != NULL || scope->components.n > 0 || scope->handlers.n > 0))
		rc = bad(err, "dispatch", "only products and classes limit it");
	return rc == FL_OK ? rc : fl_wrap(err, rc, "scope");
}

static enum fl_rc check_role(const struct fl_root *root, const struct fl_role *role,
			     struct fl_err *err)
{
	enum fl_rc rc = check_word("role", role->role,
				   WORDS("root", "release", "operator", "dispatch"), err);
	if (rc == FL_OK && (role->threshold == 0 || role->threshold > role->keyids.n))
		rc = bad(err, "threshold", "not between 1 and the number of keys");
	if (rc == FL_OK)
		rc = check_distinct("keyids", role->keyids.items, role->keyids.n, err);
	for (size_t i = 0; rc == FL_OK && i < role->keyids.n; i++) {
		if (!has_key(root, &role->keyids.items[i]))
			rc = bad(err, "keyids", "not a key of this document");
	}
	if (rc == FL_OK)
		rc = check_scope(role, err);
	if (rc == FL_OK)
		rc = CHECK_NAMES(role, intents, err);
	return rc;
}

/* One root role, whole: with a scope or a second one nobody could say who replaces the root. */
static enum fl_rc check_root_role(const struct fl_root *root, struct fl_err *err)
{
	size_t n = 0;
	for (size_t i = 0; i < root->roles.n; i++) {
		const struct fl_role *role = &root->roles.items[i];
		if (strcmp(role->role, "root") != 0)
			continue;
		if (role->scope != NULL)
			return bad(err, "roles", "the root role has no scope");
		n++;
	}
	return n == 1 ? FL_OK : bad(err, "roles", "there must be one root role");
}

enum fl_rc fl_root_check(const struct fl_root *root, struct fl_err *err)
{
	enum fl_rc rc = check_head(root->type, root->spec, "root", err);
	if (rc == FL_OK && root->version == 0)
		rc = bad(err, "version", "0");
	if (rc == FL_OK && root->issued > root->expires)
		rc = bad(err, "expires", "before it was issued");
	for (size_t i = 0; rc == FL_OK && i < root->keys.n; i++) {
		rc = check_root_key(root, i, err);
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "keys: [%zu]", i);
	}
	for (size_t i = 0; rc == FL_OK && i < root->roles.n; i++) {
		rc = check_role(root, &root->roles.items[i], err);
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "roles: [%zu]", i);
	}
	return rc == FL_OK ? check_root_role(root, err) : rc;
}

/* release */

static enum fl_rc check_tree(const struct fl_tree_ref *tree, struct fl_err *err)
{
	if (strcmp(tree->alg, TREE_ALG) != 0)
		return bad(err, "tree", "alg is not " TREE_ALG);
	return tree->chunk == FL_CHUNK_SIZE ? FL_OK : bad(err, "tree", "chunk is not 65536");
}

/* Frames are unpacked by the runner itself; every other format by a decoder, in the memory that the release grants. */
static enum fl_rc check_format(const struct fl_artifact *artifact, struct fl_err *err)
{
	const bool decoded = strcmp(artifact->format, "zstd-frames") != 0;
	if (decoded && artifact->frame != 0)
		return bad(err, "frame", "of a format without frames");
	if (decoded != (artifact->mem_max != 0))
		return bad(err, "mem_max", decoded ? "missing" : "of a format without a decoder");
	if (!decoded && artifact->source != NULL)
		return bad(err, "source", "of a format without a decoder");
	if (strcmp(artifact->format, "delta") == 0 && artifact->source == NULL)
		return bad(err, "source", "missing");
	return FL_OK;
}

static enum fl_rc check_artifact(const struct fl_artifact *artifact, struct fl_err *err)
{
	enum fl_rc rc = check_format(artifact, err);
	if (rc == FL_OK && artifact->frame % FRAME_UNIT != 0)
		rc = bad(err, "frame", "not a multiple of 65536");
	if (rc == FL_OK)
		rc = check_tree(artifact->tree, err);
	if (rc == FL_OK && artifact->source != NULL)
		rc = check_tree(artifact->source->tree, err);
	return rc;
}

static enum fl_rc check_artifacts(const struct fl_component *component, struct fl_err *err)
{
	enum fl_rc rc = component->artifacts.n > 0 ? FL_OK : bad(err, "artifacts", "missing");
	for (size_t i = 0; rc == FL_OK && i < component->artifacts.n; i++) {
		const struct fl_artifact *artifact = &component->artifacts.items[i];
		rc = check_artifact(artifact, err);
		for (size_t k = 0; rc == FL_OK && k < i; k++) {
			if (strcmp(component->artifacts.items[k].id, artifact->id) == 0)
				rc = bad(err, "id", "stands twice");
		}
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "artifacts: [%zu]", i);
	}
	return rc;
}

/* A vendor's component is pinned by the digest of its document, which says everything else. */
static enum fl_rc check_vendor_component(const struct fl_component *c, struct fl_err *err)
{
	bool alone = c->handler == NULL && c->version == NULL && c->slot == NULL &&
		     c->installed == NULL && c->artifacts.items == NULL && c->restart == NULL &&
		     c->release_seq == 0 && c->security_version == 0;
	return alone ? FL_OK : bad(err, "document", "stands beside members of its own");
}

static enum fl_rc check_component(const struct fl_component *c, struct fl_err *err)
{
	if (!fl_digest_is_zero(&c->document))
		return check_vendor_component(c, err);
	if (c->handler == NULL)
		return bad(err, "handler", "missing");
	if (c->version == NULL)
		return bad(err, "version", "missing");
	if (c->release_seq == 0)
		return bad(err, "release_seq", "missing or 0");
	if (c->installed == NULL)
		return bad(err, "installed", "missing");
	if (c->restart == NULL)
		return bad(err, "restart", "missing");
	enum fl_rc rc = check_word("restart", c->restart, WORDS("none", "component", "host"), err);
	if (rc == FL_OK)
		rc = check_word("slot_fill", c->installed->slot_fill, WORDS("keep", "zero"), err);
	if (rc == FL_OK)
		rc = check_tree(c->installed->tree, err);
	return rc == FL_OK ? check_artifacts(c, err) : rc;
}

/* Both lists hold each name once, and the same names. */
static enum fl_rc check_order(const struct fl_release *release, struct fl_err *err)
{
	const struct fl_set *set = release->set;
	enum fl_rc rc = CHECK_NAMES(set, order, err);
	if (rc == FL_OK && set->order.n != release->components.n)
		rc = bad(err, "order", "does not name every component once");
	for (size_t i = 0; rc == FL_OK && i < release->components.n; i++) {
		const char *name = release->components.items[i].name;
		if (!contains(set->order.items, set->order.n, name))
			rc = fl_fail(err, FL_E_DOC_FIELD, 0, "order: lacks '%s'", name);
		else if (fl_release_component(release, name) != &release->components.items[i])
			rc = fl_fail(err, FL_E_DOC_FIELD, 0, "components: '%s' stands twice", name);
	}
	return rc;
}

static bool is_limit(uint64_t percent)
{
	return percent == 0 || percent >= 100;
}

static enum fl_rc check_soak(const struct fl_soak *soak, struct fl_err *err)
{
	if (soak->duration_s < SOAK_MIN_S)
		return bad(err, "duration_s", "below 60");
	if (!is_limit(soak->memory_pct))
		return bad(err, "memory_pct", "below 100");
	if (!is_limit(soak->load_pct))
		return bad(err, "load_pct", "below 100");
	if (!is_limit(soak->round_trip_pct))
		return bad(err, "round_trip_pct", "below 100");
	return FL_OK;
}

/* A name that systemd would take as a unit's, and no option or path. */
static bool is_unit(const char *name)
{
	const size_t len = strlen(name);
	return len > 0 && len <= UNIT_NAME_MAX && name[0] != '-' && name[0] != '.' &&
	       strspn(name,
		      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\@-") ==
		       len &&
	       strchr(name, '.') != NULL;
}

static enum fl_rc check_health(const struct fl_health *health, struct fl_err *err)
{
	enum fl_rc rc = health->reach.n > 0 ? FL_OK : bad(err, "reach", "empty");
	for (size_t i = 0; rc == FL_OK && i < health->reach.n; i++)
		rc = check_word("reach", health->reach.items[i],
				WORDS("fleet", "fleet-or-gateway", "local"), err);
	if (rc == FL_OK && health->deadline_s < DEADLINE_MIN)
		rc = bad(err, "deadline_s", "below 30");
	for (size_t i = 0; rc == FL_OK && i < health->units.n; i++)
		rc = is_unit(health->units.items[i])
			     ? FL_OK
			     : fl_fail(err, FL_E_DOC_FIELD, 0, "units: '%.64s' is no unit",
				       health->units.items[i]);
	if (rc == FL_OK && health->soak != NULL)
		rc = check_soak(health->soak, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "set: health");
}

static enum fl_rc check_compat(const struct fl_compat *compat, struct fl_err *err)
{
	enum fl_rc rc = CHECK_NAMES(compat, class_ids, err);
	if (rc == FL_OK && compat->hw_rev_min > compat->hw_rev_max)
		rc = bad(err, "hw_rev_max", "below hw_rev_min");
	return rc == FL_OK ? rc : fl_wrap(err, rc, "compat");
}

enum fl_rc fl_release_check(const struct fl_release *release, struct fl_err *err)
{
	enum fl_rc rc = check_head(release->type, release->spec, "release", err);
	if (rc == FL_OK && release->components.n == 0)
		rc = bad(err, "components", "an empty list");
	if (rc == FL_OK && release->created > release->expires)
		rc = bad(err, "expires", "before it was created");
	if (rc == FL_OK)
		rc = check_word("kind", release->kind, WORDS("security", "functional", "mixed"),
				err);
	if (rc == FL_OK)
		rc = check_compat(release->compat, err);
	if (rc == FL_OK)
		rc = check_health(release->set->health, err);
	for (size_t i = 0; rc == FL_OK && i < release->components.n; i++) {
		rc = check_component(&release->components.items[i], err);
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "components: [%zu]", i);
	}
	return rc == FL_OK ? check_order(release, err) : rc;
}

const struct fl_component *fl_release_component(const struct fl_release *release, const char *name)
{
	for (size_t i = 0; i < release->components.n; i++) {
		if (strcmp(release->components.items[i].name, name) == 0)
			return &release->components.items[i];
	}
	return NULL;
}

const struct fl_artifact *fl_component_artifact(const struct fl_component *component,
						const char *id, const char *format)
{
	for (size_t i = 0; i < component->artifacts.n; i++) {
		const struct fl_artifact *artifact = &component->artifacts.items[i];
		if (strcmp(id != NULL ? artifact->id : artifact->format,
			   id != NULL ? id : format) == 0)
			return artifact;
	}
	return NULL;
}

/* job, heartbeat, report */

bool fl_job_is_offline(const struct fl_job *job)
{
	return strcmp(job->intent, "install_offline") == 0;
}

bool fl_job_has_release(const struct fl_job *job)
{
	return strcmp(job->intent, "install") == 0 || strcmp(job->intent, "rollback") == 0 ||
	       fl_job_is_offline(job);
}

/* One device by its key, and its number; nothing of an offline job. */
static enum fl_rc check_online(const struct fl_job *job, struct fl_err *err)
{
	if (job->device_id == NULL)
		return bad(err, "device_id", "missing");
	if (fl_digest_is_zero(&job->identity))
		return bad(err, "identity", "missing");
	if (job->job_seq == 0)
		return bad(err, "job_seq", "missing or 0");
	if (job->devices.items != NULL || job->offline_seq != 0)
		return bad(err, "devices", "an offline job's");
	return FL_OK;
}

/* The devices, each once, and the bundle's number; nothing of another job. */
static enum fl_rc check_offline(const struct fl_job *job, struct fl_err *err)
{
	if (job->device_id != NULL || !fl_digest_is_zero(&job->identity) || job->job_seq != 0 ||
	    job->urls.items != NULL)
		return bad(err, "device_id", "not an offline job's");
	if (job->devices.n == 0)
		return bad(err, "devices", "missing or empty");
	if (job->offline_seq == 0)
		return bad(err, "offline_seq", "missing or 0");
	for (size_t i = 0; i < job->devices.n; i++) {
		for (size_t k = 0; k < i; k++) {
			if (strcmp(job->devices.items[i].device_id, job->devices.items[k].device_id) ==
			    0)
				return bad(err, "devices", "a device stands twice");
		}
	}
	return FL_OK;
}

enum fl_rc fl_job_check(const struct fl_job *job, struct fl_err *err)
{
	enum fl_rc rc = check_head(job->type, job->spec, "job", err);
	if (rc == FL_OK)
		rc = check_word("intent", job->intent,
				WORDS("install", "rollback", "cancel", "inventory", "collect_logs",
				      "install_offline"),
				err);
	if (rc == FL_OK)
		rc = CHECK_NAMES(job, components, err);
	if (rc == FL_OK)
		rc = fl_job_is_offline(job) ? check_offline(job, err) : check_online(job, err);
	if (rc != FL_OK)
		return rc;
	if (job->expires < job->issued || job->expires < job->not_before)
		return bad(err, "expires", "before it begins");
	if (fl_job_has_release(job) && fl_digest_is_zero(&job->release))
		return bad(err, "release", "missing");
	if (strcmp(job->intent, "cancel") == 0 && fl_digest_is_zero(&job->target))
		return bad(err, "target", "missing");
	return FL_OK;
}

enum fl_rc fl_heartbeat_check(const struct fl_heartbeat *heartbeat, struct fl_err *err)
{
	enum fl_rc rc = check_head(heartbeat->type, heartbeat->spec, "heartbeat", err);
	if (rc == FL_OK && heartbeat->nonce.len != NONCE_SIZE)
		rc = bad(err, "nonce", "not 32 bytes");
	return rc;
}

static bool job_state(const char *word)
{
	enum fl_job_state state;
	return word == NULL || fl_job_state_from_name(word, &state);
}

enum fl_rc fl_report_check(const struct fl_report *report, struct fl_err *err)
{
	enum fl_rc rc = check_head(report->type, report->spec, "report", err);
	if (rc == FL_OK)
		rc = check_word("time_quality", report->time_quality,
				WORDS("none", "system", "fleet"), err);
	if (rc == FL_OK && !job_state(report->state) && strcmp(report->state, "refused") != 0)
		rc = bad(err, "state", "not a state of a job");
	for (size_t i = 0; rc == FL_OK && i < report->components.n; i++) {
		if (!job_state(report->components.items[i].state))
			rc = fl_fail(err, FL_E_DOC_FIELD, 0,
				     "components: [%zu]: state: not a state", i);
	}
	return rc;
}
