/* SPDX-License-Identifier: Apache-2.0 */
#include "db.h"
#include "sum.h"

#include <string.h>

struct number {
	const char *name;
	uint64_t value;
	uint64_t id; /* of the intact row; 0: none */
};

static uint64_t row_sum(const char *name, uint64_t value)
{
	uint64_t sum = store_sum_bytes(store_sum("number"), name, strlen(name));
	return store_sum_u64(sum, value);
}

/* The first row of the name whose checksum holds. */
static enum fl_rc find(struct fl_store *store, struct number *n, struct fl_err *err)
{
	bool row = false;
	STORE_QUERY(q, store, STORE_NUMBER_GET);
	store_bind_bytes(&q, n->name, strlen(n->name));
	n->id = 0;
	for (;;) {
		uint64_t value = 0;
		uint64_t sum = 0;
		enum fl_rc rc = store_step(&q, &row, err);
		if (rc != FL_OK || !row)
			return rc;
		if (store_column_u64(&q, 1, &value) && store_column_u64(&q, 2, &sum) &&
		    sum == row_sum(n->name, value)) {
			n->value = value;
			(void)store_column_u64(&q, 0, &n->id);
			return FL_OK;
		}
	}
}

enum fl_rc fl_store_number_get(struct fl_store *store, const char *name, uint64_t *ret,
			       struct fl_err *err)
{
	struct number n = {name, 0, 0};
	enum fl_rc rc = find(store, &n, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "read '%s'", name);
	*ret = n.value;
	return FL_OK;
}

static enum fl_rc update(struct fl_store *store, const struct number *n, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_NUMBER_UPDATE);
	store_bind_u64(&q, n->value);
	store_bind_u64(&q, row_sum(n->name, n->value));
	store_bind_u64(&q, n->id);
	return store_run(&q, err);
}

static enum fl_rc drop(struct fl_store *store, const char *name, struct fl_err *err)
{
	STORE_QUERY(q, store, STORE_NUMBER_DELETE);
	store_bind_bytes(&q, name, strlen(name));
	return store_run(&q, err);
}

/* In place of whatever damaged rows the name has. */
static enum fl_rc add(struct fl_store *store, const struct number *n, struct fl_err *err)
{
	bool row = false;
	uint64_t count = 0;
	enum fl_rc rc = drop(store, n->name, err);
	STORE_QUERY(counter, store, STORE_NUMBER_COUNT);
	if (rc == FL_OK)
		rc = store_step(&counter, &row, err);
	if (rc != FL_OK)
		return rc;
	if (store_column_u64(&counter, 0, &count) && count >= FL_STORE_NUMBERS_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d numbers",
			       FL_STORE_NUMBERS_MAX);
	STORE_QUERY(q, store, STORE_NUMBER_ADD);
	store_bind_bytes(&q, n->name, strlen(n->name));
	store_bind_u64(&q, n->value);
	store_bind_u64(&q, row_sum(n->name, n->value));
	return store_run(&q, err);
}

static enum fl_rc set(struct fl_store *store, void *arg, struct fl_err *err)
{
	const struct number *n = arg;
	struct number old = {n->name, 0, 0};
	enum fl_rc rc = find(store, &old, err);
	if (rc != FL_OK || (old.id != 0 && old.value == n->value))
		return rc;
	if (n->value == 0)
		return drop(store, n->name, err);
	struct number new = {n->name, n->value, old.id};
	return old.id == 0 ? add(store, &new, err) : update(store, &new, err);
}

enum fl_rc fl_store_number_set(struct fl_store *store, const char *name, uint64_t value,
			       struct fl_err *err)
{
	struct number n = {name, value, 0};
	FL_BUG_ON(strnlen(name, FL_NAME_MAX + 1) > FL_NAME_MAX);
	enum fl_rc rc = store_change(store, set, &n, err);
	return rc == FL_OK ? rc : fl_wrap(err, rc, "save '%s'", name);
}
