/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/components.h"

#include <fairlead/trust/json.h>

#include <string.h>

#define U53 FL_U53_MAX

static const struct fl_field component_fields[] = {
	FL_REQ(struct fl_wire_component, name, NAME, FL_NAME_MAX, NULL, ""),
	FL_OPT(struct fl_wire_component, handler, NAME, FL_NAME_MAX, NULL, ""),
	FL_OPT(struct fl_wire_component, slot, NAME, FL_NAME_MAX, NULL, ""),
	FL_OPT(struct fl_wire_component, version, STR, 128, NULL, ""),
	FL_OPT(struct fl_wire_component, release_seq, U64, U53, NULL, ""),
	FL_OPT(struct fl_wire_component, security_version, U64, U53, NULL, ""),
	FL_OPT(struct fl_wire_component, release, DIGEST, 0, NULL, ""),
};
static const struct fl_schema component_schema =
	FL_SCHEMA("component", struct fl_wire_component, component_fields, "");
static const struct fl_field inventory_fields[] = {
	FL_REQ(struct fl_inventory, components, LIST, FL_WIRE_COMPONENTS_MAX, &component_schema, ""),
};
static const struct fl_schema inventory_schema =
	FL_SCHEMA("inventory", struct fl_inventory, inventory_fields, "");

enum fl_rc fl_inventory_write(const struct fl_inventory *inventory, struct fl_buf *out,
			      struct fl_err *err)
{
	return fl_json_encode(&inventory_schema, inventory, out, err);
}

enum fl_rc fl_inventory_read(const char *text, struct fl_arena *arena, struct fl_inventory *ret,
			     struct fl_err *err)
{
	if (text == NULL) {
		memset(ret, 0, sizeof(*ret));
		return FL_OK;
	}
	return fl_json_decode(&inventory_schema, text, strlen(text), FL_JSON_IGNORE_UNKNOWN, arena,
			      ret, err);
}

static struct fl_wire_component *find(struct fl_wire_component *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

static void put_over(struct fl_wire_component *c, const struct fl_report_component *now)
{
	if (now->slot != NULL)
		c->slot = now->slot;
	if (now->version != NULL)
		c->version = now->version;
	if (now->release_seq != 0)
		c->release_seq = now->release_seq;
	if (now->security_version != 0)
		c->security_version = now->security_version;
	if (!fl_digest_is_zero(&now->release))
		c->release = now->release;
}

enum fl_rc fl_inventory_merge(struct fl_inventory *inventory, const struct fl_report *report,
			      struct fl_arena *arena, struct fl_err *err)
{
	size_t n = inventory->components.n;
	struct fl_wire_component *list =
		fl_arena_alloc(arena, (n + report->components.n) * sizeof(*list), err);
	if (list == NULL)
		return err->rc;
	if (n > 0)
		memcpy(list, inventory->components.items, n * sizeof(*list));
	for (size_t i = 0; i < report->components.n; i++) {
		const struct fl_report_component *now = &report->components.items[i];
		struct fl_wire_component *c = find(list, n, now->name);
		if (c == NULL && n == FL_WIRE_COMPONENTS_MAX)
			continue;
		if (c == NULL) {
			c = &list[n++];
			c->name = now->name;
		}
		put_over(c, now);
	}
	inventory->components.items = list;
	inventory->components.n = n;
	return FL_OK;
}
