/* SPDX-License-Identifier: Apache-2.0 */
#include <fairlead/base/encode.h>

#include <string.h>

bool fl_digest_equal(const struct fl_digest *a, const struct fl_digest *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool fl_digest_is_zero(const struct fl_digest *d)
{
	static const struct fl_digest zero;
	return fl_digest_equal(d, &zero);
}

void fl_hex_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool fl_hex_decode(const char *text, size_t text_len, void *out, size_t len)
{
	uint8_t *p = out;
	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_value(text[2 * i]);
		int lo = hex_value(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void fl_base64_encode(const void *data, size_t len, char *out)
{
	const uint8_t *p = data;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i;
		uint32_t v = (uint32_t)p[i] << 16;
		v |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		v |= n > 2 ? (uint32_t)p[i + 2] : 0;
		*out++ = base64_digits[v >> 18];
		*out++ = base64_digits[v >> 12 & 63];
		*out++ = n > 1 ? base64_digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? base64_digits[v & 63] : '=';
	}
	*out = '\0';
}

static int base64_value(char c)
{
	const char *p = c == '\0' ? NULL : strchr(base64_digits, c);
	return p == NULL ? -1 : (int)(p - base64_digits);
}

/* One group of four; pad = number of '=' at its end. */
static bool decode_group(const char *text, int pad, uint8_t *out)
{
	uint32_t v = 0;
	for (int i = 0; i < 4 - pad; i++) {
		int d = base64_value(text[i]);
		if (d < 0)
			return false;
		v |= (uint32_t)d << (18 - 6 * i);
	}
	const uint32_t unused = pad == 0 ? 0 : (pad == 1 ? 0xff : 0xffff);
	if ((v & unused) != 0)
		return false;
	for (int i = 0; i < 3 - pad; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return true;
}

bool fl_base64_decode(const char *text, size_t text_len, void *out, size_t *ret_len)
{
	uint8_t *p = out;
	if (text_len % 4 != 0)
		return false;
	for (size_t i = 0; i < text_len; i += 4) {
		int pad = 0;
		if (i + 4 == text_len && text[i + 3] == '=')
			pad = text[i + 2] == '=' ? 2 : 1;
		if (!decode_group(text + i, pad, p))
			return false;
		p += 3 - pad;
	}
	*ret_len = (size_t)(p - (uint8_t *)out);
	return true;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool fl_name_valid(const char *name)
{
	size_t len = strnlen(name, FL_NAME_MAX + 1);
	if (len == 0 || len > FL_NAME_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!name_char(name[i]))
			return false;
	}
	return true;
}

bool fl_uuid_valid(const char *text)
{
	if (strnlen(text, 37) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : hex_value(text[i]) < 0)
			return false;
	}
	return true;
}
