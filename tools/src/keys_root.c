/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys root-next: version N+1 of a root document, unsigned. Every change is an option; what is not
 * named stays. The document is decoded again before it is kept, so a threshold that no longer fits
 * is refused here.
 */
#include "commands.h"
#include "document.h"
#include "keys.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX    64
#define ROLES_MAX   64
#define REVOKED_MAX 512
#define FLOORS_MAX  256
#define DAY_S	    UINT64_C(86400)

/* A root document with room to change it. */
struct draft {
	const struct fl_tools_call *call;
	struct fl_arena arena;
	struct fl_root doc;
	struct fl_root_key keys[KEYS_MAX];
	size_t n_keys;
	struct fl_role roles[ROLES_MAX];
	struct fl_digest role_keys[ROLES_MAX][FL_SIGS_MAX];
	size_t n_roles;
	struct fl_digest revoked_keys[REVOKED_MAX], revoked_releases[REVOKED_MAX];
	struct fl_revoked revoked;
	struct fl_floor floors[FLOORS_MAX];
	size_t n_floors;
};

static void take_role(struct draft *d, const struct fl_role *role)
{
	size_t i = d->n_roles++;
	d->roles[i] = *role;
	for (size_t k = 0; k < role->keyids.n; k++)
		d->role_keys[i][k] = role->keyids.items[k];
	d->roles[i].keyids.items = d->role_keys[i];
}

/* The limits of the schema are those of the arrays; checked anyway, for they stand in another file.
 */
static enum fl_rc take(struct draft *d, struct fl_err *err)
{
	const struct fl_root *doc = &d->doc;
	if (doc->keys.n > KEYS_MAX || doc->roles.n > ROLES_MAX || doc->floors.n > FLOORS_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "keys, roles or floors");
	for (size_t i = 0; i < doc->roles.n; i++) {
		if (doc->roles.items[i].keyids.n > FL_SIGS_MAX)
			return fl_fail(err, FL_E_TOO_LARGE, 0, "keys of a role");
		take_role(d, &doc->roles.items[i]);
	}
	for (; d->n_keys < doc->keys.n; d->n_keys++)
		d->keys[d->n_keys] = doc->keys.items[d->n_keys];
	for (; d->n_floors < doc->floors.n; d->n_floors++)
		d->floors[d->n_floors] = doc->floors.items[d->n_floors];
	d->revoked.keyids.items = d->revoked_keys;
	d->revoked.releases.items = d->revoked_releases;
	if (doc->revoked == NULL)
		return FL_OK;
	for (size_t i = 0; i < doc->revoked->keyids.n && i < REVOKED_MAX; i++)
		d->revoked_keys[d->revoked.keyids.n++] = doc->revoked->keyids.items[i];
	for (size_t i = 0; i < doc->revoked->releases.n && i < REVOKED_MAX; i++)
		d->revoked_releases[d->revoked.releases.n++] = doc->revoked->releases.items[i];
	return FL_OK;
}

static enum fl_rc find_role(struct draft *d, const char *name, bool make, size_t *ret,
			    struct fl_err *err)
{
	for (size_t i = 0; i < d->n_roles; i++) {
		if (strcmp(d->roles[i].role, name) == 0) {
			*ret = i;
			return FL_OK;
		}
	}
	if (!make || d->n_roles == ROLES_MAX)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no role '%s' in the document", name);
	const struct fl_role role = {.role = name, .threshold = 1};
	*ret = d->n_roles;
	take_role(d, &role);
	return FL_OK;
}

/* Only the operators' role may be new: the others stand in every root document. */
static enum fl_rc add_to_role(struct draft *d, const char *role, const struct fl_digest *keyid,
			      struct fl_err *err)
{
	size_t i = 0;
	enum fl_rc rc = find_role(d, role, strcmp(role, "operator") == 0, &i, err);
	if (rc != FL_OK)
		return rc;
	size_t n = d->roles[i].keyids.n;
	for (size_t k = 0; k < n; k++) {
		if (fl_digest_equal(&d->role_keys[i][k], keyid))
			return FL_OK;
	}
	if (n == FL_SIGS_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "role '%s' has %zu keys", role, n);
	d->role_keys[i][n] = *keyid;
	d->roles[i].keyids.n = n + 1;
	return FL_OK;
}

static enum fl_rc add_key(struct draft *d, const struct fl_pubkey *pub, struct fl_err *err)
{
	for (size_t i = 0; i < d->n_keys; i++) {
		if (fl_digest_equal(&d->keys[i].keyid, &pub->keyid))
			return FL_OK;
	}
	const char *spki = fl_arena_copy(&d->arena, pub->spki, pub->spki_len, err);
	if (spki == NULL)
		return err->rc;
	if (d->n_keys == KEYS_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d keys", KEYS_MAX);
	d->keys[d->n_keys++] = (struct fl_root_key){
		pub->keyid, fl_alg_name(pub->alg), {(const uint8_t *)spki, pub->spki_len}};
	return FL_OK;
}

static enum fl_rc add(struct draft *d, const char *role, const char *path, struct fl_err *err)
{
	struct fl_pubkey pub;
	enum fl_rc rc = fl_pubkey_load(path, &pub, err);
	if (rc == FL_OK)
		rc = add_key(d, &pub, err);
	return rc == FL_OK ? add_to_role(d, role, &pub.keyid, err) : rc;
}

static enum fl_rc parse_keyid(const char *text, struct fl_digest *ret, struct fl_err *err)
{
	if (fl_digest_parse(text, ret) || fl_hex_decode(text, strlen(text), ret->b, sizeof(ret->b)))
		return FL_OK;
	return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "no digest: '%s'", text);
}

/* Takes *id out of a list, keeping the order of the rest. */
static size_t drop(struct fl_digest *ids, size_t n, const struct fl_digest *id)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		if (!fl_digest_equal(&ids[i], id))
			ids[kept++] = ids[i];
	}
	return kept;
}

static enum fl_rc remove_key(struct draft *d, const char *role, const char *text,
			     struct fl_err *err)
{
	(void)role;
	struct fl_digest id;
	enum fl_rc rc = parse_keyid(text, &id, err);
	if (rc != FL_OK)
		return rc;
	size_t kept = 0;
	for (size_t i = 0; i < d->n_keys; i++) {
		if (!fl_digest_equal(&d->keys[i].keyid, &id))
			d->keys[kept++] = d->keys[i];
	}
	if (kept == d->n_keys)
		return fl_fail(err, FL_E_NOT_FOUND, 0, "no key '%s' in the document", text);
	d->n_keys = kept;
	for (size_t i = 0; i < d->n_roles; i++)
		d->roles[i].keyids.n = drop(d->role_keys[i], d->roles[i].keyids.n, &id);
	return FL_OK;
}

static enum fl_rc append_digest(struct fl_digest *list, size_t *n, const char *text,
				struct fl_err *err)
{
	struct fl_digest id;
	enum fl_rc rc = parse_keyid(text, &id, err);
	if (rc != FL_OK)
		return rc;
	*n = drop(list, *n, &id);
	if (*n == REVOKED_MAX)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d revocations", REVOKED_MAX);
	list[(*n)++] = id;
	return FL_OK;
}

static enum fl_rc revoke_key(struct draft *d, const char *role, const char *text,
			     struct fl_err *err)
{
	enum fl_rc rc = remove_key(d, role, text, err);
	return rc == FL_OK ? append_digest(d->revoked_keys, &d->revoked.keyids.n, text, err) : rc;
}

static enum fl_rc revoke_release(struct draft *d, const char *role, const char *text,
				 struct fl_err *err)
{
	(void)role;
	return append_digest(d->revoked_releases, &d->revoked.releases.n, text, err);
}

static enum fl_rc set_threshold(struct draft *d, const char *unused, const char *text,
				struct fl_err *err)
{
	(void)unused;
	char name[32];
	size_t i = 0, len = strcspn(text, "=");
	if (text[len] != '=' || len >= sizeof(name))
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--threshold: ROLE=N, not '%s'",
			       text);
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, text);
	enum fl_rc rc = find_role(d, name, false, &i, err);
	return rc != FL_OK ? rc
			   : fl_tools_parse_u64(text + len + 1, "--threshold", 1, FL_SIGS_MAX,
						&d->roles[i].threshold, err);
}

static bool lists_intent(const struct fl_role *role, const char *intent)
{
	for (size_t i = 0; i < role->intents.n; i++) {
		if (strcmp(role->intents.items[i], intent) == 0)
			return true;
	}
	return false;
}

/* Every entry of the role may order it from now on. */
static enum fl_rc add_intent(struct draft *d, const char *unused, const char *text,
			     struct fl_err *err)
{
	(void)unused;
	char *intent = fl_arena_copy(&d->arena, text, strlen(text), err);
	if (intent == NULL)
		return err->rc;
	const char *name = strsep(&intent, "=");
	if (intent == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "ROLE=INTENT, not '%s'", text);
	bool found = false;
	for (size_t i = 0; i < d->n_roles; i++) {
		struct fl_role *role = &d->roles[i];
		const size_t n = role->intents.n;
		if (strcmp(role->role, name) != 0)
			continue;
		found = true;
		if (lists_intent(role, intent))
			continue;
		const char **more = fl_arena_alloc(&d->arena, (n + 1) * sizeof(*more), err);
		if (more == NULL)
			return err->rc;
		for (size_t j = 0; j < n; j++)
			more[j] = role->intents.items[j];
		more[n] = intent;
		role->intents.items = more;
		role->intents.n = n + 1;
	}
	return found ? FL_OK
		     : fl_fail(err, FL_E_NOT_FOUND, 0, "no role '%s' in the document", name);
}

/* Where the floor of that component stands, or its new place at the end. */
static size_t floor_place(const struct draft *d, const char *product, const char *component)
{
	size_t i = 0;
	while (i < d->n_floors && (strcmp(d->floors[i].product, product) != 0 ||
				   strcmp(d->floors[i].component, component) != 0))
		i++;
	return i;
}

static enum fl_rc set_floor(struct draft *d, const char *unused, const char *text,
			    struct fl_err *err)
{
	(void)unused;
	struct fl_floor floor = {.product = fl_tools_opt(d->call, "product", NULL)};
	char *copy = fl_arena_copy(&d->arena, text, strlen(text), err);
	if (copy == NULL)
		return err->rc;
	char *numbers = copy;
	floor.component = strsep(&numbers, "=");
	char *seq = strsep(&numbers, ",");
	if (floor.product == NULL || seq == NULL || numbers == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "--floor: COMPONENT=SEQ,SECURITY and --product, not '%s'", text);
	enum fl_rc rc =
		fl_tools_parse_u64(seq, "--floor: SEQ", 0, FL_U53_MAX, &floor.min_release_seq, err);
	if (rc == FL_OK)
		rc = fl_tools_parse_u64(numbers, "--floor: SECURITY", 0, FL_U53_MAX,
					&floor.min_security_version, err);
	size_t i = floor_place(d, floor.product, floor.component);
	if (rc == FL_OK && i == FLOORS_MAX)
		rc = fl_fail(err, FL_E_TOO_LARGE, 0, "more than %d floors", FLOORS_MAX);
	if (rc != FL_OK)
		return rc;
	d->floors[i] = floor;
	d->n_floors += i == d->n_floors;
	return FL_OK;
}

/* Keys are added before others go, and thresholds are set last. */
static const struct change {
	const char *option;
	const char *role;
	enum fl_rc (*apply)(struct draft *d, const char *role, const char *value,
			    struct fl_err *err);
} changes[] = {
	{"add-root", "root", add},
	{"add-release", "release", add},
	{"add-operator", "operator", add},
	{"add-dispatch", "dispatch", add},
	{"remove", NULL, remove_key},
	{"revoke", NULL, revoke_key},
	{"revoke-release", NULL, revoke_release},
	{"threshold", NULL, set_threshold},
	{"add-intent", NULL, add_intent},
	{"floor", NULL, set_floor},
};

static enum fl_rc apply_changes(struct draft *d, struct fl_err *err)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		const char *value;
		for (size_t k = 0; (value = fl_tools_value(d->call, c->option, k)) != NULL; k++) {
			enum fl_rc rc = c->apply(d, c->role, value, err);
			if (rc != FL_OK)
				return fl_wrap(err, rc, "--%s", c->option);
		}
	}
	return FL_OK;
}

static enum fl_rc finish(struct draft *d, struct fl_envelope *ret, struct fl_err *err)
{
	uint64_t days = 1826;
	struct fl_root again;
	enum fl_rc rc = fl_tools_u64(d->call, "expires-days", 1, 36500, &days, err);
	d->doc.version++;
	d->doc.epoch += fl_tools_has(d->call, "new-epoch") ? 1 : 0;
	d->doc.issued = fl_words_now();
	d->doc.expires = d->doc.issued + days * DAY_S;
	d->doc.keys.items = d->keys;
	d->doc.keys.n = d->n_keys;
	d->doc.roles.items = d->roles;
	d->doc.roles.n = d->n_roles;
	d->doc.floors.items = d->n_floors > 0 ? d->floors : NULL;
	d->doc.floors.n = d->n_floors;
	d->doc.revoked = &d->revoked;
	if (d->revoked.keyids.n == 0)
		d->revoked.keyids.items = NULL;
	if (d->revoked.releases.n == 0)
		d->revoked.releases.items = NULL;
	if (d->revoked.keyids.n + d->revoked.releases.n == 0)
		d->doc.revoked = NULL;
	if (rc == FL_OK)
		rc = fl_tools_document_make(FL_DOC_ROOT, &fl_root_schema, &d->doc, &d->arena, ret,
					    err);
	return rc == FL_OK ? fl_root_decode(ret->payload, &d->arena, &again, err) : rc;
}

static enum fl_rc make_next(struct draft *d, const char *from, const char *to, struct fl_err *err)
{
	struct fl_envelope env;
	enum fl_rc rc = fl_tools_root_load(from, &d->arena, &env, &d->doc, err);
	if (rc == FL_OK)
		rc = take(d, err);
	if (rc == FL_OK)
		rc = apply_changes(d, err);
	if (rc == FL_OK)
		rc = finish(d, &env, err);
	if (rc == FL_OK)
		rc = fl_tools_document_save(to, &env, err);
	return rc;
}

enum fl_rc fl_tools_keys_root_next(struct fl_tools_call *call, struct fl_err *err)
{
	struct draft *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "root document");
	d->call = call;
	d->arena = FL_TOOLS_DOCUMENT_ARENA;
	const char *to = fl_tools_opt(call, "output", NULL);
	enum fl_rc rc = make_next(d, call->args[0], to, err);
	fl_arena_free(&d->arena);
	free(d);
	if (rc != FL_OK)
		return rc;
	call->args[0] = to;
	return fl_tools_keys_show(call, err);
}
