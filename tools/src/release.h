/* SPDX-License-Identifier: Apache-2.0 */
/* A release in its folder: DIR/release.json, DIR/blobs, DIR/trees. */
#ifndef FL_TOOLS_RELEASE_H
#define FL_TOOLS_RELEASE_H

#include "command.h"
#include "content.h"
#include "document.h"

#define FL_TOOLS_RELEASE_FILE "release.json"
#define FL_TOOLS_COMPONENTS_MAX 64

struct fl_tools_release {
	struct fl_arena arena; /* owns what env and doc point to */
	char dir[FL_TOOLS_PATH_MAX];
	char file[FL_TOOLS_PATH_MAX];
	struct fl_envelope env;
	struct fl_release doc;
	char digest[FL_DIGEST_TEXT_SIZE];
};

/* path: the folder, or the file in it. Decodes; verifies nothing. *ret: free with
 * fl_tools_release_close. */
enum fl_rc fl_tools_release_open(const char *path, struct fl_tools_release *ret,
				 struct fl_err *err) FL_CHECKED;
void fl_tools_release_close(struct fl_tools_release *release);
/* Every digest of every component, computed anew from the bytes in its folder. */
enum fl_rc fl_tools_release_check(const struct fl_tools_release *release,
				  struct fl_err *err) FL_CHECKED;
/* Checks, then signs by the key at `key`, then saves. Nothing is signed whose bytes are not there.
 */
enum fl_rc fl_tools_release_add_signature(struct fl_tools_release *release, const char *key,
					  struct fl_err *err) FL_CHECKED;
/* What it holds, as text or JSON. */
enum fl_rc fl_tools_release_print(const struct fl_tools_call *call,
				  const struct fl_tools_release *release,
				  struct fl_err *err) FL_CHECKED;

#endif
