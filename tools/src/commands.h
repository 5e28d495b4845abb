/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the commands; their rows are in commands.c. */
#ifndef FL_TOOLS_COMMANDS_H
#define FL_TOOLS_COMMANDS_H

#include "command.h"

fl_tools_run fl_tools_keys_init, fl_tools_keys_generate, fl_tools_keys_show,
	fl_tools_keys_root_next, fl_tools_keys_sign, fl_tools_keys_verify;
fl_tools_run fl_tools_release_create, fl_tools_release_sign, fl_tools_release_verify,
	fl_tools_release_show, fl_tools_release_publish, fl_tools_release_list;
fl_tools_run fl_tools_root_publish;
fl_tools_run fl_tools_delta_create;
fl_tools_run fl_tools_blocks_create, fl_tools_blocks_plan;
fl_tools_run fl_tools_bundle_create, fl_tools_bundle_show;
fl_tools_run fl_tools_device_enroll, fl_tools_device_revoke, fl_tools_device_list,
	fl_tools_device_show;
fl_tools_run fl_tools_deploy;
fl_tools_run fl_tools_jobs_list, fl_tools_jobs_show, fl_tools_jobs_watch, fl_tools_jobs_cancel;
fl_tools_run fl_tools_status;

#endif
