/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet's folder (0700):
 *
 *   fleet.conf                     the settings below
 *   ca.pem                         the server's CA: what gateways are given
 *   server.pem, keys/server.pem    the server's certificate and key; keys/ca.pem the CA's key
 *   device-ca.pem, keys/device-ca.pem   the CA of device certificates
 *   keys/dispatch.pem              signs jobs and heartbeats
 *   token                          the operator's first bearer token; the server keeps only its digest
 *   fleet.db, blobs/, trees/, tmp/, lock
 */
#ifndef FLEET_SERVER_SETTINGS_H
#define FLEET_SERVER_SETTINGS_H

#include <fairlead/base/conf.h>

#include <limits.h>

struct fl_settings {
	char dir[PATH_MAX - 64];
	char host[256];
	char address[64]; /* "" for all */
	uint64_t device_port, api_port;
	uint64_t reconnect_spread_ms, ping_s, connections_max;
	uint64_t upload_max, certificate_days;
	uint64_t reports_days, unused_blobs_days; /* 0: for ever */
};

/* Reads DIR/fleet.conf; warns of settings it doesn't know. FL_E_CONFIG. */
enum fl_rc fl_settings_load(const char *dir, struct fl_settings *ret, struct fl_err *err) FL_CHECKED;
/* DIR/name */
void fl_settings_path(const struct fl_settings *settings, const char *name, char out[PATH_MAX]);

/* What `init` is told. */
struct fl_setup {
	const char *dir;
	const char *root;	  /* file */
	const char *dispatch_key; /* file */
	const char *host;
	uint64_t device_port, api_port;
};

#define FL_DEVICE_PORT 8443
#define FL_API_PORT    8444

/* Makes a fleet's folder. FL_E_EXISTS when there is one. */
enum fl_rc fl_setup_run(const struct fl_setup *setup, struct fl_err *err) FL_CHECKED;

/* Serves until SIGTERM or SIGINT. */
enum fl_rc fl_server_run(const char *dir, struct fl_err *err) FL_CHECKED;
/* verb: add (prints the new token), revoke. Also while the server runs. */
enum fl_rc fl_server_token(const char *dir, const char *verb, const char *name, struct fl_err *err) FL_CHECKED;
/* Prints the audit log and checks its chain. */
enum fl_rc fl_server_audit(const char *dir, struct fl_err *err) FL_CHECKED;

#endif
