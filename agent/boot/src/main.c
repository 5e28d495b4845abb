/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairlead-boot: what boots next. Started by fairlead-helper, and by a person for `doctor` and `init`.
 *
 *   fairlead-boot [--config FILE] observe | withdraw SLOT | trial SLOT [--tries N] [--root-hash HEX] | good | fallback |
 *                                 prove [--tries N] | doctor | init SLOT
 */
#include <fairlead/boot/slots.h>

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3,
	EXIT_NO_DECISION = 4,
};

struct arguments {
	const char *config;
	const char *verb;
	const char *slot;
	const char *root_hash;
	unsigned tries;
};

struct machine {
	struct fl_conf *conf;
	struct fl_arena arena;
	const struct fl_boot_backend *backend;
	struct fl_boot_host host;
};

static enum fl_rc set_up(struct machine *m, const char *config, struct fl_err *err)
{
	enum fl_rc rc = fl_conf_load(config, &m->conf, err);
	if (rc != FL_OK)
		return rc;
	const char *name = fl_conf_get(m->conf, "boot", "backend", "sim");
	m->backend = fl_boot_backend_find(name);
	if (m->backend == NULL)
		return fl_fail(err, FL_E_CONFIG, 0, "[boot] backend: no back end '%s'", name);
	return fl_boot_host_load(m->conf, &FL_BOOT_ROOTS, &m->arena, &m->host, err);
}

static enum fl_rc print_state(struct machine *m, struct fl_err *err)
{
	struct fl_boot_state state;
	struct fl_buf out = FL_BUF(4096);
	enum fl_rc rc = fl_boot_observe(m->backend, &m->host, &state, err);
	if (rc == FL_OK)
		rc = fl_boot_print(&m->host, &state, &out, err);
	if (rc == FL_OK)
		rc = fl_write_all(STDOUT_FILENO, out.data, out.len, err);
	fl_buf_free(&out);
	return rc;
}

static void print_finding(void *ctx, bool ok, const char *text)
{
	(void)ctx;
	printf("%-5s %s\n", ok ? "ok" : "FAULT", text);
}

static enum fl_rc run(struct machine *m, const struct arguments *a, struct fl_err *err)
{
	const struct fl_boot_backend *b = m->backend;
	const struct fl_boot_trial trial = {a->slot, a->tries, a->root_hash};
	if (strcmp(a->verb, "observe") == 0)
		return print_state(m, err);
	if (strcmp(a->verb, "withdraw") == 0)
		return fl_boot_withdraw(b, &m->host, a->slot, err);
	if (strcmp(a->verb, "trial") == 0)
		return fl_boot_trial(b, &m->host, &trial, err);
	if (strcmp(a->verb, "good") == 0)
		return fl_boot_good(b, &m->host, err);
	if (strcmp(a->verb, "fallback") == 0)
		return fl_boot_fallback(b, &m->host, err);
	if (strcmp(a->verb, "prove") == 0)
		return fl_boot_prove(b, &m->host, a->tries, err);
	if (strcmp(a->verb, "init") == 0)
		return fl_boot_init(b, &m->host, a->slot, err);
	return fl_boot_doctor(b, &m->host, print_finding, NULL, err);
}

static bool is_verb(const char *verb, bool *needs_slot)
{
	static const char *const with[] = {"withdraw", "trial", "init"};
	static const char *const without[] = {"observe", "good", "fallback", "prove", "doctor"};
	*needs_slot = false;
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		if (strcmp(verb, without[i]) == 0)
			return true;
	}
	*needs_slot = true;
	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
		if (strcmp(verb, with[i]) == 0)
			return true;
	}
	return false;
}

/* An option and its value; false when it is none, or a wrong one. */
static bool take_option(struct arguments *a, const char *name, const char *value)
{
	uint8_t hash[FL_DIGEST_SIZE];
	if (strcmp(name, "--config") == 0) {
		a->config = value;
		return true;
	}
	if (strcmp(name, "--tries") == 0 && strlen(value) == 1 && *value >= '1' && *value <= '9') {
		a->tries = (unsigned)(*value - '0');
		return true;
	}
	if (strcmp(name, "--root-hash") == 0) {
		a->root_hash = value;
		return fl_hex_decode(value, strlen(value), hash, sizeof(hash));
	}
	return false;
}

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
	bool needs_slot;
	*a = (struct arguments){"/etc/fairlead/gateway.conf", NULL, NULL, NULL, 1};
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) == 0) {
			const char *name = argv[i++];
			if (i == argc || !take_option(a, name, argv[i]))
				return false;
		} else if (a->verb == NULL) {
			a->verb = argv[i];
		} else if (a->slot == NULL) {
			a->slot = argv[i];
		} else {
			return false;
		}
	}
	return a->verb != NULL && is_verb(a->verb, &needs_slot) &&
	       needs_slot == (a->slot != NULL) && (a->slot == NULL || fl_name_valid(a->slot));
}

static int exit_code(enum fl_rc rc)
{
	switch ((int)rc) {
	case FL_OK:
		return EXIT_DONE;
	case FL_E_SLOT_RUNNING:
	case FL_E_SLOT_MISSING:
	case FL_E_EXISTS:
	case FL_E_BOOT_SWITCH:
		return EXIT_REFUSED;
	case FL_E_NOT_FOUND:
	case FL_E_CORRUPT:
		return EXIT_NO_DECISION;
	default:
		return EXIT_FAILED;
	}
}

int main(int argc, char **argv)
{
	static struct machine m;
	struct arguments a;
	struct fl_err err = {0};
	fl_log_open("fairlead-boot");
	if (!parse_arguments(argc, argv, &a)) {
		fputs("usage: fairlead-boot [--config FILE] observe | withdraw SLOT | "
		      "trial SLOT [--tries N] [--root-hash HEX] | good | fallback | "
		      "prove [--tries N] | doctor | init SLOT\n",
		      stderr);
		return EXIT_USAGE;
	}
	m.arena = FL_ARENA((size_t)256 * 1024);
	enum fl_rc rc = set_up(&m, a.config, &err);
	int status = rc == FL_OK ? EXIT_DONE : EXIT_FAILED;
	if (rc == FL_OK) {
		rc = run(&m, &a, &err);
		status = exit_code(rc);
	}
	if (rc != FL_OK)
		fl_log_err(FL_LOG_ERROR, &err, "%s", a.verb);
	fl_arena_free(&m.arena);
	fl_conf_free(m.conf);
	return status;
}
