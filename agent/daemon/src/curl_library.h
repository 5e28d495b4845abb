/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when the first request is made: it brings 26 libraries along, whose pages are more memory (4.3 MB) than all
 * the rest of an agent that only keeps its connection. Stays loaded.
 */
#ifndef FAIRLEAD_DAEMON_CURL_LIBRARY_H
#define FAIRLEAD_DAEMON_CURL_LIBRARY_H

#include <fairlead/base/err.h>

#include <curl/curl.h>

#define FL_CURL_FUNCTIONS(X)                                                                       \
	X(easy_cleanup)                                                                            \
	X(easy_getinfo)                                                                            \
	X(easy_header)                                                                             \
	X(easy_init)                                                                               \
	X(easy_pause)                                                                              \
	X(easy_setopt)                                                                             \
	X(easy_strerror)                                                                           \
	X(multi_add_handle)                                                                        \
	X(multi_assign)                                                                            \
	X(multi_cleanup)                                                                           \
	X(multi_info_read)                                                                         \
	X(multi_init)                                                                              \
	X(multi_remove_handle)                                                                     \
	X(multi_setopt)                                                                            \
	X(multi_socket_action)                                                                     \
	X(multi_strerror)                                                                          \
	X(slist_append)                                                                            \
	X(slist_free_all)

#define FL_CURL_MEMBER(name) __typeof__(&curl_##name) name;

/* curl_easy_init is curl->easy_init, and so on. */
struct fl_curl {
	FL_CURL_FUNCTIONS(FL_CURL_MEMBER)
};

/* *ret: valid for ever. FL_E_NOT_SUPPORTED: it isn't installed. */
enum fl_rc fl_curl_load(const struct fl_curl **ret, struct fl_err *err) FL_CHECKED;

#endif
