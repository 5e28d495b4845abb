/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a component's artifacts is taken? Pure. */
#ifndef FAIRLEAD_DAEMON_CHOICE_H
#define FAIRLEAD_DAEMON_CHOICE_H

#include <fairlead/trust/documents.h>

/* What this gateway can offer to an artifact. */
struct fl_choice {
	bool source;	      /* what runs can be read, */
	uint64_t release_seq; /* and is of this release; 0: not known */
	uint64_t spool_bytes; /* for one that is fetched whole */
};

/* The one of that id if it can be used, else the smallest that can; NULL: none. id: may be NULL. */
const struct fl_artifact *fl_choice_make(const struct fl_choice *choice, const struct fl_component *component,
					 const char *id);
/* The one that needs nothing of the gateway; NULL: the release has none. */
const struct fl_artifact *fl_choice_full(const struct fl_component *component);
/* Is it taken only because one that costs less can't be? id: what the job asks for, may be NULL. */
bool fl_choice_is_fallback(const struct fl_component *component, const struct fl_artifact *artifact,
			   const char *id);

#endif
