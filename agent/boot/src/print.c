/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of `fairlead-boot observe`. */
#include <fairlead/boot/boot.h>

static const char *bool_text(bool value)
{
	return value ? "true" : "false";
}

static enum fl_rc print_withdrawn(const struct fl_boot_state *state, struct fl_buf *out,
				  struct fl_err *err)
{
	enum fl_rc rc = fl_buf_append_str(out, "\"withdrawn\":[", err);
	for (size_t i = 0; i < state->n_withdrawn && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "%s\"%s\"", i == 0 ? "" : ",", state->withdrawn[i]);
	return rc == FL_OK ? fl_buf_append_str(out, "]", err) : rc;
}

static enum fl_rc print_hashes(const struct fl_boot_state *state, struct fl_buf *out,
			       struct fl_err *err)
{
	enum fl_rc rc = fl_buf_append_str(out, "\"root_hashes\":[", err);
	for (size_t i = 0; i < state->n_hashes && rc == FL_OK; i++)
		rc = fl_buf_appendf(out, err, "%s{\"slot\":\"%s\",\"hash\":\"%s\"}",
				    i == 0 ? "" : ",", state->hashes[i].slot, state->hashes[i].hex);
	return rc == FL_OK ? fl_buf_append_str(out, "]", err) : rc;
}

enum fl_rc fl_boot_print(const struct fl_boot_host *host, const struct fl_boot_state *state,
			 struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc =
		fl_buf_appendf(out, err, "{\"running\":\"%s\",\"good\":\"%s\",\"trial\":\"%s\",",
			       host->running, state->good, state->trial);
	if (rc == FL_OK)
		rc = print_withdrawn(state, out, err);
	if (rc == FL_OK)
		rc = fl_buf_appendf(out, err, ",\"tries\":%u,\"used\":%u,\"proving\":%s,",
				    state->tries, state->used, bool_text(host->proving));
	if (rc == FL_OK)
		rc = print_hashes(state, out, err);
	return rc == FL_OK ? fl_buf_append_str(out, "}\n", err) : rc;
}
