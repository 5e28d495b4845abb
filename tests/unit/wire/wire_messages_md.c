/* SPDX-License-Identifier: Apache-2.0 */
/* wire_messages_md: prints docs/wire-messages.md. */
#include "describe.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <unistd.h>

int main(void)
{
	fl_log_open("wire_messages_md");
	struct fl_err err = {0};
	struct fl_buf out = FL_BUF((size_t)1024 * 1024);
	enum fl_rc rc = wire_describe(&out, &err);
	if (rc == FL_OK)
		rc = fl_write_all(STDOUT_FILENO, out.data, out.len, &err);
	if (rc != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "describe");
	fl_buf_free(&out);
	return rc == FL_OK ? 0 : 1;
}
