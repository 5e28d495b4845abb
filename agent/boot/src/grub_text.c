/* SPDX-License-Identifier: Apache-2.0 */
#include "grub_text.h"

#include <fairlead/trust/digest.h>

#include <stdio.h>
#include <string.h>

#define SIGNATURE "# GRUB Environment Block\n"
#define NO_TOKEN  "----------------" /* as long as a token, and none */
#define OFFER_LEN ((size_t)FL_BOOT_SLOTS_MAX * 2 - 1)

const char *const grub_copy_names[GRUB_COPIES] = {"first", "second"};

static enum fl_rc pad(struct fl_buf *out, size_t size, struct fl_err *err)
{
	if (out->len > size)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "environment block");
	const size_t room = size - out->len;
	enum fl_rc rc = fl_buf_reserve(out, room, err);
	if (rc != FL_OK)
		return rc;
	memset(out->data + out->len, '#', room);
	out->len = size;
	return FL_OK;
}

/* --- the decision --- */

enum fl_rc grub_token(const struct fl_boot_state *state, unsigned left, char out[GRUB_TOKEN_SIZE],
		      struct fl_err *err)
{
	char text[160];
	char hex[FL_DIGEST_HEX_SIZE];
	struct fl_digest sum;
	const int n = snprintf(text, sizeof(text), "fairlead-grub-count\n%llu\n%s\n%s\n%u\n",
			       (unsigned long long)state->seq, state->good, state->trial, left);
	enum fl_rc rc = fl_sha256(NULL, 0, text, (size_t)n, &sum, err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(sum.b, sizeof(sum.b), hex);
	memcpy(out, hex, GRUB_TOKEN_SIZE - 1);
	out[GRUB_TOKEN_SIZE - 1] = '\0';
	return FL_OK;
}

/* The token of "none left" first, then one more for every try. */
static enum fl_rc print_tokens(const struct fl_boot_state *state, struct fl_buf *out,
			       struct fl_err *err)
{
	char token[GRUB_TOKEN_SIZE];
	enum fl_rc rc = fl_buf_appendf(
		out, err, "fl_count=fl_count_%c\nfl_tokens=", state->seq % 2 == 0 ? '0' : '1');
	for (unsigned left = 0; left <= state->tries && rc == FL_OK; left++) {
		rc = grub_token(state, left, token, err);
		if (rc == FL_OK)
			rc = fl_buf_appendf(out, err, "%s%s", left == 0 ? "" : " ", token);
	}
	return rc == FL_OK ? fl_buf_append_str(out, "\n", err) : rc;
}

static enum fl_rc print_lists(const struct fl_boot_state *state, struct fl_buf *out,
			      struct fl_err *err)
{
	enum fl_rc rc = fl_buf_append_str(out, "fl_withdrawn=", err);
	for (size_t i = 0; i < state->n_withdrawn && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "%s%s", i == 0 ? "" : " ", state->withdrawn[i]);
	if (rc == FL_OK)
		rc = fl_buf_append_str(out, "\n", err);
	for (size_t i = 0; i < state->n_hashes && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "fl_hash_%s=%s\n", state->hashes[i].slot,
				    state->hashes[i].hex);
	return rc;
}

enum fl_rc grub_print_decision(const struct fl_boot_state *state, enum grub_copy copy,
			       struct fl_buf *out, struct fl_err *err)
{
	fl_buf_clear(out);
	enum fl_rc rc = fl_buf_appendf(
		out, err,
		SIGNATURE
		"fl_format=fairlead-grub-1\nfl_copy=%s\nfl_seq=%llu\nfl_good=%s\nfl_trial=%s\n"
		"fl_tries=%u\n",
		grub_copy_names[copy], (unsigned long long)state->seq, state->good, state->trial,
		state->tries);
	if (rc == FL_OK)
		rc = print_lists(state, out, err);
	if (rc == FL_OK)
		rc = print_tokens(state, out, err);
	return rc == FL_OK ? pad(out, GRUB_DECISION_SIZE, err) : rc;
}

enum fl_rc grub_print_sum(const struct fl_buf *decision, enum grub_copy copy, struct fl_buf *out,
			  struct fl_err *err)
{
	struct fl_digest sum;
	char hex[FL_DIGEST_HEX_SIZE];
	fl_buf_clear(out);
	enum fl_rc rc = fl_sha256(NULL, 0, decision->data, decision->len, &sum, err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(sum.b, sizeof(sum.b), hex);
	return fl_buf_appendf(out, err, "%s  %s\n", hex, grub_copy_names[copy]);
}

/* The value of the line "key=value" at *p, which then stands behind it. */
static bool take_line(const char **p, const char *key, char *value, size_t size)
{
	const size_t key_len = strlen(key);
	if (strncmp(*p, key, key_len) != 0)
		return false;
	const char *start = *p + key_len;
	const size_t len = strcspn(start, "\n");
	if (start[len] != '\n' || len >= size)
		return false;
	memcpy(value, start, len);
	value[len] = '\0';
	*p = start + len + 1;
	return true;
}

/* Up to 18 digits; signs, spaces and zeros in front are found when the text is printed again. */
static bool parse_number(const char *text, uint64_t *ret)
{
	const size_t len = strspn(text, "0123456789");
	if (len == 0 || len > 18 || text[len] != '\0')
		return false;
	*ret = 0;
	for (size_t i = 0; i < len; i++)
		*ret = *ret * 10 + (uint64_t)(text[i] - '0');
	return true;
}

static bool parse_withdrawn(char *list, struct fl_boot_state *state)
{
	char *rest = list[0] == '\0' ? NULL : list;
	while (rest != NULL) {
		const char *name = strsep(&rest, " ");
		if (state->n_withdrawn == FL_BOOT_SLOTS_MAX || strlen(name) != 1)
			return false;
		state->withdrawn[state->n_withdrawn++][0] = name[0];
	}
	return true;
}

/* "fl_hash_b=HEX" */
static bool parse_hashes(const char **p, struct fl_boot_state *state)
{
	const size_t key_len = strlen("fl_hash_x=");
	while (strncmp(*p, "fl_hash_", key_len - 2) == 0) {
		char key[16] = {0};
		if (state->n_hashes == FL_BOOT_SLOTS_MAX || strlen(*p) < key_len)
			return false;
		struct fl_boot_hash *h = &state->hashes[state->n_hashes++];
		memcpy(key, *p, key_len);
		h->slot[0] = key[key_len - 2];
		if (!take_line(p, key, h->hex, sizeof(h->hex)))
			return false;
	}
	return true;
}

static bool parse_body(const char *p, struct fl_boot_state *state)
{
	char number[24];
	char word[32];
	char list[OFFER_LEN + 1];
	uint64_t tries;
	if (!take_line(&p, SIGNATURE "fl_format=", word, sizeof(word)) ||
	    !take_line(&p, "fl_copy=", word, sizeof(word)) ||
	    !take_line(&p, "fl_seq=", number, sizeof(number)) ||
	    !parse_number(number, &state->seq) ||
	    !take_line(&p, "fl_good=", state->good, sizeof(state->good)) ||
	    !take_line(&p, "fl_trial=", state->trial, sizeof(state->trial)) ||
	    !take_line(&p, "fl_tries=", number, sizeof(number)) || !parse_number(number, &tries))
		return false;
	if (tries > FL_BOOT_TRIES_MAX)
		return false;
	state->tries = (unsigned)tries;
	return take_line(&p, "fl_withdrawn=", list, sizeof(list)) && parse_withdrawn(list, state) &&
	       parse_hashes(&p, state);
}

static bool same(const struct fl_buf *a, const struct fl_buf *b)
{
	return a->len == b->len && a->len > 0 && memcmp(a->data, b->data, a->len) == 0;
}

enum fl_rc grub_parse_decision(const struct fl_buf *text, const struct fl_buf *sum,
			       enum grub_copy copy, struct fl_boot_state *ret, struct fl_err *err)
{
	struct fl_boot_state state = {0};
	struct fl_buf again = FL_BUF(GRUB_DECISION_SIZE);
	struct fl_buf want = FL_BUF(GRUB_SUM_MAX);
	bool valid = false;
	enum fl_rc rc = grub_print_sum(text, copy, &want, err);
	if (rc == FL_OK && same(sum, &want) && parse_body(fl_buf_str(text), &state) &&
	    fl_boot_state_valid(&state)) {
		rc = grub_print_decision(&state, copy, &again, err);
		valid = rc == FL_OK && same(text, &again);
	}
	fl_buf_free(&again);
	fl_buf_free(&want);
	if (rc == FL_OK && !valid)
		rc = fl_fail(err, FL_E_CORRUPT, 0, "boot decision '%s'", grub_copy_names[copy]);
	if (rc == FL_OK)
		*ret = state;
	return rc;
}

/* --- the count --- */

#define COUNT_0_KEY SIGNATURE "fl_count_0="
#define COUNT_1_KEY "\nfl_count_1="
#define OFFER_KEY   "\nfl_offer="
#define AGAIN_KEY   "\nfl_again="

struct grub_field grub_count_field(uint64_t seq)
{
	const size_t even = strlen(COUNT_0_KEY);
	const size_t len = GRUB_TOKEN_SIZE - 1;
	return (struct grub_field){seq % 2 == 0 ? even : even + len + strlen(COUNT_1_KEY), len};
}

struct grub_field grub_offer_field(void)
{
	const struct grub_field odd = grub_count_field(1);
	return (struct grub_field){odd.offset + odd.len + strlen(OFFER_KEY),
				   OFFER_LEN + strlen(AGAIN_KEY) + OFFER_LEN};
}

/* The two are told apart, so that GRUB takes neither. */
enum fl_rc grub_print_count(struct fl_buf *out, struct fl_err *err)
{
	fl_buf_clear(out);
	enum fl_rc rc = fl_buf_appendf(out, err,
				       COUNT_0_KEY NO_TOKEN COUNT_1_KEY NO_TOKEN OFFER_KEY
				       "%*s" AGAIN_KEY "%*s\n",
				       (int)OFFER_LEN, "", (int)OFFER_LEN, "-");
	return rc == FL_OK ? pad(out, GRUB_COUNT_SIZE, err) : rc;
}

bool grub_count_valid(const struct fl_buf *text)
{
	struct fl_buf model = FL_BUF(GRUB_COUNT_SIZE);
	bool valid = text->len == GRUB_COUNT_SIZE && grub_print_count(&model, NULL) == FL_OK;
	const struct grub_field offer = grub_offer_field();
	const struct grub_field fields[] = {grub_count_field(0),
					    grub_count_field(1),
					    {offer.offset, OFFER_LEN},
					    {offer.offset + offer.len - OFFER_LEN, OFFER_LEN}};
	for (size_t i = 0; valid && i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *value = (const char *)text->data + fields[i].offset;
		valid = memchr(value, '\n', fields[i].len) == NULL;
		memcpy(model.data + fields[i].offset, value, fields[i].len);
	}
	valid = valid && same(text, &model);
	fl_buf_free(&model);
	return valid;
}

enum fl_rc grub_print_offer(const struct fl_boot_host *host, const struct fl_boot_state *state,
			    struct fl_buf *out, struct fl_err *err)
{
	char list[OFFER_LEN + 1];
	size_t n = 0;
	list[n++] = state->good[0];
	for (size_t i = 0; i < host->n_slots && n + 1 < OFFER_LEN; i++) {
		const char *name = host->slots[i].name;
		if (strcmp(name, state->good) == 0 || fl_boot_is_withdrawn(state, name))
			continue;
		list[n++] = ' ';
		list[n++] = name[0];
	}
	list[n] = '\0';
	fl_buf_clear(out);
	return fl_buf_appendf(out, err, "%-*s" AGAIN_KEY "%-*s", (int)OFFER_LEN, list,
			      (int)OFFER_LEN, list);
}

enum fl_rc grub_tries_left(const struct fl_buf *count, const struct fl_boot_state *state,
			   unsigned *ret, struct fl_err *err)
{
	const struct grub_field field = grub_count_field(state->seq);
	enum fl_rc rc = FL_OK;
	unsigned found = 0;
	for (unsigned left = 1; left <= state->tries && rc == FL_OK; left++) {
		char token[GRUB_TOKEN_SIZE];
		rc = grub_token(state, left, token, err);
		if (rc == FL_OK && memcmp(count->data + field.offset, token, field.len) == 0)
			found = left;
	}
	if (rc == FL_OK)
		*ret = found;
	return rc;
}
