/* An IPv4 or IPv6 network of the configuration: text to bytes (RFC 4291 section 2.2 and 2.3 for IPv6, without embedded IPv4). Pure. */
#include "value.h"

#include <string.h>

static int digit(char c, unsigned base)
{
	int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
	return d < (int)base ? d : -1;
}

/* A number of at most `digits` digits and at most max; moves *text behind it. -1: there is none. */
static int take_number(const char **text, unsigned base, unsigned digits, int max)
{
	int value = 0;
	unsigned n = 0;
	for (; n < digits && digit(**text, base) >= 0; n++, (*text)++)
		value = value * (int)base + digit(**text, base);
	return n && value <= max && digit(**text, base) < 0 ? value : -1;
}

static bool take_ipv4(const char **text, uint8_t out[16])
{
	for (unsigned i = 0; i < 4; i++) {
		int byte;
		if (i && *(*text)++ != '.')
			return false;
		byte = take_number(text, 10, 3, 255);
		if (byte < 0)
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}

/* Groups of four digits; "::" stands once for as many zero groups as are missing. */
static bool take_ipv6(const char **text, uint8_t out[16])
{
	unsigned count = 0, gap = 9; /* where the "::" is; 9: there is none */
	uint16_t groups[8] = {0};
	if ((*text)[0] == ':' && (*text)[1] != ':')
		return false;
	while (**text && **text != '/') {
		int group;
		if ((*text)[0] == ':' && (*text)[1] == ':') {
			if (gap != 9)
				return false;
			gap = count;
			*text += 2;
			if (!**text || **text == '/')
				break;
		} else if (count && *(*text)++ != ':') {
			return false;
		}
		group = count < 8 ? take_number(text, 16, 4, 0xffff) : -1;
		if (group < 0)
			return false;
		groups[count++] = (uint16_t)group;
	}
	if (gap == 9 ? count != 8 : count > 7)
		return false;
	for (unsigned i = 0; i < count; i++) {
		unsigned at = i < gap ? i : i + 8 - count;
		out[2 * at] = (uint8_t)(groups[i] >> 8);
		out[2 * at + 1] = (uint8_t)groups[i];
	}
	return true;
}

const char *value_prefix(const char *text, struct vsw_prefix *prefix, const char **hint)
{
	bool ipv6 = strchr(text, ':') != NULL;
	int bits = ipv6 ? 128 : 32;
	memset(prefix, 0, sizeof(*prefix));
	prefix->family = ipv6 ? 6 : 4;
	*hint = "write an address, or a network with the length of its prefix: 10.0.0.0/8, fe80::/10";
	if (ipv6 ? !take_ipv6(&text, prefix->bytes) : !take_ipv4(&text, prefix->bytes))
		return "is not an IPv4 or IPv6 address";
	if (*text == '/') {
		text++;
		bits = take_number(&text, 10, 3, bits);
		if (bits < 0 || *text)
			return ipv6 ? "does not end in a prefix length of 0 to 128" : "does not end in a prefix length of 0 to 32";
	} else if (*text) {
		return "is not an IPv4 or IPv6 address";
	}
	prefix->length = (uint8_t)bits;
	for (int i = bits; i < (ipv6 ? 128 : 32); i++) {
		if (!(prefix->bytes[i / 8] >> (7 - i % 8) & 1))
			continue;
		*hint = "write 0 for the bits behind the prefix, or a longer prefix";
		return "is not a network: it has bits behind its prefix";
	}
	return NULL;
}
