/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet_private.h"

#include <fairlead/base/file.h>
#include <fairlead/base/log.h>
#include <fairlead/trust/json.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_MS     10000L
#define ANSWER_MS      60000L
#define STALLED_S      60L
#define TOKEN_FILE_MAX ((size_t)4096)

static const char *setting(const struct fl_tools_call *call, const char *option,
			   const char *variable)
{
	return fl_tools_opt(call, option, getenv(variable));
}

/* https://HOST[:PORT] and nothing else: no user, no path, no query. */
static enum fl_rc check_url(const char *url, struct fl_err *err)
{
	char *scheme = NULL, *path = NULL, *extra = NULL;
	CURLU *parsed = curl_url();
	bool good = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		    curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
		    strcmp(scheme, "https") == 0 && strcmp(path, "/") == 0;
	static const CURLUPart none[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
					 CURLUPART_FRAGMENT};
	for (size_t i = 0; good && i < sizeof(none) / sizeof(none[0]); i++) {
		good = curl_url_get(parsed, none[i], &extra, 0) != CURLUE_OK;
		curl_free(extra);
		extra = NULL;
	}
	curl_free(scheme);
	curl_free(path);
	curl_url_cleanup(parsed);
	return good ? FL_OK
		    : fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			      "the fleet is https://HOST:PORT, not '%s'", url);
}

static enum fl_rc set_base(struct fl_tools_fleet *fleet, const char *url, struct fl_err *err)
{
	if (url == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "which fleet? --fleet URL or FAIRLEAD_FLEET is needed");
	enum fl_rc rc = check_url(url, err);
	if (rc != FL_OK)
		return rc;
	size_t len = strlen(url);
	if (url[len - 1] == '/')
		len--;
	int n = snprintf(fleet->base, sizeof(fleet->base), "%.*s/api/v1", (int)len, url);
	if (n < 0 || (size_t)n >= sizeof(fleet->base))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "the fleet's URL");
	return FL_OK;
}

static enum fl_rc set_ca(struct fl_tools_fleet *fleet, const char *path, struct fl_err *err)
{
	if (path == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "whom to trust? --ca FILE or FAIRLEAD_CA is needed");
	if (access(path, R_OK) != 0)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, errno, "CA '%s'", path);
	int n = snprintf(fleet->ca, sizeof(fleet->ca), "%s", path);
	if (n < 0 || (size_t)n >= sizeof(fleet->ca))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "path of the CA");
	return FL_OK;
}

/* What RFC 6750 lets stand in a bearer token. */
static bool is_token(const char *text, size_t len)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"-._~+/=";
	return len > 0 && strspn(text, allowed) == len;
}

static void warn_open(const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0 && (st.st_mode & 0077) != 0)
		fl_log(FL_LOG_WARNING, "token '%s' is readable by others", path);
}

static enum fl_rc set_token(struct fl_tools_fleet *fleet, const char *path, struct fl_err *err)
{
	if (path == NULL)
		return fl_fail(err, FL_E_INVALID_ARGUMENT, 0,
			       "as whom? --token FILE or FAIRLEAD_TOKEN_FILE is needed");
	struct fl_buf text = FL_BUF(TOKEN_FILE_MAX);
	enum fl_rc rc = fl_file_read(path, &text, err);
	if (rc != FL_OK)
		return fl_wrap(err, FL_E_INVALID_ARGUMENT, "token");
	while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL)
		text.data[--text.len] = '\0';
	if (!is_token(fl_buf_str(&text), text.len) || text.len >= sizeof(fleet->token))
		rc = fl_fail(err, FL_E_INVALID_ARGUMENT, 0, "'%s' holds no token", path);
	else
		memcpy(fleet->token, text.data, text.len + 1);
	explicit_bzero(text.data, text.cap);
	fl_buf_free(&text);
	warn_open(path);
	return rc;
}

enum fl_rc fl_tools_fleet_open(const struct fl_tools_call *call, struct fl_tools_fleet **ret,
			       struct fl_err *err)
{
	struct fl_tools_fleet *fleet = calloc(1, sizeof(*fleet));
	if (fleet == NULL)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "connection");
	enum fl_rc rc = set_base(fleet, setting(call, "fleet", "FAIRLEAD_FLEET"), err);
	if (rc == FL_OK)
		rc = set_ca(fleet, setting(call, "ca", "FAIRLEAD_CA"), err);
	if (rc == FL_OK)
		rc = set_token(fleet, setting(call, "token", "FAIRLEAD_TOKEN_FILE"), err);
	if (rc == FL_OK && (fleet->curl = curl_easy_init()) == NULL)
		rc = fl_fail(err, FL_E_NO_MEMORY, 0, "connection");
	if (rc != FL_OK) {
		fl_tools_fleet_close(fleet);
		return rc;
	}
	*ret = fleet;
	return FL_OK;
}

void fl_tools_fleet_close(struct fl_tools_fleet *fleet)
{
	if (fleet == NULL)
		return;
	curl_easy_cleanup(fleet->curl);
	explicit_bzero(fleet->token, sizeof(fleet->token));
	free(fleet);
}

/* The peer is the fleet or nobody: its own CA alone, its name, TLS 1.2 or later. */
static void set_trust(struct fl_tools_fleet *fleet)
{
	CURL *c = fleet->curl;
	(void)curl_easy_setopt(c, CURLOPT_CAINFO, fleet->ca);
	(void)curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	(void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
	(void)curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, fleet->token);
}

enum fl_rc fl_tools_fleet_prepare(struct fl_tools_fleet *fleet, const char *path,
				  struct fl_err *err)
{
	char url[2 * FL_TOOLS_URL_MAX];
	CURL *c = fleet->curl;
	int n = snprintf(url, sizeof(url), "%s%s", fleet->base, path);
	if (n < 0 || (size_t)n >= sizeof(url))
		return fl_fail(err, FL_E_TOO_LARGE, 0, "URL of '%s'", path);
	curl_easy_reset(c);
	fleet->curl_error[0] = '\0';
	if (curl_easy_setopt(c, CURLOPT_URL, url) != CURLE_OK)
		return fl_fail(err, FL_E_NO_MEMORY, 0, "URL");
	set_trust(fleet);
	(void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, fleet->curl_error);
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	(void)curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "fairlead");
	(void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALLED_S);
	return FL_OK;
}

enum fl_rc fl_tools_fleet_failed(const struct fl_tools_fleet *fleet, CURLcode code,
				 struct fl_err *err)
{
	static const struct {
		CURLcode code;
		enum fl_rc rc;
	} table[] = {
		{CURLE_PEER_FAILED_VERIFICATION, FL_E_TLS},
		{CURLE_SSL_CONNECT_ERROR, FL_E_TLS},
		{CURLE_SSL_CACERT_BADFILE, FL_E_TLS},
		{CURLE_OPERATION_TIMEDOUT, FL_E_TIMEOUT},
		{CURLE_PARTIAL_FILE, FL_E_PEER_CLOSED},
		{CURLE_GOT_NOTHING, FL_E_PEER_CLOSED},
		{CURLE_OUT_OF_MEMORY, FL_E_NO_MEMORY},
		{CURLE_READ_ERROR, FL_E_IO},
		{CURLE_ABORTED_BY_CALLBACK, FL_E_IO},
	};
	enum fl_rc rc = FL_E_NETWORK;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].code == code)
			rc = table[i].rc;
	}
	const char *text =
		fleet->curl_error[0] != '\0' ? fleet->curl_error : curl_easy_strerror(code);
	return fl_fail(err, rc, 0, "fleet: %s", text);
}

struct refusal {
	const char *code;
	const char *text;
};
static const struct fl_field refusal_fields[] = {
	FL_REQ(struct refusal, code, STR, 64, NULL, "name of the code"),
	FL_OPT(struct refusal, text, STR, 4096, NULL, "what happened"),
};
static const struct fl_schema refusal_schema =
	FL_SCHEMA("error", struct refusal, refusal_fields, "an error of the fleet");

/* The code that a bare status stands for, where the fleet said nothing better. */
static enum fl_rc rc_of_status(long status)
{
	static const struct {
		long status;
		enum fl_rc rc;
	} table[] = {{400, FL_E_BAD_REQUEST}, {401, FL_E_AUTH},	    {403, FL_E_DENIED},
		     {404, FL_E_NOT_FOUND},   {409, FL_E_CONFLICT}, {413, FL_E_TOO_LARGE},
		     {429, FL_E_RATE_LIMITED}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].status == status)
			return table[i].rc;
	}
	return FL_E_HTTP_STATUS;
}

enum fl_rc fl_tools_fleet_status(struct fl_tools_fleet *fleet, const struct fl_buf *answer,
				 struct fl_err *err)
{
	long status = 0;
	(void)curl_easy_getinfo(fleet->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
		return FL_OK;
	struct fl_arena arena = FL_ARENA((size_t)64 * 1024);
	struct refusal refusal = {0};
	enum fl_rc rc = rc_of_status(status);
	if (fl_json_decode(&refusal_schema, answer->data, answer->len, FL_JSON_IGNORE_UNKNOWN,
			   &arena, &refusal, NULL) == FL_OK) {
		enum fl_rc told = fl_rc_from_name(refusal.code);
		rc = fl_fail(err, told == FL_E_INTERNAL || told == FL_OK ? rc : told, 0,
			     "fleet: %s", refusal.text == NULL ? refusal.code : refusal.text);
	} else {
		rc = fl_fail(err, rc, 0, "fleet: HTTP status %ld", status);
	}
	fl_arena_free(&arena);
	return rc;
}

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
	struct fl_buf *answer = ctx;
	return fl_buf_append(answer, data, size * n, NULL) == FL_OK ? size * n : 0;
}

static enum fl_rc perform(struct fl_tools_fleet *fleet, struct fl_buf *answer, struct fl_err *err)
{
	(void)curl_easy_setopt(fleet->curl, CURLOPT_WRITEFUNCTION, on_answer);
	(void)curl_easy_setopt(fleet->curl, CURLOPT_WRITEDATA, answer);
	CURLcode code = curl_easy_perform(fleet->curl);
	if (code == CURLE_WRITE_ERROR)
		return fl_fail(err, FL_E_TOO_LARGE, 0, "fleet: an answer past %zu bytes",
			       answer->max);
	if (code != CURLE_OK)
		return fl_tools_fleet_failed(fleet, code, err);
	return fl_tools_fleet_status(fleet, answer, err);
}

enum fl_rc fl_tools_fleet_call(struct fl_tools_fleet *fleet, const char *method, const char *path,
			       const struct fl_buf *body, struct fl_buf *answer, struct fl_err *err)
{
	struct fl_buf ignored = FL_BUF(FL_TOOLS_ANSWER_MAX);
	struct curl_slist *headers = NULL;
	enum fl_rc rc = fl_tools_fleet_prepare(fleet, path, err);
	if (rc != FL_OK)
		return rc;
	(void)curl_easy_setopt(fleet->curl, CURLOPT_TIMEOUT_MS, ANSWER_MS);
	if (strcmp(method, "POST") == 0 || body != NULL) {
		headers = curl_slist_append(NULL, "Content-Type: application/json");
		(void)curl_easy_setopt(fleet->curl, CURLOPT_POSTFIELDS,
				       body == NULL ? "" : fl_buf_str(body));
		(void)curl_easy_setopt(fleet->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				       body == NULL ? (curl_off_t)0 : (curl_off_t)body->len);
		(void)curl_easy_setopt(fleet->curl, CURLOPT_HTTPHEADER, headers);
	}
	if (strcmp(method, "HEAD") == 0)
		(void)curl_easy_setopt(fleet->curl, CURLOPT_NOBODY, 1L);
	else
		(void)curl_easy_setopt(fleet->curl, CURLOPT_CUSTOMREQUEST, method);
	rc = perform(fleet, answer == NULL ? &ignored : answer, err);
	curl_slist_free_all(headers);
	fl_buf_free(&ignored);
	return rc;
}

enum fl_rc fl_tools_fleet_ask(struct fl_tools_fleet *fleet, const struct fl_tools_request *request,
			      struct fl_buf *answer, struct fl_arena *arena, void *out,
			      struct fl_err *err)
{
	enum fl_rc rc = fl_tools_fleet_call(fleet, request->method, request->path, request->body,
					    answer, err);
	if (rc != FL_OK)
		return rc;
	rc = fl_json_decode(request->schema, answer->data, answer->len, FL_JSON_IGNORE_UNKNOWN,
			    arena, out, err);
	return rc == FL_OK ? rc
			   : fl_wrap(err, FL_E_PROTOCOL, "fleet: answer to %s %s", request->method,
				     request->path);
}

enum fl_rc fl_tools_fleet_has(struct fl_tools_fleet *fleet, const char *path, bool *ret,
			      struct fl_err *err)
{
	enum fl_rc rc = fl_tools_fleet_call(fleet, "HEAD", path, NULL, NULL, err);
	if (rc != FL_OK && rc != FL_E_NOT_FOUND)
		return rc;
	*ret = rc == FL_OK;
	return FL_OK;
}
