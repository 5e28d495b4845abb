/* SPDX-License-Identifier: Apache-2.0 */
#include "api/router.h"

#include <string.h>

static bool take_segment(const char **path, struct fl_route_match *ret)
{
	size_t len = strcspn(*path, "/");
	if (len == 0 || len >= sizeof(ret->param))
		return false;
	memcpy(ret->param, *path, len);
	ret->param[len] = '\0';
	*path += len;
	return true;
}

bool fl_route_matches(const char *pattern, const char *path, struct fl_route_match *ret)
{
	struct fl_route_match match = {""};
	while (*pattern != '\0') {
		if (strncmp(pattern, "{}", 2) == 0) {
			if (!take_segment(&path, &match))
				return false;
			pattern += 2;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	if (*path != '\0')
		return false;
	*ret = match;
	return true;
}

bool fl_route_query(const char *query, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name);
	while (*query != '\0') {
		size_t len = strcspn(query, "&");
		bool found = len > name_len && strncmp(query, name, name_len) == 0 &&
			     query[name_len] == '=';
		if (found && len - name_len - 1 < size) {
			memcpy(out, query + name_len + 1, len - name_len - 1);
			out[len - name_len - 1] = '\0';
			return true;
		}
		if (found)
			return false;
		query += len + (query[len] == '&');
	}
	return false;
}
