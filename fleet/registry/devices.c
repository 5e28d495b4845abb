/* SPDX-License-Identifier: Apache-2.0 */
/* The list and what is known of each device. */
#include "registry/registry.h"

#include "audit/audit.h"
#include "registry/components.h"

#include <fairlead/trust/digest.h>

#include <string.h>

#define INVENTORY_MAX ((size_t)64 * 1024)
#define EVENTS_KEPT   200

#define DEVICE_COLUMNS                                                                             \
	"device_id, identity, revoked, enrolled, last_seen, job_seq, report_seq, product, class_id," \
	" hw_rev, agent_version, components, last_error"

static uint64_t now(const struct fl_registry *reg)
{
	int64_t s = fl_clock_wall_s(reg->clock);
	return s < 0 ? 0 : (uint64_t)s;
}

struct device_call {
	fl_device_fn *fn;
	void *ctx;
	size_t n;
};

static enum fl_rc take_device(void *ctx, const struct fl_db_value *c, struct fl_err *err)
{
	struct device_call *call = ctx;
	struct fl_device device = {
		.device_id = c[0].text,
		.identity = c[1].text,
		.revoked = c[2].number != 0,
		.enrolled = (uint64_t)c[3].number,
		.last_seen = (uint64_t)c[4].number,
		.job_seq = (uint64_t)c[5].number,
		.report_seq = (uint64_t)c[6].number,
		.product = c[7].text,
		.class_id = c[8].text,
		.has_hw_rev = c[9].type == FL_DB_INT,
		.hw_rev = (uint64_t)c[9].number,
		.agent_version = c[10].text,
		.components = c[11].text,
		.last_error = c[12].text,
	};
	call->n++;
	return call->fn(call->ctx, &device, err);
}

enum fl_rc fl_registry_get(struct fl_registry *reg, const char *device_id, fl_device_fn *fn, void *ctx,
			   struct fl_err *err)
{
	struct device_call call = {fn, ctx, 0};
	const struct fl_db_value params[] = {fl_db_str(device_id)};
	struct fl_db_query query = {"SELECT " DEVICE_COLUMNS " FROM devices WHERE device_id = $1", params,
				    1, take_device, &call};
	enum fl_rc rc = fl_db_each(reg->db, &query, err);
	if (rc == FL_OK && call.n == 0)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no device '%s'", device_id);
	return rc;
}

enum fl_rc fl_registry_each(struct fl_registry *reg, const char *after, uint64_t limit,
			    fl_device_fn *fn, void *ctx, struct fl_err *err)
{
	struct device_call call = {fn, ctx, 0};
	const struct fl_db_value params[] = {fl_db_str(after), fl_db_num(limit)};
	struct fl_db_query query = {"SELECT " DEVICE_COLUMNS " FROM devices WHERE device_id > $1"
				    " ORDER BY device_id LIMIT $2",
				    params, 2, take_device, &call};
	return fl_db_each(reg->db, &query, err);
}

enum fl_rc fl_registry_count(struct fl_registry *reg, uint64_t *ret, struct fl_err *err)
{
	struct fl_db_query query = {.sql = "SELECT count(*) FROM devices"};
	return fl_db_number(reg->db, &query, 0, ret, err);
}

static enum fl_rc upsert(struct fl_registry *reg, const char *device_id, const char *identity,
			 bool *created, struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(device_id), fl_db_str(identity),
					     fl_db_num(now(reg))};
	uint64_t had = 0, changes;
	struct fl_db_query count = {"SELECT count(*) FROM devices WHERE device_id = $1", params, 1, NULL,
				    NULL};
	struct fl_db_query put = {
		"INSERT INTO devices (device_id, identity, revoked, created, job_seq, report_seq)"
		" VALUES ($1, $2, 0, $3, 0, 0)"
		" ON CONFLICT (device_id) DO UPDATE SET identity = excluded.identity, revoked = 0",
		params, 3, NULL, NULL};
	enum fl_rc rc = fl_db_number(reg->db, &count, 0, &had, err);
	if (rc == FL_OK)
		rc = fl_db_change(reg->db, &put, &changes, err);
	*created = had == 0;
	return rc;
}

static void tell(struct fl_registry *reg, const char *device_id)
{
	fl_bus_publish(reg->bus, &(struct fl_bus_event){FL_BUS_DEVICE_CHANGED, device_id, NULL});
}

enum fl_rc fl_registry_authorize(struct fl_registry *reg, const char *actor, const char *device_id,
				 const struct fl_digest *identity, bool *created, struct fl_err *err)
{
	char text[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(identity, text);
	struct fl_audit_entry entry = {now(reg), actor, "device.authorize", device_id, text};
	bool made = false;
	enum fl_rc rc = fl_db_begin(reg->db, err);
	if (rc != FL_OK)
		return rc;
	rc = upsert(reg, device_id, text, &made, err);
	if (rc == FL_OK)
		rc = fl_audit_add(reg->db, &entry, err);
	rc = fl_db_end(reg->db, rc, err);
	if (rc == FL_OK) {
		*created = made;
		tell(reg, device_id);
	}
	return rc;
}

enum fl_rc fl_registry_revoke(struct fl_registry *reg, const char *actor, const char *device_id,
			      struct fl_err *err)
{
	const struct fl_db_value params[] = {fl_db_str(device_id)};
	struct fl_db_query revoke = {"UPDATE devices SET revoked = 1 WHERE device_id = $1", params, 1,
				     NULL, NULL};
	struct fl_audit_entry entry = {now(reg), actor, "device.revoke", device_id, ""};
	uint64_t changes = 0;
	enum fl_rc rc = fl_db_begin(reg->db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_db_change(reg->db, &revoke, &changes, err);
	if (rc == FL_OK && changes == 0)
		rc = fl_fail(err, FL_E_NOT_FOUND, 0, "no device '%s'", device_id);
	if (rc == FL_OK)
		rc = fl_audit_add(reg->db, &entry, err);
	if (rc == FL_OK)
		rc = fl_registry_event(reg, device_id, "revoked", NULL, NULL, err);
	rc = fl_db_end(reg->db, rc, err);
	if (rc == FL_OK)
		tell(reg, device_id);
	return rc;
}

enum fl_rc fl_registry_check(struct fl_registry *reg, const char *device_id,
			     const struct fl_digest *identity, struct fl_err *err)
{
	char text[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(identity, text);
	const struct fl_db_value params[] = {fl_db_str(device_id), fl_db_str(text)};
	struct fl_db_query query = {
		"SELECT count(*) FROM devices WHERE device_id = $1 AND identity = $2 AND revoked = 0",
		params, 2, NULL, NULL};
	uint64_t n = 0;
	enum fl_rc rc = fl_db_number(reg->db, &query, 0, &n, err);
	if (rc == FL_OK && n != 1)
		rc = fl_fail(err, FL_E_AUTH, 0, "'%s' with this key is not listed", device_id);
	return rc;
}

/* The components stay as they are when the device says that nothing is new. */
static enum fl_rc inventory_of(const struct fl_wire_hello *hello, struct fl_buf *out,
			       struct fl_err *err)
{
	if (hello->components.n == 0)
		return FL_OK;
	struct fl_inventory inventory = {
		.components = {hello->components.items, hello->components.n}};
	return fl_inventory_write(&inventory, out, err);
}

enum fl_rc fl_registry_hello(struct fl_registry *reg, const struct fl_wire_hello *hello,
			     struct fl_err *err)
{
	struct fl_buf text = FL_BUF(INVENTORY_MAX);
	enum fl_rc rc = inventory_of(hello, &text, err);
	if (rc == FL_OK)
		rc = fl_db_batch(reg->db, err);
	if (rc == FL_OK)
		rc = fl_db_run(
			reg->db,
			"UPDATE devices SET product = $1, class_id = $2, hw_rev = $3, agent_version = $4,"
			" root_version = $5, last_seen = $6, components = coalesce($7, components)"
			" WHERE device_id = $8",
			FL_DB_PARAMS(fl_db_str(hello->product), fl_db_str(hello->class_id),
				     fl_db_num(hello->hw_rev), fl_db_str(hello->agent_version),
				     fl_db_num(hello->root_version), fl_db_num(now(reg)),
				     fl_db_str(text.len == 0 ? NULL : fl_buf_str(&text)),
				     fl_db_str(hello->device_id)),
			err);
	if (rc == FL_OK)
		rc = fl_registry_event(reg, hello->device_id, "connected", NULL, NULL, err);
	fl_buf_free(&text);
	return rc;
}

enum fl_rc fl_registry_seen(struct fl_registry *reg, const char *device_id, struct fl_err *err)
{
	return fl_db_run(reg->db, "UPDATE devices SET last_seen = $1 WHERE device_id = $2",
			 FL_DB_PARAMS(fl_db_num(now(reg)), fl_db_str(device_id)), err);
}

enum fl_rc fl_registry_event(struct fl_registry *reg, const char *device_id, const char *kind,
			     const char *code, const char *text, struct fl_err *err)
{
	enum fl_rc rc = fl_db_run(
		reg->db,
		"INSERT INTO events (device_id, utc, kind, code, text) VALUES ($1, $2, $3, $4, $5)",
		FL_DB_PARAMS(fl_db_str(device_id), fl_db_num(now(reg)), fl_db_str(kind),
			     fl_db_str(code), fl_db_str(text)),
		err);
	if (rc != FL_OK)
		return rc;
	return fl_db_run(reg->db,
			 "DELETE FROM events WHERE device_id = $1 AND id <= (SELECT id FROM events"
			 " WHERE device_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
			 FL_DB_PARAMS(fl_db_str(device_id), fl_db_num(EVENTS_KEPT)), err);
}
