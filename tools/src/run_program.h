/* SPDX-License-Identifier: Apache-2.0 */
/* Another program's output, without a shell. */
#ifndef FL_TOOLS_RUN_PROGRAM_H
#define FL_TOOLS_RUN_PROGRAM_H

#include <fairlead/base/buf.h>

/*
 * Runs argv (argv[0] looked up in PATH, then /usr/sbin and /sbin; NULL at the end), with no input,
 * no message of its own shown, an environment of PATH and LC_ALL=C, and appends its output to out.
 * FL_E_NOT_SUPPORTED when there is no such program, FL_E_IO when it did not exit with 0,
 * FL_E_TIMEOUT after a minute (it is killed), FL_E_TOO_LARGE past out's maximum.
 */
enum fl_rc fl_tools_run_program(const char *const *argv, struct fl_buf *out,
				struct fl_err *err) FL_CHECKED;

#endif
