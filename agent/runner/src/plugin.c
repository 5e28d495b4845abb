/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin.h"

#include <fairlead/base/encode.h>

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct {
	enum fl_capability bit;
	const char *name;
} capabilities[] = {
	{FL_CAP_SLOT, "slot"},
	{FL_CAP_STREAM, "stream"},
	{FL_CAP_RANDOM, "random"},
	{FL_CAP_ROLLBACK, "rollback"},
	{FL_CAP_IRREVERSIBLE, "irreversible"},
	{FL_CAP_NO_INACTIVE, "no_inactive"},
	{FL_CAP_CHILDREN, "children"},
	{FL_CAP_CANCEL, "cancel"},
};

static const struct plugin_kind handlers = {.noun = "handler",
					    .symbol = "fl_handler_plugin",
					    .abi_major = FL_HANDLER_ABI_MAJOR,
					    .abi_minor = FL_HANDLER_ABI_MINOR,
					    .size_min = FL_HANDLER_SIZE_1_0,
					    .size = sizeof(struct fl_handler)};

/* What every object begins with, whatever its kind. */
struct versions {
	uint32_t abi_major, abi_minor, size;
};

static enum fl_rc check_versions(const struct plugin_kind *kind, const struct versions *found,
				 const char *path, struct fl_err *err)
{
	if (found->abi_major != kind->abi_major)
		return fl_fail(err, FL_E_PLUGIN_ABI, 0,
			       "'%s' was built for %s ABI %u.%u, this runner speaks %u.%u", path,
			       kind->noun, found->abi_major, found->abi_minor, kind->abi_major,
			       kind->abi_minor);
	if (found->size < kind->size_min)
		return fl_fail(err, FL_E_PLUGIN_ABI, 0,
			       "'%s': its object has %u bytes, ABI %u.0 has %zu", path, found->size,
			       kind->abi_major, kind->size_min);
	return FL_OK;
}

enum fl_rc plugin_require(const char *path, bool present, const char *call, struct fl_err *err)
{
	if (present)
		return FL_OK;
	return fl_fail(err, FL_E_PLUGIN_ABI, 0, "'%s' lacks the call '%s'", path, call);
}

static enum fl_rc check_calls(const struct fl_handler *c, const char *path, struct fl_err *err)
{
	enum fl_rc rc = plugin_require(path, c->hello != NULL, "hello", err);
	if (rc == FL_OK)
		rc = plugin_require(path, c->observe != NULL, "observe", err);
	if (rc == FL_OK)
		rc = plugin_require(path, c->prepare != NULL, "prepare", err);
	if (rc == FL_OK)
		rc = plugin_require(path, c->stage != NULL, "stage", err);
	if (rc == FL_OK)
		rc = plugin_require(path, c->flush != NULL, "flush", err);
	return rc;
}

enum fl_rc plugin_open(const struct plugin_kind *kind, const char *path, void *calls,
		       struct fl_err *err)
{
	struct versions versions;
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		const char *why = dlerror();
		if (access(path, F_OK) != 0 && errno == ENOENT)
			return fl_fail(err, FL_E_PLUGIN_MISSING, 0, "no plugin '%s'", path);
		return fl_fail(err, FL_E_PLUGIN_ABI, 0, "load: %s", why == NULL ? path : why);
	}
	const void *found = dlsym(object, kind->symbol);
	if (found == NULL)
		return fl_fail(err, FL_E_PLUGIN_ABI, 0, "'%s' exports no '%s': it is no %s", path,
			       kind->symbol, kind->noun);
	memcpy(&versions, found, sizeof(versions));
	enum fl_rc rc = check_versions(kind, &versions, path, err);
	if (rc != FL_OK)
		return rc;
	memset(calls, 0, kind->size);
	memcpy(calls, found, versions.size < kind->size ? versions.size : kind->size);
	return FL_OK;
}

enum fl_rc plugin_load(struct plugin *plugin, const char *path, struct fl_err *err)
{
	enum fl_rc rc = plugin_open(&handlers, path, &plugin->calls, err);
	return rc == FL_OK ? check_calls(&plugin->calls, path, err) : rc;
}

bool plugin_can(const struct plugin *plugin, enum fl_capability capability)
{
	return (plugin->hello.capabilities & (uint32_t)capability) != 0;
}

const char *plugin_capability_name(const struct plugin *plugin, size_t i)
{
	for (size_t k = 0; k < sizeof(capabilities) / sizeof(capabilities[0]); k++) {
		if (plugin_can(plugin, capabilities[k].bit) && i-- == 0)
			return capabilities[k].name;
	}
	return NULL;
}

uint64_t plugin_deadline(uint32_t stated_ms)
{
	if (stated_ms == 0)
		return FL_DEADLINE_DEFAULT_MS;
	return stated_ms < FL_DEADLINE_MAX_MS ? stated_ms : FL_DEADLINE_MAX_MS;
}

uint64_t plugin_deadline_ms(const struct plugin *plugin, enum fl_call call)
{
	return plugin_deadline(plugin->hello.deadline_ms[call]);
}

static enum fl_rc check_promises(const struct plugin *p, struct fl_err *err)
{
	const struct fl_handler *c = &p->calls;
	const char *name = c->name == NULL ? "plugin" : c->name;
	const struct {
		bool promised, present;
		const char *call;
	} promises[] = {
		{plugin_can(p, FL_CAP_RANDOM), c->read != NULL, "read"},
		{plugin_can(p, FL_CAP_CHILDREN), c->enumerate != NULL, "enumerate"},
		{plugin_can(p, FL_CAP_ROLLBACK), c->rollback != NULL, "rollback"},
		{p->hello.proof != FL_PROOF_READBACK, c->verify != NULL, "verify"},
		{!plugin_can(p, FL_CAP_SLOT), c->activate != NULL && c->commit != NULL,
		 "activate' and 'commit"},
	};
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		if (promises[i].promised && !promises[i].present)
			return plugin_require(name, false, promises[i].call, err);
	}
	return FL_OK;
}

struct fl_result plugin_result(void)
{
	struct fl_result result;
	memset(&result, 0, sizeof(result));
	result.size = sizeof(result);
	return result;
}

enum fl_rc plugin_hello(struct plugin *plugin, const struct fl_host *host, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	memset(&plugin->hello, 0, sizeof(plugin->hello));
	plugin->hello.size = sizeof(plugin->hello);
	int cls = plugin->calls.hello(host, &plugin->hello, &result);
	enum fl_rc rc = verdict_from_plugin(plugin->verdict, "hello", cls, &result, err);
	return rc == FL_OK ? check_promises(plugin, err) : rc;
}

enum fl_rc plugin_step_call(struct plugin *plugin, const char *name, plugin_step *step,
			    const struct fl_task *task, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	int cls = step(plugin->hello.self, task, &result);
	return verdict_from_plugin(plugin->verdict, name, cls, &result, err);
}

enum fl_rc plugin_enumerate(struct plugin *plugin, struct fl_components *ret, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	int cls = plugin->calls.enumerate(plugin->hello.self, ret, &result);
	enum fl_rc rc = verdict_from_plugin(plugin->verdict, "enumerate", cls, &result, err);
	if (rc != FL_OK)
		return rc;
	if (ret->n > FL_COMPONENTS_MAX)
		return fl_fail(err, FL_E_PLUGIN_FAILED, 0, "enumerate: %u components", ret->n);
	for (uint32_t i = 0; i < ret->n; i++) {
		ret->name[i][sizeof(ret->name[i]) - 1] = '\0';
		if (!fl_name_valid(ret->name[i]))
			return fl_fail(err, FL_E_PLUGIN_FAILED, 0,
				       "enumerate: a name that is none");
	}
	return FL_OK;
}

enum fl_rc plugin_observe(struct plugin *plugin, const struct fl_task *task,
			  struct fl_observation *ret, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	int cls = plugin->calls.observe(plugin->hello.self, task, ret, &result);
	make_printable(ret->version, sizeof(ret->version));
	return verdict_from_plugin(plugin->verdict, "observe", cls, &result, err);
}

enum fl_rc plugin_prepare(struct plugin *plugin, const struct fl_task *task, struct fl_plan *ret,
			  struct fl_err *err)
{
	struct fl_result result = plugin_result();
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	int cls = plugin->calls.prepare(plugin->hello.self, task, ret, &result);
	enum fl_rc rc = verdict_from_plugin(plugin->verdict, "prepare", cls, &result, err);
	if (rc == FL_OK && ret->room != 0 && ret->room < task->installed_size)
		return fl_fail(err, FL_E_SLOT_TOO_SMALL, 0, "room for %llu bytes",
			       (unsigned long long)ret->room);
	return rc;
}

enum fl_rc plugin_stage(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
			const void *data, uint32_t len, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	int cls = plugin->calls.stage(plugin->hello.self, task, offset, data, len, &result);
	return verdict_from_plugin(plugin->verdict, "stage", cls, &result, err);
}

enum fl_rc plugin_flush(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
			uint64_t len, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	int cls = plugin->calls.flush(plugin->hello.self, task, offset, len, &result);
	return verdict_from_plugin(plugin->verdict, "flush", cls, &result, err);
}

enum fl_rc plugin_read(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
		       void *data, uint32_t len, struct fl_err *err)
{
	struct fl_result result = plugin_result();
	int cls = plugin->calls.read(plugin->hello.self, task, offset, data, len, &result);
	return verdict_from_plugin(plugin->verdict, "read", cls, &result, err);
}

enum fl_rc plugin_zero_tail(struct plugin *plugin, const struct fl_task *task, uint64_t offset,
			    struct fl_err *err)
{
	struct fl_result result = plugin_result();
	if (plugin->calls.zero_tail == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "this handler cannot zero the rest");
	int cls = plugin->calls.zero_tail(plugin->hello.self, task, offset, &result);
	return verdict_from_plugin(plugin->verdict, "zero_tail", cls, &result, err);
}
