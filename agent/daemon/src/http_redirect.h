/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where may a server send us? A source that answers with a redirect is followed to the same scheme alone, without our
 * certificate, and not into a site: an address that only this gateway may reach is none of a server's business (server-side
 * request forgery, CWE-918). The next request begins at the first URL again, so a URL that expires is renewed by its redirect.
 */
#ifndef FAIRLEAD_DAEMON_HTTP_REDIRECT_H
#define FAIRLEAD_DAEMON_HTTP_REDIRECT_H

#include <stdbool.h>
#include <sys/socket.h>

#define FL_HTTP_MOVES_MAX 3

/* Loopback, link-local, private, shared (RFC 1122, 1918, 3927, 4193, 4291, 6598), or no address of one host at all. */
bool fl_http_is_private(const struct sockaddr *address);
/* The same scheme, host and port? */
bool fl_http_same_origin(const char *a, const char *b);
/* plain: http:// will do, too. */
bool fl_http_scheme_allowed(const char *url, bool plain);

#endif
