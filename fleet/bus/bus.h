/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus seam: who changed something tells whoever shows or sends it. Told only after the change is durable; a missed event
 * costs nothing but time, for every listener can read the truth from the database. Behind it: this process alone.
 */
#ifndef FLEET_BUS_BUS_H
#define FLEET_BUS_BUS_H

#include <fairlead/base/err.h>

enum fl_bus_kind {
	FL_BUS_JOB_NEW,	       /* device_id: there is a job to send */
	FL_BUS_JOB_CHANGED,    /* job_id: state or progress */
	FL_BUS_DEVICE_CHANGED, /* device_id: authorised anew or revoked: check its connection */
	FL_BUS_ROOT_NEW,
};

struct fl_bus_event {
	enum fl_bus_kind kind;
	const char *device_id; /* borrowed for the call; NULL where it has no meaning */
	const char *job_id;
};

/* Embedded in the listener, which keeps it until it unsubscribes. */
struct fl_bus_listener {
	void (*on_event)(void *ctx, const struct fl_bus_event *event);
	void *ctx;
	struct fl_bus_listener *next, *prev;
};

struct fl_bus_ops {
	void (*publish)(void *self, const struct fl_bus_event *event);
	void (*subscribe)(void *self, struct fl_bus_listener *listener);
	void (*unsubscribe)(void *self, struct fl_bus_listener *listener);
	void (*close)(void *self);
};

struct fl_bus {
	const struct fl_bus_ops *ops;
	void *self;
};

enum fl_rc fl_bus_open_local(struct fl_bus *ret, struct fl_err *err) FL_CHECKED;

static inline void fl_bus_publish(const struct fl_bus *bus, const struct fl_bus_event *event)
{
	bus->ops->publish(bus->self, event);
}

#endif
