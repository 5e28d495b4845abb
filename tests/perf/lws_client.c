/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that can hold a gateway's connection: libwebsockets, mutual TLS, nothing else. What it occupies is the floor
 * for an idle agent. lws_client HOST PORT CA CERTIFICATE KEY; prints "connected".
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)wsi;
	(void)user;
	(void)len;
	if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED) {
		puts("connected");
		fflush(stdout);
	} else if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) {
		fprintf(stderr, "%s\n", in == NULL ? "?" : (const char *)in);
		exit(1);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct lws_protocols protocols[] = {{"fairlead.v1", on_event, 0, 16384, 0, NULL, 0},
							 {NULL, NULL, 0, 0, 0, NULL, 0}};
	if (argc != 6)
		return 2;
	lws_set_log_level(LLL_ERR, NULL);
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.client_ssl_ca_filepath = argv[3],
		.client_ssl_cert_filepath = argv[4],
		.client_ssl_private_key_filepath = argv[5],
	};
	struct lws_context *context = lws_create_context(&info);
	const struct lws_client_connect_info connect = {
		.context = context,
		.address = argv[1],
		.host = argv[1],
		.origin = argv[1],
		.port = atoi(argv[2]),
		.path = "/device",
		.protocol = "fairlead.v1",
		.ssl_connection = LCCSCF_USE_SSL,
	};
	if (context == NULL || lws_client_connect_via_info(&connect) == NULL)
		return 1;
	while (lws_service(context, 0) >= 0)
		;
	return 0;
}
