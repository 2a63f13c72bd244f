/*
 * The IP packet in a frame, for those who look into it (snooping, guards): where its payload begins and what it is, so parsed that nobody
 * can hide behind options, extension headers or fragments. The data path does not use it.
 */
#ifndef VSWITCH_PACKET_H
#define VSWITCH_PACKET_H

#include "switch.h"

enum { PACKET_ARP = 0x0806, PACKET_IPV4 = 0x0800, PACKET_IPV6 = 0x86dd };
enum { PROTO_IGMP = 2, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMPV6 = 58, PROTO_NONE = 255 };

struct vsw_packet {
	uint16_t type;     /* Ethernet type, also of a SNAP frame (IEEE 802-2014 clause 10.5); 0: another 802.3 frame */
	const uint8_t *l3; /* behind the Ethernet header */
	uint32_t l3_len;   /* of the frame; IP: of the packet as it says itself, when it fits */
	bool fragment;     /* not the whole packet */
	bool later;        /* a fragment without the packet's beginning: it shows no payload header */
	bool malformed;    /* IP: a header does not fit into the frame or contradicts itself */
	bool hidden;       /* IP: the payload's header is not all in this frame, though the packet begins here */
	bool router_alert; /* RFC 2113, RFC 2711 */
	uint8_t proto;     /* PROTO_NONE: not known */
	uint8_t hops;      /* TTL or hop limit */
	const uint8_t *l4; /* NULL when later, malformed or hidden */
	uint32_t l4_len;
};

/* @pre frame has len >= 14 contiguous bytes, untagged; pkt_len is the whole frame's length */
void vsw_packet_parse(const uint8_t *frame, uint32_t len, uint32_t pkt_len, struct vsw_packet *p);
static inline void vsw_packet_of(const struct rte_mbuf *m, struct vsw_packet *p)
{
	vsw_packet_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, m->pkt_len, p);
}

static inline uint16_t vsw_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t vsw_get32(const uint8_t *p)
{
	return (uint32_t)vsw_get16(p) << 16 | vsw_get16(p + 2);
}

/* One's complement sum (RFC 1071), not folded; start with 0 or a sum so far. `len` even but in the last call. */
uint32_t vsw_sum16(const uint8_t *p, uint32_t len, uint32_t sum);
/* Folded: 0xffff when the summed bytes hold a right checksum. */
uint16_t vsw_sum_fold(uint32_t sum);

#endif
