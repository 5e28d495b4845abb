/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions by device: at most one of each name; the newer takes the place of the older. */
#include "hub/session.h"

#include <string.h>

static struct fl_session **bucket_of(const struct fl_hub *hub, const char *device_id)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (const char *c = device_id; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return (struct fl_session **)&hub->buckets[hash % FL_HUB_BUCKETS];
}

struct fl_session *fl_session_find(const struct fl_hub *hub, const char *device_id)
{
	struct fl_session *s = *bucket_of(hub, device_id);
	while (s != NULL && strcmp(s->cert.common_name, device_id) != 0)
		s = s->next_in_bucket;
	return s;
}

void fl_session_put(struct fl_hub *hub, struct fl_session *session)
{
	struct fl_session **bucket = bucket_of(hub, session->cert.common_name);
	session->next_in_bucket = *bucket;
	*bucket = session;
	hub->n_sessions++;
}

void fl_session_remove(struct fl_hub *hub, struct fl_session *session)
{
	struct fl_session **at = bucket_of(hub, session->cert.common_name);
	while (*at != NULL && *at != session)
		at = &(*at)->next_in_bucket;
	if (*at == NULL)
		return;
	*at = session->next_in_bucket;
	hub->n_sessions--;
}

void fl_session_each(struct fl_hub *hub, void (*fn)(struct fl_session *session, void *ctx),
		     void *ctx)
{
	for (size_t i = 0; i < FL_HUB_BUCKETS; i++) {
		struct fl_session *next;
		for (struct fl_session *s = hub->buckets[i]; s != NULL; s = next) {
			next = s->next_in_bucket;
			fn(s, ctx);
		}
	}
}
