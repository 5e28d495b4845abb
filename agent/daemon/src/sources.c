/* SPDX-License-Identifier: Apache-2.0 */
#include "sources.h"

#include <stdio.h>
#include <string.h>

#define RETRY_FIRST_MS 250

void fl_sources_add(struct fl_sources *sources, const char *base, bool own)
{
	if (sources->n < FL_SOURCES_MAX)
		sources->of[sources->n++] = (struct fl_source){.base = base, .own = own};
}

void fl_source_url(const struct fl_source *source, const char *kind, const struct fl_digest *root,
		   char *out, size_t out_size)
{
	char hex[FL_DIGEST_HEX_SIZE];
	const size_t len = strlen(source->base);
	const bool slash = len > 0 && source->base[len - 1] == '/';
	fl_hex_encode(root->b, sizeof(root->b), hex);
	(void)snprintf(out, out_size, "%s%s%s/sha256-wide1/%s", source->base, slash ? "" : "/", kind, hex);
}

void fl_sources_good(struct fl_sources *sources)
{
	sources->failures = 0;
}

static bool better(const struct fl_source *a, const struct fl_source *b, uint64_t now_ms)
{
	const bool a_waits = a->free_ms > now_ms;
	const bool b_waits = b->free_ms > now_ms;
	if (a->lied != b->lied)
		return b->lied;
	return a_waits || b_waits ? a->free_ms < b->free_ms : false;
}

/* From the one after it in a circle; the first of equals. */
static void choose(struct fl_sources *s, uint64_t now_ms)
{
	size_t best = (s->used + 1) % s->n;
	for (size_t i = 2; i <= s->n; i++) {
		const size_t other = (s->used + i) % s->n;
		if (better(&s->of[other], &s->of[best], now_ms))
			best = other;
	}
	s->used = best;
}

struct fl_sources_next fl_sources_failed(struct fl_sources *s,
					 const struct fl_sources_failure *failure, uint64_t now_ms)
{
	struct fl_source *failed = &s->of[s->used];
	const bool lied = failure->rc == FL_E_CHUNK_MISMATCH;
	const uint64_t asked_s = failure->retry_after_s < FL_SOURCES_WAIT_MAX_S ? failure->retry_after_s
										: FL_SOURCES_WAIT_MAX_S;
	if (!lied && asked_s == 0 && failure->came >= FL_SOURCES_GOT_ON_BYTES)
		return (struct fl_sources_next){false, 0};
	failed->lied = failed->lied || lied;
	failed->free_ms = asked_s == 0 ? 0 : now_ms + asked_s * 1000;
	s->failures++;
	choose(s, now_ms);
	const struct fl_source *next = &s->of[s->used];
	const uint64_t asked_ms = next->free_ms > now_ms ? next->free_ms - now_ms : 0;
	const unsigned rounds = s->failures / (unsigned)s->n;
	const uint64_t pause_ms = rounds == 0 ? 0 : (uint64_t)RETRY_FIRST_MS << rounds;
	if (rounds >= FL_SOURCES_ROUNDS || asked_ms > FL_SOURCES_PATIENCE_MS)
		return (struct fl_sources_next){true, asked_ms};
	return (struct fl_sources_next){false, asked_ms > pause_ms ? asked_ms : pause_ms};
}
