/* SPDX-License-Identifier: Apache-2.0 */
#include "releases/roots.h"

#include "audit/audit.h"

#include <fairlead/trust/digest.h>

#include <stdio.h>
#include <string.h>

#define ROOT_MEMORY ((size_t)2 * 1024 * 1024)

static enum fl_rc decode_next(const struct fl_root *current, const void *text, size_t len,
			      struct fl_arena *arena, struct fl_envelope *env, struct fl_root *ret,
			      struct fl_err *err)
{
	enum fl_rc rc = fl_envelope_parse(text, len, FL_DOC_ROOT, arena, env, err);
	if (rc == FL_OK)
		rc = fl_verify_root(current->version == 0 ? NULL : current, env, arena, ret, err);
	return rc == FL_OK ? FL_OK : fl_wrap(err, rc, "root");
}

static void adopt(struct fl_roots *roots, struct fl_arena *arena, const struct fl_root *next)
{
	fl_arena_free(&roots->arena);
	roots->arena = *arena;
	roots->current = *next;
}

static enum fl_rc take_root(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	struct fl_roots *roots = ctx;
	struct fl_arena arena = FL_ARENA(ROOT_MEMORY);
	struct fl_envelope env;
	struct fl_root next;
	const char *text = columns[0].text;
	enum fl_rc rc = decode_next(&roots->current, text, strlen(text), &arena, &env, &next, err);
	if (rc == FL_OK)
		adopt(roots, &arena, &next);
	else
		fl_arena_free(&arena);
	return rc;
}

enum fl_rc fl_roots_load(struct fl_roots *roots, struct fl_err *err)
{
	struct fl_db_query query = {.sql = "SELECT envelope FROM roots ORDER BY version",
				    .on_row = take_root, .ctx = roots};
	enum fl_rc rc = fl_db_each(roots->db, &query, err);
	if (rc == FL_OK && roots->current.version == 0)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no root document");
	return rc;
}

void fl_roots_done(struct fl_roots *roots)
{
	fl_arena_free(&roots->arena);
	roots->current = (struct fl_root){0};
}

static enum fl_rc store(struct fl_roots *roots, const char *actor, const struct fl_envelope *env,
			uint64_t version, struct fl_err *err)
{
	struct fl_buf text = FL_BUF(FL_ENVELOPE_MAX);
	struct fl_digest digest;
	char name[FL_DIGEST_TEXT_SIZE], object[32];
	uint64_t now = (uint64_t)fl_clock_wall_s(roots->clock);
	enum fl_rc rc = fl_envelope_write(env, &text, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(env, &digest, err);
	if (rc == FL_OK)
		rc = fl_db_begin(roots->db, err);
	if (rc == FL_OK) {
		fl_digest_format(&digest, name);
		snprintf(object, sizeof(object), "root %llu", (unsigned long long)version);
		struct fl_audit_entry entry = {now, actor, "root.add", object, name};
		rc = fl_db_run(roots->db,
			       "INSERT INTO roots (version, digest, envelope, created)"
			       " VALUES ($1, $2, $3, $4)",
			       FL_DB_PARAMS(fl_db_num(version), fl_db_str(name),
					    fl_db_str(fl_buf_str(&text)), fl_db_num(now)),
			       err);
		if (rc == FL_OK)
			rc = fl_audit_add(roots->db, &entry, err);
		rc = fl_db_end(roots->db, rc, err);
	}
	fl_buf_free(&text);
	return rc;
}

enum fl_rc fl_roots_add(struct fl_roots *roots, const char *actor, const void *text, size_t len,
			struct fl_err *err)
{
	struct fl_arena arena = FL_ARENA(ROOT_MEMORY);
	struct fl_envelope env;
	struct fl_root next;
	enum fl_rc rc = decode_next(&roots->current, text, len, &arena, &env, &next, err);
	if (rc == FL_OK)
		rc = store(roots, actor, &env, next.version, err);
	if (rc != FL_OK) {
		fl_arena_free(&arena);
		return rc;
	}
	adopt(roots, &arena, &next);
	if (roots->bus != NULL)
		fl_bus_publish(roots->bus, &(struct fl_bus_event){FL_BUS_ROOT_NEW, NULL, NULL});
	return FL_OK;
}

static enum fl_rc take_text(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	return fl_buf_append_str(ctx, columns[0].text, err);
}

enum fl_rc fl_roots_get(struct fl_roots *roots, uint64_t version, struct fl_buf *out,
			struct fl_err *err)
{
	const struct fl_db_value params[] = {
		fl_db_num(version == 0 ? roots->current.version : version)};
	struct fl_db_query query = {"SELECT envelope FROM roots WHERE version = $1", params, 1, take_text,
				    out};
	size_t before = out->len;
	enum fl_rc rc = fl_db_each(roots->db, &query, err);
	if (rc == FL_OK && out->len == before)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no root %llu", (unsigned long long)version);
	return rc;
}
