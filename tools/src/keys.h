/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: FILE is the private half (PEM, 0600), FILE.pub or NAME.pub the public one. */
#ifndef FL_TOOLS_KEYS_H
#define FL_TOOLS_KEYS_H

#include "command.h"

#include <fairlead/base/schema.h>
#include <fairlead/trust/key.h>

/* A key as the commands show it. */
struct fl_tools_key_row {
	const char *name; /* the file, or the roles */
	const char *alg;
	struct fl_digest keyid;
};
extern const struct fl_schema fl_tools_key_schema;

enum fl_rc fl_tools_alg(const struct fl_tools_call *call, enum fl_alg *ret,
			struct fl_err *err) FL_CHECKED;
/* Prints rows as a table, or as {"keys":[…]}. */
enum fl_rc fl_tools_keys_print(const struct fl_tools_call *call,
			       const struct fl_tools_key_row *rows, size_t n,
			       struct fl_err *err) FL_CHECKED;

#endif
