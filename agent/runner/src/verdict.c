/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include <string.h>

static const struct {
	const char *name;
	enum fl_rc rc; /* when the plugin names none that is known */
} classes[] = {
	[FL_CLASS_OK] = {"ok", FL_OK},
	[FL_CLASS_RETRY] = {"retry", FL_E_PLUGIN_FAILED},
	[FL_CLASS_PERMANENT] = {"permanent", FL_E_PLUGIN_REFUSED},
	[FL_CLASS_UNSAFE] = {"unsafe", FL_E_PLUGIN_UNSAFE},
	[FL_CLASS_NEEDS_USER] = {"needs_user", FL_E_NEEDS_USER},
};

/*
 * What can never go well with this release, this plugin or this configuration. Everything else may:
 * an agent that breaks the protocol or a lying mirror says nothing about the release.
 */
static bool is_permanent(enum fl_rc rc)
{
	static const enum fl_rc permanent[] = {
		FL_E_FORMAT,	 FL_E_SIZE_MISMATCH,	FL_E_SLOT_TOO_SMALL,
		FL_E_PLUGIN_ABI, FL_E_PLUGIN_MISSING,	FL_E_NOT_SUPPORTED,
		FL_E_SANDBOX,	 FL_E_INVALID_ARGUMENT, FL_E_TOO_LARGE,
		FL_E_CONFIG,	 FL_E_PLUGIN_CONTRACT,
	};
	for (size_t i = 0; i < sizeof(permanent) / sizeof(permanent[0]); i++) {
		if (permanent[i] == rc)
			return true;
	}
	return false;
}

const char *verdict_class_name(enum fl_class cls)
{
	return classes[cls].name;
}

void make_printable(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (char *p = text; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
}

void verdict_ok(struct verdict *verdict, const char *text)
{
	verdict->cls = FL_CLASS_OK;
	(void)snprintf(verdict->code, sizeof(verdict->code), "ok");
	(void)snprintf(verdict->text, sizeof(verdict->text), "%s", text);
}

void verdict_from_err(struct verdict *verdict, const struct fl_err *err)
{
	verdict->cls = is_permanent(err->rc) ? FL_CLASS_PERMANENT : FL_CLASS_RETRY;
	(void)snprintf(verdict->code, sizeof(verdict->code), "%s", fl_rc_name(err->rc));
	(void)snprintf(verdict->text, sizeof(verdict->text), "%s", err->msg);
	make_printable(verdict->text, sizeof(verdict->text));
}

static enum fl_rc code_of(enum fl_class cls, const char *name)
{
	enum fl_rc rc = fl_rc_from_name(name);
	return rc == FL_OK || rc == FL_E_INTERNAL ? classes[cls].rc : rc;
}

enum fl_rc verdict_from_plugin(struct verdict *verdict, const char *call, int cls,
			       struct fl_result *result, struct fl_err *err)
{
	make_printable(result->code, sizeof(result->code));
	make_printable(result->text, sizeof(result->text));
	if (cls == FL_CLASS_OK) {
		verdict_ok(verdict, result->text);
		return FL_OK;
	}
	bool known = cls > 0 && (size_t)cls < sizeof(classes) / sizeof(classes[0]);
	verdict->cls = known ? (enum fl_class)cls : FL_CLASS_RETRY;
	enum fl_rc rc = known ? code_of(verdict->cls, result->code) : FL_E_PLUGIN_FAILED;
	(void)snprintf(verdict->code, sizeof(verdict->code), "%s", fl_rc_name(rc));
	(void)snprintf(verdict->text, sizeof(verdict->text), "%s: %s", call,
		       known ? result->text : "returned a class that does not exist");
	return fl_fail(err, rc, 0, "%s", verdict->text);
}
