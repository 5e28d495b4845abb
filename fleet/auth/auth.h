/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use the REST interface: bearer tokens of 256 bits, of which the server keeps only the digests, and a budget
 * for requests without any.
 */
#ifndef FLEET_AUTH_AUTH_H
#define FLEET_AUTH_AUTH_H

#include "db/db.h"

#include <fairlead/base/clock.h>
#include <fairlead/base/encode.h>

#define FL_TOKEN_SIZE	     65 /* 64 hexadecimal characters and a zero byte */
#define FL_AUTH_TOKENS_MAX   64
#define FL_AUTH_READ_MS	     UINT64_C(1000)
#define FL_AUTH_ACTOR_MAX    (FL_NAME_MAX + 1)

struct fl_auth {
	size_t n;
	uint64_t read_ms; /* boot time */
	struct fl_digest digests[FL_AUTH_TOKENS_MAX];
	char names[FL_AUTH_TOKENS_MAX][FL_AUTH_ACTOR_MAX];
};

/* Makes a token for `name` and keeps its digest. */
enum fl_rc fl_auth_new_token(struct fl_db *db, const char *name, uint64_t now, char token[FL_TOKEN_SIZE],
			     struct fl_err *err) FL_CHECKED;
/* Makes all tokens of that name invalid. FL_E_NOT_FOUND. */
enum fl_rc fl_auth_revoke(struct fl_db *db, const char *name, uint64_t now, struct fl_err *err) FL_CHECKED;
/* On failure what was read before stays. */
enum fl_rc fl_auth_load(struct fl_auth *auth, struct fl_db *db, struct fl_err *err) FL_CHECKED;
/* Another process may have changed the tokens: reads them again when FL_AUTH_READ_MS have passed since. */
void fl_auth_refresh(struct fl_auth *auth, struct fl_db *db, uint64_t now_ms);
/*
 * The value of an Authorization header ("" when there is none). actor: the token's name. FL_E_AUTH. Takes as long for a
 * wrong token as for a right one.
 */
enum fl_rc fl_auth_check(const struct fl_auth *auth, const char *header,
			 char actor[FL_AUTH_ACTOR_MAX], struct fl_err *err) FL_CHECKED;

/* A budget that refills: `burst` at once, `per_s` in the long run. */
struct fl_rate {
	double per_s, burst, left;
	uint64_t at_ms;
};

static inline struct fl_rate fl_rate_make(double per_s, double burst, uint64_t now_ms)
{
	return (struct fl_rate){per_s, burst, burst, now_ms};
}
/* Takes one; false when there is none left. */
bool fl_rate_take(struct fl_rate *rate, uint64_t now_ms);

#endif
