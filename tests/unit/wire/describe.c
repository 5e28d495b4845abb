/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <fairlead/trust/json.h>
#include <fairlead/wire/messages.h>

static const char head[] =
	"# Messages between agent and fleet\n\n"
	"Generated from the tables of `lib/wire/src/messages.c`; renew it with\n"
	"`build/<preset>/tests/wire_messages_md > docs/wire-messages.md`. The conversation is in "
	"[protocol.md](protocol.md).\n\n";

enum fl_rc wire_describe(struct fl_buf *out, struct fl_err *err)
{
	enum fl_rc rc = fl_buf_append_str(out, head, err);
	for (int type = FL_WIRE_HELLO; type <= FL_WIRE_REPORT_ACK && rc == FL_OK; type++)
		rc = fl_json_describe(fl_wire_schema((enum fl_wire_type)type), out, err);
	return rc;
}
