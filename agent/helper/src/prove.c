/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `fairlead-boot prove`: the boot loader must come back from a system that never says good,
 * without us. Each of its boots is counted in [anchor] dir/proving ("COUNT BOOT-ID"; who asks for
 * a proof writes 0 and its own boot) and restarted; [anchor] dir/proof tells how it ended.
 *
 *   booted as `prove`                     counted, restart
 *   the same, more often than it has tries  fallback, restart: FAULT
 *   the fallback runs again               fallback: ok
 *   the fallback runs, never as `prove`   the boot that asked: wait; another: fallback: FAULT
 */
#include "helper.h"

#include <fairlead/base/log.h>
#include <fairlead/boot/boot.h>

#include <stdio.h>
#include <string.h>

struct proving {
	unsigned boots;
	char boot[FL_NAME_MAX + 1]; /* the last one seen; "": none */
};

static void load_proving(const struct helper *h, struct proving *ret)
{
	char line[128];
	*ret = (struct proving){0};
	host_read_note(&h->config, "proving", line, sizeof(line));
	if (sscanf(line, "%9u %64s", &ret->boots, ret->boot) != 2)
		*ret = (struct proving){0};
}

static enum fl_rc count_boot(struct helper *h, struct proving *p, const char *boot,
			     struct fl_err *err)
{
	char line[128];
	if (strcmp(p->boot, boot) == 0)
		return FL_OK;
	snprintf(line, sizeof(line), "%u %s\n", ++p->boots, boot);
	return host_write_note(&h->config, "proving", line, err);
}

/* The verdict first: without it the next start would find nothing to tell. */
static enum fl_rc end_proving(struct helper *h, const struct proving *p, const char *verdict,
			      struct fl_err *err)
{
	char line[160];
	snprintf(line, sizeof(line), "%s (boots as 'prove': %u)\n", verdict, p->boots);
	fl_log(FL_LOG_NOTICE, "proof of the fallback: %s", verdict);
	enum fl_rc rc = host_write_note(&h->config, "proof", line, err);
	if (rc == FL_OK)
		rc = switch_boot(h, "fallback", NULL, err);
	return rc == FL_OK ? host_write_note(&h->config, "proving", NULL, err) : rc;
}

static enum fl_rc restart_proving(struct helper *h, const struct proving *p, uint64_t tries,
				  struct fl_err *err)
{
	enum fl_rc rc =
		p->boots <= tries
			? FL_OK
			: end_proving(h, p, "FAULT the boot loader does not count the tries", err);
	return rc == FL_OK ? host_request_restart(&h->config, err) : rc;
}

enum fl_rc prove(struct helper *h, struct fl_err *err)
{
	struct boot_view view;
	struct proving p;
	char boot[FL_NAME_MAX + 1];
	enum fl_rc rc = look(h, &view, err);
	if (rc != FL_OK)
		return rc;
	load_proving(h, &p);
	if (strcmp(view.trial, FL_BOOT_PROVE) !=
	    0) /* what is left of one that somebody else ended */
		return p.boot[0] == '\0' ? FL_OK
					 : host_write_note(&h->config, "proving", NULL, err);
	host_read_line(h->config.boot_id, boot, sizeof(boot));
	if (view.proving) {
		rc = count_boot(h, &p, boot, err);
		return rc == FL_OK ? restart_proving(h, &p, view.tries, err) : rc;
	}
	if (p.boots > 0)
		return end_proving(h, &p, "ok the boot loader came back by itself", err);
	if (p.boot[0] == '\0' || strcmp(p.boot, boot) == 0)
		return FL_OK;
	return end_proving(h, &p, "FAULT the boot loader never booted the trial", err);
}
