/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment (docs/protocol.md, section 3): a request signed by the device key, until the fleet sends a certificate. */
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
};

/* Calls done once, when a certificate is kept; tries until then. */
void fl_enrol_start(struct fl_enrol *enrol, struct fl_agent *agent, void (*done)(struct fl_agent *));
void fl_enrol_done(struct fl_enrol *enrol);

#endif
