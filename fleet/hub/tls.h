/* SPDX-License-Identifier: Apache-2.0 */
/* The two things the hub needs of OpenSSL itself. */
#ifndef FLEET_HUB_TLS_H
#define FLEET_HUB_TLS_H

#include <fairlead/trust/pki.h>

/* Settings of a server's context that libwebsockets doesn't make: TLS ≥ 1.2, no renegotiation, no compression. */
void fl_hub_tls_harden(void *ssl_ctx);
/* Name and key of the peer's certificate. FL_E_TLS when it has none. */
enum fl_rc fl_hub_tls_peer(void *ssl, struct fl_cert_info *ret, struct fl_err *err) FL_CHECKED;

#endif
