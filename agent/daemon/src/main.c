/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-agent: the part of a gateway that talks to the fleet. Unprivileged; touches no hardware. */
#include "agent.h"

#include <fairlead/base/log.h>
#include <fairlead/base/notify.h>
#include <fairlead/trust/digest.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 3 };

static const char usage[] =
	"Usage: fairlead-agent [--config FILE] [--identity]\n"
	"\n"
	"The agent of a Fairlead gateway: keeps the connection to the fleet and carries out its signed jobs.\n"
	"\n"
	"  --config FILE   gateway configuration (default /etc/fairlead/gateway.conf)\n"
	"  --identity      make the device key if there is none, print its identity, and exit\n"
	"  --version       print the version and exit\n"
	"  --help          print this text and exit\n"
	"\n"
	"Exit status: 0 ended by SIGTERM, 1 failed to start, 3 wrong usage.\n";

static int print_identity(const char *config_path)
{
	struct fl_config config;
	struct fl_identity identity = {0};
	struct fl_err err = {0};
	enum fl_rc rc = fl_config_load(config_path, &config, &err);
	if (rc == FL_OK)
		rc = fl_identity_open(&config, &identity, &err);
	if (rc == FL_OK) {
		char text[FL_DIGEST_TEXT_SIZE];
		fl_digest_format(&fl_key_public(identity.key)->keyid, text);
		puts(text);
	} else {
		fl_log_err(FL_LOG_ERROR, &err, "identity");
	}
	fl_identity_done(&identity);
	fl_config_done(&config);
	return rc == FL_OK ? EXIT_DONE : EXIT_FAILED;
}

/* From the loop itself: one that hangs tells the service manager nothing. */
static void on_alive(uv_timer_t *timer)
{
	const int next_ms = fl_notify_alive(-1);
	if (next_ms >= 0)
		uv_timer_start(timer, on_alive, (uint64_t)next_ms, 0);
}

static void run_loop(uv_loop_t *loop)
{
	static uv_timer_t alive;
	FL_BUG_ON(uv_timer_init(loop, &alive) != 0);
	uv_timer_start(&alive, on_alive, 0, 0);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&alive, NULL);
	fl_notify_stopping();
}

static int run(const char *config_path)
{
	static struct fl_agent agent;
	struct fl_err err = {0};
	enum fl_rc rc = fl_agent_start(&agent, config_path, &err);
	if (rc == FL_OK)
		run_loop(&agent.loop);
	else
		fl_log_err(FL_LOG_ERROR, &err, "start");
	fl_agent_done(&agent);
	return rc == FL_OK && !agent.failed ? EXIT_DONE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"identity", no_argument, NULL, 'i'},
						{"version", no_argument, NULL, 'v'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *config_path = "/etc/fairlead/gateway.conf";
	bool identity = false;
	for (int o = getopt_long(argc, argv, "c:h", options, NULL); o != -1;
	     o = getopt_long(argc, argv, "c:h", options, NULL)) {
		switch (o) {
		case 'c':
			config_path = optarg;
			break;
		case 'i':
			identity = true;
			break;
		case 'v':
			puts("fairlead-agent " FL_AGENT_VERSION);
			return EXIT_DONE;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	fl_log_open("fairlead-agent");
	(void)signal(SIGPIPE, SIG_IGN);
	return identity ? print_identity(config_path) : run(config_path);
}
