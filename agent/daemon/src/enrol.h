/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enrolment (docs/protocol.md, section 3): a request signed by the device key, until the fleet sends a certificate; the same
 * again when that has less than a third of its life left, or has expired. It needs no certificate, so a device that was away
 * for longer than its own was good comes back.
 *
 *   (no certificate) asking ──▶ kept ── once an hour: due? ──▶ asking (a failure waits for the next hour)
 */
#ifndef FAIRLEAD_DAEMON_ENROL_H
#define FAIRLEAD_DAEMON_ENROL_H

#include "http.h"

#include <fairlead/base/buf.h>

struct fl_agent;

struct fl_enrol {
	struct fl_agent *agent;
	void (*done)(struct fl_agent *agent);
	struct fl_http_request http;
	struct fl_buf body, answer;
	uv_timer_t retry;
	unsigned tries;
	bool renewing;
};

/* Calls done once, when the first certificate is kept; tries until then. Not where there is one at the start. */
void fl_enrol_start(struct fl_enrol *enrol, struct fl_agent *agent, void (*done)(struct fl_agent *));
void fl_enrol_done(struct fl_enrol *enrol);

#endif
