/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead-fleet: the command line. */
#include "server/settings.h"

#include <fairlead/base/log.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char help[] =
	"fairlead-fleet: the update server of a fleet of gateways\n"
	"\n"
	"  fairlead-fleet init DIR --root FILE --dispatch-key FILE [options]\n"
	"      Makes a fleet's folder: settings (fleet.conf), certificates, the operator's token, the\n"
	"      database. Copies the root document and the dispatch key, which the root must name.\n"
	"        --root FILE          the first root document (fairlead keys init)\n"
	"        --dispatch-key FILE  the private key that signs jobs, PEM\n"
	"        --host NAME          as gateways call this server (default localhost)\n"
	"        --device-port N      for gateways, mutual TLS (default 8443)\n"
	"        --api-port N         for operators and enrolment (default 8444)\n"
	"  fairlead-fleet run DIR\n"
	"      Serves until SIGTERM or SIGINT.\n"
	"  fairlead-fleet token DIR add|revoke NAME\n"
	"      Makes and prints an operator's token, or makes all of that name invalid; also while the\n"
	"      server runs, which knows of it within a second.\n"
	"  fairlead-fleet audit DIR\n"
	"      Prints the audit log and checks its chain; also while the server runs.\n"
	"  fairlead-fleet --help | --version\n"
	"\n"
	"Exit status: 0 done; 1 failed, the cause is on standard error; 2 wrong usage.\n"
	"Environment: FAIRLEAD_LOG=debug|info|notice|warning|error (default info).\n";

static int usage(const char *text)
{
	fprintf(stderr, "fairlead-fleet: %s (see fairlead-fleet --help)\n", text);
	return EXIT_USAGE;
}

static int finish(enum fl_rc rc, const struct fl_err *err, const char *what)
{
	if (rc == FL_OK)
		return EXIT_OK;
	fl_log_err(FL_LOG_ERROR, err, "%s", what);
	return EXIT_FAILED;
}

static bool port_of(const char *text, uint64_t *ret)
{
	char *end = NULL;
	unsigned long value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > 65535)
		return false;
	*ret = value;
	return true;
}

static int init(int argc, char **argv)
{
	static const struct option options[] = {
		{"root", required_argument, NULL, 'r'},	      {"dispatch-key", required_argument, NULL, 'k'},
		{"host", required_argument, NULL, 'h'},	      {"device-port", required_argument, NULL, 'd'},
		{"api-port", required_argument, NULL, 'a'},   {NULL, 0, NULL, 0},
	};
	struct fl_setup setup = {
		.host = "localhost", .device_port = FL_DEVICE_PORT, .api_port = FL_API_PORT};
	bool ok = true;
	for (int c = getopt_long(argc, argv, "", options, NULL); c != -1 && ok;
	     c = getopt_long(argc, argv, "", options, NULL)) {
		switch (c) {
		case 'r':
			setup.root = optarg;
			break;
		case 'k':
			setup.dispatch_key = optarg;
			break;
		case 'h':
			setup.host = optarg;
			break;
		case 'd':
			ok = port_of(optarg, &setup.device_port);
			break;
		case 'a':
			ok = port_of(optarg, &setup.api_port);
			break;
		default:
			return EXIT_USAGE;
		}
	}
	if (!ok || setup.device_port == setup.api_port)
		return usage("ports are two different numbers from 1 to 65535");
	if (optind + 1 != argc || setup.root == NULL || setup.dispatch_key == NULL)
		return usage("init needs a folder, --root and --dispatch-key");
	struct fl_err err = {0};
	setup.dir = argv[optind];
	return finish(fl_setup_run(&setup, &err), &err, "init");
}

static int run(int argc, char **argv)
{
	if (argc != 2)
		return usage("run needs a folder");
	struct fl_err err = {0};
	return finish(fl_server_run(argv[1], &err), &err, "run");
}

static int token(int argc, char **argv)
{
	if (argc != 4)
		return usage("token needs a folder, add or revoke, and a name");
	struct fl_err err = {0};
	return finish(fl_server_token(argv[1], argv[2], argv[3], &err), &err, "token");
}

static int audit(int argc, char **argv)
{
	if (argc != 2)
		return usage("audit needs a folder");
	struct fl_err err = {0};
	return finish(fl_server_audit(argv[1], &err), &err, "audit");
}

static int print_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fputs(help, stdout);
	return EXIT_OK;
}

static int print_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("fairlead-fleet " FL_VERSION);
	return EXIT_OK;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"init", init}, {"run", run}, {"token", token}, {"audit", audit}, {"--help", print_help},
	{"--version", print_version},
};

int main(int argc, char **argv)
{
	fl_log_open("fairlead-fleet");
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return usage(argc > 1 ? "no such command" : "a command is missing");
}
