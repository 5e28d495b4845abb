/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into an offline bundle, and the two ways to have its job signed. */
#ifndef FL_TOOLS_BUNDLE_H
#define FL_TOOLS_BUNDLE_H

#include "command.h"
#include "release.h"

#include <fairlead/bundle/bundle.h>

#define FL_TOOLS_BUNDLE_DEVICES FL_JOB_DEVICES_MAX

/* A bundle in the making. */
struct fl_tools_bundle {
	const struct fl_tools_call *call;
	struct fl_arena arena; /* owned: documents, paths, items */
	struct fl_tools_release release;
	struct fl_digest release_digest;
	struct fl_job_device devices[FL_TOOLS_BUNDLE_DEVICES];
	size_t n_devices;
	const char *components[64]; /* none: all */
	size_t n_components;
	struct fl_root root; /* the newest */
	struct fl_envelope job_env;
	struct fl_job job;
	struct fl_bundle_item *items; /* FL_BUNDLE_ENTRIES_MAX */
	size_t n_items;
};

/* One more entry. FL_E_TOO_LARGE. */
enum fl_rc fl_tools_bundle_add(struct fl_tools_bundle *bundle, const struct fl_bundle_item *item,
			       struct fl_err *err) FL_CHECKED;
/* A document as an entry: the text of its envelope. */
enum fl_rc fl_tools_bundle_add_document(struct fl_tools_bundle *bundle, enum fl_bundle_kind kind,
					uint64_t version, const struct fl_envelope *env,
					struct fl_err *err) FL_CHECKED;

/* bundle_job.c: adds the root documents and the job, by the key files of --key or by the fleet; `root`, `job_env` and `job` are set. */
enum fl_rc fl_tools_bundle_by_keys(struct fl_tools_bundle *bundle, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_tools_bundle_by_fleet(struct fl_tools_bundle *bundle, struct fl_err *err) FL_CHECKED;

#endif
