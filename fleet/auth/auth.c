/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include "audit/audit.h"

#include <fairlead/base/log.h>
#include <fairlead/trust/digest.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum fl_rc fl_auth_new_token(struct fl_db *db, const char *name, uint64_t now,
			     char token[FL_TOKEN_SIZE], struct fl_err *err)
{
	uint8_t secret[32];
	char text[FL_DIGEST_TEXT_SIZE];
	struct fl_digest digest;
	enum fl_rc rc = fl_random(secret, sizeof(secret), err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(secret, sizeof(secret), token);
	rc = fl_sha256(token, strlen(token), NULL, 0, &digest, err);
	if (rc != FL_OK)
		return rc;
	fl_digest_format(&digest, text);
	struct fl_audit_entry entry = {now, "local", "token.add", name, ""};
	rc = fl_db_begin(db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_db_run(db, "INSERT INTO tokens (digest, name, created) VALUES ($1, $2, $3)",
		       FL_DB_PARAMS(fl_db_str(text), fl_db_str(name), fl_db_num(now)), err);
	if (rc == FL_OK)
		rc = fl_audit_add(db, &entry, err);
	return fl_db_end(db, rc, err);
}

enum fl_rc fl_auth_revoke(struct fl_db *db, const char *name, uint64_t now, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(name)};
	struct fl_db_query query = {"DELETE FROM tokens WHERE name = $1", params, 1, NULL, NULL};
	struct fl_audit_entry entry = {now, "local", "token.revoke", name, ""};
	uint64_t n = 0;
	enum fl_rc rc = fl_db_begin(db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_db_change(db, &query, &n, err);
	if (rc == FL_OK && n == 0)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no token '%s'", name);
	if (rc == FL_OK)
		rc = fl_audit_add(db, &entry, err);
	return fl_db_end(db, rc, err);
}

static enum fl_rc take_token(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	struct fl_auth *auth = ctx;
	if (auth->n == FL_AUTH_TOKENS_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d tokens", FL_AUTH_TOKENS_MAX);
	if (!fl_digest_parse(columns[0].text, &auth->digests[auth->n]))
		return fl_fail(err, FL_E_CORRUPT, 0, "a token's digest");
	snprintf(auth->names[auth->n], sizeof(auth->names[0]), "%s", columns[1].text);
	auth->n++;
	return FL_OK;
}

enum fl_rc fl_auth_load(struct fl_auth *auth, struct fl_db *db, struct fl_err *err)
{
	struct fl_auth new = {.read_ms = auth->read_ms};
	struct fl_db_query query = {
		.sql = "SELECT digest, name FROM tokens", .on_row = take_token, .ctx = &new};
	enum fl_rc rc = fl_db_each(db, &query, err);
	if (rc == FL_OK)
		*auth = new;
	return rc;
}

void fl_auth_refresh(struct fl_auth *auth, struct fl_db *db, uint64_t now_ms)
{
	struct fl_err err = {0};
	if (now_ms - auth->read_ms < FL_AUTH_READ_MS)
		return;
	auth->read_ms = now_ms;
	if (fl_auth_load(auth, db, &err) != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "read the tokens again");
}

/* Looks at every byte, whatever it finds. */
static bool same(const struct fl_digest *a, const struct fl_digest *b)
{
	unsigned different = 0;
	for (size_t i = 0; i < sizeof(a->b); i++)
		different |= (unsigned)a->b[i] ^ b->b[i];
	return different == 0;
}

enum fl_rc fl_auth_check(const struct fl_auth *auth, const char *header,
			 char actor[FL_AUTH_ACTOR_MAX], struct fl_err *err)
{
	static const char scheme[] = "Bearer ";
	struct fl_digest digest;
	bool named = strncasecmp(header, scheme, sizeof(scheme) - 1) == 0;
	const char *token = named ? header + sizeof(scheme) - 1 : "";
	enum fl_rc rc = fl_sha256(token, strlen(token), NULL, 0, &digest, err);
	if (rc != FL_OK)
		return rc;
	const char *found = NULL;
	for (size_t i = 0; i < auth->n; i++) {
		if (same(&digest, &auth->digests[i]))
			found = auth->names[i];
	}
	if (found == NULL || *token == '\0')
		return fl_fail(err, FL_E_AUTH, 0, "no valid token");
	snprintf(actor, FL_AUTH_ACTOR_MAX, "%s", found);
	return FL_OK;
}

bool fl_rate_take(struct fl_rate *rate, uint64_t now_ms)
{
	double left = rate->left + (double)(now_ms - rate->at_ms) * rate->per_s / 1000.0;
	rate->left = left > rate->burst ? rate->burst : left;
	rate->at_ms = now_ms;
	if (rate->left < 1.0)
		return false;
	rate->left -= 1.0;
	return true;
}
