/* SPDX-License-Identifier: Apache-2.0 */
/* What the root-owned configuration says to the helper (docs/configuration.md). Read once, at the start. */
#ifndef FAIRLEAD_HELPER_CONFIG_H
#define FAIRLEAD_HELPER_CONFIG_H

#include <fairlead/anchor/anchor.h>
#include <fairlead/base/conf.h>
#include <fairlead/trust/verify.h>

#include <limits.h>
#include <sys/types.h>

#define SLOTS_MAX 16

struct slot {
	char name[2];
	const char *value; /* as configured: a partition by name, or a path (fairlead/boot/slots.h) */
	uint16_t tag;	   /* in the anchor */
};

struct component {
	const char *name;
	const char *handler; /* the name of its plugin */
	struct fl_anchor_name key; /* in the anchor */
	struct slot slots[SLOTS_MAX];
	size_t n_slots;
	bool read_only; /* its system is mounted so: what was sealed stays as it was */
};

struct config {
	struct fl_conf *conf;
	struct fl_arena arena; /* owns the paths */
	const char *path;      /* of the file itself: handed on to fairlead-boot */
	struct fl_device_facts device; /* identity is filled when it is pinned */
	const char *trust_root;
	const char *identity_public;
	const char *anchor_dir;
	const char *store_mount; /* NULL: not looked at */
	const char *socket;
	uid_t agent_uid; /* who may connect besides root and our own user */
	const char *runner, *plugins, *runner_user;
	bool require_sandbox;
	uint64_t decoder_memory_mib; /* no release is granted more */
	const char *boot_program;
	const char *image_info, *boot_id, *boot_failure, *restart_request;
	uint64_t silence_s; /* that ends a trial */
	const char *watchdog; /* NULL: none */
	uint64_t watchdog_timeout_s;
	uint64_t recheck_after_s, recheck_every_h;
	bool rechecks; /* some component is read-only */
	struct component components[FL_ANCHOR_COMPONENTS];
	size_t n_components;
};

enum fl_rc config_load(const char *path, struct config *config, struct fl_err *err) FL_CHECKED;
void config_free(struct config *config);

/* NULL when there is none. */
const struct component *config_component(const struct config *config, const char *name);
const struct component *config_component_by_key(const struct config *config,
						const struct fl_anchor_name *key);
const struct slot *component_slot(const struct component *component, const char *name);
const struct slot *component_slot_by_tag(const struct component *component, uint16_t tag);
/* The path of the plugin's file; FL_E_PLUGIN_MISSING, FL_E_CONFIG. */
enum fl_rc config_plugin(const struct config *config, const char *name, char ret[PATH_MAX],
			 struct fl_err *err) FL_CHECKED;
size_t component_index(const struct config *config, const struct component *component);

#endif
