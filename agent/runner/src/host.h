/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin may ask of the runner (struct fl_host), and the cancel that comes from outside. */
#ifndef FL_RUNNER_HOST_H
#define FL_RUNNER_HOST_H

#include "control.h"

#include <fairlead/handler.h>

#define RESOURCES_MAX FL_FRAME_FDS_MAX

struct host {
	struct fl_host face; /* what the plugin sees; ctx is this struct */
	struct control *control;
	const char *names[RESOURCES_MAX]; /* borrowed */
	int fds[RESOURCES_MAX];
	size_t n_resources;
	uint64_t checkpoint; /* of a sequential target */
};

void host_init(struct host *host, struct control *control);
/* The needs of hello for that call: FL_E_CONFIG with the name of a resource that was not granted.
 */
enum fl_rc host_check_needs(const struct host *host, const struct fl_hello *hello,
			    enum fl_call call, struct fl_err *err) FL_CHECKED;
int host_resource(const struct host *host, const char *name);

/* SIGTERM is the cancel; a broken pipe and a file past its limit shall be errors. */
void cancel_init(void);
/* Is the activity no longer wanted: SIGTERM came and isn't held back, or the helper is gone? */
bool cancelled(const struct control *control);

#endif
