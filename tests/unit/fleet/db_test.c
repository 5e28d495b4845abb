/* SPDX-License-Identifier: Apache-2.0 */
/* The database seam: schema, transactions, the batch; and what stands directly on it: tokens and the audit chain. */
#include "audit/audit.h"
#include "auth/auth.h"
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct temp {
	char path[64];
	struct fl_db db;
};

static void open_temp(struct temp *t)
{
	struct fl_err err;
	memset(t, 0, sizeof(*t));
	snprintf(t->path, sizeof(t->path), "/tmp/unit-fleet-db-XXXXXX");
	int fd = mkstemp(t->path);
	cr_assert_geq(fd, 0);
	close(fd);
	MUST(fl_db_open_sqlite(t->path, &t->db, &err));
}

static void close_temp(struct temp *t)
{
	char side[80];
	fl_db_close(&t->db);
	unlink(t->path);
	snprintf(side, sizeof(side), "%s-wal", t->path);
	unlink(side);
	snprintf(side, sizeof(side), "%s-shm", t->path);
	unlink(side);
}

static uint64_t count(struct temp *t, const char *sql)
{
	struct fl_err err;
	uint64_t n = 0;
	struct fl_db_query query = {.sql = sql};
	MUST(fl_db_number(&t->db, &query, 0, &n, &err));
	return n;
}

static enum fl_rc add_token(struct temp *t, const char *digest, struct fl_err *err)
{
	return fl_db_run(&t->db, "INSERT INTO tokens (digest, name, created) VALUES ($1, 'n', 0)",
			 FL_DB_PARAMS(fl_db_str(digest)), err);
}

#define COUNT_TOKENS "SELECT count(*) FROM tokens"

Test(unit_fleet_db, the_schema_is_made_once_and_kept)
{
	struct fl_err err;
	struct temp t;
	open_temp(&t);
	cr_assert_eq(count(&t, "SELECT value FROM meta WHERE name = 'schema'"), fl_db_schema_version());
	MUST(add_token(&t, "a", &err));
	fl_db_close(&t.db);
	MUST(fl_db_open_sqlite(t.path, &t.db, &err));
	cr_assert_eq(count(&t, COUNT_TOKENS), 1);
	close_temp(&t);
}

Test(unit_fleet_db, a_newer_schema_is_refused)
{
	struct fl_err err;
	struct temp t;
	open_temp(&t);
	MUST(fl_db_run(&t.db, "UPDATE meta SET value = 1000", NULL, 0, &err));
	fl_db_close(&t.db);
	cr_assert_eq(fl_db_open_sqlite(t.path, &t.db, &err), FL_E_CONFIG);
	cr_assert_not_null(strstr(err.msg, "newer"));
	close_temp(&t);
}

Test(unit_fleet_db, a_step_that_fails_leaves_nothing_behind)
{
	struct fl_err err;
	struct temp t;
	open_temp(&t);
	MUST(fl_db_run(&t.db, "DELETE FROM meta", NULL, 0, &err));
	MUST(fl_db_run(&t.db, "DROP TABLE tokens", NULL, 0, &err));
	cr_assert_neq(fl_db_migrate(&t.db, &err), FL_OK, "the tables exist already");
	cr_assert_eq(t.db.tx, FL_DB_IDLE);
	cr_assert_eq(count(&t, "SELECT count(*) FROM sqlite_master WHERE name = 'tokens'"), 0);
	cr_assert_eq(count(&t, "SELECT count(*) FROM meta"), 0);
	close_temp(&t);
}

Test(unit_fleet_db, what_is_no_database_is_refused)
{
	struct fl_err err;
	char path[] = "/tmp/unit-fleet-db-XXXXXX";
	int fd = mkstemp(path);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(write(fd, "not a database ", 15), 15);
	close(fd);
	struct fl_db db = {0};
	cr_assert_eq(fl_db_open_sqlite(path, &db, &err), FL_E_CORRUPT);
	unlink(path);
}

Test(unit_fleet_db, the_settings_that_durability_hangs_on)
{
	struct temp t;
	open_temp(&t);
	cr_assert_eq(count(&t, "PRAGMA synchronous"), 2, "FULL");
	cr_assert_eq(count(&t, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
	cr_assert_eq(count(&t, "PRAGMA foreign_keys"), 1);
	close_temp(&t);
}

Test(unit_fleet_db, a_transaction_is_all_or_nothing)
{
	struct fl_err err;
	struct temp t;
	open_temp(&t);
	MUST(fl_db_begin(&t.db, &err));
	MUST(add_token(&t, "a", &err));
	cr_assert_eq(fl_db_end(&t.db, FL_E_CONFLICT, &err), FL_E_CONFLICT);
	cr_assert_eq(count(&t, COUNT_TOKENS), 0);
	MUST(fl_db_begin(&t.db, &err));
	MUST(add_token(&t, "a", &err));
	cr_assert_eq(add_token(&t, "a", &err), FL_E_CONFLICT);
	MUST(fl_db_end(&t.db, FL_OK, &err));
	cr_assert_eq(count(&t, COUNT_TOKENS), 1);
	close_temp(&t);
}

struct ended {
	int n;
	enum fl_rc rc;
	enum fl_db_tx tx;
	struct fl_db *db;
};

static void on_batch_end(void *ctx, enum fl_rc rc)
{
	struct ended *e = ctx;
	e->n++;
	e->rc = rc;
	e->tx = e->db->tx;
}

Test(unit_fleet_db, a_batch_ends_once_and_before_anything_exclusive)
{
	struct fl_err err;
	struct temp t;
	open_temp(&t);
	struct ended ended = {.db = &t.db};
	t.db.on_batch_end = on_batch_end;
	t.db.batch_ctx = &ended;
	MUST(fl_db_batch(&t.db, &err));
	MUST(fl_db_batch(&t.db, &err));
	MUST(add_token(&t, "a", &err));
	cr_assert_eq(ended.n, 0);
	MUST(fl_db_begin(&t.db, &err));
	cr_assert_eq(ended.n, 1);
	cr_assert_eq(ended.rc, FL_OK);
	cr_assert_eq(ended.tx, FL_DB_IDLE);
	fl_db_rollback(&t.db);
	cr_assert_eq(count(&t, COUNT_TOKENS), 1, "the batch was durable before");
	fl_db_batch_end(&t.db, FL_OK);
	cr_assert_eq(ended.n, 1, "there was none");
	MUST(fl_db_batch(&t.db, &err));
	MUST(add_token(&t, "b", &err));
	fl_db_batch_end(&t.db, FL_E_IO);
	cr_assert_eq(ended.n, 2);
	cr_assert_eq(ended.rc, FL_E_IO);
	cr_assert_eq(count(&t, COUNT_TOKENS), 1, "lost with its batch");
	close_temp(&t);
}

/* A database whose commits fail. */
struct failing {
	int begins, commits, rollbacks;
};

static enum fl_rc fail_begin(void *self, struct fl_err *err)
{
	(void)err;
	((struct failing *)self)->begins++;
	return FL_OK;
}

static enum fl_rc fail_commit(void *self, struct fl_err *err)
{
	((struct failing *)self)->commits++;
	return fl_fail(err, FL_E_NO_SPACE, 0, "disk full");
}

static void fail_rollback(void *self)
{
	((struct failing *)self)->rollbacks++;
}

static const struct fl_db_ops failing_ops = {
	.begin = fail_begin, .commit = fail_commit, .rollback = fail_rollback};

Test(unit_fleet_db, a_failed_commit_is_told_to_whoever_waits)
{
	struct fl_err err;
	struct failing failing = {0};
	struct fl_db db = {.ops = &failing_ops, .self = &failing};
	struct ended ended = {.db = &db};
	db.on_batch_end = on_batch_end;
	db.batch_ctx = &ended;
	MUST(fl_db_batch(&db, &err));
	fl_db_batch_end(&db, FL_OK);
	cr_assert_eq(ended.rc, FL_E_NO_SPACE, "nobody may acknowledge now");
	cr_assert_eq(failing.rollbacks, 1);
	MUST(fl_db_begin(&db, &err));
	cr_assert_eq(fl_db_end(&db, FL_OK, &err), FL_E_NO_SPACE);
	cr_assert_eq(failing.rollbacks, 2);
	cr_assert_eq(db.tx, FL_DB_IDLE);
}

/* Tokens */

Test(unit_fleet_auth, a_token_opens_and_nothing_else_does)
{
	struct fl_err err;
	struct temp t;
	struct fl_auth auth = {0};
	char actor[FL_AUTH_ACTOR_MAX];
	char token[FL_TOKEN_SIZE], other[FL_TOKEN_SIZE], header[128];
	open_temp(&t);
	MUST(fl_auth_new_token(&t.db, "admin", 1, token, &err));
	MUST(fl_auth_new_token(&t.db, "ci", 1, other, &err));
	MUST(fl_auth_load(&auth, &t.db, &err));
	cr_assert_str_neq(token, other);
	snprintf(header, sizeof(header), "Bearer %s", token);
	MUST(fl_auth_check(&auth, header, actor, &err));
	cr_assert_str_eq(actor, "admin");
	snprintf(header, sizeof(header), "bearer %s", other);
	MUST(fl_auth_check(&auth, header, actor, &err));
	cr_assert_str_eq(actor, "ci");
	for (size_t i = 7; header[i] != '\0'; i++) {
		char kept = header[i];
		header[i] = kept == '0' ? '1' : '0';
		cr_assert_eq(fl_auth_check(&auth, header, actor, &err), FL_E_AUTH, "character %zu", i);
		header[i] = kept;
	}
	static const char *const wrong[] = {"", "Bearer ", "Bearer", "Basic x", "admin", "Bearer x"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(fl_auth_check(&auth, wrong[i], actor, &err), FL_E_AUTH, "%s", wrong[i]);
	cr_assert_eq(fl_auth_check(&auth, token, actor, &err), FL_E_AUTH, "without its scheme");
	snprintf(header, sizeof(header), "bearer %s", other);
	MUST(fl_auth_revoke(&t.db, "ci", 2, &err));
	cr_assert_eq(fl_auth_revoke(&t.db, "ci", 2, &err), FL_E_NOT_FOUND);
	fl_auth_refresh(&auth, &t.db, FL_AUTH_READ_MS - 1);
	MUST(fl_auth_check(&auth, header, actor, &err));
	fl_auth_refresh(&auth, &t.db, FL_AUTH_READ_MS);
	cr_assert_eq(fl_auth_check(&auth, header, actor, &err), FL_E_AUTH, "revoked");
	close_temp(&t);
}

Test(unit_fleet_auth, a_server_without_tokens_opens_to_nobody)
{
	struct fl_err err;
	struct fl_auth auth = {0};
	char actor[FL_AUTH_ACTOR_MAX];
	cr_assert_eq(fl_auth_check(&auth, "Bearer ", actor, &err), FL_E_AUTH);
	cr_assert_eq(fl_auth_check(&auth, "", actor, &err), FL_E_AUTH);
}

Test(unit_fleet_auth, a_budget_refills_up_to_its_burst)
{
	struct fl_rate rate = fl_rate_make(10, 3, 1000);
	for (int i = 0; i < 3; i++)
		cr_assert(fl_rate_take(&rate, 1000));
	cr_assert_not(fl_rate_take(&rate, 1000));
	cr_assert_not(fl_rate_take(&rate, 1099));
	cr_assert(fl_rate_take(&rate, 1100));
	cr_assert_not(fl_rate_take(&rate, 1150));
	for (int i = 0; i < 3; i++)
		cr_assert(fl_rate_take(&rate, 999999));
	cr_assert_not(fl_rate_take(&rate, 999999), "not more than the burst");
}

/* Audit */

static void add_entries(struct temp *t, int n)
{
	struct fl_err err;
	MUST(fl_db_begin(&t->db, &err));
	for (int i = 0; i < n; i++) {
		char detail[32];
		snprintf(detail, sizeof(detail), "\"%d\"\n", i);
		struct fl_audit_entry entry = {100 + (uint64_t)i, "admin", "job.create", "gw-1", detail};
		MUST(fl_audit_add(&t->db, &entry, &err));
	}
	MUST(fl_db_commit(&t->db, &err));
}

Test(unit_fleet_audit, every_change_of_a_row_breaks_the_chain)
{
	static const char *const changes[] = {
		"UPDATE audit SET utc = 1 WHERE seq = 3",
		"UPDATE audit SET actor = 'x' WHERE seq = 3",
		"UPDATE audit SET action = 'x' WHERE seq = 3",
		"UPDATE audit SET object = 'x' WHERE seq = 3",
		"UPDATE audit SET detail = 'x' WHERE seq = 3",
		"UPDATE audit SET prev = 'x' WHERE seq = 3",
		"UPDATE audit SET hash = 'x' WHERE seq = 3",
		"UPDATE audit SET seq = 9 WHERE seq = 5",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 1",
		"INSERT INTO audit VALUES (6, 1, 'a', 'b', 'c', 'd', 'e', 'f')",
	};
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct fl_err err;
		struct temp t;
		uint64_t n = 0;
		open_temp(&t);
		add_entries(&t, 5);
		MUST(fl_audit_verify(&t.db, NULL, &n, &err));
		cr_assert_eq(n, 5);
		MUST(fl_db_run(&t.db, changes[i], NULL, 0, &err));
		cr_assert_eq(fl_audit_verify(&t.db, NULL, &n, &err), FL_E_CORRUPT, "%s", changes[i]);
		close_temp(&t);
	}
}

static enum fl_rc take_hash(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	(void)err;
	snprintf(ctx, 80, "%s", columns[0].text);
	return FL_OK;
}

Test(unit_fleet_audit, a_row_with_a_hash_of_its_own_does_not_fit_the_next)
{
	struct fl_err err;
	struct temp t, forged;
	char hash[80];
	uint64_t n = 0;
	struct fl_db_query third = {
		.sql = "SELECT hash FROM audit WHERE seq = 3", .on_row = take_hash, .ctx = hash};
	open_temp(&t);
	open_temp(&forged);
	add_entries(&t, 5);
	add_entries(&forged, 2);
	MUST(fl_db_begin(&forged.db, &err));
	struct fl_audit_entry entry = {102, "nobody", "job.create", "gw-1", "\"2\"\n"};
	MUST(fl_audit_add(&forged.db, &entry, &err));
	MUST(fl_db_commit(&forged.db, &err));
	MUST(fl_audit_verify(&forged.db, NULL, &n, &err));
	MUST(fl_db_each(&forged.db, &third, &err));
	MUST(fl_db_run(&t.db, "UPDATE audit SET actor = 'nobody', hash = $1 WHERE seq = 3",
		       FL_DB_PARAMS(fl_db_str(hash)), &err));
	MUST(fl_db_run(&t.db, "UPDATE audit SET prev = $1 WHERE seq = 4",
		       FL_DB_PARAMS(fl_db_str(hash)), &err));
	cr_assert_eq(fl_audit_verify(&t.db, NULL, &n, &err), FL_E_CORRUPT);
	cr_assert_not_null(strstr(err.msg, "entry 4"), "%s", err.msg);
	close_temp(&t);
	close_temp(&forged);
}

Test(unit_fleet_audit, the_chain_goes_on_after_a_rollback)
{
	struct fl_err err;
	struct temp t;
	struct fl_buf text = FL_BUF((size_t)65536);
	uint64_t n = 0;
	open_temp(&t);
	add_entries(&t, 2);
	MUST(fl_db_begin(&t.db, &err));
	struct fl_audit_entry entry = {1, "a", "b", "c", ""};
	MUST(fl_audit_add(&t.db, &entry, &err));
	fl_db_rollback(&t.db);
	add_entries(&t, 1);
	MUST(fl_audit_verify(&t.db, &text, &n, &err));
	cr_assert_eq(n, 3);
	cr_assert_not_null(strstr(fl_buf_str(&text), "[3,100,\"admin\",\"job.create\",\"gw-1\",\"\\\"0\\\""));
	fl_buf_free(&text);
	close_temp(&t);
}
