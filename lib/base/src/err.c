/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/err.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct code {
	enum fl_rc rc;
	bool retryable;
	const char *name; /* as in the table, upper case */
	const char *meaning;
};

static const struct code codes[] = {
#define CODE(name, number, retryable, meaning) {FL_E_##name, (retryable) != 0, #name, meaning},
#include <fairlead/base/codes.def>
#undef CODE
};

#define N_CODES (sizeof(codes) / sizeof(codes[0]))

/* Names are kept once, in the table; the lower-case forms are made at the first use and never change. */
static char names[N_CODES][32];

__attribute__((constructor)) static void make_names(void)
{
	for (size_t i = 0; i < N_CODES; i++) {
		for (size_t k = 0; codes[i].name[k] != '\0' && k < sizeof(names[i]) - 1; k++) {
			char c = codes[i].name[k];
			names[i][k] = (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
		}
	}
}

static size_t find(enum fl_rc rc)
{
	size_t i = 0;
	while (i < N_CODES && codes[i].rc != rc)
		i++;
	return i;
}

const char *fl_rc_name(enum fl_rc rc)
{
	if (rc == FL_OK)
		return "ok";
	size_t i = find(rc);
	return i < N_CODES ? names[i] : "internal";
}

const char *fl_rc_text(enum fl_rc rc)
{
	if (rc == FL_OK)
		return "success";
	size_t i = find(rc);
	return i < N_CODES ? codes[i].meaning : "unknown code";
}

bool fl_rc_retryable(enum fl_rc rc)
{
	size_t i = find(rc);
	return i < N_CODES && codes[i].retryable;
}

enum fl_rc fl_rc_from_name(const char *name)
{
	if (strcmp(name, "ok") == 0)
		return FL_OK;
	for (size_t i = 0; i < N_CODES; i++) {
		if (strcmp(names[i], name) == 0)
			return codes[i].rc;
	}
	return FL_E_INTERNAL;
}

enum fl_rc fl_rc_from_errno(int sys_errno)
{
	switch (sys_errno) {
	case 0:
		return FL_OK;
	case ENOSPC:
	case EDQUOT:
		return FL_E_NO_SPACE;
	case ENOENT:
		return FL_E_NOT_FOUND;
	case EEXIST:
		return FL_E_EXISTS;
	case ENOMEM:
		return FL_E_NO_MEMORY;
	case EACCES:
	case EPERM:
		return FL_E_DENIED;
	case EBUSY:
	case EWOULDBLOCK:
		return FL_E_BUSY;
	case ETIMEDOUT:
		return FL_E_TIMEOUT;
	case EPIPE:
	case ECONNRESET:
		return FL_E_PEER_CLOSED;
	default:
		return FL_E_IO;
	}
}

enum fl_rc fl_fail(struct fl_err *err, enum fl_rc rc, int sys_errno, const char *fmt, ...)
{
	FL_BUG_ON(rc == FL_OK);
	if (err == NULL)
		return rc;
	err->rc = rc;
	err->sys_errno = sys_errno;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (sys_errno != 0 && n >= 0 && (size_t)n < sizeof(err->msg)) {
		char text[96];
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s",
			 strerror_r(sys_errno, text, sizeof(text)));
	}
	return rc;
}

enum fl_rc fl_wrap(struct fl_err *err, enum fl_rc rc, const char *fmt, ...)
{
	FL_BUG_ON(rc == FL_OK);
	if (err == NULL)
		return rc;
	char inner[FL_ERR_MSG_MAX];
	memcpy(inner, err->msg, sizeof(inner));
	err->rc = rc;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->msg))
		snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", inner);
	return rc;
}

void fl_bug(const char *file, int line, const char *cond)
{
	fprintf(stderr, "<0>%s:%d: bug: %s\n", file, line, cond);
	abort();
}
