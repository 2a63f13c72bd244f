/*
 * Matching frames against a mirror session's filter. The frame is a guest's or a wire's: each header is used only as far as it lies inside
 * the bytes given.
 */
#include "match.h"

#include "vlan.h"

#include <string.h>

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IPV6 = 0x86dd };
enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_ICMPV6 = 58,
	PROTO_OPTIONS = 60,
	PROTO_SCTP = 132
};
#define EXTENSIONS_MAX 4u

/* What the headers say, as far as they are there. */
struct headers {
	uint16_t type;
	uint8_t family; /* 4, 6; 0: no IP addresses */
	const uint8_t *source, *target;
	int protocol; /* -1: unknown */
	bool has_ports;
	uint16_t ports[2];
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void read_ports(struct headers *h, const uint8_t *bytes, uint32_t len, uint32_t at)
{
	if (h->protocol != PROTO_TCP && h->protocol != PROTO_UDP && h->protocol != PROTO_SCTP)
		return;
	if (at > len || len - at < 4)
		return;
	h->has_ports = true;
	h->ports[0] = get16(bytes + at);
	h->ports[1] = get16(bytes + at + 2);
}

static void read_ipv4(struct headers *h, const uint8_t *bytes, uint32_t len)
{
	const uint8_t *ip = bytes + ETH_HEADER_LEN;

	if (len < ETH_HEADER_LEN + 20 || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
		return;
	h->family = 4;
	h->source = ip + 12;
	h->target = ip + 16;
	h->protocol = ip[9];
	if (!(get16(ip + 6) & 0x1fff)) /* the first fragment has the ports */
		read_ports(h, bytes, len, ETH_HEADER_LEN + (ip[0] & 15u) * 4);
}

static void read_ipv6(struct headers *h, const uint8_t *bytes, uint32_t len)
{
	const uint8_t *ip = bytes + ETH_HEADER_LEN;
	uint32_t at = ETH_HEADER_LEN + 40;
	bool later_fragment = false;

	if (len < at || ip[0] >> 4 != 6)
		return;
	h->family = 6;
	h->source = ip + 8;
	h->target = ip + 24;
	h->protocol = ip[6];
	for (unsigned i = 0; i < EXTENSIONS_MAX && at + 8 <= len; i++) {
		const uint8_t *x = bytes + at;

		if (h->protocol == PROTO_FRAGMENT) {
			later_fragment = get16(x + 2) & 0xfff8;
			at += 8;
		} else if (h->protocol == PROTO_HOP_BY_HOP || h->protocol == PROTO_ROUTING || h->protocol == PROTO_OPTIONS) {
			at += (x[1] + 1u) * 8;
		} else {
			break;
		}
		h->protocol = x[0];
	}
	if (!later_fragment)
		read_ports(h, bytes, len, at);
}

/* RFC 826: sender's and target's protocol addresses of Ethernet and IPv4. */
static void read_arp(struct headers *h, const uint8_t *bytes, uint32_t len)
{
	const uint8_t *arp = bytes + ETH_HEADER_LEN;

	if (len < ETH_HEADER_LEN + 28 || get16(arp) != 1 || get16(arp + 2) != TYPE_IPV4 || arp[4] != 6 || arp[5] != 4)
		return;
	h->family = 4;
	h->source = arp + 14;
	h->target = arp + 24;
}

static void read_headers(struct headers *h, const uint8_t *bytes, uint32_t len)
{
	*h = (struct headers){.type = get16(bytes + 12), .protocol = -1};
	if (h->type == TYPE_IPV4)
		read_ipv4(h, bytes, len);
	else if (h->type == TYPE_IPV6)
		read_ipv6(h, bytes, len);
	else if (h->type == TYPE_ARP)
		read_arp(h, bytes, len);
}

static bool in_prefix(const struct vsw_prefix *prefix, const uint8_t *address)
{
	unsigned whole = prefix->length / 8, bits = prefix->length % 8;

	if (memcmp(prefix->bytes, address, whole) != 0)
		return false;
	return !bits || (prefix->bytes[whole] ^ address[whole]) >> (8 - bits) == 0;
}

static bool protocol_fits(enum vsw_match_protocol want, const struct headers *h)
{
	switch (want) {
	case VSW_MATCH_ANY:
		return true;
	case VSW_MATCH_ARP:
		return h->type == TYPE_ARP;
	case VSW_MATCH_ICMP:
		return (h->family == 4 && h->protocol == PROTO_ICMP) || (h->family == 6 && h->protocol == PROTO_ICMPV6);
	case VSW_MATCH_TCP:
		return h->protocol == PROTO_TCP;
	case VSW_MATCH_UDP:
		return h->protocol == PROTO_UDP;
	}
	return false;
}

bool vsw_match(const struct vsw_match_config *want, const uint8_t *bytes, uint32_t len, uint16_t vlan)
{
	struct headers h;

	if (want->has_vlan && want->vlan != vlan)
		return false;
	if (want->has_mac && memcmp(want->mac, bytes, 6) != 0 && memcmp(want->mac, bytes + 6, 6) != 0)
		return false;
	if (!want->has_address && want->protocol == VSW_MATCH_ANY && !want->port)
		return true;
	read_headers(&h, bytes, len);
	if (want->has_address &&
		(h.family != want->address.family || (!in_prefix(&want->address, h.source) && !in_prefix(&want->address, h.target))))
		return false;
	if (!protocol_fits((enum vsw_match_protocol)want->protocol, &h))
		return false;
	return !want->port || (h.has_ports && (h.ports[0] == want->port || h.ports[1] == want->port));
}

struct vsw_sieve vsw_sieve(const struct vsw_match_config *want)
{
	static const uint8_t protocols[] = {[VSW_MATCH_ICMP] = PROTO_ICMP, [VSW_MATCH_TCP] = PROTO_TCP, [VSW_MATCH_UDP] = PROTO_UDP};
	struct vsw_sieve s = {0};

	if (want->has_address && want->address.family == 4 && want->address.length) {
		memcpy(&s.address, want->address.bytes, sizeof(s.address));
		s.address_mask = __builtin_bswap32(UINT32_MAX << (32 - want->address.length));
	}
	if (want->protocol < HV_ARRAY_LEN(protocols) && protocols[want->protocol]) {
		s.protocol = protocols[want->protocol];
		s.protocol_mask = UINT8_MAX;
	}
	s.on = s.address_mask || s.protocol_mask;
	return s;
}
