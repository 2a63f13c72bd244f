/*
 * Offload metadata: made from what a guest claims (hostile: every length is checked against the real headers), translated for a guest that
 * accepts it, or done in software.
 *
 * Owner: the switch's core; no state of its own.
 */
#include "offload.h"

#include "vlan.h"

#include <hv/netport.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <string.h>

#define IPV4_TYPE 0x0800
#define IPV6_TYPE 0x86dd
#define IPV6_MAX_EXTENSIONS 8
#define TCP_CSUM_OFFSET 16
#define UDP_CSUM_OFFSET 6

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void parse_l4(const uint8_t *l4, uint32_t len, uint8_t proto, struct vsw_headers *h)
{
	if (proto == IPPROTO_TCP && len >= 20 && (l4[12] >> 4) * 4u >= 20 && (l4[12] >> 4) * 4u <= len) {
		h->tcp = true;
		h->l4_len = (uint8_t)((l4[12] >> 4) * 4);
	} else if (proto == IPPROTO_UDP && len >= 8) {
		h->udp = true;
		h->l4_len = 8;
	}
}

static bool parse_ipv4(const uint8_t *ip, uint32_t len, struct vsw_headers *h)
{
	uint32_t header = (ip[0] & 0xf) * 4u;

	if (len < 20 || ip[0] >> 4 != 4 || header < 20 || header > len || be16(ip + 2) < header)
		return false;
	h->ipv4 = true;
	h->l3_len = (uint8_t)header;
	h->l3_total = be16(ip + 2);
	if (!(be16(ip + 6) & 0x3fff)) /* no fragment offset, no more fragments */
		parse_l4(ip + header, len - header, ip[9], h);
	return true;
}

/* Hop-by-hop, routing and destination options (RFC 8200 section 4) may stand before TCP or UDP; a fragment header ends the search. */
static bool parse_ipv6(const uint8_t *ip, uint32_t len, struct vsw_headers *h)
{
	uint32_t at = 40;
	uint8_t next = len >= 40 ? ip[6] : 0;

	if (len < 40 || ip[0] >> 4 != 6)
		return false;
	for (unsigned i = 0; i < IPV6_MAX_EXTENSIONS && (next == 0 || next == 43 || next == 60); i++) {
		if (at + 8 > len || at + (ip[at + 1] + 1u) * 8 > len || at + (ip[at + 1] + 1u) * 8 > UINT8_MAX)
			return false;
		next = ip[at];
		at += (ip[at + 1] + 1u) * 8;
	}
	h->ipv6 = true;
	h->l3_len = (uint8_t)at;
	h->l3_total = (uint16_t)HV_MIN(be16(ip + 4) + 40u, (uint32_t)UINT16_MAX);
	parse_l4(ip + at, len - at, next, h);
	return true;
}

bool vsw_headers_parse(const uint8_t *frame, uint32_t len, struct vsw_headers *h)
{
	uint32_t l2 = ETH_HEADER_LEN;

	*h = (struct vsw_headers){0};
	if (len < l2)
		return false;
	while (vsw_is_tagged(frame + l2 - ETH_HEADER_LEN) && l2 < ETH_HEADER_LEN + 2 * VLAN_TAG_LEN) {
		l2 += VLAN_TAG_LEN;
		if (len < l2)
			return false;
	}
	h->l2_len = (uint8_t)l2;
	if (be16(frame + l2 - 2) == IPV4_TYPE && len > l2)
		return parse_ipv4(frame + l2, len - l2, h);
	if (be16(frame + l2 - 2) == IPV6_TYPE && len > l2)
		return parse_ipv6(frame + l2, len - l2, h);
	return false;
}

static void set_lengths(struct rte_mbuf *m, const struct vsw_headers *h)
{
	m->l2_len = h->l2_len;
	m->l3_len = h->l3_len;
	m->l4_len = h->l4_len;
	m->ol_flags |= h->ipv4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
}

/* One's complement sum of a chain from `skip` on (RFC 1071). DPDK's rte_raw_cksum_mbuf loses carries where a segment begins at an odd byte.
 */
static uint16_t sum_chain(const struct rte_mbuf *m, uint32_t skip)
{
	uint32_t sum = 0, done = 0;

	for (; m; m = m->next) {
		uint16_t part;

		if (skip >= m->data_len) {
			skip -= m->data_len;
			continue;
		}
		part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const uint8_t *, skip), m->data_len - skip);
		sum += done & 1 ? rte_bswap16(part) : part;
		done += m->data_len - skip;
		skip = 0;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* Checksum from `start` to the end of the frame, into the field at `start + offset`, which holds what was summed already. */
static void checksum_from(struct rte_mbuf *m, uint32_t start, uint32_t offset)
{
	uint8_t *field = rte_pktmbuf_mtod_offset(m, uint8_t *, start + offset);
	uint16_t sum = (uint16_t)~sum_chain(m, start);

	if (!sum)
		sum = 0xffff; /* the other zero: 0 means "none" in UDP (RFC 768) */
	memcpy(field, &sum, sizeof(sum));
}

static bool tso_fits(const struct rte_mbuf *m, const struct vsw_headers *h, const struct netport_offload *off, uint16_t mtu)
{
	uint32_t headers = h->l2_len + h->l3_len + h->l4_len;
	uint32_t payload = m->pkt_len - headers;

	if (!h->tcp || (off->gso == NETPORT_GSO_TCPV4) != h->ipv4 || !off->gso_size)
		return false;
	if (headers > VSW_GSO_MAX_HEADERS || headers > m->data_len)
		return false;
	if (h->l3_total != m->pkt_len - h->l2_len || h->l3_len + h->l4_len + off->gso_size > mtu)
		return false;
	return payload <= (uint64_t)off->gso_size * VSW_GSO_MAX_SEGMENTS;
}

static bool tso_from_guest(struct rte_mbuf *m, const struct vsw_headers *h, const struct netport_offload *off, uint16_t mtu)
{
	if (!tso_fits(m, h, off, mtu))
		return false;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	if (m->pkt_len - h->l2_len - h->l3_len - h->l4_len > off->gso_size) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = off->gso_size;
	}
	set_lengths(m, h);
	return true;
}

bool vsw_offload_from_guest(struct rte_mbuf *m, const struct netport_offload *off, uint16_t mtu)
{
	struct vsw_headers h;
	bool known, tcp, udp;

	if (off->gso != NETPORT_GSO_NONE && off->gso != NETPORT_GSO_TCPV4 && off->gso != NETPORT_GSO_TCPV6)
		return false;
	if (!off->needs_csum)
		return off->gso == NETPORT_GSO_NONE;
	/* Not into the Ethernet header: addresses and type have been, or will be, judged as they are. */
	if (off->csum_start < ETH_HEADER_LEN || (uint32_t)off->csum_start + off->csum_offset + 2 > m->data_len)
		return false;
	vsw_headers_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &h);
	known = (h.tcp || h.udp) && off->csum_start == h.l2_len + h.l3_len && h.l3_total == m->pkt_len - h.l2_len;
	tcp = known && h.tcp && off->csum_offset == TCP_CSUM_OFFSET;
	udp = known && h.udp && off->csum_offset == UDP_CSUM_OFFSET;
	if (off->gso != NETPORT_GSO_NONE)
		return tcp && tso_from_guest(m, &h, off, mtu);
	if (!tcp && !udp) {
		checksum_from(m, off->csum_start, off->csum_offset);
		return true;
	}
	m->ol_flags |= tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	set_lengths(m, &h);
	return true;
}

void vsw_offload_from_uplink(struct rte_mbuf *m)
{
	struct vsw_headers h;

	vsw_headers_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &h);
	if ((!h.tcp && !h.udp) || h.l3_total != m->pkt_len - h.l2_len)
		return; /* nothing a receiver could complete */
	m->ol_flags |= h.tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	set_lengths(m, &h);
}

static bool is_tcp(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
}

static bool has_cwr(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const uint8_t *, m->l2_len + m->l3_len)[13] & RTE_TCP_CWR_FLAG;
}

void vsw_offload_to_guest(const struct rte_mbuf *m, struct netport_offload *off)
{
	*off = (struct netport_offload){0};
	if (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) {
		off->needs_csum = true;
		off->csum_start = (uint16_t)(m->l2_len + m->l3_len);
		off->csum_offset = is_tcp(m) ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET;
	} else {
		off->csum_valid = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		off->gso = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? NETPORT_GSO_TCPV4 : NETPORT_GSO_TCPV6;
		off->ecn = has_cwr(m);
		off->gso_size = m->tso_segsz;
		off->hdr_len = (uint16_t)(m->l2_len + m->l3_len + m->l4_len);
	}
}

enum vsw_fixup vsw_offload_fixup(const struct rte_mbuf *m, uint32_t features)
{
	if (!(m->ol_flags & VSW_OFFLOAD_MASK))
		return VSW_FIX_NONE;
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		uint32_t need = NETPORT_F_CSUM | (m->ol_flags & RTE_MBUF_F_TX_IPV4 ? NETPORT_F_TSO4 : NETPORT_F_TSO6);

		if (has_cwr(m))
			need |= NETPORT_F_ECN;
		if ((features & need) != need)
			return VSW_FIX_SEGMENT;
	}
	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM)
		return VSW_FIX_CHECKSUM;
	return features & NETPORT_F_CSUM ? VSW_FIX_NONE : VSW_FIX_CHECKSUM;
}

void vsw_checksum_finish(struct rte_mbuf *m)
{
	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);

		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	if (m->ol_flags & RTE_MBUF_F_TX_L4_MASK)
		checksum_from(m, m->l2_len + m->l3_len, is_tcp(m) ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET);
	m->ol_flags &= ~(uint64_t)VSW_OFFLOAD_MASK;
}
