/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cover that is being made follows one diagonal (a constant distance between image and source)
 * for as long as more bytes agree than don't: what was compiled anew differs in addresses, here and
 * there, not in its run. At every byte that doesn't agree, other places are looked up: those of
 * the last few covers, the same place, the neighbourhood, the whole source. The first that wins
 * enough over the present diagonal is taken, and extended backwards to where it began.
 *
 * The approach is that of bsdiff (C. Percival, "Naive differences of executable code", 2003); the
 * index in place of its suffix array makes memory flat and time linear.
 */
#include "match.h"

#include "near.h"

#include <string.h>

#define RECENT	    4u	  /* diagonals that are tried first */
#define RECENT_MIN  12u	  /* bytes that must agree there */
#define LONG_RUN    24u	  /* nothing is looked up within a run of this length */
#define COMPARE_MAX 4096u /* nothing better is looked for than this */
#define WEIGH_MAX   256u  /* bytes of the present diagonal that are weighed against it */
#define LOST	    128	  /* disagreeing bytes after which a diagonal is given up */
#define COVER_MIN   8u
#define AHEAD	    12u
#define RUN_MAX	    ((uint64_t)1 << 20) /* of a long run, at once */
#define PASS_STEP   ((uint64_t)1 << 14)

struct search {
	struct match_pair pair;
	struct match_options options;
	struct index index;
	struct near near;
	uint64_t at;		 /* in the image */
	uint64_t covered;	 /* the image until here is settled, but for the present cover */
	bool has;		 /* the present cover: */
	struct cover now;	 /*   its length is the best found */
	int64_t score;		 /*   agreeing less disagreeing bytes behind that */
	uint64_t recent[RECENT]; /* source - image, modulo 2^64 */
	unsigned oldest;
	uint64_t passed;
	cover_sink *on_cover;
	void *ctx;
};

/* How many of at most max bytes agree. */
static uint64_t common(const uint8_t *a, const uint8_t *b, uint64_t max)
{
	uint64_t n = 0;
	for (; n + 8 <= max; n += 8) {
		uint64_t x, y;
		memcpy(&x, a + n, 8);
		memcpy(&y, b + n, 8);
		if (x != y)
			break;
	}
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Bytes that can be compared from there on; 0 outside. */
static uint64_t room(const struct search *s, uint64_t image, uint64_t source)
{
	if (source >= s->pair.source_len || image >= s->pair.image_len)
		return 0;
	return min_u64(s->pair.image_len - image, s->pair.source_len - source);
}

static uint64_t run_at(const struct search *s, uint64_t image, uint64_t source, uint64_t max)
{
	return common(s->pair.image + image, s->pair.source + source,
		      min_u64(room(s, image, source), max));
}

/* ---- looking up ---- */

struct found {
	uint64_t source, len;
};

static void consider(const struct search *s, uint64_t source, uint64_t least, struct found *best)
{
	const uint64_t len = run_at(s, s->at, source, COMPARE_MAX);
	if (len >= least && len > best->len)
		*best = (struct found){source, len};
}

static struct found look_up(struct search *s)
{
	const uint8_t *p = s->pair.image + s->at;
	const uint64_t left = s->pair.image_len - s->at;
	struct found best = {0, 0};
	for (size_t i = 0; i < RECENT; i++)
		consider(s, s->at + s->recent[i], RECENT_MIN, &best);
	consider(s, s->at, RECENT_MIN, &best);
	if (left >= s->options.window + AHEAD)
		index_expect(&s->index, p + AHEAD);
	uint64_t place;
	if (s->options.near > 0 && left >= NEAR_WINDOW && near_find(&s->near, p, &place))
		consider(s, place, NEAR_WINDOW, &best);
	if (left < s->options.window)
		return best;
	uint64_t places[INDEX_WAYS];
	const size_t n = index_find(&s->index, p, places);
	for (size_t i = 0; i < n; i++)
		consider(s, places[i], NEAR_WINDOW, &best);
	return best;
}

/* How many of the next bytes agree on the present diagonal. */
static uint64_t weigh(const struct search *s, uint64_t len)
{
	if (!s->has)
		return 0;
	const uint64_t source = s->at - s->now.image + s->now.source;
	const uint8_t *a = s->pair.image + s->at, *b = s->pair.source + source;
	uint64_t agree = 0, n = min_u64(room(s, s->at, source), len);
	for (uint64_t i = 0; i < n; i++)
		agree += a[i] == b[i];
	return agree;
}

/* ---- covers ---- */

static enum fl_rc settle(struct search *s, struct fl_err *err)
{
	if (!s->has)
		return FL_OK;
	s->has = false;
	if (s->now.len < COVER_MIN)
		return FL_OK;
	s->covered = s->now.image + s->now.len;
	s->recent[s->oldest] = s->now.source - s->now.image;
	s->oldest = (s->oldest + 1) % RECENT;
	return s->on_cover(s->ctx, &s->now, err);
}

/* How far back a diagonal through (image, source) is worth going, at most `max` bytes. */
static uint64_t extend_back(const struct search *s, uint64_t image, uint64_t source, uint64_t max)
{
	const uint8_t *a = s->pair.image + image, *b = s->pair.source + source;
	int64_t score = 0, best = 0;
	uint64_t best_len = 0;
	for (uint64_t i = 1; i <= max && score > best - LOST; i++) {
		score += a[-(ptrdiff_t)i] == b[-(ptrdiff_t)i] ? 1 : -1;
		if (score > best) {
			best = score;
			best_len = i;
		}
	}
	return best_len;
}

/* Two covers claim image[from … until): where the first best ends, and the second begins. */
static uint64_t split(const struct search *s, uint64_t from, uint64_t until, uint64_t diagonal)
{
	const uint8_t *image = s->pair.image, *source = s->pair.source;
	const uint64_t before = s->now.source - s->now.image;
	int64_t score = 0, best = 0;
	uint64_t at = from;
	for (uint64_t i = from; i < until; i++) {
		score += (image[i] == source[i + before]) - (image[i] == source[i + diagonal]);
		if (score > best) {
			best = score;
			at = i + 1;
		}
	}
	return at;
}

static enum fl_rc begin_cover(struct search *s, const struct found *found, struct fl_err *err)
{
	const uint64_t diagonal = found->source - s->at;
	const uint64_t floor = s->has ? s->now.image : s->covered;
	uint64_t from =
		s->at - extend_back(s, s->at, found->source, min_u64(s->at - floor, found->source));
	if (s->has && from < s->now.image + s->now.len) {
		from = split(s, from, min_u64(s->now.image + s->now.len, s->at), diagonal);
		s->now.len = from - s->now.image;
	}
	enum fl_rc rc = settle(s, err);
	s->at += found->len;
	s->has = true;
	s->now = (struct cover){from, from + diagonal, s->at - from};
	s->score = 0;
	return rc;
}

/* One byte on: is the present diagonal still worth it? */
static enum fl_rc step(struct search *s, struct fl_err *err)
{
	const uint64_t source = s->at - s->now.image + s->now.source;
	s->at++;
	if (!s->has)
		return FL_OK;
	if (room(s, s->at - 1, source) == 0)
		return settle(s, err);
	s->score += s->pair.image[s->at - 1] == s->pair.source[source] ? 1 : -1;
	if (s->score > 0) {
		s->now.len = s->at - s->now.image;
		s->score = 0;
	}
	return s->score < -LOST ? settle(s, err) : FL_OK;
}

/* A long run on the present diagonal is passed at once. */
static bool run_on(struct search *s)
{
	if (!s->has)
		return false;
	const uint64_t run = run_at(s, s->at, s->at - s->now.image + s->now.source, RUN_MAX);
	if (run < LONG_RUN)
		return false;
	s->at += run;
	s->score += (int64_t)run;
	if (s->score > 0) {
		s->now.len = s->at - s->now.image;
		s->score = 0;
	}
	return true;
}

static enum fl_rc advance(struct search *s, struct fl_err *err)
{
	if (run_on(s))
		return FL_OK;
	const uint64_t last = s->now.source - s->now.image + s->at;
	if (last <= s->pair.source_len)
		near_move(&s->near, last);
	const struct found found = look_up(s);
	if (found.len > 0) {
		const uint64_t len = min_u64(found.len, WEIGH_MAX);
		if (len > weigh(s, len) + (found.source - s->at == s->now.source - s->now.image
						   ? 0
						   : s->options.gain))
			return begin_cover(s, &found, err);
	}
	return step(s, err);
}

static void add_all(struct search *s)
{
	for (uint64_t at = 0; at < s->pair.source_len; at += PASS_STEP) {
		index_add(&s->index, at, at + PASS_STEP);
		s->pair.passed(s->pair.ctx);
	}
}

static enum fl_rc search_all(struct search *s, struct fl_err *err)
{
	enum fl_rc rc = FL_OK;
	add_all(s);
	while (rc == FL_OK && s->at < s->pair.image_len) {
		rc = advance(s, err);
		if (s->at >= s->passed + PASS_STEP) {
			s->passed = s->at;
			s->pair.passed(s->pair.ctx);
		}
	}
	return rc == FL_OK ? settle(s, err) : rc;
}

enum fl_rc match(const struct match_pair *pair, const struct match_options *options,
		 cover_sink *on_cover, void *ctx, struct fl_err *err)
{
	struct search s = {.pair = *pair, .options = *options, .on_cover = on_cover, .ctx = ctx};
	enum fl_rc rc = index_init(&s.index, pair->source, pair->source_len, options->window,
				   options->max_entries, err);
	if (rc == FL_OK)
		rc = near_init(&s.near, pair->source, pair->source_len, options->near, err);
	if (rc == FL_OK)
		rc = search_all(&s, err);
	near_done(&s.near);
	index_done(&s.index);
	return rc;
}
