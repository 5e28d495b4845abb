/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent's own verification stands on: the root chain it keeps in the store's folder (each step verified again
 * when loaded), and facts that the helper told. The helper verifies everything once more; this is the first line.
 */
#ifndef FAIRLEAD_DAEMON_TRUST_STATE_H
#define FAIRLEAD_DAEMON_TRUST_STATE_H

#include "config.h"

#include <fairlead/ipc/frames.h>
#include <fairlead/trust/verify.h>

struct fl_trust {
	const struct fl_config *config;
	struct fl_device_facts device;
	struct fl_arena root_arena;
	struct fl_root root;
	struct fl_arena facts_arena;
	struct fl_trust_state state;
};

/* Loads the factory's root and the chain kept after it. identity: SHA-256 of the device key's SPKI. */
enum fl_rc fl_trust_open(struct fl_trust *trust, const struct fl_config *config,
			 const struct fl_digest *identity, struct fl_err *err) FL_CHECKED;
void fl_trust_done(struct fl_trust *trust);

/* Takes the next root if it verifies, and keeps it. FL_E_ROOT_VERSION for another one. */
enum fl_rc fl_trust_take_root(struct fl_trust *trust, const char *envelope_text,
			      struct fl_err *err) FL_CHECKED;
/* The envelope text of a kept version > 1; FL_E_NOT_FOUND. */
enum fl_rc fl_trust_root_text(const struct fl_trust *trust, uint64_t version, struct fl_buf *ret,
			      struct fl_err *err) FL_CHECKED;
/* Renews the part that comes from the helper. */
enum fl_rc fl_trust_take_facts(struct fl_trust *trust, const struct fl_ipc_hello_reply *facts,
			       struct fl_err *err) FL_CHECKED;

#endif
