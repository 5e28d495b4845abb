/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <fairlead/base/log.h>

#include <signal.h>

int main(int argc, char **argv)
{
	fl_log_open("fairlead");
	(void)signal(SIGPIPE, SIG_IGN);
	return fl_tools_main(argc, argv, stdout, stderr);
}
