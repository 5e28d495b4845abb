/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary codec that a schema drives: docs/internals/ipc.md holds the bytes of each kind. Both ways check the
 * limits of the schema, so what this side sends the other side takes. A count is believed only as far as
 * bytes follow: every element has at least one byte, so a frame cannot make us allocate more than a fixed
 * multiple of its own length.
 */
#include <fairlead/ipc/codec.h>

#include <string.h>

#define STRING_MAX 256 /* of each element of FL_K_STRINGS */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* --- writing --- */

struct writer {
	struct fl_buf *out;
	struct fl_err *err;
};

static enum fl_rc refuse(struct writer *w, const char *name, const char *why)
{
	return fl_fail(w->err, FL_E_INVALID_ARGUMENT, 0, "%s: %s", name, why);
}

static enum fl_rc write_u32(struct writer *w, size_t v)
{
	uint8_t b[4];
	put32(b, (uint32_t)v);
	return fl_buf_append(w->out, b, sizeof(b), w->err);
}

static enum fl_rc write_u64(struct writer *w, uint64_t v)
{
	uint8_t b[8];
	put32(b, (uint32_t)(v >> 32));
	put32(b + 4, (uint32_t)v);
	return fl_buf_append(w->out, b, sizeof(b), w->err);
}

static enum fl_rc write_byte(struct writer *w, bool v)
{
	uint8_t b = v;
	return fl_buf_append(w->out, &b, 1, w->err);
}

static enum fl_rc write_text(struct writer *w, const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);
	enum fl_rc rc = write_u32(w, text == NULL ? 0 : len + 1);
	return rc == FL_OK && len > 0 ? fl_buf_append(w->out, text, len, w->err) : rc;
}

/* Is a present text of the field's kind and within its limit? */
static bool text_fits(const struct fl_field *f, const char *text)
{
	switch (f->kind) {
	case FL_K_NAME:
		return fl_name_valid(text);
	case FL_K_UUID:
		return fl_uuid_valid(text);
	case FL_K_STR:
	case FL_K_EXT:
	case FL_K_U64:
	case FL_K_BOOL:
	case FL_K_DIGEST:
	case FL_K_BYTES:
	case FL_K_OBJECT:
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		break;
	}
	return strlen(text) <= f->max;
}

static enum fl_rc write_str(struct writer *w, const struct fl_field *f, const void *member)
{
	const char *text;
	memcpy(&text, member, sizeof(text));
	if (text == NULL && f->required)
		return refuse(w, f->name, "missing");
	if (text != NULL && !text_fits(f, text))
		return refuse(w, f->name, "not valid or too long");
	return write_text(w, text);
}

static enum fl_rc write_number(struct writer *w, const struct fl_field *f, const void *member)
{
	uint64_t v;
	memcpy(&v, member, sizeof(v));
	return v > f->max ? refuse(w, f->name, "too large") : write_u64(w, v);
}

static enum fl_rc write_digest(struct writer *w, const struct fl_field *f, const void *member)
{
	const struct fl_digest *d = member;
	if (f->required && fl_digest_is_zero(d))
		return refuse(w, f->name, "missing");
	return fl_buf_append(w->out, d->b, sizeof(d->b), w->err);
}

static enum fl_rc write_bytes(struct writer *w, const struct fl_field *f, const void *member)
{
	const struct fl_bytes *b = member;
	if (b->len > f->max || (f->required && b->len == 0))
		return refuse(w, f->name, "missing or too long");
	enum fl_rc rc = write_u32(w, b->len);
	return rc == FL_OK ? fl_buf_append(w->out, b->data, b->len, w->err) : rc;
}

static enum fl_rc write_struct(struct writer *w, const struct fl_schema *schema, const void *in);

static enum fl_rc write_object(struct writer *w, const struct fl_field *f, const void *member)
{
	const void *sub;
	memcpy(&sub, member, sizeof(sub));
	if (sub == NULL && f->required)
		return refuse(w, f->name, "missing");
	enum fl_rc rc = write_byte(w, sub != NULL);
	return rc == FL_OK && sub != NULL ? write_struct(w, f->sub, sub) : rc;
}

static enum fl_rc write_element(struct writer *w, const struct fl_field *f, const void *items,
				size_t i)
{
	if (f->kind == FL_K_LIST)
		return write_struct(w, f->sub, (const uint8_t *)items + i * f->sub->size);
	if (f->kind == FL_K_DIGESTS)
		return fl_buf_append(w->out, ((const struct fl_digest *)items)[i].b, FL_DIGEST_SIZE,
				     w->err);
	const char *text = ((const char *const *)items)[i];
	if (text == NULL || strlen(text) > STRING_MAX)
		return refuse(w, f->name, "an element is missing or too long");
	return write_text(w, text);
}

static enum fl_rc write_list(struct writer *w, const struct fl_field *f, const void *member)
{
	struct fl_any_list list;
	memcpy(&list, member, sizeof(list));
	if (list.n > f->max || (f->required && list.n == 0))
		return refuse(w, f->name, "no elements or too many");
	enum fl_rc rc = write_u32(w, list.n);
	for (size_t i = 0; i < list.n && rc == FL_OK; i++)
		rc = write_element(w, f, list.items, i);
	return rc;
}

static enum fl_rc write_field(struct writer *w, const struct fl_field *f, const void *member)
{
	switch (f->kind) {
	case FL_K_STR:
	case FL_K_NAME:
	case FL_K_UUID:
	case FL_K_EXT:
		return write_str(w, f, member);
	case FL_K_U64:
		return write_number(w, f, member);
	case FL_K_BOOL:
		return write_byte(w, *(const bool *)member);
	case FL_K_DIGEST:
		return write_digest(w, f, member);
	case FL_K_BYTES:
		return write_bytes(w, f, member);
	case FL_K_OBJECT:
		return write_object(w, f, member);
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		return write_list(w, f, member);
	}
	return refuse(w, f->name, "unknown kind");
}

static enum fl_rc write_struct(struct writer *w, const struct fl_schema *schema, const void *in)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < schema->n_fields && rc == FL_OK; i++) {
		const struct fl_field *f = &schema->fields[i];
		rc = write_field(w, f, (const uint8_t *)in + f->offset);
	}
	return rc;
}

enum fl_rc fl_frame_encode(enum fl_frame_type type, uint32_t id, const void *in,
			   struct fl_buf *out, struct fl_err *err)
{
	const struct fl_schema *schema = fl_frame_schema(type);
	FL_BUG_ON(schema == NULL);
	const size_t start = out->len;
	uint8_t header[FL_FRAME_HEADER] = {(uint8_t)(type >> 8), (uint8_t)type};
	put32(header + 4, id);
	struct writer w = {out, err};
	enum fl_rc rc = fl_buf_append(out, header, sizeof(header), err);
	if (rc == FL_OK)
		rc = write_struct(&w, schema, in);
	if (rc == FL_OK && out->len - start > FL_FRAME_MAX)
		rc = fl_fail(err, FL_E_TOO_LARGE, 0, "%zu bytes", out->len - start);
	if (rc == FL_OK)
		return FL_OK;
	out->len = start;
	return fl_wrap(err, rc, "frame %s", schema->name);
}

/* --- reading --- */

struct reader {
	const uint8_t *p;
	size_t left;
	struct fl_arena *arena;
	struct fl_err *err;
};

static enum fl_rc broken(struct reader *r, const char *name, const char *why)
{
	return fl_fail(r->err, FL_E_PROTOCOL, 0, "%s: %s", name, why);
}

static const uint8_t *take(struct reader *r, size_t n)
{
	if (n > r->left)
		return NULL;
	const uint8_t *p = r->p;
	r->p += n;
	r->left -= n;
	return p;
}

/* A length or a count, never more than the bytes that are left. */
static bool take_len(struct reader *r, size_t *ret)
{
	const uint8_t *p = take(r, 4);
	*ret = p == NULL ? 0 : get32(p);
	return p != NULL && *ret <= r->left + 1;
}

/* NULL in *ret: absent. */
static enum fl_rc read_text(struct reader *r, const char *name, size_t max, const char **ret)
{
	size_t len;
	*ret = NULL;
	if (!take_len(r, &len))
		return broken(r, name, "short");
	if (len == 0)
		return FL_OK;
	len--;
	const uint8_t *p = take(r, len);
	if (p == NULL || len > max || memchr(p, 0, len) != NULL)
		return broken(r, name, "text is short, long or holds a zero byte");
	*ret = fl_arena_copy(r->arena, p, len, r->err);
	return *ret == NULL ? r->err == NULL ? FL_E_NO_MEMORY : r->err->rc : FL_OK;
}

static enum fl_rc read_str(struct reader *r, const struct fl_field *f, void *member)
{
	const char *text;
	size_t max = f->kind == FL_K_NAME || f->kind == FL_K_UUID ? FL_NAME_MAX : (size_t)f->max;
	enum fl_rc rc = read_text(r, f->name, max, &text);
	if (rc != FL_OK)
		return rc;
	if (text == NULL && f->required)
		return broken(r, f->name, "missing");
	if (text != NULL && !text_fits(f, text))
		return broken(r, f->name, "not valid");
	memcpy(member, &text, sizeof(text));
	return FL_OK;
}

static enum fl_rc read_number(struct reader *r, const struct fl_field *f, void *member)
{
	const uint8_t *p = take(r, 8);
	if (p == NULL)
		return broken(r, f->name, "short");
	uint64_t v = (uint64_t)get32(p) << 32 | get32(p + 4);
	if (v > f->max)
		return broken(r, f->name, "too large");
	memcpy(member, &v, sizeof(v));
	return FL_OK;
}

static enum fl_rc read_bool(struct reader *r, const char *name, bool *ret)
{
	const uint8_t *p = take(r, 1);
	if (p == NULL || *p > 1)
		return broken(r, name, "not a truth value");
	*ret = *p == 1;
	return FL_OK;
}

static enum fl_rc read_digest(struct reader *r, const struct fl_field *f, void *member)
{
	const uint8_t *p = take(r, FL_DIGEST_SIZE);
	if (p == NULL)
		return broken(r, f->name, "short");
	memcpy(member, p, FL_DIGEST_SIZE);
	if (f->required && fl_digest_is_zero(member))
		return broken(r, f->name, "missing");
	return FL_OK;
}

static enum fl_rc alloc(struct reader *r, size_t size, void **ret)
{
	*ret = fl_arena_alloc(r->arena, size, r->err);
	return *ret == NULL ? r->err == NULL ? FL_E_NO_MEMORY : r->err->rc : FL_OK;
}

static enum fl_rc read_bytes(struct reader *r, const struct fl_field *f, void *member)
{
	size_t len;
	void *copy;
	if (!take_len(r, &len) || len > f->max || (f->required && len == 0))
		return broken(r, f->name, "missing, short or long");
	const uint8_t *p = take(r, len);
	if (p == NULL)
		return broken(r, f->name, "short");
	enum fl_rc rc = alloc(r, len, &copy);
	if (rc != FL_OK)
		return rc;
	if (len > 0)
		memcpy(copy, p, len);
	struct fl_bytes bytes = {len == 0 ? NULL : copy, len};
	memcpy(member, &bytes, sizeof(bytes));
	return FL_OK;
}

static enum fl_rc read_struct(struct reader *r, const struct fl_schema *schema, void *out);

static enum fl_rc read_object(struct reader *r, const struct fl_field *f, void *member)
{
	bool present = false;
	void *sub = NULL;
	enum fl_rc rc = read_bool(r, f->name, &present);
	if (rc == FL_OK && !present && f->required)
		return broken(r, f->name, "missing");
	if (rc == FL_OK && present)
		rc = alloc(r, f->sub->size, &sub);
	if (rc == FL_OK && present)
		rc = read_struct(r, f->sub, sub);
	if (rc == FL_OK)
		memcpy(member, &sub, sizeof(sub));
	return rc;
}

static size_t element_size(const struct fl_field *f)
{
	if (f->kind == FL_K_LIST)
		return f->sub->size;
	return f->kind == FL_K_DIGESTS ? sizeof(struct fl_digest) : sizeof(const char *);
}

static enum fl_rc read_element(struct reader *r, const struct fl_field *f, void *item)
{
	if (f->kind == FL_K_LIST)
		return read_struct(r, f->sub, item);
	if (f->kind == FL_K_DIGESTS) {
		const uint8_t *p = take(r, FL_DIGEST_SIZE);
		if (p == NULL)
			return broken(r, f->name, "short");
		memcpy(item, p, FL_DIGEST_SIZE);
		return FL_OK;
	}
	const char *text;
	enum fl_rc rc = read_text(r, f->name, STRING_MAX, &text);
	if (rc == FL_OK && text == NULL)
		return broken(r, f->name, "an element is missing");
	if (rc == FL_OK)
		memcpy(item, &text, sizeof(text));
	return rc;
}

static enum fl_rc read_list(struct reader *r, const struct fl_field *f, void *member)
{
	size_t n;
	void *items = NULL;
	if (!take_len(r, &n) || n > r->left || n > f->max || (f->required && n == 0))
		return broken(r, f->name, "no elements, too many, or short");
	enum fl_rc rc = n == 0 ? FL_OK : alloc(r, n * element_size(f), &items);
	for (size_t i = 0; i < n && rc == FL_OK; i++)
		rc = read_element(r, f, (uint8_t *)items + i * element_size(f));
	if (rc != FL_OK)
		return rc;
	struct fl_any_list list = {items, n};
	memcpy(member, &list, sizeof(list));
	return FL_OK;
}

static enum fl_rc read_field(struct reader *r, const struct fl_field *f, void *member)
{
	switch (f->kind) {
	case FL_K_STR:
	case FL_K_NAME:
	case FL_K_UUID:
	case FL_K_EXT:
		return read_str(r, f, member);
	case FL_K_U64:
		return read_number(r, f, member);
	case FL_K_BOOL:
		return read_bool(r, f->name, member);
	case FL_K_DIGEST:
		return read_digest(r, f, member);
	case FL_K_BYTES:
		return read_bytes(r, f, member);
	case FL_K_OBJECT:
		return read_object(r, f, member);
	case FL_K_LIST:
	case FL_K_STRINGS:
	case FL_K_DIGESTS:
		return read_list(r, f, member);
	}
	return broken(r, f->name, "unknown kind");
}

static enum fl_rc read_struct(struct reader *r, const struct fl_schema *schema, void *out)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < schema->n_fields && rc == FL_OK; i++) {
		const struct fl_field *f = &schema->fields[i];
		rc = read_field(r, f, (uint8_t *)out + f->offset);
	}
	return rc;
}

enum fl_rc fl_frame_peek(const void *frame, size_t len, enum fl_frame_type *type, uint32_t *id,
			 struct fl_err *err)
{
	const uint8_t *p = frame;
	if (len < FL_FRAME_HEADER || len > FL_FRAME_MAX)
		return fl_fail(err, FL_E_PROTOCOL, 0, "frame of %zu bytes", len);
	enum fl_frame_type t = (enum fl_frame_type)(p[0] << 8 | p[1]);
	if (fl_frame_schema(t) == NULL || p[2] != 0 || p[3] != 0)
		return fl_fail(err, FL_E_PROTOCOL, 0, "unknown frame type %u", (unsigned)t);
	*type = t;
	*id = get32(p + 4);
	return FL_OK;
}

enum fl_rc fl_frame_decode(enum fl_frame_type type, const void *frame, size_t len,
			   struct fl_arena *arena, void *out, struct fl_err *err)
{
	enum fl_frame_type found;
	uint32_t id;
	enum fl_rc rc = fl_frame_peek(frame, len, &found, &id, err);
	if (rc != FL_OK)
		return rc;
	const struct fl_schema *schema = fl_frame_schema(type);
	FL_BUG_ON(schema == NULL);
	if (found != type)
		return fl_fail(err, FL_E_PROTOCOL, 0, "frame %s instead of %s",
			       fl_frame_name(found), schema->name);
	struct fl_err own = {0};
	struct reader r = {(const uint8_t *)frame + FL_FRAME_HEADER, len - FL_FRAME_HEADER, arena,
			   err == NULL ? &own : err};
	void *decoded;
	rc = alloc(&r, schema->size, &decoded);
	if (rc == FL_OK)
		rc = read_struct(&r, schema, decoded);
	if (rc == FL_OK && r.left > 0)
		rc = broken(&r, "end", "trailing bytes");
	if (rc != FL_OK)
		return fl_wrap(r.err, rc == FL_E_NO_MEMORY ? rc : FL_E_PROTOCOL, "frame %s",
			       schema->name);
	memcpy(out, decoded, schema->size);
	return FL_OK;
}
