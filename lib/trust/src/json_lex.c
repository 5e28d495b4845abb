/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexer: decides whether a text is JSON of the profile before any parser sees it. It walks the
 * text once, one element of the innermost open container per step; the keys are sorted at the end
 * to find one that stands twice in an object, so that no input costs more than O(n log n).
 */
#include "json_lex.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_DIGITS_MAX 16 /* of 2^53 - 1 */

struct key {
	const uint8_t *text;
	uint32_t len;
	uint32_t object; /* number of the object it stands in */
};

struct level {
	uint8_t closer; /* '}' or ']' */
	bool started;	/* has an element */
	uint32_t object;
};

struct lexer {
	const uint8_t *text;
	size_t len;
	size_t pos;
	enum fl_json_keys rule;
	struct level levels[FL_JSON_DEPTH_MAX];
	unsigned depth;
	unsigned tokens;
	uint32_t n_objects;
	struct key *keys; /* owned */
	size_t n_keys;
	struct fl_err *err;
};

static enum fl_rc bad(const struct lexer *lx, const char *what)
{
	return fl_fail(lx->err, FL_E_DOC_SYNTAX, 0, "byte %zu: %s", lx->pos, what);
}

/* The byte at the position; 0, which no rule allows, at the end. */
static uint8_t peek(const struct lexer *lx)
{
	return lx->pos < lx->len ? lx->text[lx->pos] : 0;
}

static void skip_space(struct lexer *lx)
{
	for (;;) {
		uint8_t c = peek(lx);
		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			return;
		lx->pos++;
	}
}

static enum fl_rc count_token(struct lexer *lx)
{
	return ++lx->tokens > FL_JSON_TOKENS_MAX ? bad(lx, "too many tokens") : FL_OK;
}

size_t fl_json_utf8(const uint8_t *p, size_t avail)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (avail == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	size_t n = (p[0] & 0xe0) == 0xc0   ? 2
		   : (p[0] & 0xf0) == 0xe0 ? 3
		   : (p[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	if (n == 0 || n > avail)
		return 0;
	uint32_t point = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (p[i] & 0x3fu);
	}
	bool surrogate = point >= 0xd800 && point <= 0xdfff;
	return point < least[n] || point > 0x10ffff || surrogate ? 0 : n;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \uXXXX at the position; -1 when it isn't one. */
static int32_t unicode_escape(struct lexer *lx)
{
	if (lx->len - lx->pos < 6 || lx->text[lx->pos] != '\\' || lx->text[lx->pos + 1] != 'u')
		return -1;
	int32_t unit = 0;
	for (size_t i = 2; i < 6; i++) {
		int digit = hex_digit(lx->text[lx->pos + i]);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	lx->pos += 6;
	return unit;
}

static enum fl_rc escape(struct lexer *lx)
{
	uint8_t c = lx->pos + 1 < lx->len ? lx->text[lx->pos + 1] : 0;
	if (c != 'u') {
		if (c == 0 || strchr("\"\\/bfnrt", c) == NULL)
			return bad(lx, "unknown escape");
		lx->pos += 2;
		return FL_OK;
	}
	int32_t unit = unicode_escape(lx);
	if (unit <= 0)
		return bad(lx, "bad \\u escape");
	if (unit < 0xd800 || unit > 0xdfff)
		return FL_OK;
	int32_t low = unit < 0xdc00 ? unicode_escape(lx) : -1;
	return low >= 0xdc00 && low <= 0xdfff ? FL_OK : bad(lx, "half a surrogate pair");
}

static enum fl_rc string(struct lexer *lx)
{
	lx->pos++;
	while (peek(lx) != '"') {
		uint8_t c = peek(lx);
		if (lx->pos >= lx->len)
			return bad(lx, "a string without end");
		if (c < 0x20 || c == 0x7f)
			return bad(lx, "a control character");
		size_t n = fl_json_utf8(lx->text + lx->pos, lx->len - lx->pos);
		if (n == 0)
			return bad(lx, "not UTF-8");
		enum fl_rc rc = FL_OK;
		if (c == '\\')
			rc = escape(lx);
		else
			lx->pos += n;
		if (rc != FL_OK)
			return rc;
	}
	lx->pos++;
	return FL_OK;
}

static bool key_char(const struct lexer *lx, uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
	       (lx->rule == FL_JSON_KEYS_ENVELOPE && c >= 'A' && c <= 'Z');
}

static enum fl_rc key(struct lexer *lx)
{
	if (peek(lx) != '"')
		return bad(lx, "a key was expected");
	lx->pos++;
	struct key k = {lx->text + lx->pos, 0, lx->levels[lx->depth - 1].object};
	for (; k.len <= FL_JSON_KEY_MAX && key_char(lx, peek(lx)); lx->pos++)
		k.len++;
	if (peek(lx) != '"' || k.len == 0 || k.len > FL_JSON_KEY_MAX)
		return bad(lx, "not a key of the profile");
	lx->pos++;
	lx->keys[lx->n_keys++] = k;
	skip_space(lx);
	if (peek(lx) != ':')
		return bad(lx, "':' was expected");
	lx->pos++;
	skip_space(lx);
	return count_token(lx);
}

static enum fl_rc number(struct lexer *lx)
{
	const size_t start = lx->pos;
	uint64_t value = 0;
	for (; peek(lx) >= '0' && peek(lx) <= '9'; lx->pos++) {
		if (lx->pos - start == NUMBER_DIGITS_MAX)
			return bad(lx, "a number above 2^53 - 1");
		value = value * 10 + (uint64_t)(peek(lx) - '0');
	}
	if (lx->text[start] == '0' && lx->pos - start > 1)
		return bad(lx, "a number with a leading zero");
	return value > FL_U53_MAX ? bad(lx, "a number above 2^53 - 1") : FL_OK;
}

static enum fl_rc literal(struct lexer *lx, const char *word)
{
	size_t n = strlen(word);
	if (lx->len - lx->pos < n || memcmp(lx->text + lx->pos, word, n) != 0)
		return bad(lx, "a value was expected");
	lx->pos += n;
	return FL_OK;
}

static enum fl_rc open_level(struct lexer *lx, uint8_t closer)
{
	if (lx->depth == FL_JSON_DEPTH_MAX)
		return bad(lx, "too deep");
	lx->levels[lx->depth++] = (struct level){closer, false, lx->n_objects++};
	lx->pos++;
	return FL_OK;
}

static enum fl_rc value(struct lexer *lx)
{
	enum fl_rc rc = count_token(lx);
	if (rc != FL_OK)
		return rc;
	uint8_t c = peek(lx);
	switch (c) {
	case '{':
		return open_level(lx, '}');
	case '[':
		return open_level(lx, ']');
	case '"':
		return string(lx);
	case 't':
		return literal(lx, "true");
	case 'f':
		return literal(lx, "false");
	default:
		return c >= '0' && c <= '9' ? number(lx) : bad(lx, "a value was expected");
	}
}

/* One element of the innermost container, or its end. */
static enum fl_rc step(struct lexer *lx)
{
	struct level *level = &lx->levels[lx->depth - 1];
	skip_space(lx);
	if (peek(lx) == level->closer) {
		lx->pos++;
		lx->depth--;
		return FL_OK;
	}
	if (level->started) {
		if (peek(lx) != ',')
			return bad(lx, "',' or the end of the container was expected");
		lx->pos++;
		skip_space(lx);
	}
	level->started = true;
	enum fl_rc rc = level->closer == '}' ? key(lx) : FL_OK;
	return rc == FL_OK ? value(lx) : rc;
}

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a;
	const struct key *y = b;
	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->text, y->text, x->len);
}

static enum fl_rc check_distinct(struct lexer *lx)
{
	if (lx->n_keys == 0)
		return FL_OK;
	qsort(lx->keys, lx->n_keys, sizeof(lx->keys[0]), compare_keys);
	for (size_t i = 1; i < lx->n_keys; i++) {
		const struct key *k = &lx->keys[i];
		if (compare_keys(k - 1, k) == 0)
			return fl_fail(
				lx->err, FL_E_DOC_SYNTAX, 0, "byte %zu: key '%.*s' stands twice",
				(size_t)(k->text - lx->text), (int)k->len, (const char *)k->text);
	}
	return FL_OK;
}

static enum fl_rc lex(struct lexer *lx, size_t *ret_end)
{
	skip_space(lx);
	if (peek(lx) != '{')
		return bad(lx, "an object was expected");
	enum fl_rc rc = value(lx);
	while (rc == FL_OK && lx->depth > 0)
		rc = step(lx);
	if (rc != FL_OK)
		return rc;
	size_t end = lx->pos;
	skip_space(lx);
	if (lx->pos != lx->len)
		return bad(lx, "more behind the object");
	rc = check_distinct(lx);
	if (rc == FL_OK)
		*ret_end = end;
	return rc;
}

enum fl_rc fl_json_lex(const void *text, size_t len, enum fl_json_keys keys, size_t *ret_end,
		       struct fl_err *err)
{
	struct lexer lx = {.text = text, .len = len, .rule = keys, .err = err};
	/* A member takes at least five bytes, "a":0 without its comma; the counter stops the walk
	 * before the array ends. */
	size_t most = len / 5 + 1;
	if (most > FL_JSON_TOKENS_MAX + 1)
		most = FL_JSON_TOKENS_MAX + 1;
	lx.keys = malloc(most * sizeof(lx.keys[0]));
	if (lx.keys == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "%zu keys", most);
	enum fl_rc rc = lex(&lx, ret_end);
	free(lx.keys);
	return rc;
}

enum fl_rc fl_json_check(const void *text, size_t len, struct fl_err *err)
{
	size_t end = 0;
	return fl_json_lex(text, len, FL_JSON_KEYS_PROFILE, &end, err);
}
