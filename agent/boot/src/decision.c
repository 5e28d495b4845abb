/* SPDX-License-Identifier: Apache-2.0 */
/* The text of the decision file (docs/internals/boot.md): read strictly, so that a damaged one is never half believed. */
#include <fairlead/boot/boot.h>

#include <fairlead/trust/digest.h>

#include <string.h>

#define MAGIC "fairlead-sim-boot 1\n"

/* "hashes=b:HEX,c:HEX"; no such line when there is none. */
static enum fl_rc print_hashes(const struct fl_boot_state *state, struct fl_buf *out,
			       struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	for (size_t i = 0; i < state->n_hashes && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "%s%s:%s", i == 0 ? "hashes=" : ",",
				    state->hashes[i].slot, state->hashes[i].hex);
	return rc == FL_OK && state->n_hashes > 0 ? fl_buf_append_str(out, "\n", err) : rc;
}

static enum fl_rc print_withdrawn(const struct fl_boot_state *state, struct fl_buf *out,
				  struct fl_err *err)
{
	enum fl_rc rc = fl_buf_append_str(out, "withdrawn=", err);
	for (size_t i = 0; i < state->n_withdrawn && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "%s%s", i == 0 ? "" : ",", state->withdrawn[i]);
	return rc == FL_OK ? fl_buf_append_str(out, "\n", err) : rc;
}

enum fl_rc fl_boot_decision_print(const struct fl_boot_state *state, struct fl_buf *out,
				  struct fl_err *err)
{
	struct fl_digest sum;
	char hex[FL_DIGEST_HEX_SIZE];
	const size_t start = out->len;
	enum fl_rc rc = fl_buf_appendf(out, err, MAGIC "seq=%llu\ngood=%s\ntrial=%s\ntries=%u\n",
				       (unsigned long long)state->seq, state->good, state->trial,
				       state->tries);
	if (rc == FL_OK)
		rc = print_withdrawn(state, out, err);
	if (rc == FL_OK)
		rc = print_hashes(state, out, err);
	if (rc == FL_OK)
		rc = fl_sha256(NULL, 0, out->data + start, out->len - start, &sum, err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(sum.b, sizeof(sum.b), hex);
	return fl_buf_appendf(out, err, "sha256=%s\n", hex);
}

/* The value of "key=value\n" at *p, which then stands behind it; false when there is something else. */
static bool take_line(const char **p, const char *key, char *value, size_t size)
{
	size_t key_len = strlen(key);
	const char *end = strchr(*p, '\n');
	if (end == NULL || strncmp(*p, key, key_len) != 0)
		return false;
	size_t len = (size_t)(end - *p) - key_len;
	if (end < *p + key_len || len >= size)
		return false;
	memcpy(value, *p + key_len, len);
	value[len] = '\0';
	*p = end + 1;
	return true;
}

/* Decimal without leading zeros, at most 18 digits. */
static bool parse_number(const char *text, uint64_t *ret)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 18 || text[len] != '\0' || (len > 1 && text[0] == '0'))
		return false;
	*ret = 0;
	for (size_t i = 0; i < len; i++)
		*ret = *ret * 10 + (uint64_t)(text[i] - '0');
	return true;
}

/* The next of a list with commas into *name; false at its end, or when an empty one stands where a name should. */
static bool next_item(char **rest, char **name)
{
	if (*rest == NULL)
		return false;
	*name = strsep(rest, ",");
	return true;
}

static bool take_name(char to[FL_NAME_MAX + 1], const char *from)
{
	const size_t len = strlen(from);
	if (len > FL_NAME_MAX)
		return false;
	memcpy(to, from, len + 1);
	return true;
}

/* What the names are worth is fl_boot_state_valid's. */
static bool parse_withdrawn(char *list, struct fl_boot_state *state)
{
	char *rest = list[0] == '\0' ? NULL : list;
	char *name;
	while (next_item(&rest, &name)) {
		if (state->n_withdrawn == FL_BOOT_SLOTS_MAX ||
		    !take_name(state->withdrawn[state->n_withdrawn++], name))
			return false;
	}
	return true;
}

static bool parse_hashes(char *list, struct fl_boot_state *state)
{
	char *rest = list;
	char *item;
	while (next_item(&rest, &item)) {
		char *hex = strchr(item, ':');
		if (hex == NULL || state->n_hashes == FL_BOOT_SLOTS_MAX)
			return false;
		*hex++ = '\0';
		struct fl_boot_hash *h = &state->hashes[state->n_hashes++];
		if (!take_name(h->slot, item) || strlen(hex) != sizeof(h->hex) - 1)
			return false;
		memcpy(h->hex, hex, sizeof(h->hex));
	}
	return true;
}

static bool parse_lists(const char **p, struct fl_boot_state *state)
{
	char list[FL_BOOT_SLOTS_MAX * sizeof(struct fl_boot_hash)];
	if (!take_line(p, "withdrawn=", list, sizeof(list)) || !parse_withdrawn(list, state))
		return false;
	return !take_line(p, "hashes=", list, sizeof(list)) || parse_hashes(list, state);
}

static bool parse_body(const char **p, struct fl_boot_state *state)
{
	char number[24];
	uint64_t tries;
	if (strncmp(*p, MAGIC, strlen(MAGIC)) != 0)
		return false;
	*p += strlen(MAGIC);
	if (!take_line(p, "seq=", number, sizeof(number)) || !parse_number(number, &state->seq) ||
	    !take_line(p, "good=", state->good, sizeof(state->good)) ||
	    !take_line(p, "trial=", state->trial, sizeof(state->trial)) ||
	    !take_line(p, "tries=", number, sizeof(number)) || !parse_number(number, &tries) ||
	    tries > FL_BOOT_TRIES_MAX || !parse_lists(p, state))
		return false;
	state->tries = (unsigned)tries;
	return fl_boot_state_valid(state);
}

enum fl_rc fl_boot_decision_parse(const struct fl_buf *text, struct fl_boot_state *ret,
				  struct fl_err *err)
{
	struct fl_boot_state state = {0};
	struct fl_digest sum;
	char hex[FL_DIGEST_HEX_SIZE];
	char found[FL_DIGEST_HEX_SIZE];
	const char *start = fl_buf_str(text);
	const char *p = start;
	if (strlen(start) != text->len || !parse_body(&p, &state))
		return fl_fail(err, FL_E_CORRUPT, 0, "boot decision: malformed");
	enum fl_rc rc = fl_sha256(NULL, 0, start, (size_t)(p - start), &sum, err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(sum.b, sizeof(sum.b), hex);
	if (!take_line(&p, "sha256=", found, sizeof(found)) || *p != '\0' ||
	    strcmp(found, hex) != 0)
		return fl_fail(err, FL_E_CORRUPT, 0, "boot decision: checksum");
	*ret = state;
	return FL_OK;
}
