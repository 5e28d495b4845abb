/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release create: options and images → DIR/release.json (unsigned), DIR/blobs, DIR/trees.
 *
 * From the same images, options and SOURCE_DATE_EPOCH comes the same release, byte for byte: its id
 * is made of its content. release.json is written last; without it DIR is no release.
 */
#include "release.h"

#include "commands.h"
#include "image_info.h"
#include "output.h"

#include <fairlead/base/file.h>
#include <fairlead/trust/json.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPONENTS_MAX 64
#define DAY_S	       UINT64_C(86400)

struct draft {
	const struct fl_tools_call *call;
	const char *dir;
	struct fl_arena arena;
	struct fl_release doc;
	struct fl_compat compat;
	struct fl_health health;
	struct fl_set set;
	struct fl_component components[COMPONENTS_MAX];
	const char *images[COMPONENTS_MAX];
	const char *order[COMPONENTS_MAX];
};

/* Every value of an option as a list in the arena. */
static enum fl_rc values_of(struct draft *d, const char *option, struct fl_any_list *ret,
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

static enum fl_rc fill_head(struct draft *d, struct fl_err *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t days = 730;
	d->doc.created = fl_tools_now();
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
	return rc;
}

/* "1-3", or "2" for 2-2. */
static enum fl_rc fill_compat(struct draft *d, struct fl_err *err)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%s", fl_tools_opt(d->call, "hw-rev", ""));
	char *dash = strchr(text, '-');
	if (dash != NULL)
		*dash = '\0';
	struct fl_any_list classes;
	enum fl_rc rc = fl_tools_parse_u64(text, "--hw-rev: the lowest", 0, FL_U53_MAX,
					   &d->compat.hw_rev_min, err);
	if (rc == FL_OK)
		rc = fl_tools_parse_u64(dash == NULL ? text : dash + 1, "--hw-rev: the highest",
					d->compat.hw_rev_min, FL_U53_MAX, &d->compat.hw_rev_max,
					err);
	if (rc == FL_OK)
		rc = values_of(d, "class", &classes, err);
	if (rc != FL_OK)
		return rc;
	d->compat.class_ids.items = classes.items;
	d->compat.class_ids.n = classes.n;
	d->doc.compat = &d->compat;
	return FL_OK;
}

static enum fl_rc fill_health(struct draft *d, struct fl_err *err)
{
	const char *reach = fl_tools_opt(d->call, "reach", "fleet");
	char *text = fl_arena_copy(&d->arena, reach, strlen(reach), err);
	const char **items = fl_arena_alloc(&d->arena, (strlen(reach) + 1) * sizeof(*items), err);
	if (text == NULL || items == NULL)
		return err->rc;
	size_t n = 0;
	for (char *next = text; next != NULL;)
		items[n++] = strsep(&next, ",");
	d->health.reach.items = items;
	d->health.reach.n = n;
	d->health.deadline_s = 600;
	d->set.health = &d->health;
	d->doc.set = &d->set;
	return fl_tools_u64(d->call, "deadline-s", 30, 86400, &d->health.deadline_s, err);
}

static enum fl_rc fill_rollback(struct draft *d, struct fl_err *err)
{
	struct fl_any_list texts;
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

static enum fl_rc name_component(struct draft *d, size_t i, const char *text, struct fl_err *err)
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
	d->order[i] = name;
	return FL_OK;
}

/* An option that names a component which --component does not is a typing error worth telling. */
static enum fl_rc check_names(const struct draft *d, const char *option, struct fl_err *err)
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

static enum fl_rc name_components(struct draft *d, struct fl_err *err)
{
	const char *text;
	size_t n = 0;
	enum fl_rc rc = FL_OK;
	for (; rc == FL_OK && (text = fl_tools_value(d->call, "component", n)) != NULL; n++) {
		rc = n == COMPONENTS_MAX
			     ? fl_fail(err, FL_E_TOO_LARGE, 0, "more than %zu components", n)
			     : name_component(d, n, text, err);
	}
	d->set.order.items = d->order;
	d->set.order.n = n;
	d->doc.components.items = d->components;
	d->doc.components.n = n;
	static const char *const named[] = {"handler", "component-version", "restart"};
	for (size_t i = 0; rc == FL_OK && i < sizeof(named) / sizeof(named[0]); i++)
		rc = check_names(d, named[i], err);
	return rc;
}

/* The image's own word on its numbers; what the options say must not differ from it. */
static enum fl_rc numbers_from_image(struct draft *d, struct fl_component *c, const char *image,
				     enum fl_tools_image_kind kind, struct fl_err *err)
{
	struct fl_image_info info;
	enum fl_rc rc = fl_tools_image_info_read(image, kind, &d->arena, &info, err);
	if (rc == FL_OK)
		rc = fl_tools_image_info_check(&info, d->doc.product, c->name, c->version, err);
	if (rc != FL_OK)
		return rc;
	c->release_seq = info.release_seq;
	c->security_version = info.security_version;
	rc = fl_tools_u64(d->call, "release-seq", 1, FL_U53_MAX, &c->release_seq, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "security-version", 0, FL_U53_MAX, &c->security_version,
				  err);
	if (rc == FL_OK &&
	    (c->release_seq != info.release_seq || c->security_version != info.security_version))
		rc = fl_fail(err, FL_E_IMAGE_INFO, 0,
			     "image-info says release_seq %llu and security_version %llu",
			     (unsigned long long)info.release_seq,
			     (unsigned long long)info.security_version);
	return rc;
}

static enum fl_rc numbers_from_options(const struct draft *d, struct fl_component *c,
				       struct fl_err *err)
{
	if (!fl_tools_has(d->call, "release-seq") || !fl_tools_has(d->call, "security-version"))
		return fl_fail(
			err, FL_E_INVALID_ARGUMENT, 0,
			"the image has no image-info: --release-seq and --security-version are "
			"needed");
	enum fl_rc rc = fl_tools_u64(d->call, "release-seq", 1, FL_U53_MAX, &c->release_seq, err);
	return rc != FL_OK ? rc
			   : fl_tools_u64(d->call, "security-version", 0, FL_U53_MAX,
					  &c->security_version, err);
}

/* A system image must tell its numbers itself: it is what the running system is asked for. */
static enum fl_rc fill_numbers(struct draft *d, size_t i, struct fl_err *err)
{
	struct fl_component *c = &d->components[i];
	enum fl_tools_image_kind kind;
	enum fl_rc rc = fl_tools_image_kind_of(d->images[i], &kind, err);
	if (rc != FL_OK)
		return rc;
	if (strcmp(c->handler, "rootfs") == 0 || kind == FL_TOOLS_IMAGE_EXT ||
	    kind == FL_TOOLS_IMAGE_SQUASHFS)
		return numbers_from_image(d, c, d->images[i], kind, err);
	return numbers_from_options(d, c, err);
}

/* What the document says of one content. */
static struct fl_tree_ref tree_ref(const struct fl_tools_ref *ref)
{
	return (struct fl_tree_ref){"sha256-wide1", 65536, ref->root};
}

/* The parts of a component's row that hang on its bytes; one allocation. */
struct content {
	struct fl_tree_ref installed_tree, transport_tree;
	struct fl_installed_ref installed;
	struct fl_artifact artifact;
};

static enum fl_rc pack_component(struct draft *d, size_t i, struct fl_err *err)
{
	uint64_t frame = UINT64_C(1) << 20, level = 19;
	struct fl_tools_ref installed, transport;
	struct content *content = fl_arena_alloc(&d->arena, sizeof(*content), err);
	if (content == NULL)
		return err->rc;
	enum fl_rc rc = fl_tools_u64(d->call, "frame", 65536, 8u << 20, &frame, err);
	if (rc == FL_OK)
		rc = fl_tools_u64(d->call, "level", 1, 22, &level, err);
	if (rc == FL_OK)
		rc = fl_tools_content_pack(d->dir, d->images[i], (uint32_t)frame, (int)level,
					   &installed, &transport, err);
	if (rc != FL_OK)
		return rc;
	content->installed_tree = tree_ref(&installed);
	content->transport_tree = tree_ref(&transport);
	content->installed =
		(struct fl_installed_ref){installed.size, &content->installed_tree, NULL};
	content->artifact = (struct fl_artifact){.id = "full",
						 .format = "zstd-frames",
						 .frame = frame,
						 .size = transport.size,
						 .tree = &content->transport_tree};
	d->components[i].installed = &content->installed;
	d->components[i].artifacts.items = &content->artifact;
	d->components[i].artifacts.n = 1;
	return FL_OK;
}

/* An id that follows from the content: a UUID of version 8 (RFC 9562, section 5.8) out of the
 * draft's SHA-256. */
static enum fl_rc make_id(struct draft *d, struct fl_err *err)
{
	struct fl_envelope env;
	struct fl_digest digest;
	char hex[33];
	d->doc.release_id = "00000000-0000-8000-8000-000000000000";
	enum fl_rc rc = fl_tools_document_make(FL_DOC_RELEASE, &fl_release_schema, &d->doc,
					       &d->arena, &env, err);
	if (rc == FL_OK)
		rc = fl_envelope_digest(&env, &digest, err);
	if (rc != FL_OK)
		return rc;
	digest.b[6] = (uint8_t)(0x80 | (digest.b[6] & 0x0f));
	digest.b[8] = (uint8_t)(0x80 | (digest.b[8] & 0x3f));
	fl_hex_encode(digest.b, 16, hex);
	char id[37];
	(void)snprintf(id, sizeof(id), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		       hex + 16, hex + 20);
	d->doc.release_id = fl_arena_copy(&d->arena, id, 36, err);
	return d->doc.release_id == NULL ? err->rc : FL_OK;
}

/* Reads back what was made, by the rules that every reader has, before it is kept. */
static enum fl_rc save(struct draft *d, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	struct fl_envelope env;
	struct fl_release again;
	enum fl_rc rc = make_id(d, err);
	if (rc == FL_OK)
		rc = fl_tools_document_make(FL_DOC_RELEASE, &fl_release_schema, &d->doc, &d->arena,
					    &env, err);
	if (rc == FL_OK)
		rc = fl_release_decode(env.payload, &d->arena, &again, err);
	if (rc == FL_OK)
		rc = fl_path_join(path, sizeof(path), d->dir, FL_TOOLS_RELEASE_FILE, err);
	return rc == FL_OK ? fl_tools_document_save(path, &env, err) : rc;
}

static enum fl_rc fill_and_pack(struct draft *d, struct fl_err *err)
{
	static enum fl_rc (*const steps[])(struct draft *, struct fl_err *) = {
		fill_head, fill_compat, fill_health, fill_rollback, name_components};
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; rc == FL_OK && i < sizeof(steps) / sizeof(steps[0]); i++)
		rc = steps[i](d, err);
	for (size_t i = 0; rc == FL_OK && i < d->doc.components.n; i++)
		rc = fill_numbers(d, i, err);
	if (rc == FL_OK)
		rc = fl_tools_content_make_dirs(d->dir, err);
	for (size_t i = 0; rc == FL_OK && i < d->doc.components.n; i++)
		rc = pack_component(d, i, err);
	return rc;
}

static enum fl_rc check_free(const char *dir, struct fl_err *err)
{
	char path[FL_TOOLS_PATH_MAX];
	enum fl_rc rc = fl_path_join(path, sizeof(path), dir, FL_TOOLS_RELEASE_FILE, err);
	if (rc == FL_OK && access(path, F_OK) == 0)
		rc = fl_fail(err, FL_E_EXISTS, 0, "'%s' is a release already", dir);
	return rc;
}

enum fl_rc fl_tools_release_create(struct fl_tools_call *call, struct fl_err *err)
{
	const char *dir = fl_tools_opt(call, "output", NULL);
	enum fl_rc rc = check_free(dir, err);
	if (rc != FL_OK)
		return rc;
	struct draft *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "release");
	d->call = call;
	d->dir = dir;
	d->arena = FL_TOOLS_DOCUMENT_ARENA;
	rc = fill_and_pack(d, err);
	if (rc == FL_OK)
		rc = save(d, err);
	fl_arena_free(&d->arena);
	free(d);
	struct fl_tools_release release;
	if (rc == FL_OK)
		rc = fl_tools_release_open(dir, &release, err);
	if (rc != FL_OK)
		return fl_wrap(err, rc, "create release");
	rc = fl_tools_release_print(call, &release, err);
	fl_tools_release_close(&release);
	return rc;
}
