/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a fresh directory, and ways to look at it and tamper with it from outside. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <fairlead/base/file.h>
#include <fairlead/store/store.h>

#include <criterion/criterion.h>

#define OK(call) cr_assert_eq((call), FL_OK, "%s", err.msg)

extern struct fl_store *store; /* open within a test that uses set_up */
extern char dir[64];
extern struct fl_err err;

void set_up(void);
void tear_down(void);
/* Closes and opens: what is read then comes from the files. */
void reopen(void);
/* Opens; was it rebuilt? */
bool reopen_rebuilt(void);
/* Runs SQL on the closed database, as a defect of the medium would; *answer (may be NULL): the
 * first column. */
void tamper(const char *sql, int64_t *answer);
const char *in_dir(const char *name); /* dir/name, valid until the next call */
bool exists(const char *name);
size_t size_of(const char *name);
void put_file(const char *name, const void *data, size_t len);

#endif
