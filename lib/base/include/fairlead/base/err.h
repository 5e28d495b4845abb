/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes and the error object.
 *
 * A fallible function returns enum fl_rc: FL_OK (0) or a negative code, and leaves its outputs untouched on
 * failure. The message lives in a struct fl_err on the caller's stack; it never allocates. Upper levels put
 * what they were doing in front (fl_wrap), so that a message reads as a path:
 * "verify slot 'B': read block 7: Input/output error".
 */
#ifndef FAIRLEAD_BASE_ERR_H
#define FAIRLEAD_BASE_ERR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fl_rc {
	FL_OK = 0,
#define CODE(name, number, retryable, meaning) FL_E_##name = -(number),
#include <fairlead/base/codes.def>
#undef CODE
};

#define FL_ERR_MSG_MAX 256

struct fl_err {
	enum fl_rc rc;
	int sys_errno;
	char msg[FL_ERR_MSG_MAX];
};

#define FL_CHECKED       __attribute__((warn_unused_result))
#define FL_PRINTF(f, a)  __attribute__((format(printf, f, a)))
#define FL_CLEANUP(func) __attribute__((cleanup(func)))

/* Fills err (may be NULL) and returns rc. sys_errno 0: none; otherwise its text ends the message. */
enum fl_rc fl_fail(struct fl_err *err, enum fl_rc rc, int sys_errno, const char *fmt, ...)
	FL_PRINTF(4, 5);

/* Puts "<fmt>: " in front of err's message, sets its code to rc, and returns rc. */
enum fl_rc fl_wrap(struct fl_err *err, enum fl_rc rc, const char *fmt, ...) FL_PRINTF(3, 4);

/* The code's name in lower case ("no_space"); "ok" for FL_OK, "internal" for a number not in the table. */
const char *fl_rc_name(enum fl_rc rc);
/* Its one-line meaning. */
const char *fl_rc_text(enum fl_rc rc);
/* The code of a name; FL_E_INTERNAL when there is none of that name (a newer peer's). */
enum fl_rc fl_rc_from_name(const char *name);
/* May the same act succeed later? */
bool fl_rc_retryable(enum fl_rc rc);
/* The code an errno of a failed system call stands for: ENOSPC and EDQUOT NO_SPACE, ENOENT NOT_FOUND, … */
enum fl_rc fl_rc_from_errno(int sys_errno);

/* A broken promise of our own code: log and abort, in every build. Never for anything that came from outside. */
#define FL_BUG_ON(cond)                                                                            \
	do {                                                                                       \
		if (__builtin_expect(!!(cond), 0))                                                 \
			fl_bug(__FILE__, __LINE__, #cond);                                         \
	} while (0)
_Noreturn void fl_bug(const char *file, int line, const char *cond);

#ifdef __cplusplus
}
#endif
#endif
