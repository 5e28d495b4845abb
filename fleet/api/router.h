/* SPDX-License-Identifier: Apache-2.0 */
/* Paths against patterns: "/api/v1/jobs/{}/cancel", where {} stands for one segment. Pure. */
#ifndef FLEET_API_ROUTER_H
#define FLEET_API_ROUTER_H

#include "hub/http.h"

#define FL_ROUTE_PARAM_MAX 96

struct fl_route_match {
	char param[FL_ROUTE_PARAM_MAX]; /* of the {}; "" without */
};

/* A pattern holds at most one {}; an empty, or a longer segment does not match. */
bool fl_route_matches(const char *pattern, const char *path, struct fl_route_match *ret);
/* The value of a query's member ("a=1&b=2"), at most size - 1 bytes; false when it isn't there or too long. */
bool fl_route_query(const char *query, const char *name, char *out, size_t size);

#endif
