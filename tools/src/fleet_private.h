/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FL_TOOLS_FLEET_PRIVATE_H
#define FL_TOOLS_FLEET_PRIVATE_H

#include "fleet.h"

#include <curl/curl.h>

#define FL_TOOLS_URL_MAX 2048

struct fl_tools_fleet {
	CURL *curl;
	char base[FL_TOOLS_URL_MAX]; /* https://HOST:PORT/api/v1 */
	char ca[4096];
	char token[512];
	char curl_error[CURL_ERROR_SIZE];
};

/* A request of its own on the kept connection: everything set anew. */
enum fl_rc fl_tools_fleet_prepare(struct fl_tools_fleet *fleet, const char *path,
				  struct fl_err *err) FL_CHECKED;
/* What a failure of curl means. */
enum fl_rc fl_tools_fleet_failed(const struct fl_tools_fleet *fleet, CURLcode code,
				 struct fl_err *err);
/* What a status and its text mean. */
enum fl_rc fl_tools_fleet_status(struct fl_tools_fleet *fleet, const struct fl_buf *answer,
				 struct fl_err *err) FL_CHECKED;

#endif
