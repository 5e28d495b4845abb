/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of the store in numbered steps, and what must be in it after each: jobs that go through
 * their states, reports that are added and acknowledged, a number, and closing and opening in
 * between.
 *
 * The truth of these tests: after step n was acknowledged and whatever happened then, the store
 * holds what it held after n steps or after n + 1.
 */
#ifndef STORE_FLOW_H
#define STORE_FLOW_H

#include <fairlead/store/store.h>

struct flow_result {
	size_t acked;	 /* steps that returned FL_OK */
	enum fl_rc rc;	 /* of the step that did not */
	size_t failures; /* steps that failed, where they are tried again */
};

/* Ends a child of a test; what it covered is counted. */
_Noreturn void flow_exit(int status);

/* Quiet logs, a fresh directory below /dev/shm or /tmp: its name in dir. */
void flow_new_dir(char dir[64]);
/* Removes all files in it, and it too when `also_dir`. */
void flow_clear_dir(const char *dir, bool also_dir);
void flow_copy_dir(const char *from, const char *to);

/* Makes state.db fail its checks: its first page is zeroed; a log beside it is what it was. */
void flow_damage(const char *dir);

/*
 * Steps [first, last) on the store in dir, opened before the first and closed at the end. Stops at
 * a failure; with `again` a failed step is repeated, up to three times. shared (may be NULL) is set
 * after each step.
 */
struct flow_result flow_run(const char *dir, size_t first, size_t last, bool again,
			    volatile size_t *shared);

/* Steps [first, last) on an open store, which stays open; those that would close it are left out.
 */
void flow_finish(const char *dir, struct fl_store *store, size_t first, size_t last);

/* Everything the store holds as lines of text, in `out`; *damaged: rows that were dropped. */
enum fl_rc flow_dump(struct fl_store *store, struct fl_buf *out, size_t *damaged,
		     struct fl_err *err) FL_CHECKED;
/* The same text as it must be after n steps. */
void flow_expect(size_t n, struct fl_buf *out);

/*
 * Opens what lies in dir: whether it holds what it must after `acked` steps or one more, and takes
 * a change. *reached (may be NULL): after how many steps. `why` tells what is wrong.
 */
bool flow_check(const char *dir, size_t acked, size_t *reached, char why[512]);

#endif
