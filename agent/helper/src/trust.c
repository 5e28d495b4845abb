/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules of trust are fed with: root, identity, time and floors, from the anchor, the configuration and the running image. */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/digest.h>

#include <string.h>

uint64_t trust_now(const struct helper *h)
{
	if (h->fleet_s == 0)
		return 0;
	return h->fleet_s + (fl_clock_boot_ms(h->clock) - h->fleet_at_ms) / 1000;
}

uint64_t trust_t_min(const struct helper *h)
{
	uint64_t now = trust_now(h);
	if (now > h->root.expires) /* nothing that dispatch signed raises it further */
		now = h->root.expires;
	return now > h->anchor.t_min ? now : h->anchor.t_min;
}

/* --- identity --- */

void trust_pin_identity(struct helper *h, struct fl_anchor *next)
{
	struct fl_err err;
	struct fl_pubkey key;
	struct fl_buf der = FL_BUF(FL_SPKI_MAX);
	if (fl_digest_is_zero(&next->identity) &&
	    fl_file_read(h->config.identity_public, &der, &err) == FL_OK &&
	    fl_pubkey_from_spki(der.data, der.len, &key, &err) == FL_OK)
		next->identity = key.keyid;
	fl_buf_free(&der);
	h->config.device.identity = next->identity;
}

/* --- root --- */

/* `root` was decoded into `arena`, which is taken over. */
static void adopt_root(struct helper *h, struct fl_arena *arena, const struct fl_root *root)
{
	fl_arena_free(&h->root_arena);
	h->root_arena = *arena;
	h->root = *root;
	*arena = FL_ARENA(arena->max);
}

static enum fl_rc load_factory_root(struct helper *h, struct fl_arena *arena,
				    struct fl_envelope *env, struct fl_root *root,
				    struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_file_read(h->config.trust_root, &text, err);
	if (rc == FL_OK)
		rc = fl_envelope_parse(text.data, text.len, FL_DOC_ROOT, arena, env, err);
	if (rc == FL_OK)
		rc = fl_verify_root(NULL, env, arena, root, err);
	fl_buf_free(&text);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "factory's root");
}

/* The anchor's own root, pinned by its digest. */
static enum fl_rc load_anchored_root(struct helper *h, struct fl_arena *arena,
				     struct fl_root *root, struct fl_err *err)
{
	struct fl_envelope env;
	struct fl_digest digest;
	struct fl_anchor_id id = fl_anchor_id(&h->anchor.root);
	enum fl_rc rc = fl_anchor_fetch(h->file, &id, arena, &env, &digest, err);
	if (rc == FL_OK && !fl_digest_equal(&digest, &h->anchor.root))
		rc = fl_fail(err, FL_E_CORRUPT, 0, "not the root of the anchor");
	return rc == FL_OK ? fl_verify_root(NULL, &env, arena, root, err) : rc;
}

static enum fl_rc save_root(struct helper *h, const struct fl_envelope *env,
			    const struct fl_root *root, struct fl_err *err)
{
	struct fl_digest digest;
	struct fl_anchor next = h->anchor;
	enum fl_rc rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK)
		rc = fl_anchor_set_root(&next, &digest, root->version, root->epoch, root->issued,
					err);
	if (rc == FL_OK)
		rc = fl_anchor_keep(h->file, env, err);
	return rc == FL_OK ? save(h, &next, err) : rc;
}

enum fl_rc trust_load_root(struct helper *h, struct fl_err *err)
{
	struct fl_envelope env;
	struct fl_root root;
	struct fl_err why;
	struct fl_arena factory = FL_ARENA((size_t)2 << 20);
	struct fl_arena anchored = FL_ARENA((size_t)2 << 20);
	enum fl_rc rc = load_factory_root(h, &factory, &env, &root, err);
	/* A full disk must not keep the helper from its trial and its way back: it is in force now, kept next time. */
	if (rc == FL_OK && root.version > h->anchor.root_version && save_root(h, &env, &root, &why) != FL_OK)
		fl_log_err(FL_LOG_ERROR, &why, "keep the factory's root");
	if (rc == FL_OK)
		adopt_root(h, &factory, &root);
	if (rc == FL_OK && h->anchor.root_version > h->root.version) {
		if (load_anchored_root(h, &anchored, &root, &why) == FL_OK)
			adopt_root(h, &anchored, &root);
		else
			fl_log_err(FL_LOG_ERROR, &why, "root %llu has to be presented again",
				   (unsigned long long)h->anchor.root_version);
	}
	fl_arena_free(&factory);
	fl_arena_free(&anchored);
	return rc;
}

/* A version that the anchor has seen before must be the very document it saw. */
static enum fl_rc check_known(const struct helper *h, const struct fl_envelope *env,
			      const struct fl_root *root, struct fl_err *err)
{
	struct fl_digest digest;
	enum fl_rc rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK && root->version == h->anchor.root_version &&
	    !fl_digest_equal(&digest, &h->anchor.root))
		rc = fl_fail(err, FL_E_ROOT_VERSION, 0, "not the version %llu seen before",
			     (unsigned long long)root->version);
	return rc;
}

enum fl_rc trust_next_root(struct helper *h, const struct fl_envelope *env, struct fl_err *err)
{
	struct fl_root root;
	struct fl_arena arena = FL_ARENA((size_t)2 << 20);
	enum fl_rc rc = fl_verify_root(&h->root, env, &arena, &root, err);
	if (rc == FL_OK)
		rc = check_known(h, env, &root, err);
	if (rc == FL_OK && root.version > h->anchor.root_version)
		rc = save_root(h, env, &root, err);
	else if (rc == FL_OK && root.version == h->anchor.root_version)
		rc = fl_anchor_keep(h->file, env, err);
	if (rc == FL_OK)
		adopt_root(h, &arena, &root);
	fl_arena_free(&arena);
	return rc;
}

/* --- components --- */

bool trust_good_image(struct helper *h, struct fl_arena *arena, struct fl_image_info *ret)
{
	struct fl_err err;
	struct boot_view view;
	return look(h, &view, &err) == FL_OK &&
	       strcmp(view.running, view.good) == 0 &&
	       host_image_info(&h->config, arena, ret, &err) == FL_OK;
}

/* The committed release, where its document is still there, says what it permits. */
static void read_committed_release(struct helper *h, const struct fl_anchor_id *id,
				   struct fl_arena *arena, struct committed *ret)
{
	struct fl_err err;
	struct fl_envelope env;
	struct fl_release release;
	struct fl_digest digest;
	struct fl_arena scratch = FL_ARENA((size_t)8 << 20);
	if (fl_anchor_fetch(h->file, id, &scratch, &env, &digest, &err) == FL_OK &&
	    fl_release_decode(env.payload, &scratch, &release, &err) == FL_OK) {
		const size_t n = release.permits_rollback_to.n;
		ret->release = digest;
		ret->permits_rollback_to.items = (const struct fl_digest *)(const void *)fl_arena_copy(
			arena, release.permits_rollback_to.items, n * sizeof(digest), &err);
		ret->permits_rollback_to.n = ret->permits_rollback_to.items == NULL ? 0 : n;
	}
	fl_arena_free(&scratch);
}

void trust_committed(struct helper *h, const struct component *c,
		     const struct fl_image_info *info, struct fl_arena *arena,
		     struct committed *ret)
{
	const struct fl_anchor_component *known = fl_anchor_find_component(&h->anchor, c->key);
	*ret = (struct committed){0};
	if (known != NULL) {
		ret->release_seq = known->release_seq;
		ret->security_floor = known->security_floor;
		read_committed_release(h, &known->release, arena, ret);
	}
	if (info == NULL || strcmp(info->component, c->name) != 0)
		return;
	if (info->security_version > ret->security_floor)
		ret->security_floor = info->security_version;
	if (info->release_seq > ret->release_seq) {
		ret->release_seq = info->release_seq;
		ret->release = (struct fl_digest){{0}};
		ret->permits_rollback_to.n = 0;
	}
}

static enum fl_rc component_facts(struct helper *h, struct fl_arena *arena,
				  struct fl_trust_state *ret, struct fl_err *err)
{
	struct fl_image_info info;
	const size_t n = h->config.n_components;
	const bool known = trust_good_image(h, arena, &info);
	struct fl_component_facts *facts = fl_arena_alloc(arena, n * sizeof(*facts), err);
	if (facts == NULL)
		return FL_E_NO_MEMORY;
	for (size_t i = 0; i < n; i++) {
		const struct component *c = &h->config.components[i];
		struct committed committed;
		trust_committed(h, c, known ? &info : NULL, arena, &committed);
		facts[i] = (struct fl_component_facts){.name = c->name,
						       .handler = c->handler,
						       .release_seq = committed.release_seq,
						       .security_floor = committed.security_floor,
						       .release = committed.release};
		facts[i].permits_rollback_to.items = committed.permits_rollback_to.items;
		facts[i].permits_rollback_to.n = committed.permits_rollback_to.n;
	}
	ret->components.items = facts;
	ret->components.n = n;
	return FL_OK;
}

enum fl_rc trust_state(struct helper *h, struct fl_arena *arena, const struct fl_digest *open_job,
		       struct fl_trust_state *ret, struct fl_err *err)
{
	if (h->root.version > h->anchor.root_version) { /* it could not be kept at the start */
		enum fl_rc rc = trust_load_root(h, err);
		if (rc != FL_OK)
			return rc;
	}
	*ret = (struct fl_trust_state){.root = &h->root,
				       .device = &h->config.device,
				       .t_min = trust_t_min(h),
				       .job_seq = h->anchor.job_seq,
				       .offline_seq = h->anchor.offline_seq};
	if (h->root.version < h->anchor.root_version)
		return fl_fail(err, FL_E_ROOT_VERSION, 0, "root %llu has to be presented again",
			       (unsigned long long)h->anchor.root_version);
	if (open_job != NULL) {
		struct fl_digest *copy = fl_arena_alloc(arena, sizeof(*copy), err);
		if (copy == NULL)
			return FL_E_NO_MEMORY;
		*copy = *open_job;
		ret->open_jobs.items = copy;
		ret->open_jobs.n = 1;
	}
	return component_facts(h, arena, ret, err);
}
