/* SPDX-License-Identifier: Apache-2.0 */
#include "sdboot.h"

#include <fairlead/trust/digest.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX	  "fairlead-"
#define SUFFIX	  ".conf"
#define SUM_KEY	  "# sha256="
#define SEQ_WIDTH 10

const char *sdboot_carrier(const struct fl_boot_state *state)
{
	return state->trial[0] != '\0' ? state->trial : state->good;
}

/* --- names --- */

static bool take_number(const char **p, size_t max_digits, uint64_t *ret)
{
	const size_t len = strspn(*p, "0123456789");
	if (len == 0 || len > max_digits)
		return false;
	*ret = 0;
	for (size_t i = 0; i < len; i++)
		*ret = *ret * 10 + (uint64_t)((*p)[i] - '0');
	*p += len;
	return true;
}

static bool take_slot(const char **p, char to[FL_NAME_MAX + 1])
{
	const size_t prove = strlen(FL_BOOT_PROVE);
	const size_t len = strncmp(*p, FL_BOOT_PROVE, prove) == 0 ? prove : 1;
	if (**p < 'a' || **p > 'z')
		return false;
	memset(to, 0, FL_NAME_MAX + 1);
	memcpy(to, *p, len);
	*p += len;
	return true;
}

bool sdboot_parse_name(const char *file, struct sdboot_entry *ret)
{
	struct sdboot_entry e = {0};
	uint64_t left = 0;
	uint64_t done = 0;
	const char *p = file;
	if (strlen(file) >= sizeof(e.file) || strncmp(p, PREFIX, strlen(PREFIX)) != 0)
		return false;
	p += strlen(PREFIX);
	if (!take_number(&p, 18, &e.seq) || *p++ != '-' || !take_slot(&p, e.slot))
		return false;
	if (*p == '+') {
		p++;
		e.counted = true;
		if (!take_number(&p, 4, &left))
			return false;
		if (*p == '-' && (p++, !take_number(&p, 4, &done)))
			return false;
	}
	e.left = (unsigned)left;
	e.done = (unsigned)done;
	memcpy(e.file, file, strlen(file) + 1);
	if (strcasecmp(p, SUFFIX) != 0)
		return false;
	*ret = e;
	return true;
}

/* Zeros in front: then names sort as numbers do, whoever compares them. */
void sdboot_print_name(struct sdboot_entry *entry)
{
	char count[32] = "";
	if (entry->counted && entry->done == 0)
		snprintf(count, sizeof(count), "+%u", entry->left);
	else if (entry->counted)
		snprintf(count, sizeof(count), "+%u-%u", entry->left, entry->done);
	snprintf(entry->file, sizeof(entry->file), PREFIX "%0*llu-%.8s%s" SUFFIX, SEQ_WIDTH,
		 (unsigned long long)entry->seq, entry->slot, count);
}

/* --- texts --- */

/* Every line of the decision behind "# ". */
static enum fl_rc print_decision(const struct fl_boot_state *state, struct fl_buf *out,
				 struct fl_err *err)
{
	struct fl_buf text = FL_BUF(SDBOOT_ENTRY_MAX);
	enum fl_rc rc = fl_boot_decision_print(state, &text, err);
	char *rest = rc == FL_OK ? (char *)text.data : NULL;
	while (rest != NULL && *rest != '\0' && rc == FL_OK)
		rc = fl_buf_appendf(out, err, "# %s\n", strsep(&rest, "\n"));
	fl_buf_free(&text);
	return rc;
}

static enum fl_rc print_boot(const struct fl_boot_state *state, const char *slot,
			     const struct sdboot_settings *s, struct fl_buf *out,
			     struct fl_err *err)
{
	const bool prove = strcmp(slot, FL_BOOT_PROVE) == 0;
	const bool on_trial = state->trial[0] != '\0' && !prove;
	const char *hash = fl_boot_root_hash(state, prove ? state->good : slot);
	enum fl_rc rc = fl_buf_appendf(
		out, err,
		"title Fairlead %s\nsort-key 0fairlead\noptions root=PARTUUID=%s fairlead.slot=%s"
		"%s%s%s %s\n",
		slot, s->partuuid, slot, on_trial ? " fairlead.trial=1" : "",
		hash == NULL ? "" : " roothash=", hash == NULL ? "" : hash, s->options);
	if (rc == FL_OK && s->initrd[0] != '\0')
		rc = fl_buf_appendf(out, err, "initrd %s\n", s->initrd);
	/* Last, for an entry without it is none: what was cut off in front of it is never booted.
	 */
	return rc == FL_OK ? fl_buf_appendf(out, err, "linux %s\n", s->kernel) : rc;
}

static enum fl_rc print_sum(const struct fl_buf *text, size_t len, char line[96],
			    struct fl_err *err)
{
	struct fl_digest sum;
	char hex[FL_DIGEST_HEX_SIZE];
	enum fl_rc rc = fl_sha256(NULL, 0, text->data, len, &sum, err);
	if (rc != FL_OK)
		return rc;
	fl_hex_encode(sum.b, sizeof(sum.b), hex);
	snprintf(line, 96, SUM_KEY "%s\n", hex);
	return FL_OK;
}

enum fl_rc sdboot_print_entry(const struct fl_boot_state *state, const char *slot,
			      const struct sdboot_settings *settings, struct fl_buf *out,
			      struct fl_err *err)
{
	char line[96];
	fl_buf_clear(out);
	enum fl_rc rc = print_decision(state, out, err);
	if (rc == FL_OK)
		rc = print_boot(state, slot, settings, out, err);
	if (rc == FL_OK)
		rc = print_sum(out, out->len, line, err);
	return rc == FL_OK ? fl_buf_append_str(out, line, err) : rc;
}

/* The comments at the top without their "# ". */
static enum fl_rc take_decision(const char *text, struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	while (strncmp(text, "# ", 2) == 0 && rc == FL_OK) {
		const size_t len = strcspn(text, "\n") + 1;
		rc = fl_buf_append(out, text + 2, len - 2, err);
		text += len;
	}
	return rc;
}

enum fl_rc sdboot_parse_entry(const struct fl_buf *text, struct fl_boot_state *ret,
			      struct fl_err *err)
{
	char line[96];
	const size_t sum_len = strlen(SUM_KEY) + FL_DIGEST_HEX_SIZE;
	struct fl_buf decision = FL_BUF(SDBOOT_ENTRY_MAX);
	if (text->len <= sum_len || strlen(fl_buf_str(text)) != text->len)
		return fl_fail(err, FL_E_CORRUPT, 0, "boot entry: malformed");
	const size_t len = text->len - sum_len;
	enum fl_rc rc = print_sum(text, len, line, err);
	if (rc == FL_OK && strcmp(line, fl_buf_str(text) + len) != 0)
		rc = fl_fail(err, FL_E_CORRUPT, 0, "boot entry: checksum");
	if (rc == FL_OK)
		rc = take_decision(fl_buf_str(text), &decision, err);
	if (rc == FL_OK)
		rc = fl_boot_decision_parse(&decision, ret, err);
	fl_buf_free(&decision);
	return rc;
}
