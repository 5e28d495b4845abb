/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_state.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>

#define ROOT_MEMORY_MAX	 ((size_t)1024 * 1024)
#define FACTS_MEMORY_MAX ((size_t)256 * 1024)

static void root_path(const struct fl_trust *trust, uint64_t version, char path[4096])
{
	snprintf(path, 4096, "%s/%llu.json", trust->config->roots_dir, (unsigned long long)version);
}

/*
 * Verifies text as the successor of the present root (factory: as the first), keeps it in keep_path (NULL: it is kept), and
 * makes it the present one.
 */
static enum fl_rc step(struct fl_trust *trust, bool factory, const void *text, size_t len,
		       const char *keep_path, struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(ROOT_MEMORY_MAX);
	struct fl_envelope env;
	struct fl_root next;
	enum fl_rc rc = fl_envelope_parse(text, len, FL_DOC_ROOT, &arena, &env, err);
	if (rc == FL_OK)
		rc = fl_verify_root(factory ? NULL : &trust->root, &env, &arena, &next, err);
	if (rc == FL_OK && keep_path != NULL)
		rc = fl_file_replace(keep_path, text, len, 0600, err);
	if (rc != FL_OK) {
		fl_arena_free(&arena);
		return rc;
	}
	fl_arena_free(&trust->root_arena);
	trust->root_arena = arena;
	trust->root = next;
	return FL_OK;
}

enum fl_rc fl_trust_root_text(const struct fl_trust *trust, uint64_t version, struct fl_buf *ret,
			      struct fl_err *err)
{
	char path[4096];
	root_path(trust, version, path);
	return fl_file_read(path, ret, err);
}

static enum fl_rc load_chain(struct fl_trust *trust, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	enum fl_rc rc = fl_file_read(trust->config->root_path, &text, err);
	if (rc == FL_OK)
		rc = step(trust, true, text.data, text.len, NULL, err);
	if (rc != FL_OK) {
		fl_buf_free(&text);
		return fl_wrap(err, rc, "the factory's root");
	}
	while (fl_trust_root_text(trust, trust->root.version + 1, &text, NULL) == FL_OK) {
		struct fl_err why = {0};
		if (step(trust, false, text.data, text.len, NULL, &why) != FL_OK) {
			fl_log_err(FL_LOG_WARNING, &why, "kept root %llu not used",
				   (unsigned long long)trust->root.version + 1);
			break;
		}
	}
	fl_buf_free(&text);
	return FL_OK;
}

enum fl_rc fl_trust_open(struct fl_trust *trust, const struct fl_config *config,
			 const struct fl_digest *identity, struct fl_err *err)
{
	*trust = (struct fl_trust){.config = config,
				   .root_arena = FL_ARENA(ROOT_MEMORY_MAX),
				   .facts_arena = FL_ARENA(FACTS_MEMORY_MAX)};
	trust->device = (struct fl_device_facts){.tenant = config->tenant,
						 .device_id = config->device_id,
						 .product = config->product,
						 .class_id = config->class_id,
						 .hw_rev = config->hw_rev,
						 .identity = *identity};
	trust->state.root = &trust->root;
	trust->state.device = &trust->device;
	enum fl_rc rc = fl_dir_make(config->roots_dir, 0700, err);
	return rc == FL_OK ? load_chain(trust, err) : rc;
}

void fl_trust_done(struct fl_trust *trust)
{
	fl_arena_free(&trust->root_arena);
	fl_arena_free(&trust->facts_arena);
}

enum fl_rc fl_trust_take_root(struct fl_trust *trust, const char *envelope_text, struct fl_err *err)
{
	char path[4096];
	root_path(trust, trust->root.version + 1, path);
	return step(trust, false, envelope_text, strlen(envelope_text), path, err);
}

static enum fl_rc take_component(struct fl_trust *trust, const struct fl_config_component *conf,
				 const struct fl_ipc_hello_reply *facts,
				 struct fl_component_facts *ret, struct fl_err *err)
{
	*ret = (struct fl_component_facts){.name = conf->name, .handler = conf->handler};
	for (size_t i = 0; i < facts->components.n; i++) {
		const struct fl_ipc_component *c = &facts->components.items[i];
		if (strcmp(c->name, conf->name) != 0)
			continue;
		ret->release_seq = c->release_seq;
		ret->security_floor = c->security_floor;
		ret->release = c->release;
		ret->permits_rollback_to.items = c->permits_rollback_to.items;
		ret->permits_rollback_to.n = c->permits_rollback_to.n;
	}
	if (ret->permits_rollback_to.n == 0)
		return FL_OK;
	const size_t size = ret->permits_rollback_to.n * sizeof(struct fl_digest);
	ret->permits_rollback_to.items = (const struct fl_digest *)(void *)fl_arena_copy(
		&trust->facts_arena, ret->permits_rollback_to.items, size, err);
	return ret->permits_rollback_to.items == NULL ? err->rc : FL_OK;
}

enum fl_rc fl_trust_take_facts(struct fl_trust *trust, const struct fl_ipc_hello_reply *facts,
			       struct fl_err *err)
{
	const struct fl_config *config = trust->config;
	fl_arena_free(&trust->facts_arena);
	struct fl_component_facts *components = fl_arena_alloc(
		&trust->facts_arena, config->n_components * sizeof(*components), err);
	struct fl_digest *open = fl_arena_alloc(&trust->facts_arena,
						(facts->open_jobs.n + 1) * sizeof(*open), err);
	trust->state.components.n = trust->state.open_jobs.n = 0;
	if (components == NULL || open == NULL)
		return err->rc;
	for (size_t i = 0; i < config->n_components; i++) {
		enum fl_rc rc = take_component(trust, &config->components[i], facts, &components[i], err);
		if (rc != FL_OK)
			return rc;
	}
	for (size_t i = 0; i < facts->open_jobs.n; i++)
		open[i] = facts->open_jobs.items[i].job;
	trust->state.components.items = components;
	trust->state.components.n = config->n_components;
	trust->state.open_jobs.items = open;
	trust->state.open_jobs.n = facts->open_jobs.n;
	trust->state.t_min = facts->t_min;
	trust->state.job_seq = facts->job_seq;
	trust->state.offline_seq = facts->offline_seq;
	return FL_OK;
}
