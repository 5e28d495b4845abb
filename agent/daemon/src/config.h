/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's view of gateway.conf (docs/configuration.md). Read once at start; every string lives as long as it. */
#ifndef FAIRLEAD_DAEMON_CONFIG_H
#define FAIRLEAD_DAEMON_CONFIG_H

#include <fairlead/base/buf.h>
#include <fairlead/base/conf.h>
#include <fairlead/policy/rate.h>

#define FL_CONFIG_COMPONENTS_MAX 16
#define FL_CONFIG_INTERFACES_MAX 8

struct fl_config_component {
	const char *name;
	const char *handler;
};

/* A network interface of which account is kept; budgets in bytes, 0: none. */
struct fl_config_interface {
	const char *name;
	uint64_t day_budget, deployment_budget;
	bool metered;
};

/* An HTTP proxy on the way to the fleet; host NULL: none. */
struct fl_config_proxy {
	const char *url;  /* as configured */
	const char *host;
	const char *user; /* user:password; NULL: not asked for */
	uint16_t port;
};

struct fl_config {
	struct fl_conf *conf;
	struct fl_arena arena;
	const char *tenant, *device_id, *product, *class_id;
	uint64_t hw_rev;
	const char *root_path;	    /* the factory's root envelope */
	const char *key_uri, *public_path, *certificate_path;
	const char *fleet_url, *fleet_host, *fleet_path, *enrol_url, *ca_path;
	uint16_t fleet_port;
	struct fl_config_proxy proxy;
	const char *store_dir, *spool_dir, *roots_dir;
	const char *store_mount; /* NULL: not looked at */
	const char *control_socket, *helper_socket;
	const char *check_dir;	   /* may be NULL */
	const char *check_gateway; /* NULL: the next hops of the default routes */
	const char *systemctl;
	const char *boot_failure;
	struct fl_policy policies[FL_N_GATES];
	struct fl_policy_set policy_set;
	struct fl_rate download_rate;
	const char *download_source; /* NULL: none of this gateway's own */
	const char *download_ca; /* NULL: the fleet's */
	bool private_redirects;
	bool full_on_metered; /* in place of a delta, without asking */
	uint64_t spool_quota_mib, spool_keep_days;
	size_t n_interfaces;
	struct fl_config_interface interfaces[FL_CONFIG_INTERFACES_MAX];
	size_t n_components;
	struct fl_config_component components[FL_CONFIG_COMPONENTS_MAX];
};

/* FL_E_CONFIG with file, line and key. Free with fl_config_done, also after a failure. */
enum fl_rc fl_config_load(const char *path, struct fl_config *ret, struct fl_err *err) FL_CHECKED;
void fl_config_done(struct fl_config *config);

#endif
