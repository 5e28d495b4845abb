/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairlead-helper [--config FILE]: the part of the gateway that may write slots. No network, no unsigned parsing; it dies by
 * signals, for a kill and a power cut take the same way back (recover.c).
 */
#include "helper.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool is_below(const char *path, const char *dir)
{
	const size_t len = strlen(dir);
	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

/* In the folder under a mount that is late it would be another one. */
static enum fl_rc open_anchor(struct helper *h, struct fl_err *err)
{
	enum fl_anchor_found found;
	const struct config *c = &h->config;
	enum fl_rc rc = c->store_mount != NULL && is_below(c->anchor_dir, c->store_mount)
				? fl_dir_check_mount(c->store_mount, err)
				: FL_OK;
	if (rc == FL_OK)
		rc = fl_anchor_open(c->anchor_dir, &h->file, &h->anchor, &found, err);
	if (rc != FL_OK)
		return rc;
	if (found == FL_ANCHOR_OLDER)
		fl_log(FL_LOG_WARNING, "anchor: the newest record was damaged, the one before is used");
	if (found == FL_ANCHOR_LOST)
		fl_log(FL_LOG_WARNING, "anchor: lost; no job is accepted until a heartbeat");
	struct fl_anchor unsaved = h->anchor; /* a key seen before the first job is pinned with it */
	trust_pin_identity(h, &unsaved);
	return FL_OK;
}

static enum fl_rc start(struct helper *h, const char *config, struct fl_err *err)
{
	enum fl_rc rc = config_load(config, &h->config, err);
	if (rc == FL_OK)
		rc = open_anchor(h, err);
	if (rc == FL_OK)
		rc = trust_load_root(h, err);
	if (rc == FL_OK)
		rc = recover(h, err);
	if (rc == FL_OK)
		observe_transactions(h);
	return rc == FL_OK ? server_open(h, err) : rc;
}

static void init(struct helper *h)
{
	h->clock = &fl_clock_system;
	h->listener = -1;
	h->agent = -1;
	h->watchdog = -1;
	h->heard_ms = fl_clock_boot_ms(h->clock);
	h->frame = FL_BUF(FL_FRAME_MAX);
	h->child_frame = FL_BUF(FL_FRAME_MAX);
	h->root_arena = FL_ARENA((size_t)2 << 20);
	for (size_t i = 0; i < FL_ANCHOR_COMPONENTS; i++) {
		*activity_of(h, i) = *decoder_of(h, i) = NO_CHILD;
		h->locks[i] = -1;
	}
}

int main(int argc, char **argv)
{
	static struct helper h;
	struct fl_err err = {0};
	const char *config = "/etc/fairlead/gateway.conf";
	if (argc > 1 && strcmp(argv[1], "--seal-check") == 0)
		return seal_check_main(argc, argv);
	if (argc == 3 && strcmp(argv[1], "--config") == 0) {
		config = argv[2];
	} else if (argc != 1) {
		fputs("usage: fairlead-helper [--config FILE]\n", stderr);
		return 2;
	}
	fl_log_open("fairlead-helper");
	(void)signal(SIGPIPE, SIG_IGN);
	init(&h);
	enum fl_rc rc = start(&h, config, &err);
	if (rc == FL_OK)
		rc = server_run(&h, &err);
	fl_log_err(FL_LOG_ERROR, &err, "ended");
	return rc == FL_OK ? 0 : 1;
}
