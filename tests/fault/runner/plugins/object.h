/* SPDX-License-Identifier: Apache-2.0 */
/* The object of a plugin that only has a stage of its own. */
#ifndef TEST_PLUGIN_OBJECT_H
#define TEST_PLUGIN_OBJECT_H

#include "target.h"

#define TEST_PLUGIN(its_name)                                                                      \
	FL_HANDLER_EXPORT const struct fl_handler fl_handler_plugin = {                            \
		.abi_major = FL_HANDLER_ABI_MAJOR,                                                 \
		.abi_minor = FL_HANDLER_ABI_MINOR,                                                 \
		.size = sizeof(struct fl_handler),                                                 \
		.name = its_name,                                                                  \
		.version = "1",                                                                    \
		.hello = test_hello,                                                               \
		.observe = test_observe,                                                           \
		.prepare = test_prepare,                                                           \
		.stage = stage,                                                                    \
		.flush = test_flush,                                                               \
		.read = test_read,                                                                 \
	}

#endif
