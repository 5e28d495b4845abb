/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment: a request signed by its own key, whose (name, key) stands on the list, becomes a certificate. */
#include "registry/registry.h"

#include "audit/audit.h"

#include <fairlead/base/log.h>
#include <fairlead/trust/digest.h>
#include <fairlead/trust/pki.h>

#include <string.h>

#define DAY_S	      INT64_C(86400)
#define CLOCK_SLACK_S (2 * DAY_S) /* a gateway's clock may be behind */

/* The same answer for every cause: a guesser learns nothing about names. */
static enum fl_rc refused(struct fl_err *err)
{
	return fl_fail(err, FL_E_ENROL_REFUSED, 0, "the fleet does not expect this device");
}

static enum fl_rc check_request(struct fl_registry *reg, const char *device_id, const char *request,
				struct fl_pubkey *key, struct fl_err *err)
{
	char name[FL_NAME_MAX + 1];
	enum fl_rc rc = fl_pki_read_request(request, strlen(request), name, key, err);
	if (rc == FL_OK && strcmp(name, device_id) != 0)
		rc = fl_fail(err, FL_E_ENROL_REFUSED, 0, "the request is for '%s'", name);
	return rc == FL_OK ? fl_registry_check(reg, device_id, &key->keyid, err) : rc;
}

static enum fl_rc note(struct fl_registry *reg, const char *device_id, const struct fl_pubkey *key,
		       struct fl_err *err)
{
	char text[FL_DIGEST_TEXT_SIZE];
	fl_digest_format(&key->keyid, text);
	uint64_t now = (uint64_t)fl_clock_wall_s(reg->clock);
	struct fl_audit_entry entry = {now, "system", "device.enrol", device_id, text};
	enum fl_rc rc = fl_db_begin(reg->db, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_db_run(reg->db, "UPDATE devices SET enrolled = $1 WHERE device_id = $2",
		       FL_DB_PARAMS(fl_db_num(now), fl_db_str(device_id)), err);
	if (rc == FL_OK)
		rc = fl_audit_add(reg->db, &entry, err);
	if (rc == FL_OK)
		rc = fl_registry_event(reg, device_id, "enrolled", NULL, NULL, err);
	return fl_db_end(reg->db, rc, err);
}

enum fl_rc fl_registry_enrol(struct fl_registry *reg, const char *device_id, const char *request,
			     struct fl_buf *out, struct fl_err *err)
{
	struct fl_pubkey key;
	enum fl_rc rc = check_request(reg, device_id, request, &key, err);
	if (rc != FL_OK) {
		fl_log_err(FL_LOG_NOTICE, err, "enrolment of '%s' refused", device_id);
		return refused(err);
	}
	int64_t now = fl_clock_wall_s(reg->clock);
	rc = fl_pki_issue(reg->device_ca, reg->device_ca_pem->data, reg->device_ca_pem->len, &key,
			  device_id, FL_CERT_CLIENT, NULL, now - CLOCK_SLACK_S,
			  now + (int64_t)reg->certificate_s, out, err);
	return rc == FL_OK ? note(reg, device_id, &key, err) : rc;
}
