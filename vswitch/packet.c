/*
 * Parses an IP packet down to its payload's header. Every length is checked against the bytes that are there; what does not fit is told
 * (malformed, hidden) and left to the caller's policy.
 *
 * Pure.
 */
#include "packet.h"

#define ETH_LEN 14u
#define EXTENSIONS_MAX 8u /* extension headers of an IPv6 packet: more is somebody who hides something */

uint32_t vsw_sum16(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += vsw_get16(p);
	return len ? sum + ((uint32_t)*p << 8) : sum;
}

uint16_t vsw_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* The payload's header at `at` of `len` bytes of the packet, of which `seen` are here: enough of it to judge it? */
static void payload(struct vsw_packet *p, uint32_t at, uint32_t seen)
{
	/* UDP and TCP ports, types of ICMP and IGMP: 8 bytes tell all. */
	bool short_here = seen < at + 8 && p->l3_len > seen;

	if (short_here || (p->fragment && p->l3_len < at + 8)) {
		p->hidden = true;
		return;
	}
	p->l4 = p->l3 + at;
	p->l4_len = HV_MIN(p->l3_len, seen) - at;
}

static bool ipv4_router_alert(const uint8_t *ip, uint32_t header)
{
	for (uint32_t at = 20; at < header && ip[at];) {
		if (ip[at] == 148) /* RFC 2113: copied, number 20 */
			return true;
		if (ip[at] == 1) {
			at++;
			continue;
		}
		if (at + 1 >= header || ip[at + 1] < 2)
			return false;
		at += ip[at + 1];
	}
	return false;
}

static void parse_ipv4(struct vsw_packet *p, uint32_t seen)
{
	const uint8_t *ip = p->l3;
	uint32_t header, total, offset;

	p->malformed = true;
	if (seen < 20 || ip[0] >> 4 != 4)
		return;
	header = (ip[0] & 15u) * 4;
	total = vsw_get16(ip + 2);
	if (header < 20 || total < header || total > p->l3_len || header > seen)
		return;
	p->malformed = false;
	p->l3_len = total;
	offset = vsw_get16(ip + 6);
	p->fragment = offset & 0x3fff;
	p->later = offset & 0x1fff;
	p->proto = ip[9];
	p->hops = ip[8];
	p->router_alert = ipv4_router_alert(ip, header);
	if (!p->later)
		payload(p, header, HV_MIN(seen, total));
}

static bool ipv6_router_alert(const uint8_t *options, uint32_t len)
{
	for (uint32_t at = 2; at + 1 < len;) {
		if (options[at] == 5)
			return true;
		at += options[at] ? 2u + options[at + 1] : 1u;
	}
	return false;
}

static void parse_ipv6(struct vsw_packet *p, uint32_t seen)
{
	const uint8_t *ip = p->l3;
	uint32_t at = 40, len;

	p->malformed = true;
	if (seen < 40 || ip[0] >> 4 != 6 || vsw_get16(ip + 4) + 40u > p->l3_len)
		return;
	p->malformed = false;
	p->l3_len = vsw_get16(ip + 4) + 40u;
	seen = HV_MIN(seen, p->l3_len);
	p->proto = ip[6];
	p->hops = ip[7];
	for (unsigned i = 0; p->proto == 0 || p->proto == 43 || p->proto == 44 || p->proto == 51 || p->proto == 60; i++) {
		if (i == EXTENSIONS_MAX || at + 8 > seen) {
			p->hidden = true;
			return;
		}
		len = p->proto == 44 ? 8 : p->proto == 51 ? (ip[at + 1] + 2u) * 4 : (ip[at + 1] + 1u) * 8;
		if (at + len > seen) {
			p->hidden = true;
			return;
		}
		if (p->proto == 0)
			p->router_alert |= ipv6_router_alert(ip + at, len);
		if (p->proto == 44) {
			p->fragment |= (vsw_get16(ip + at + 2) & 0xfff9) != 0;
			p->later |= (vsw_get16(ip + at + 2) & 0xfff8) != 0;
		}
		p->proto = ip[at];
		if (p->later)
			return;
		at += len;
	}
	payload(p, at, seen);
}

void vsw_packet_parse(const uint8_t *frame, uint32_t len, uint32_t pkt_len, struct vsw_packet *p)
{
	uint32_t at = ETH_LEN;

	*p = (struct vsw_packet){.type = vsw_get16(frame + 12), .proto = PROTO_NONE};
	if (p->type < 0x600) {
		static const uint8_t snap[6] = {0xaa, 0xaa, 3, 0, 0, 0};

		p->type = 0;
		if (len >= 22 && !memcmp(frame + 14, snap, sizeof(snap))) {
			p->type = vsw_get16(frame + 20);
			at = 22;
		}
	}
	p->l3 = frame + at;
	p->l3_len = pkt_len - at;
	if (p->type == PACKET_IPV4)
		parse_ipv4(p, len - at);
	else if (p->type == PACKET_IPV6)
		parse_ipv6(p, len - at);
}
