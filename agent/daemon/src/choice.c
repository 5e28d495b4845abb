/* SPDX-License-Identifier: Apache-2.0 */
#include "choice.h"

#include <string.h>

static bool is_full(const struct fl_artifact *a)
{
	return strcmp(a->format, "zstd-frames") == 0;
}

static bool has_source(const struct fl_choice *choice, const struct fl_source_ref *source)
{
	return choice->source && source->release_seq != 0 && source->release_seq == choice->release_seq;
}

static bool can_use(const struct fl_choice *choice, const struct fl_artifact *a)
{
	return is_full(a) || (a->size <= choice->spool_bytes &&
			      (a->source == NULL || has_source(choice, a->source)));
}

const struct fl_artifact *fl_choice_make(const struct fl_choice *choice, const struct fl_component *c,
					 const char *id)
{
	const struct fl_artifact *best = NULL;
	for (size_t i = 0; i < c->artifacts.n; i++) {
		const struct fl_artifact *a = &c->artifacts.items[i];
		if (!can_use(choice, a))
			continue;
		if (id != NULL && strcmp(a->id, id) == 0)
			return a;
		if (best == NULL || a->size < best->size)
			best = a;
	}
	return best;
}

const struct fl_artifact *fl_choice_full(const struct fl_component *c)
{
	return fl_component_artifact(c, NULL, "zstd-frames");
}

bool fl_choice_is_fallback(const struct fl_component *c, const struct fl_artifact *artifact, const char *id)
{
	bool smaller = false;
	for (size_t i = 0; i < c->artifacts.n; i++)
		smaller = smaller || (!is_full(&c->artifacts.items[i]) &&
				      c->artifacts.items[i].size < artifact->size);
	return smaller && is_full(artifact) && (id == NULL || strcmp(id, artifact->id) != 0);
}
