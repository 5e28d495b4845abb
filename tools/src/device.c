/* SPDX-License-Identifier: Apache-2.0 */
/* device enroll, device list, device show; status. */
#include "commands.h"
#include "list.h"
#include "query.h"

#include <fairlead/trust/digest.h>
#include <fairlead/trust/json.h>

#include <string.h>

static enum fl_rc print_enrolled(const struct fl_tools_call *call, const void *answer,
				 struct fl_err *err)
{
	(void)answer;
	(void)err;
	(void)fprintf(call->out, "device '%s' may enroll\n", call->args[0]);
	return FL_OK;
}

enum fl_rc fl_tools_device_enroll(struct fl_tools_call *call, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	struct fl_digest identity;
	struct fl_buf body = FL_BUF((size_t)1024);
	struct fl_tools_made made;
	const char *text = fl_tools_opt(call, "identity", "");
	enum fl_rc rc = fl_tools_need_name(call->args[0], "device", err);
	if (rc == FL_OK && !fl_digest_parse(text, &identity))
		rc = fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "--identity: sha256:HEX, not '%s'",
			     text);
	if (rc == FL_OK)
		rc = fl_buf_appendf(&body, err, "{\"identity\":\"%s\"}", text);
	(void)snprintf(path, sizeof(path), "/devices/%.64s", call->args[0]);
	const struct fl_tools_query query = {
		{"PUT", path, &body, &fl_tools_made_schema}, &made, print_enrolled};
	if (rc == FL_OK)
		rc = fl_tools_query_run(call, &query, err);
	fl_buf_free(&body);
	return rc;
}

static enum fl_rc print_revoked(const struct fl_tools_call *call, const void *answer,
				struct fl_err *err)
{
	(void)answer;
	(void)err;
	(void)fprintf(call->out, "device '%s' is revoked\n", call->args[0]);
	return FL_OK;
}

enum fl_rc fl_tools_device_revoke(struct fl_tools_call *call, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	struct fl_tools_made made;
	enum fl_rc rc = fl_tools_need_name(call->args[0], "device", err);
	if (rc != FL_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "/devices/%.64s", call->args[0]);
	const struct fl_tools_query query = {
		{"DELETE", path, NULL, &fl_tools_made_schema}, &made, print_revoked};
	return fl_tools_query_run(call, &query, err);
}

/* "rootfs 2.0.0 (b), meter 1.9.2": what runs on a device, shortened to fit. */
static void running_text(const struct fl_tools_device *device, char *out, size_t size)
{
	size_t at = 0;
	out[0] = '\0';
	for (size_t i = 0; i < device->components.n && at + 1 < size; i++) {
		const struct fl_tools_running *c = &device->components.items[i];
		int n = snprintf(out + at, size - at, "%s%s %s%s%s%s", i == 0 ? "" : ", ",
				 c->name == NULL ? "?" : c->name,
				 c->version == NULL ? "?" : c->version, c->slot == NULL ? "" : " (",
				 c->slot == NULL ? "" : c->slot, c->slot == NULL ? "" : ")");
		at += n < 0 ? size : (size_t)n;
	}
}

static const char *link_of(const struct fl_tools_device *device)
{
	if (device->revoked)
		return "revoked";
	if (!device->enrolled)
		return "not enrolled";
	return device->online ? "online" : "offline";
}

static const char *device_id(const void *element)
{
	return ((const struct fl_tools_device *)element)->device_id;
}

static enum fl_rc add_device(struct fl_tools_table *table, const void *element, struct fl_err *err)
{
	const struct fl_tools_device *d = element;
	char runs[160], seen[FL_WORDS_MAX];
	running_text(d, runs, sizeof(runs));
	const char *cells[] = {d->device_id, link_of(d), d->product, runs,
			       fl_words_time(d->last_seen, fl_words_now(), seen)};
	return fl_tools_table_row(table, cells, err);
}

enum fl_rc fl_tools_device_list(struct fl_tools_call *call, struct fl_err *err)
{
	static const char *const heading[] = {"DEVICE", "LINK", "PRODUCT", "RUNS", "LAST SEEN"};
	const struct fl_tools_list list = {.path = "/devices",
					   .member = "devices",
					   .schema = &fl_tools_device_schema,
					   .id = device_id,
					   .max = UINT64_MAX,
					   .columns = 5,
					   .heading = heading,
					   .row = add_device};
	return fl_tools_list_run(call, &list, err);
}

static void print_line(FILE *out, const char *title, const char *text)
{
	(void)fprintf(out, "%-12s", title);
	fl_words_print_clean(out, text == NULL || text[0] == '\0' ? "-" : text);
	(void)fputc('\n', out);
}

static enum fl_rc print_events(FILE *out, const struct fl_tools_device *device, struct fl_err *err)
{
	static const char *const heading[] = {"EVENT", "CODE", "TEXT", "TIME"};
	struct fl_tools_table table = FL_TOOLS_TABLE(4);
	uint64_t now = fl_words_now();
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; rc == FL_OK && i < device->events.n; i++) {
		const struct fl_tools_event *e = &device->events.items[i];
		char when[FL_WORDS_MAX];
		const char *cells[] = {e->kind, e->code, e->text, fl_words_time(e->utc, now, when)};
		rc = fl_tools_table_row(&table, cells, err);
	}
	if (rc == FL_OK)
		fl_tools_table_print(out, &table);
	fl_tools_table_free(&table);
	return rc;
}

static enum fl_rc print_components(FILE *out, const struct fl_tools_device *device,
				   struct fl_err *err)
{
	static const char *const heading[] = {"COMPONENT", "VERSION", "SLOT", "SEQ", "SECURITY"};
	struct fl_tools_table table = FL_TOOLS_TABLE(5);
	enum fl_rc rc = fl_tools_table_row(&table, heading, err);
	for (size_t i = 0; rc == FL_OK && i < device->components.n; i++) {
		const struct fl_tools_running *c = &device->components.items[i];
		char seq[FL_WORDS_MAX], security[FL_WORDS_MAX];
		const char *cells[] = {c->name, c->version, c->slot,
				       fl_words_number(c->release_seq, seq),
				       fl_words_number(c->security_version, security)};
		rc = fl_tools_table_row(&table, cells, err);
	}
	if (rc == FL_OK)
		fl_tools_table_print(out, &table);
	fl_tools_table_free(&table);
	return rc;
}

static enum fl_rc print_device(const struct fl_tools_call *call, const void *answer,
			       struct fl_err *err)
{
	const struct fl_tools_device *d = answer;
	FILE *out = call->out;
	char text[FL_WORDS_MAX];
	print_line(out, "device", d->device_id);
	print_line(out, "link", link_of(d));
	print_line(out, "last seen", fl_words_time(d->last_seen, fl_words_now(), text));
	print_line(out, "product", d->product);
	print_line(out, "class", d->class_id);
	print_line(out, "hardware", d->class_id == NULL ? NULL : fl_words_number(d->hw_rev, text));
	print_line(out, "identity", d->identity);
	print_line(out, "agent", d->agent_version);
	print_line(out, "last error", d->last_error);
	enum fl_rc rc = FL_OK;
	if (d->components.n > 0) {
		(void)fputc('\n', out);
		rc = print_components(out, d, err);
	}
	if (rc == FL_OK && d->jobs.n > 0) {
		(void)fputc('\n', out);
		rc = fl_tools_jobs_table(out, d->jobs.items, d->jobs.n, err);
	}
	if (rc == FL_OK && d->events.n > 0) {
		(void)fputc('\n', out);
		rc = print_events(out, d, err);
	}
	return rc;
}

enum fl_rc fl_tools_device_show(struct fl_tools_call *call, struct fl_err *err)
{
	char path[FL_TOOLS_QUERY_PATH];
	struct fl_tools_device device;
	enum fl_rc rc = fl_tools_need_name(call->args[0], "device", err);
	if (rc != FL_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "/devices/%.64s", call->args[0]);
	const struct fl_tools_query query = {
		{"GET", path, NULL, &fl_tools_device_schema}, &device, print_device};
	return fl_tools_query_run(call, &query, err);
}

static enum fl_rc print_status(const struct fl_tools_call *call, const void *answer,
			       struct fl_err *err)
{
	(void)err;
	const struct fl_tools_status_answer *s = answer;
	print_line(call->out, "fleet", s->version);
	(void)fprintf(call->out, "root        version %llu\n", (unsigned long long)s->root_version);
	(void)fprintf(call->out, "devices     %llu, %llu online\n", (unsigned long long)s->devices,
		      (unsigned long long)s->online);
	return FL_OK;
}

enum fl_rc fl_tools_status(struct fl_tools_call *call, struct fl_err *err)
{
	struct fl_tools_status_answer status;
	const struct fl_tools_query query = {
		{"GET", "/status", NULL, &fl_tools_status_schema}, &status, print_status};
	return fl_tools_query_run(call, &query, err);
}
