/* SPDX-License-Identifier: Apache-2.0 */
/* `fairleadctl install FILE`: an offline bundle becomes a job like any other. */
#ifndef FAIRLEAD_DAEMON_INSTALL_H
#define FAIRLEAD_DAEMON_INSTALL_H

#include <fairlead/base/buf.h>

struct fl_agent;

struct fl_install_request {
	int fd;		  /* of the file, opened by who asks; taken */
	const char *path; /* where it was, to find it again; NULL or "": nobody will */
};

/*
 * Takes the root documents that are news, and the job, and answers with its id and state. An open job of the same
 * bundle goes on with this file. Refused: what the job's own verification refuses, told here and to the fleet.
 */
enum fl_rc fl_install(struct fl_agent *agent, struct fl_install_request *request, struct fl_buf *out,
		      struct fl_err *err) FL_CHECKED;

#endif
