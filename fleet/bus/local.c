/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of listeners. One may leave from within its own call. */
#include "bus/bus.h"

#include <stdlib.h>

struct local {
	struct fl_bus_listener ring; /* only its links are used */
};

static void publish(void *self, const struct fl_bus_event *event)
{
	struct local *bus = self;
	struct fl_bus_listener *next;
	for (struct fl_bus_listener *l = bus->ring.next; l != &bus->ring; l = next) {
		next = l->next;
		l->on_event(l->ctx, event);
	}
}

static void subscribe(void *self, struct fl_bus_listener *listener)
{
	struct local *bus = self;
	listener->prev = bus->ring.prev;
	listener->next = &bus->ring;
	bus->ring.prev->next = listener;
	bus->ring.prev = listener;
}

static void unsubscribe(void *self, struct fl_bus_listener *listener)
{
	(void)self;
	if (listener->next == NULL)
		return;
	listener->next->prev = listener->prev;
	listener->prev->next = listener->next;
	listener->next = listener->prev = NULL;
}

static void close_local(void *self)
{
	free(self);
}

static const struct fl_bus_ops local_ops = {publish, subscribe, unsubscribe, close_local};

enum fl_rc fl_bus_open_local(struct fl_bus *ret, struct fl_err *err)
{
	struct local *bus = calloc(1, sizeof(*bus));
	if (bus == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "bus");
	bus->ring.next = bus->ring.prev = &bus->ring;
	*ret = (struct fl_bus){&local_ops, bus};
	return FL_OK;
}
