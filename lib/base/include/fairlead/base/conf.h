/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: INI, sections and key = value, comments with '#' or ';'. A file is read whole into
 * entries; programs ask for what they know and then call fl_conf_warn_unknown(), which names every key nobody
 * asked for, with its line. Refused rather than misread: a line of more than 199 bytes, a section's name of more
 * than 49, an indented line, a zero byte.
 */
#ifndef FAIRLEAD_BASE_CONF_H
#define FAIRLEAD_BASE_CONF_H

#include <fairlead/base/buf.h>
#include <fairlead/base/err.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fl_conf;

/* At most 64 KiB and 1,000 entries. *ret: returned owned, free with fl_conf_free. */
enum fl_rc fl_conf_load(const char *path, struct fl_conf **ret, struct fl_err *err) FL_CHECKED;
void fl_conf_free(struct fl_conf *conf);

/* Borrowed until fl_conf_free; `fallback` (may be NULL) when the key is not set. */
const char *fl_conf_get(struct fl_conf *conf, const char *section, const char *key,
			const char *fallback);
/* The same, FL_E_CONFIG with the file and key in the message when it is not set. */
enum fl_rc fl_conf_need(struct fl_conf *conf, const char *section, const char *key,
			const char **ret, struct fl_err *err) FL_CHECKED;
/* A decimal number in min…max; `fallback` when not set, FL_E_CONFIG with the line when it is no such number. */
enum fl_rc fl_conf_u64(struct fl_conf *conf, const char *section, const char *key, uint64_t min,
		       uint64_t max, uint64_t fallback, uint64_t *ret, struct fl_err *err)
	FL_CHECKED;
/* true|yes|on|1, false|no|off|0 */
enum fl_rc fl_conf_bool(struct fl_conf *conf, const char *section, const char *key, bool fallback,
			bool *ret, struct fl_err *err) FL_CHECKED;
/*
 * The path that a value of the file means: a relative one starts from [paths] root, which is "/" when not set.
 * FL_E_CONFIG when it does not fit. The second keeps it in the arena, which owns *ret.
 */
enum fl_rc fl_conf_path(struct fl_conf *conf, const char *value, char *out, size_t out_size,
			struct fl_err *err) FL_CHECKED;
enum fl_rc fl_conf_keep_path(struct fl_conf *conf, const char *value, struct fl_arena *arena,
			     const char **ret, struct fl_err *err) FL_CHECKED;
/* The i-th distinct section whose name starts with prefix ("component."), its whole name; NULL past the last. */
const char *fl_conf_section(const struct fl_conf *conf, const char *prefix, size_t i);
/*
 * Logs one warning per entry that no call above has asked for, in the sections that start with one of the
 * prefixes (NULL ends the list): the programs of a gateway share one file, each knows its own sections.
 */
void fl_conf_warn_unknown(const struct fl_conf *conf, const char *const *prefixes);

#ifdef __cplusplus
}
#endif
#endif
