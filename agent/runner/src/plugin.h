/* SPDX-License-Identifier: Apache-2.0 */
/* One loaded handler: the ABI check, its hello, and its calls with what each must be given.
 * Decoders are loaded here too; their calls are in decoder.h. */
#ifndef FL_RUNNER_PLUGIN_H
#define FL_RUNNER_PLUGIN_H

#include "verdict.h"

#include <fairlead/handler.h>

struct plugin {
	struct fl_handler calls; /* a copy; members the plugin's version doesn't have are NULL */
	struct fl_hello hello;
	struct verdict *verdict; /* borrowed: of the call that failed last */
};

/* What an exported object must be: of a handler, or of a decoder. */
struct plugin_kind {
	const char *noun, *symbol;
	uint32_t abi_major, abi_minor;
	size_t size_min, size; /* of its first version; of this runner's */
};

/*
 * Loads the object at path and copies what it exports to *calls, zeros where its version has
 * nothing. FL_E_PLUGIN_MISSING, FL_E_PLUGIN_ABI with a text that tells both versions. Stays loaded
 * until the process ends.
 */
enum fl_rc plugin_open(const struct plugin_kind *kind, const char *path, void *calls,
		       struct fl_err *err) FL_CHECKED;
/* FL_E_PLUGIN_ABI when the call isn't there. */
enum fl_rc plugin_require(const char *path, bool present, const char *call,
			  struct fl_err *err) FL_CHECKED;
struct fl_result plugin_result(void);
/* A deadline as hello states it, within its limits. */
uint64_t plugin_deadline(uint32_t stated_ms);

/* A call with no other arguments than the task. */
typedef int plugin_step(void *self, const struct fl_task *task, struct fl_result *result);

enum fl_rc plugin_load(struct plugin *plugin, const char *path, struct fl_err *err) FL_CHECKED;
/* Calls hello, and checks that what it promises is there. */
enum fl_rc plugin_hello(struct plugin *plugin, const struct fl_host *host,
			struct fl_err *err) FL_CHECKED;
bool plugin_can(const struct plugin *plugin, enum fl_capability capability);
/* Silence allowed in that call, ms. */
uint64_t plugin_deadline_ms(const struct plugin *plugin, enum fl_call call);
/* The name of the i-th capability the plugin has; NULL past the last. */
const char *plugin_capability_name(const struct plugin *plugin, size_t i);

/* Each calls the plugin, and leaves its verdict in plugin->verdict. The results beside it are made
 * safe to use. */
enum fl_rc plugin_step_call(struct plugin *plugin, const char *name, plugin_step *step,
			    const struct fl_task *task, struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_enumerate(struct plugin *plugin, struct fl_components *ret,
			    struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_observe(struct plugin *plugin, const struct fl_task *task,
			  struct fl_observation *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_prepare(struct plugin *plugin, const struct fl_task *task, struct fl_plan *ret,
			  struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_stage(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
			const void *data, uint32_t len, struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_flush(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
			uint64_t len, struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_read(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
		       void *data, uint32_t len, struct fl_err *err) FL_CHECKED;
enum fl_rc plugin_zero_tail(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
			    struct fl_err *err) FL_CHECKED;

#endif
