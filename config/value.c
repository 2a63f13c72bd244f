/* Scalars of the configuration. The text is untrusted but NUL-terminated; nothing here reads beyond the NUL or writes on failure's account.
 */
#include "value.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Exactly `digits` hexadecimal digits; moves *text behind them. */
static bool take_hex(const char **text, unsigned digits, unsigned *value)
{
	*value = 0;
	for (; digits; digits--, (*text)++) {
		int d = hex_digit(**text);
		if (d < 0)
			return false;
		*value = *value << 4 | (unsigned)d;
	}
	return true;
}

/* A decimal number up to max without leading zeros; moves *text behind it. */
static bool take_decimal(const char **text, uint64_t max, uint64_t *value)
{
	const char *p = *text;
	if (!is_digit(*p) || (p[0] == '0' && is_digit(p[1])))
		return false;
	uint64_t v = 0;
	for (; is_digit(*p); p++) {
		unsigned d = (unsigned)(*p - '0');
		if (v > (max - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*text = p;
	*value = v;
	return true;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

const char *value_mac(const char *text, uint8_t mac[6], const char **hint)
{
	static const char problem[] = "is not a MAC address";
	*hint = "write six pairs of hexadecimal digits: \"52:54:00:12:34:56\"";
	char separator = strchr(text, '-') ? '-' : ':';
	for (unsigned i = 0; i < 6; i++) {
		unsigned byte;
		if ((i && !take_char(&text, separator)) || !take_hex(&text, 2, &byte))
			return problem;
		mac[i] = (uint8_t)byte;
	}
	if (*text)
		return problem;
	if (mac[0] & 1) {
		*hint = "the lowest bit of the first byte must be 0";
		return "is a multicast address; a NIC needs a unicast one";
	}
	if (!(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5])) {
		*hint = "leave the key out if one is to be derived";
		return "is not an address a NIC can have";
	}
	return NULL;
}

const char *value_pci(const char *text, struct vsw_uplink_config *uplink, const char **hint)
{
	unsigned segment, bus, dev, fn;
	*hint = "write segment:bus:device.function in hexadecimal, as lspci -D does: \"0000:00:02.0\"";
	if (!take_hex(&text, 4, &segment) || !take_char(&text, ':') || !take_hex(&text, 2, &bus) || !take_char(&text, ':') ||
		!take_hex(&text, 2, &dev) || !take_char(&text, '.') || !take_hex(&text, 1, &fn) || *text)
		return "is not a PCI address";
	if (dev > 31 || fn > 7) {
		*hint = "a bus has devices 00 to 1f with functions 0 to 7";
		return "is not a PCI address";
	}
	uplink->pci_segment = (uint16_t)segment;
	uplink->pci_bus = (uint8_t)bus;
	uplink->pci_dev = (uint8_t)dev;
	uplink->pci_fn = (uint8_t)fn;
	return NULL;
}

static bool take_ipv4(const char **text, uint32_t *address)
{
	*address = 0;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t byte;
		if ((i && !take_char(text, '.')) || !take_decimal(text, 255, &byte))
			return false;
		*address = *address << 8 | (uint32_t)byte;
	}
	return true;
}

static const char not_ipv4[] = "is not an IPv4 address";
static const char ipv4_hint[] = "write four numbers from 0 to 255: 10.0.2.2 (names are not looked up)";

const char *value_ipv4(const char *text, uint32_t *address, const char **hint)
{
	*hint = ipv4_hint;
	if (!take_ipv4(&text, address))
		return not_ipv4;
	if (*text == '/') {
		*hint = "leave out the prefix length";
		return "has a prefix length, but a single address belongs here";
	}
	return *text ? not_ipv4 : NULL;
}

const char *value_cidr(const char *text, uint32_t *address, uint8_t *prefix, const char **hint)
{
	uint64_t bits;
	*hint = "write the address and the length of the subnet's prefix: 10.0.2.15/24";
	if (!take_ipv4(&text, address))
		return not_ipv4;
	if (!*text)
		return "has no prefix length";
	if (!take_char(&text, '/') || !take_decimal(&text, 32, &bits) || *text)
		return "does not end in a prefix length of 1 to 32";
	if (!bits)
		return "has prefix length 0";
	*prefix = (uint8_t)bits;
	return NULL;
}

const char *value_portal(const char *text, struct storage_portal *portal, const char **hint)
{
	uint64_t port = 3260;
	*hint = "write ADDRESS:PORT: \"10.0.2.2:3260\"";
	if (!take_ipv4(&text, &portal->address))
		return "does not begin with an IPv4 address";
	if (*text && (!take_char(&text, ':') || !take_decimal(&text, 65535, &port) || *text || !port))
		return "does not end in a port of 1 to 65535";
	portal->port = (uint16_t)port;
	return NULL;
}

const char *value_bytes(const char *text, uint64_t *bytes, const char **hint)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	uint64_t number;
	*hint = "write a whole number and a unit (B, KiB, MiB, GiB, TiB): 256MiB";
	if (!take_decimal(&text, UINT64_MAX / 2, &number))
		return "is not a size";
	if (!*text)
		return "has no unit";
	if (*text == ' ')
		text++;
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i]) != 0)
			continue;
		if (number > UINT64_MAX >> (10 * i))
			return "is too large";
		*bytes = number << (10 * i);
		return NULL;
	}
	if (!strcmp(text, "MB") || !strcmp(text, "M") || !strcmp(text, "GB") || !strcmp(text, "G") || !strcmp(text, "KB") ||
		!strcmp(text, "K"))
		*hint = "units are powers of two and written KiB, MiB, GiB, TiB";
	return "has an unknown unit";
}

const char *value_name(const char *text, bool spaces, const char **hint)
{
	*hint = spaces ? "use letters, digits, '.', '_', '-' and single spaces; begin with a letter or digit"
		       : "use letters, digits, '.', '_' and '-'; begin with a letter or digit";
	for (const char *p = text; *p; p++) {
		bool alnum = is_digit(*p) || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
		bool inner = p > text && (*p == '.' || *p == '_' || *p == '-' || (spaces && *p == ' ' && p[1] && p[1] != ' '));
		if (!alnum && !inner)
			return "is not a valid name";
	}
	return NULL;
}

const char *value_text(const char *text, const char **hint)
{
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			*hint = "take out line breaks, tabs and other control characters";
			return "contains a control character";
		}
	}
	return NULL;
}

const char *value_path(const char *text, const char **hint)
{
	const char *problem = value_text(text, hint);
	if (problem)
		return problem;
	*hint = "paths are relative to the top of the datastore: web1/disk.raw";
	if (*text == '/')
		return "begins with '/'";
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, "/");
		if (!len)
			return "has an empty component";
		if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return "has a '.' or '..' component";
		p += len;
		if (!*p)
			return NULL;
	}
}

const char *value_vlans(const char *text, struct vsw_vlan_range *range, const char **hint)
{
	uint64_t first, last;
	*hint = "write a VLAN ID (20) or a range (10-19), of 0 to 4094";
	if (!take_decimal(&text, VSW_VLAN_MAX, &first))
		return "is not a VLAN or a range of VLANs";
	last = first;
	if (take_char(&text, '-') && !take_decimal(&text, VSW_VLAN_MAX, &last))
		return "is not a range of VLANs";
	if (*text)
		return "is not a VLAN or a range of VLANs";
	if (first > last) {
		*hint = "write the lower VLAN ID first";
		return "is a range that ends before it begins";
	}
	range->first = (uint16_t)first;
	range->last = (uint16_t)last;
	return NULL;
}
