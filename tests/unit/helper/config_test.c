/* SPDX-License-Identifier: Apache-2.0 */
/* The helper's configuration: what it takes, and what stops it before it has opened anything. */
#include "config.h"

#include <fairlead/base/file.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE                                                                                       \
	"[paths]\nroot = /srv/gw\n[trust]\nroot = root.json\n[identity]\npublic = /abs/device.pub\n" \
	"[helper]\nsocket = run/helper.sock\n[anchor]\ndir = anchor\n"                              \
	"[runner]\nprogram = bin/runner\nplugins = plugins\n[boot]\nprogram = bin/boot\n"            \
	"[host]\nrunning_slot = run/slot\nimage_info = run/info\nboot_id = run/id\n"                 \
	"restart_request = run/restart\n"
#define DEVICE "[device]\ndevice_id = gw-1\nproduct = gw\nclass_id = c\nhw_rev = 3\n"

static struct config config;
static struct fl_err err;

static enum fl_rc load(const char *text)
{
	char path[] = "/tmp/fl-conf-XXXXXX";
	int fd = mkstemp(path);
	cr_assert_eq(fl_write_all(fd, text, strlen(text), NULL), FL_OK);
	fl_close(&fd);
	memset(&config, 0, sizeof(config));
	enum fl_rc rc = config_load(path, &config, &err);
	(void)unlink(path);
	return rc;
}

static void expect(enum fl_rc rc, const char *text, const char *says)
{
	cr_assert_eq(load(text), rc, "%s: %s", says, err.msg);
	cr_assert_not_null(strstr(err.msg, says), "'%s' does not say '%s'", err.msg, says);
	config_free(&config);
}

Test(helper_config, a_whole_configuration)
{
	cr_assert_eq(load(BASE DEVICE "[component.rootfs]\nhandler = rootfs\nslot.a = slots/a\n"
				      "slot.b = /dev/b\n[component.app]\nhandler = script\n"),
		     FL_OK, "%s", err.msg);
	cr_assert_str_eq(config.trust_root, "/srv/gw/root.json");
	cr_assert_str_eq(config.identity_public, "/abs/device.pub");
	cr_assert_str_eq(config.device.tenant, "default");
	cr_assert_eq(config.device.hw_rev, 3);
	cr_assert_eq(config.agent_uid, geteuid());
	cr_assert_str_eq(config.boot_failure, "/run/fairlead/boot-failure");
	cr_assert_not(config.require_sandbox);
	cr_assert_eq(config.n_components, 2);
	const struct component *c = config_component(&config, "rootfs");
	cr_assert_eq(c->n_slots, 2);
	cr_assert_str_eq(component_slot(c, "a")->value, "slots/a");
	cr_assert_str_eq(component_slot(c, "b")->value, "/dev/b");
	cr_assert_null(component_slot(c, "c"));
	cr_assert_eq(component_slot_by_tag(c, c->slots[1].tag), &c->slots[1]);
	cr_assert_null(component_slot_by_tag(c, FL_ANCHOR_SLOT_NONE));
	cr_assert_eq(config_component_by_key(&config, &c->key), c);
	cr_assert_eq(component_index(&config, c), 0);
	cr_assert_null(config_component(&config, "other"));
	config_free(&config);
}

Test(helper_config, every_required_key_is_missed)
{
	static const char *const keys[] = {"root = root.json\n", "public = /abs/device.pub\n",
					   "dir = anchor\n",	 "program = bin/runner\n",
					   "plugins = plugins\n", "program = bin/boot\n",
					   "device_id = gw-1\n", "product = gw\n", "class_id = c\n"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char text[2048] = BASE DEVICE;
		char *at = strstr(text, keys[i]);
		cr_assert_not_null(at);
		memmove(at, at + strlen(keys[i]), strlen(at + strlen(keys[i])) + 1);
		expect(FL_E_CONFIG, text, "is not set");
	}
}

Test(helper_config, what_a_real_machine_has_need_not_be_said)
{
	static const char *const keys[] = {"running_slot = run/slot\n", "image_info = run/info\n",
					   "boot_id = run/id\n", "restart_request = run/restart\n"};
	char text[2048] = BASE DEVICE;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char *at = strstr(text, keys[i]);
		cr_assert_not_null(at);
		memmove(at, at + strlen(keys[i]), strlen(at + strlen(keys[i])) + 1);
	}
	cr_assert_eq(load(text), FL_OK, "%s", err.msg);
	cr_assert_str_eq(config.image_info, "/usr/lib/fairlead/image-info");
	cr_assert_str_eq(config.boot_id, "/proc/sys/kernel/random/boot_id");
	cr_assert_str_eq(config.restart_request, "/run/fairlead/restart");
	cr_assert_eq(config.silence_s, 180);
	cr_assert_null(config.watchdog);
	config_free(&config);
}

Test(helper_config, what_cannot_be_meant_is_refused)
{
	expect(FL_E_CONFIG, BASE "[device]\ndevice_id = ../x\nproduct = gw\nclass_id = c\n", "no name");
	expect(FL_E_CONFIG, BASE DEVICE "[component.-x]\nhandler = h\n", "no name");
	expect(FL_E_CONFIG, BASE DEVICE "[component.x]\nhandler = ../../evil\n", "no name");
	expect(FL_E_CONFIG, BASE DEVICE "[component.x]\nslot.a = y\n", "handler");
	expect(FL_E_CONFIG, BASE DEVICE "[helper]\nuser = nobody-of-that-name\n", "no account");
	expect(FL_E_CONFIG, BASE DEVICE "[runner]\nuser = nobody-of-that-name\n", "no account");
	expect(FL_E_CONFIG, BASE DEVICE "[runner]\nrequire_sandbox = perhaps\n", "require_sandbox");
	expect(FL_E_CONFIG, BASE "[device]\ndevice_id = d\nproduct = p\nclass_id = c\nhw_rev = -1\n",
	       "hw_rev");
	expect(FL_E_CONFIG, "nonsense", "configuration");
}

Test(helper_config, limits_of_the_anchor_hold_at_the_start)
{
	struct fl_buf text = FL_BUF((size_t)60 * 1024);
	cr_assert_eq(fl_buf_append_str(&text, BASE DEVICE, NULL), FL_OK);
	for (int i = 0; i < FL_ANCHOR_COMPONENTS + 1; i++)
		cr_assert_eq(fl_buf_appendf(&text, NULL, "[component.c%d]\nhandler = h\n", i), FL_OK);
	expect(FL_E_ANCHOR_FULL, fl_buf_str(&text), "more than 64");
	fl_buf_clear(&text);
	cr_assert_eq(fl_buf_append_str(&text, BASE DEVICE "[component.c]\nhandler = h\n", NULL), FL_OK);
	for (char c = 'a'; c <= 'q'; c++)
		cr_assert_eq(fl_buf_appendf(&text, NULL, "slot.%c = s/%c\n", c, c), FL_OK);
	expect(FL_E_CONFIG, fl_buf_str(&text), "more than 16");
	fl_buf_free(&text);
}

/* All 26 letters have a tag of their own that is not "none". */
Test(helper_config, letters_are_told_apart_by_their_tags)
{
	uint16_t tags[26];
	for (char c = 'a'; c <= 'z'; c++) {
		char text[2048];
		snprintf(text, sizeof(text), "%s[component.c]\nhandler = h\nslot.%c = s\n", BASE DEVICE, c);
		cr_assert_eq(load(text), FL_OK);
		tags[c - 'a'] = config.components[0].slots[0].tag;
		cr_assert_neq(tags[c - 'a'], FL_ANCHOR_SLOT_NONE);
		for (char d = 'a'; d < c; d++)
			cr_assert_neq(tags[c - 'a'], tags[d - 'a']);
		config_free(&config);
	}
}
