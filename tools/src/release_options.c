/* SPDX-License-Identifier: Apache-2.0 */
/* release create: what the options say, refused before an image is read where no device would take
 * it. */
#include "release_draft.h"

#include "output.h"
#include "query.h"

#include <fairlead/artifact/frames.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S UINT64_C(86400)
/* A system of 900 MiB: level 3 packs it to 204.8 MiB in 11 s, 6 to 193.7 in 12, 9 to 191.8 in 24.
 */
#define LEVEL_DEFAULT 6

/* Every value of an option as a list in the arena. */
static enum fl_rc values_of(struct fl_tools_draft *d, const char *option, struct fl_any_list *ret,
			    struct fl_err *err)
{
	struct fl_any_list list = {NULL, 0};
	while (fl_tools_value(d->call, option, list.n) != NULL)
		list.n++;
	const char **items = fl_arena_alloc(&d->arena, (list.n + 1) * sizeof(*items), err);
	if (items == NULL)
		return err->rc;
	for (size_t i = 0; i < list.n; i++)
		items[i] = fl_tools_value(d->call, option, i);
	list.items = items;
	*ret = list;
	return FL_OK;
}

/* words: NULL ends them. */
static enum fl_rc check_word(const char *option, const char *value, const char *const *words,
			     struct fl_err *err)
{
	for (; *words != NULL; words++) {
		if (strcmp(value, *words) == 0)
			return FL_OK;
	}
	return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--%s: unknown word '%s'", option, value);
}

static enum fl_rc fill_head(struct fl_tools_draft *d, struct fl_err *err)
{
	static const char *const kinds[] = {"security", "functional", "mixed", NULL};
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t days = 730;
	d->doc.created = fl_words_now();
	enum fl_rc rc = FL_OK;
	if (epoch != NULL)
		rc = fl_tools_parse_u64(epoch, "SOURCE_DATE_EPOCH", 1, FL_U53_MAX / 2,
					&d->doc.created, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "expires-days", 1, 36500, &days, err);
	d->doc.type = "release";
	d->doc.spec = 1;
	d->doc.product = fl_tools_opt(d->call, "product", NULL);
	d->doc.version = fl_tools_opt(d->call, "version", NULL);
	d->doc.kind = fl_tools_opt(d->call, "kind", "functional");
	d->doc.notes_url = fl_tools_opt(d->call, "notes-url", NULL);
	d->doc.expires = d->doc.created + days * DAY_S;
	if (rc == FL_OK)
		rc = fl_tools_need_name(d->doc.product, "--product", err);
	return rc == FL_OK ? check_word("kind", d->doc.kind, kinds, err) : rc;
}

/* "1-3", or "2" for 2-2. */
static enum fl_rc fill_compat(struct fl_tools_draft *d, struct fl_err *err)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%s", fl_tools_opt(d->call, "hw-rev", ""));
	char *dash = strchr(text, '-');
	if (dash != NULL)
		*dash = '\0';
	struct fl_any_list classes = {NULL, 0};
	enum fl_rc rc = fl_tools_parse_u64(text, "--hw-rev: the lowest", 0, FL_U53_MAX,
					   &d->compat.hw_rev_min, err);
	if (rc == FL_OK)
		rc = fl_tools_parse_u64(dash == NULL ? text : dash + 1, "--hw-rev: the highest",
					d->compat.hw_rev_min, FL_U53_MAX, &d->compat.hw_rev_max,
					err);
	if (rc == FL_OK)
		rc = values_of(d, "class", &classes, err);
	for (size_t i = 0; rc == FL_OK && i < classes.n; i++)
		rc = fl_tools_need_uuid(fl_tools_value(d->call, "class", i), "--class", err);
	if (rc != FL_OK)
		return rc;
	d->compat.class_ids.items = classes.items;
	d->compat.class_ids.n = classes.n;
	d->doc.compat = &d->compat;
	return FL_OK;
}

static enum fl_rc fill_health(struct fl_tools_draft *d, struct fl_err *err)
{
	static const char *const rules[] = {"fleet", "fleet-or-gateway", "local", NULL};
	const char *reach = fl_tools_opt(d->call, "reach", "fleet");
	char *text = fl_arena_copy(&d->arena, reach, strlen(reach), err);
	const char **items = fl_arena_alloc(&d->arena, (strlen(reach) + 1) * sizeof(*items), err);
	if (text == NULL || items == NULL)
		return err->rc;
	size_t n = 0;
	enum fl_rc rc = FL_OK;
	for (char *next = text; rc == FL_OK && next != NULL; n++) {
		items[n] = strsep(&next, ",");
		rc = check_word("reach", items[n], rules, err);
	}
	if (rc != FL_OK)
		return rc;
	d->health.reach.items = items;
	d->health.reach.n = n;
	d->health.deadline_s = 600;
	d->set.health = &d->health;
	d->doc.set = &d->set;
	return fl_tools_u64(d->call, "deadline-s", 30, 86400, &d->health.deadline_s, err);
}

static enum fl_rc soak_limit(struct fl_soak *soak, const char *text, struct fl_err *err)
{
	const struct {
		const char *name;
		uint64_t *into, min, max;
	} limits[] = {
		{"memory=", &soak->memory_pct, 100, 10000},
		{"load=", &soak->load_pct, 100, 10000},
		{"round-trip=", &soak->round_trip_pct, 100, 10000},
		{"restarts=", &soak->restarts, 0, 1000},
	};
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const size_t len = strlen(limits[i].name);
		if (strncmp(text, limits[i].name, len) == 0)
			return fl_tools_parse_u64(text + len, "--soak-limit", limits[i].min,
						  limits[i].max, limits[i].into, err);
	}
	return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--soak-limit: WHAT=N, not '%s'", text);
}

static enum fl_rc fill_soak(struct fl_tools_draft *d, struct fl_err *err)
{
	const char *limit;
	d->soak = (struct fl_soak){
		.memory_pct = 150, .load_pct = 300, .round_trip_pct = 500, .restarts = 2};
	enum fl_rc rc = fl_tools_u64(d->call, "soak-s", 60, 604800, &d->soak.duration_s, err);
	for (size_t i = 0;
	     rc == FL_OK && (limit = fl_tools_value(d->call, "soak-limit", i)) != NULL; i++)
		rc = soak_limit(&d->soak, limit, err);
	if (rc == FL_OK && d->soak.duration_s == 0 &&
	    fl_tools_value(d->call, "soak-limit", 0) != NULL)
		rc = fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--soak-limit without --soak-s");
	d->health.soak = d->soak.duration_s == 0 ? NULL : &d->soak;
	return rc;
}

static enum fl_rc fill_units(struct fl_tools_draft *d, struct fl_err *err)
{
	struct fl_any_list units = {NULL, 0};
	enum fl_rc rc = values_of(d, "unit", &units, err);
	d->health.units.items = units.items;
	d->health.units.n = units.n;
	return rc;
}

static enum fl_rc fill_rollback(struct fl_tools_draft *d, struct fl_err *err)
{
	struct fl_any_list texts = {NULL, 0};
	enum fl_rc rc = values_of(d, "permits-rollback-to", &texts, err);
	if (rc != FL_OK || texts.n == 0)
		return rc;
	struct fl_digest *digests = fl_arena_alloc(&d->arena, texts.n * sizeof(*digests), err);
	if (digests == NULL)
		return err->rc;
	for (size_t i = 0; i < texts.n; i++) {
		const char *text = ((const char *const *)texts.items)[i];
		if (!fl_digest_parse(text, &digests[i]))
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
				       "--permits-rollback-to: no digest: '%s'", text);
	}
	d->doc.permits_rollback_to.items = digests;
	d->doc.permits_rollback_to.n = texts.n;
	return FL_OK;
}

/* What has to restart for a new version of such a component. */
static const char *restart_of(const char *handler)
{
	if (strcmp(handler, "rootfs") == 0)
		return "host";
	return strcmp(handler, "script") == 0 ? "none" : "component";
}

/* As veritysetup prints it. */
static enum fl_rc name_verity_root(struct fl_tools_draft *d, size_t i, struct fl_err *err)
{
	char text[sizeof("sha256:") + 64];
	const char *hex = fl_tools_named(d->call, "verity-root", d->components[i].name, NULL);
	if (hex == NULL)
		return FL_OK;
	const int len = snprintf(text, sizeof(text), "sha256:%s", hex);
	if (len != (int)sizeof(text) - 1 || !fl_digest_parse(text, &d->installed[i].verity_root))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "--verity-root: 64 hex digits, not '%s'", hex);
	return FL_OK;
}

static enum fl_rc name_component(struct fl_tools_draft *d, size_t i, const char *text,
				 struct fl_err *err)
{
	struct fl_component *c = &d->components[i];
	const char *equals = strchr(text, '=');
	if (equals == NULL || equals[1] == '\0')
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--component: NAME=IMAGE, not '%s'",
			       text);
	char *name = fl_arena_copy(&d->arena, text, (size_t)(equals - text), err);
	if (name == NULL)
		return err->rc;
	if (!fl_name_valid(name))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--component: no name: '%s'", name);
	for (size_t k = 0; k < i; k++) {
		if (strcmp(d->components[k].name, name) == 0)
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "component '%s' twice", name);
	}
	c->name = name;
	c->handler = fl_tools_named(d->call, "handler", name, "rootfs");
	c->version = fl_tools_named(d->call, "component-version", name, d->doc.version);
	c->restart = fl_tools_named(d->call, "restart", name, restart_of(c->handler));
	d->images[i] = equals + 1;
	d->installed[i].slot_fill = fl_tools_named(d->call, "slot-fill", name, NULL);
	d->order[i] = name;
	return name_verity_root(d, i, err);
}

/* An option that names a component which --component does not is a typing error worth telling. */
static enum fl_rc check_names(const struct fl_tools_draft *d, const char *option,
			      struct fl_err *err)
{
	const char *value;
	for (size_t i = 0; (value = fl_tools_value(d->call, option, i)) != NULL; i++) {
		size_t len = strcspn(value, "=");
		bool known = false;
		for (size_t k = 0; k < d->set.order.n; k++)
			known |= value[len] == '=' && strlen(d->order[k]) == len &&
				 strncmp(d->order[k], value, len) == 0;
		if (!known)
			return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--%s: no --component '%.*s'",
				       option, (int)len, value);
	}
	return FL_OK;
}

static enum fl_rc name_components(struct fl_tools_draft *d, struct fl_err *err)
{
	const char *text;
	size_t n = 0;
	enum fl_rc rc = FL_OK;
	for (; rc == FL_OK && (text = fl_tools_value(d->call, "component", n)) != NULL; n++) {
		rc = n == FL_TOOLS_COMPONENTS_MAX
			     ? fl_fail(err, FL_E_TOO_LARGE, 0, "more than %zu components", n)
			     : name_component(d, n, text, err);
	}
	d->set.order.items = d->order;
	d->set.order.n = n;
	d->doc.components.items = d->components;
	d->doc.components.n = n;
	static const char *const named[] = {"handler",	 "component-version", "restart",
					    "slot-fill", "verity-root",	      "delta"};
	for (size_t i = 0; rc == FL_OK && i < sizeof(named) / sizeof(named[0]); i++)
		rc = check_names(d, named[i], err);
	return rc;
}

static enum fl_rc fill_packing(struct fl_tools_draft *d, struct fl_err *err)
{
	uint64_t frame = FL_FRAMES_SIZE_DEFAULT, level = LEVEL_DEFAULT;
	enum fl_rc rc =
		fl_tools_u64(d->call, "frame", FL_FRAMES_UNIT, FL_FRAMES_SIZE_MAX, &frame, err);
	if (rc == FL_OK && frame % FL_FRAMES_UNIT != 0)
		rc = fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--frame must be a multiple of %u",
			     FL_FRAMES_UNIT);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "level", 1, 22, &level, err);
	d->frame_size = (uint32_t)frame;
	d->level = (int)level;
	return rc;
}

enum fl_rc fl_tools_draft_options(struct fl_tools_draft *d, struct fl_err *err)
{
	static enum fl_rc (*const steps[])(struct fl_tools_draft *, struct fl_err *) = {
		fill_head,  fill_compat,   fill_health,	    fill_soak,
		fill_units, fill_rollback, name_components, fill_packing};
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < sizeof(steps) / sizeof(steps[0]); i++)
		rc = steps[i](d, err);
	return rc;
}
