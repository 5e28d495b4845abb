/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the slot that would boot after a fallback still what it was? Flash forgets, and nobody looks
 * at a slot that does not run. What was sealed into a slot is noted in [anchor]
 * dir/sealed.COMPONENT.SLOT; of components whose system is mounted read-only ([component.NAME]
 * read_only) the slots that don't run are compared with that note:
 *
 *   [recheck] after_s from the start, then every_h ─▶ each such slot, one after the other, while no
 * job is open
 *
 * It reads at idle priority, gives way to every request, and changes nothing: what rots is told,
 * once.
 */
#include "helper.h"

#include <fairlead/base/log.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS UINT64_C(3600000)

static void note_name(const struct component *c, const char *slot, char ret[FL_NAME_MAX + 16])
{
	snprintf(ret, FL_NAME_MAX + 16, "sealed.%s.%s", c->name, slot);
}

void recheck_note(struct helper *h, size_t index, const struct child *child)
{
	const struct component *c = &h->config.components[index];
	char name[FL_NAME_MAX + 16], hex[FL_DIGEST_HEX_SIZE], text[128];
	struct fl_err err;
	fl_hex_encode(child->content.root.b, FL_DIGEST_SIZE, hex);
	snprintf(text, sizeof(text), "%" PRIu64 " %s %s\n", child->content.size, hex,
		 child->content.zero_tail ? "zero" : "keep");
	note_name(c, child->slot, name);
	h->rotten[index] = '\0';
	if (c->read_only && host_write_note(&h->config, name, text, &err) != FL_OK)
		fl_log_err(FL_LOG_WARNING, &err, "note what was sealed");
}

/* False: nothing is known of the slot. */
static bool recall(const struct helper *h, const struct component *c, const char *slot,
		   struct content *ret)
{
	char name[FL_NAME_MAX + 16], line[128], hex[FL_DIGEST_HEX_SIZE], fill[8];
	note_name(c, slot, name);
	host_read_note(&h->config, name, line, sizeof(line));
	if (sscanf(line, "%" SCNu64 " %64s %7s", &ret->size, hex, fill) != 3 ||
	    !fl_hex_decode(hex, strlen(hex), ret->root.b, FL_DIGEST_SIZE))
		return false;
	ret->zero_tail = strcmp(fill, "zero") == 0;
	return true;
}

static bool is_idle(struct helper *h)
{
	bool idle = fl_anchor_count_jobs(&h->anchor) == 0 && !h->pending;
	for (size_t i = 0; i < h->config.n_components && idle; i++)
		idle = activity_of(h, i)->kind == CHILD_NONE && decoder_of(h, i)->kind == CHILD_NONE;
	return idle;
}

static enum fl_rc start(struct helper *h, const struct component *c, const struct slot *slot,
			const struct content *content, struct fl_err *err)
{
	struct child new = {.kind = CHILD_RECHECK, .content = *content};
	memcpy(new.slot, slot->name, sizeof(new.slot));
	int target = -1;
	enum fl_rc rc = open_target(h, c, slot, O_RDONLY, &target, err);
	return rc == FL_OK ? seal_check_start(h, c, &new, &target, err) : rc;
}

/* Places are component × slot, in the order of the configuration; true: a check has begun. */
static bool check_place(struct helper *h, const struct boot_view *view, size_t place)
{
	const struct component *c = &h->config.components[place / SLOTS_MAX];
	const struct slot *slot = &c->slots[place % SLOTS_MAX];
	struct content content;
	struct fl_err err = {0};
	if (!c->read_only || place % SLOTS_MAX >= c->n_slots || view->running[0] == '\0' ||
	    strcmp(slot->name, view->running) == 0 || boot_is_withdrawn(view, slot->name) ||
	    !recall(h, c, slot->name, &content))
		return false;
	if (start(h, c, slot, &content, &err) == FL_OK)
		return true;
	fl_log_err(FL_LOG_NOTICE, &err, "look at slot '%s' of '%s'", slot->name, c->name);
	return false;
}

static void next_round(struct helper *h, uint64_t now)
{
	h->recheck_place = 0;
	h->recheck_ms = now + h->config.recheck_every_h * HOUR_MS;
}

void recheck(struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	const size_t end = h->config.n_components * SLOTS_MAX;
	struct boot_view view;
	struct fl_err err = {0};
	if (!h->config.rechecks)
		return;
	if (h->recheck_ms == 0)
		h->recheck_ms = now + h->config.recheck_after_s * 1000;
	if (now < h->recheck_ms || !is_idle(h))
		return;
	if (look(h, &view, &err) != FL_OK) {
		next_round(h, now);
		return;
	}
	while (h->recheck_place < end) {
		if (check_place(h, &view, h->recheck_place++))
			return;
	}
	next_round(h, now);
}

uint64_t recheck_left_ms(struct helper *h)
{
	const uint64_t now = fl_clock_boot_ms(h->clock);
	if (!h->config.rechecks || h->recheck_ms == 0 || !is_idle(h))
		return UINT64_MAX;
	return h->recheck_ms > now ? h->recheck_ms - now : 0;
}

static void tell_one(struct helper *h, size_t index)
{
	const char slot[2] = {h->rotten[index], '\0'};
	const struct fl_ipc_rotten event = {h->config.components[index].name, slot};
	send_agent(h, FL_FRAME_ROTTEN, 0, &event, -1);
}

void recheck_tell(struct helper *h)
{
	for (size_t i = 0; i < h->config.n_components; i++) {
		if (h->rotten[i] != '\0')
			tell_one(h, i);
	}
}

void recheck_finished(struct helper *h, size_t index, const struct child *child, enum fl_rc rc)
{
	const char *name = h->config.components[index].name;
	if (rc != FL_E_SEAL_MISMATCH && rc != FL_E_IO) /* it gave way, or all is well */
		return;
	fl_log(FL_LOG_ERROR, "slot '%s' of '%s' no longer holds what was committed", child->slot,
	       name);
	if (h->rotten[index] == child->slot[0])
		return;
	h->rotten[index] = child->slot[0];
	tell_one(h, index);
}
