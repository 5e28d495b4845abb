/* SPDX-License-Identifier: Apache-2.0 */
/* Who this device is: its key, made at the first start, and the fleet's certificate for it. */
#ifndef FAIRLEAD_DAEMON_IDENTITY_H
#define FAIRLEAD_DAEMON_IDENTITY_H

#include "config.h"

#include <fairlead/trust/key.h>

struct fl_identity {
	struct fl_key *key; /* owned */
	bool enrolled;	    /* a certificate for this key stands in its file */
	int64_t not_before, not_after; /* of that certificate */
};

/* Loads or makes the key, writes the public key's file, looks for the certificate. */
enum fl_rc fl_identity_open(const struct fl_config *config, struct fl_identity *ret,
			    struct fl_err *err) FL_CHECKED;
/* Keeps a certificate the fleet sent, if it is for our key and name. FL_E_ENROL_REFUSED otherwise. */
enum fl_rc fl_identity_take_certificate(struct fl_identity *id, const struct fl_config *config,
					const char *pem, struct fl_err *err) FL_CHECKED;
/* Less than a third of the certificate's life is left, or nothing. */
bool fl_identity_is_due(const struct fl_identity *id, uint64_t now_s);
void fl_identity_done(struct fl_identity *id);

#endif
