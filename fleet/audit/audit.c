/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>

#include <stdio.h>
#include <string.h>

#define ENTRY_MAX ((size_t)64 * 1024)

static const char first_prev[] =
	"sha256:0000000000000000000000000000000000000000000000000000000000000000";

static enum fl_rc entry_text(uint64_t seq, const struct fl_audit_entry *e, struct fl_buf *out,
			     struct fl_err *err)
{
	const char *const strings[] = {e->actor, e->action, e->object, e->detail};
	enum fl_rc rc = fl_buf_appendf(out, err, "[%llu,%llu", (unsigned long long)seq,
				       (unsigned long long)e->utc);
	for (size_t i = 0; i < 4 && rc == FL_OK; i++) {
		rc = fl_buf_append_str(out, ",", err);
		if (rc == FL_OK)
			rc = fl_json_append_string(out, strings[i], err);
	}
	return rc == FL_OK ? fl_buf_append_str(out, "]", err) : rc;
}

static enum fl_rc chain(const char *prev, uint64_t seq, const struct fl_audit_entry *entry,
			char hash[FL_DIGEST_TEXT_SIZE], struct fl_err *err)
{
	struct fl_buf text = FL_BUF(ENTRY_MAX);
	struct fl_digest digest;
	enum fl_rc rc = entry_text(seq, entry, &text, err);
	if (rc == FL_OK)
		rc = fl_sha256(prev, strlen(prev), text.data, text.len, &digest, err);
	if (rc == FL_OK)
		fl_digest_format(&digest, hash);
	fl_buf_free(&text);
	return rc;
}

struct last {
	uint64_t seq;
	char hash[FL_DIGEST_TEXT_SIZE];
};

static enum fl_rc take_last(void *ctx, const struct fl_db_value *columns, struct fl_err *err)
{
	(void)err;
	struct last *last = ctx;
	last->seq = (uint64_t)columns[0].number;
	snprintf(last->hash, sizeof(last->hash), "%s", columns[1].text);
	return FL_OK;
}

enum fl_rc fl_audit_add(struct fl_db *db, const struct fl_audit_entry *entry, struct fl_err *err)
{
	FL_BUG_ON(db->tx == FL_DB_IDLE);
	struct last last = {0};
	memcpy(last.hash, first_prev, sizeof(first_prev));
	struct fl_db_query newest = {
		.sql = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1",
		.on_row = take_last, .ctx = &last};
	char hash[FL_DIGEST_TEXT_SIZE];
	enum fl_rc rc = fl_db_each(db, &newest, err);
	if (rc == FL_OK)
		rc = chain(last.hash, last.seq + 1, entry, hash, err);
	if (rc != FL_OK)
		return rc;
	return fl_db_run(db,
			 "INSERT INTO audit (seq, utc, actor, action, object, detail, prev, hash)"
			 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			 FL_DB_PARAMS(fl_db_num(last.seq + 1), fl_db_num(entry->utc),
				      fl_db_str(entry->actor), fl_db_str(entry->action),
				      fl_db_str(entry->object), fl_db_str(entry->detail),
				      fl_db_str(last.hash), fl_db_str(hash)),
			 err);
}

struct walk {
	struct last last;
	struct fl_buf *out;
};

static enum fl_rc check_row(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct walk *walk = ctx;
	struct fl_audit_entry e = {(uint64_t)c[1].number, c[2].text, c[3].text, c[4].text, c[5].text};
	uint64_t seq = (uint64_t)c[0].number;
	char hash[FL_DIGEST_TEXT_SIZE];
	enum fl_rc rc = chain(walk->last.hash, walk->last.seq + 1, &e, hash, err);
	if (rc != FL_OK)
		return rc;
	if (seq != walk->last.seq + 1 || strcmp(c[6].text, walk->last.hash) != 0 ||
	    strcmp(c[7].text, hash) != 0)
		return fl_fail(err, FL_E_CORRUPT, 0, "the chain is broken at entry %llu",
			       (unsigned long long)(walk->last.seq + 1));
	walk->last.seq = seq;
	memcpy(walk->last.hash, hash, sizeof(hash));
	if (walk->out == NULL)
		return FL_OK;
	rc = entry_text(seq, &e, walk->out, err);
	return rc == FL_OK ? fl_buf_append_str(walk->out, "\n", err) : rc;
}

enum fl_rc fl_audit_verify(struct fl_db *db, struct fl_buf *out, uint64_t *n, struct fl_err *err)
{
	struct walk walk = {.out = out};
	memcpy(walk.last.hash, first_prev, sizeof(first_prev));
	struct fl_db_query all = {
		.sql = "SELECT seq, utc, actor, action, object, detail, prev, hash FROM audit ORDER BY seq",
		.on_row = check_row, .ctx = &walk};
	enum fl_rc rc = fl_db_each(db, &all, err);
	if (rc == FL_OK)
		*n = walk.last.seq;
	return rc;
}
