/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end sim: DIR/decision, replaced atomically; script/machine plays the boot loader that reads it and counts the
 * tries by itself. Crash contract and bytes: docs/internals/boot.md.
 */
#include "backends.h"

#include <fairlead/base/file.h>

#include <limits.h>

#define DECISION_MAX ((size_t)8192)

static enum fl_rc decision_path(const struct fl_boot_host *host, char path[PATH_MAX],
				struct fl_err *err)
{
	return fl_path_join(path, PATH_MAX, host->dir, "decision", err);
}

static enum fl_rc sim_load(const struct fl_boot_host *host, struct fl_boot_state *ret,
			   struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_buf text = FL_BUF(DECISION_MAX);
	enum fl_rc rc = decision_path(host, path, err);
	if (rc == FL_OK)
		rc = fl_file_read(path, &text, err);
	if (rc == FL_E_TOO_LARGE)
		rc = fl_fail(err, FL_E_CORRUPT, 0, "boot decision: too long");
	if (rc == FL_OK)
		rc = fl_boot_decision_parse(&text, ret, err);
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc sim_store(const struct fl_boot_host *host, const struct fl_boot_state *old,
			    const struct fl_boot_state *next, struct fl_err *err)
{
	char path[PATH_MAX];
	struct fl_buf text = FL_BUF(DECISION_MAX);
	enum fl_rc rc = decision_path(host, path, err);
	(void)old;
	if (rc == FL_OK)
		rc = fl_boot_decision_print(next, &text, err);
	if (rc == FL_OK)
		rc = fl_file_replace(path, text.data, text.len, 0644, err);
	fl_buf_free(&text);
	return rc;
}

/* The machine's part is a script: nothing to find that fl_boot_doctor does not find. */
static bool sim_check(const struct fl_boot_host *host, const struct fl_boot_state *state,
		      fl_boot_report *report, void *ctx)
{
	(void)host;
	(void)state;
	(void)report;
	(void)ctx;
	return true;
}

const struct fl_boot_backend fl_boot_sim = {
	.name = "sim",
	.makes_dir = true,
	.load = sim_load,
	.store = sim_store,
	.check = sim_check,
};
