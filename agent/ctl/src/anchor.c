/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor reset: a gateway that has lost its anchor, or is new, takes no job until the fleet has told it which are over. Where no fleet
 * will, a person says so: a note for the helper in its own folder, which root alone can write.
 */
#include "ctl.h"

#include <fairlead/base/conf.h>
#include <fairlead/base/file.h>

#include <limits.h>
#include <string.h>

static enum fl_rc write_note(const char *config, struct fl_err *err)
{
	static const char who[] = "fairleadctl\n";
	char dir[PATH_MAX], path[PATH_MAX];
	struct fl_conf *conf = NULL;
	const char *value = NULL;
	enum fl_rc rc = fl_conf_load(config, &conf, err);
	if (rc == FL_OK)
		rc = fl_conf_need(conf, "anchor", "dir", &value, err);
	if (rc == FL_OK)
		rc = fl_conf_path(conf, value, dir, sizeof(dir), err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), dir, "reset", err);
	if (rc == FL_OK)
		rc = fl_file_replace(path, who, sizeof(who) - 1, 0600, err);
	fl_conf_free(conf);
	return rc;
}

enum fl_rc fl_ctl_anchor(const struct fl_ctl_call *call, enum fl_ctl_exit *ret, struct fl_err *err)
{
	if (strcmp(call->argument, "reset") != 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "anchor: reset, not '%s'",
			       call->argument);
	if (!fl_ctl_agreed(call, "If its anchor is lost, this gateway will take jobs without having "
				 "heard from the fleet which are over: old ones that have not "
				 "expired, too."))
		return fl_fail(err, FL_E_DENIED, 0,
			       "a reset of the anchor lets old jobs come again: say --yes");
	enum fl_rc rc = write_note(call->config, err);
	if (rc != FL_OK)
		return rc;
	if (call->json)
		(void)fputs("{\"reset\":true}\n", call->out);
	else
		(void)fputs("A lost anchor is whole again with the next job.\n", call->out);
	*ret = FL_CTL_DONE;
	return FL_OK;
}
