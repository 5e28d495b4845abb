/* SPDX-License-Identifier: Apache-2.0 */
#include "release.h"

#include "commands.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/verify.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Sets dir and file from the path of either. */
static enum fl_rc place(const char *path, struct fl_tools_release *release, struct fl_err *err)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		(void)snprintf(release->dir, sizeof(release->dir), "%s", path);
		return fl_path_join(release->file, sizeof(release->file), path,
				    FL_TOOLS_RELEASE_FILE, err);
	}
	if (strlen(path) >= sizeof(release->file))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path '%s'", path);
	(void)snprintf(release->file, sizeof(release->file), "%s", path);
	const char *slash = strrchr(path, '/');
	int len = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
	(void)snprintf(release->dir, sizeof(release->dir), "%.*s", len, slash == NULL ? "." : path);
	return FL_OK;
}

enum fl_rc fl_tools_release_open(const char *path, struct fl_tools_release *ret, struct fl_err *err)
{
	*ret = (struct fl_tools_release){.arena = FL_TOOLS_DOCUMENT_ARENA};
	enum fl_rc rc = place(path, ret, err);
	if (rc == FL_OK)
		rc = fl_tools_document_load(ret->file, FL_DOC_RELEASE, &ret->arena, &ret->env, err);
	if (rc == FL_OK)
		rc = fl_release_decode(ret->env.payload, &ret->arena, &ret->doc, err);
	if (rc == FL_OK)
		rc = fl_tools_document_digest(&ret->env, ret->digest, err);
	if (rc != FL_OK)
		fl_tools_release_close(ret);
	return rc;
}

void fl_tools_release_close(struct fl_tools_release *release)
{
	fl_arena_free(&release->arena);
}

static enum fl_rc check_component(const char *dir, const struct fl_component *component,
				  struct fl_err *err)
{
	if (component->installed == NULL)
		return FL_OK; /* a vendor's: its own document names its content */
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < component->artifacts.n; i++) {
		const struct fl_artifact *artifact = &component->artifacts.items[i];
		rc = fl_tools_content_check(dir, artifact, component->installed, err);
		if (rc != FL_OK)
			rc = fl_wrap(err, rc, "artifact '%s'", artifact->id);
	}
	return rc == FL_OK ? rc : fl_wrap(err, rc, "component '%s'", component->name);
}

enum fl_rc fl_tools_release_check(const struct fl_tools_release *release, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < release->doc.components.n; i++)
		rc = check_component(release->dir, &release->doc.components.items[i], err);
	/* A file that is missing makes the release wrong, not the request. */
	return rc == FL_OK ? rc : fl_wrap(err, rc == FL_E_NOT_FOUND ? FL_E_CORRUPT : rc, "check");
}

enum fl_rc fl_tools_release_add_signature(struct fl_tools_release *release, const char *key,
					  struct fl_err *err)
{
	enum fl_rc rc = fl_tools_release_check(release, err);
	if (rc == FL_OK)
		rc = fl_tools_document_sign(release->file, &release->env, key, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "sign '%s'", release->file);
}

enum fl_rc fl_tools_release_sign(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_tools_release release;
	enum fl_rc rc = fl_tools_release_open(call->args[0], &release, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_tools_release_add_signature(&release, fl_tools_opt(call, "key", NULL), err);
	if (rc == FL_OK)
		rc = fl_tools_release_print(call, &release, err);
	fl_tools_release_close(&release);
	return rc;
}

enum fl_rc fl_tools_release_show(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_tools_release release;
	enum fl_rc rc = fl_tools_release_open(call->args[0], &release, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_tools_release_print(call, &release, err);
	fl_tools_release_close(&release);
	return rc;
}

/* Signatures first: content is compared only with digests that are believed. */
static enum fl_rc verify(struct fl_tools_release *release, const char *root_path,
			 struct fl_err *err)
{
	struct fl_envelope root_env;
	struct fl_root root;
	struct fl_release verified;
	enum fl_rc rc = fl_tools_root_load(root_path, &release->arena, &root_env, &root, err);
	if (rc == FL_OK)
		rc = fl_verify_release_signatures(&root, &release->env, &release->arena, &verified,
						  err);
	if (rc == FL_OK)
		rc = fl_tools_release_check(release, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "verify '%s'", release->file);
}

enum fl_rc fl_tools_release_verify(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_tools_release release;
	enum fl_rc rc = fl_tools_release_open(call->args[0], &release, err);
	if (rc != FL_OK)
		return rc;
	rc = verify(&release, fl_tools_opt(call, "root", NULL), err);
	if (rc == FL_OK)
		rc = fl_tools_release_print(call, &release, err);
	fl_tools_release_close(&release);
	return rc;
}
