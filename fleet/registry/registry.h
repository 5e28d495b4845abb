/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices: who may enrol, who may connect, what they said of themselves, and what happened to them. A device is its
 * name together with the digest of its key's SPKI; a certificate alone proves nothing that the list doesn't confirm.
 */
#ifndef FLEET_REGISTRY_REGISTRY_H
#define FLEET_REGISTRY_REGISTRY_H

#include "auth/auth.h"
#include "bus/bus.h"
#include "db/db.h"

#include <fairlead/base/buf.h>
#include <fairlead/trust/key.h>
#include <fairlead/wire/messages.h>

struct fl_registry {
	struct fl_db *db;		/* kept */
	const struct fl_bus *bus;	/* kept */
	const struct fl_clock *clock;	/* kept */
	const struct fl_key *device_ca; /* kept */
	const struct fl_buf *device_ca_pem;
	uint64_t certificate_s; /* life of a device's certificate */
};

/* One device as it stands in the list; texts are borrowed for the call that gives it. */
struct fl_device {
	const char *device_id;
	const char *identity;
	bool revoked;
	uint64_t enrolled, last_seen; /* 0: never */
	uint64_t job_seq, report_seq;
	const char *product, *class_id;
	bool has_hw_rev;
	uint64_t hw_rev;
	const char *agent_version;
	const char *components; /* text of fl_inventory_write, or NULL */
	const char *last_error;
};

typedef enum fl_rc fl_device_fn(void *ctx, const struct fl_device *device, struct fl_err *err);

/* Puts (device, identity) on the list. *created: it was not there. Ends a connection of another identity. */
enum fl_rc fl_registry_authorize(struct fl_registry *reg, const char *actor, const char *device_id,
				 const struct fl_digest *identity, bool *created,
				 struct fl_err *err) FL_CHECKED;
/* Its certificate is accepted no longer. FL_E_NOT_FOUND. */
enum fl_rc fl_registry_revoke(struct fl_registry *reg, const char *actor, const char *device_id,
			      struct fl_err *err) FL_CHECKED;
/* Issues a certificate for a PKCS#10 request, PEM appended to out. FL_E_ENROL_REFUSED, without saying why. */
enum fl_rc fl_registry_enrol(struct fl_registry *reg, const char *device_id, const char *request,
			     struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* Is this pair listed and not revoked? FL_E_AUTH. */
enum fl_rc fl_registry_check(struct fl_registry *reg, const char *device_id,
			     const struct fl_digest *identity, struct fl_err *err) FL_CHECKED;
/* Keeps what a device says of itself. */
enum fl_rc fl_registry_hello(struct fl_registry *reg, const struct fl_wire_hello *hello,
			     struct fl_err *err) FL_CHECKED;
enum fl_rc fl_registry_seen(struct fl_registry *reg, const char *device_id, struct fl_err *err)
	FL_CHECKED;

/* In whatever transaction is open; the newest 200 per device stay. code, text may be NULL. */
enum fl_rc fl_registry_event(struct fl_registry *reg, const char *device_id, const char *kind,
			     const char *code, const char *text, struct fl_err *err) FL_CHECKED;

/* One device to fn, or FL_E_NOT_FOUND. */
enum fl_rc fl_registry_get(struct fl_registry *reg, const char *device_id, fl_device_fn *fn, void *ctx,
			   struct fl_err *err) FL_CHECKED;
/* Those after `after` ("" for the first), by name, at most `limit`. */
enum fl_rc fl_registry_each(struct fl_registry *reg, const char *after, uint64_t limit,
			    fl_device_fn *fn, void *ctx, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_registry_count(struct fl_registry *reg, uint64_t *ret, struct fl_err *err) FL_CHECKED;

#endif
