/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

#include <fairlead/base/log.h>

#include <signal.h>

int main(int argc, char **argv)
{
	fl_log_open("fairleadctl");
	(void)signal(SIGPIPE, SIG_IGN);
	return fl_ctl_main(argc, argv, stdout, stderr);
}
