/* SPDX-License-Identifier: Apache-2.0 */
#include "http_redirect.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool is_private_v4(uint32_t address)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} nets[] = {
		{0x00000000, 8},  /* this host */
		{0x0a000000, 8},  /* 10.0.0.0 */
		{0x64400000, 10}, /* 100.64.0.0, shared */
		{0x7f000000, 8},  /* loopback */
		{0xa9fe0000, 16}, /* link-local */
		{0xac100000, 12}, /* 172.16.0.0 */
		{0xc0a80000, 16}, /* 192.168.0.0 */
		{0xe0000000, 3},  /* multicast, reserved, broadcast */
	};
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		if ((address ^ nets[i].net) >> (32 - nets[i].bits) == 0)
			return true;
	}
	return false;
}

static bool is_private_v6(const struct in6_addr *address)
{
	const uint8_t *b = address->s6_addr;
	uint32_t v4;
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		memcpy(&v4, b + 12, sizeof(v4));
		return is_private_v4(ntohl(v4));
	}
	return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address) ||
	       IN6_IS_ADDR_LINKLOCAL(address) || IN6_IS_ADDR_SITELOCAL(address) ||
	       IN6_IS_ADDR_MULTICAST(address) || (b[0] & 0xfe) == 0xfc;
}

bool fl_http_is_private(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	switch (address->sa_family) {
	case AF_INET:
		memcpy(&v4, address, sizeof(v4));
		return is_private_v4(ntohl(v4.sin_addr.s_addr));
	case AF_INET6:
		memcpy(&v6, address, sizeof(v6));
		return is_private_v6(&v6.sin6_addr);
	default:
		return true;
	}
}

/* Up to the path. */
static size_t origin_len(const char *url)
{
	const char *host = strstr(url, "://");
	return host == NULL ? 0 : (size_t)(host + 3 - url) + strcspn(host + 3, "/?#");
}

bool fl_http_same_origin(const char *a, const char *b)
{
	const size_t len = origin_len(a);
	return len > 0 && len == origin_len(b) && strncasecmp(a, b, len) == 0;
}

bool fl_http_scheme_allowed(const char *url, bool plain)
{
	return strncasecmp(url, "https://", 8) == 0 || (plain && strncasecmp(url, "http://", 7) == 0);
}
