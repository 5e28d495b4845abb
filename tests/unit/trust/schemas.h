/* SPDX-License-Identifier: Apache-2.0 */
/* Fills any struct from its schema, so that one test can go through every table. */
#ifndef FAIRLEAD_TESTS_UNIT_TRUST_SCHEMAS_H
#define FAIRLEAD_TESTS_UNIT_TRUST_SCHEMAS_H

#include <fairlead/base/buf.h>
#include <fairlead/base/schema.h>

/* full: every member, as large as the table allows (lists: up to 3); otherwise the required ones
 * alone. */
void fill_struct(const struct fl_schema *schema, void *out, bool full, struct fl_arena *arena);

#endif
