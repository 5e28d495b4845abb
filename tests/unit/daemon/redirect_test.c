/* SPDX-License-Identifier: Apache-2.0 */
#include "http_redirect.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

static bool is_private(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return fl_http_is_private((const struct sockaddr *)&v4);
	cr_assert_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1, "%s", text);
	return fl_http_is_private((const struct sockaddr *)&v6);
}

Test(redirect, addresses_of_a_site)
{
	static const char *const inside[] = {
		"0.0.0.0",	   "10.0.0.1",	      "10.255.255.255",	 "100.64.0.1",	"100.127.255.255",
		"127.0.0.1",	   "127.255.255.255", "169.254.169.254", "172.16.0.1",	"172.31.255.255",
		"192.168.0.1",	   "192.168.255.255", "224.0.0.1",	 "240.0.0.1",	"255.255.255.255",
		"::",		   "::1",	      "fe80::1",	 "fec0::1",	"fc00::1",
		"fd12:3456::1",	   "ff02::1",	      "::ffff:127.0.0.1", "::ffff:10.1.2.3"};
	static const char *const outside[] = {
		"1.1.1.1",	  "9.255.255.255", "11.0.0.0",	  "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.1",	   "169.253.0.1", "169.255.0.1",    "172.15.255.255",
		"172.32.0.0",	  "192.167.0.1",   "192.169.0.1", "223.255.255.255",
		"2001:4860:4860::8888", "2606:4700::1111", "::ffff:8.8.8.8"};
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		cr_assert(is_private(inside[i]), "%s", inside[i]);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		cr_assert_not(is_private(outside[i]), "%s", outside[i]);
	const struct sockaddr local = {.sa_family = AF_UNIX};
	cr_assert(fl_http_is_private(&local));
}

Test(redirect, origins)
{
	cr_assert(fl_http_same_origin("https://a.example:1/x", "https://a.example:1/y?z"));
	cr_assert(fl_http_same_origin("https://a.example/x", "HTTPS://A.EXAMPLE"));
	cr_assert_not(fl_http_same_origin("https://a.example/x", "https://a.example:8443/x"));
	cr_assert_not(fl_http_same_origin("https://a.example/x", "https://a.example.org/x"));
	cr_assert_not(fl_http_same_origin("https://a.example/x", "http://a.example/x"));
	cr_assert_not(fl_http_same_origin("a.example/x", "a.example/x"));
	cr_assert_not(fl_http_same_origin("https://a.example/x", "https://a.example@b.example/x"));
}

Test(redirect, schemes)
{
	cr_assert(fl_http_scheme_allowed("https://a", false) && fl_http_scheme_allowed("HTTPS://a", false));
	cr_assert_not(fl_http_scheme_allowed("http://a", false));
	cr_assert(fl_http_scheme_allowed("http://a", true));
	cr_assert_not(fl_http_scheme_allowed("file:///etc/passwd", true));
	cr_assert_not(fl_http_scheme_allowed("httpsx://a", true));
}
