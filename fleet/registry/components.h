/* SPDX-License-Identifier: Apache-2.0 */
/* What runs on a device, as the text that the registry keeps: {"components":[…]}. */
#ifndef FLEET_REGISTRY_COMPONENTS_H
#define FLEET_REGISTRY_COMPONENTS_H

#include <fairlead/trust/documents.h>
#include <fairlead/wire/messages.h>

struct fl_inventory {
	FL_LIST(struct fl_wire_component) components;
};

/* Appends the text. */
enum fl_rc fl_inventory_write(const struct fl_inventory *inventory, struct fl_buf *out,
			      struct fl_err *err) FL_CHECKED;
/* *ret is owned by the arena; empty for NULL. */
enum fl_rc fl_inventory_read(const char *text, struct fl_arena *arena, struct fl_inventory *ret,
			     struct fl_err *err) FL_CHECKED;
/*
 * What a committed report says of its components, put over what was known; components that it doesn't name stay. The
 * result's memory is the arena's.
 */
enum fl_rc fl_inventory_merge(struct fl_inventory *inventory, const struct fl_report *report,
			      struct fl_arena *arena, struct fl_err *err) FL_CHECKED;

#endif
