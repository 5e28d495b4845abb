/* SPDX-License-Identifier: Apache-2.0 */
/* docs/wire-messages.md out of the tables of lib/wire. */
#ifndef TESTS_UNIT_WIRE_DESCRIBE_H
#define TESTS_UNIT_WIRE_DESCRIBE_H

#include <fairlead/base/buf.h>

enum fl_rc wire_describe(struct fl_buf *out, struct fl_err *err) FL_CHECKED;

#endif
