/* SPDX-License-Identifier: Apache-2.0 */
#include "curl_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

static struct fl_curl functions;
static bool loaded;

#define OFFSET(name) {"curl_" #name, offsetof(struct fl_curl, name)},

enum fl_rc fl_curl_load(const struct fl_curl **ret, struct fl_err *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} wanted[] = {FL_CURL_FUNCTIONS(OFFSET)};
	void *library = loaded ? NULL : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!loaded && library == NULL)
		return fl_fail(err, FL_E_NOT_SUPPORTED, 0, "%s", dlerror());
	for (size_t i = 0; !loaded && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		void *const address = dlsym(library, wanted[i].name);
		if (address == NULL)
			return fl_fail(err, FL_E_NOT_SUPPORTED, 0, LIBRARY " has no %s", wanted[i].name);
		memcpy((char *)&functions + wanted[i].offset, &address, sizeof(address));
	}
	loaded = true;
	*ret = &functions;
	return FL_OK;
}
