/*
 * Load balancing over the uplinks of a team: which bucket (switch.h: struct vsw_team) a port, a MAC address or a frame falls into.
 *
 *   port      the port's index; decided once
 *   mac       the source address; decided once, but for ports that may send under several
 *   ip-hash   addresses and ports of IP, for each frame; other frames: MAC addresses. Fragments have no ports, so a datagram is not torn
 *             apart over several links. The hash is the same in both directions of a flow.
 *   explicit  all buckets are the same
 *
 * Owner: the switch's core. Frames are what guests sent: lengths are checked before a header is read.
 */
#include "vlan.h"

#include <rte_ip.h>

#define IPV4_ETHERTYPE 0x0008u /* as it lies in memory */
#define IPV6_ETHERTYPE 0xdd86u

static uint32_t mix(uint64_t x)
{
	x *= 0x9e3779b97f4a7c15ull;
	return (uint32_t)(x >> 58); /* VSW_TEAM_BUCKETS is 64 */
}

static uint64_t fold(const uint8_t *bytes, unsigned len)
{
	uint64_t sum = 0, part;

	for (unsigned i = 0; i < len; i += 4) {
		uint32_t word;

		memcpy(&word, bytes + i, 4);
		part = word * 0xff51afd7ed558ccdull;
		sum = (sum << 13 | sum >> 51) ^ part;
	}
	return sum;
}

/* Both ports of TCP, UDP, SCTP or UDP-Lite, in an order that does not depend on the direction. */
static uint64_t l4_ports(uint8_t proto, const uint8_t *l4, uint32_t left)
{
	uint16_t a, b;

	if (left < 4 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP && proto != 136))
		return 0;
	memcpy(&a, l4, 2);
	memcpy(&b, l4 + 2, 2);
	return (uint64_t)(uint32_t)(a + b) << 16 | (uint16_t)(a ^ b);
}

static uint64_t ipv4_flow(const uint8_t *ip, uint32_t left)
{
	uint32_t header = (uint32_t)(ip[0] & 15) * 4;
	bool fragment = (ip[6] & 0x3f) || ip[7]; /* more fragments, or an offset */
	uint64_t flow = fold(ip + 12, 4) + fold(ip + 16, 4);

	if (fragment || header < 20 || left < header)
		return flow;
	return flow + l4_ports(ip[9], ip + header, left - header) * 0xc4ceb9fe1a85ec53ull;
}

static uint64_t ipv6_flow(const uint8_t *ip, uint32_t left)
{
	return fold(ip + 8, 16) + fold(ip + 24, 16) + l4_ports(ip[6], ip + 40, left - 40) * 0xc4ceb9fe1a85ec53ull;
}

static uint32_t frame_bucket(const struct rte_mbuf *m)
{
	const uint8_t *eth = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t left = m->data_len - ETH_HEADER_LEN;
	uint16_t type = vsw_ethertype_raw(eth);

	if (type == IPV4_ETHERTYPE && left >= 20)
		return mix(ipv4_flow(eth + ETH_HEADER_LEN, left));
	if (type == IPV6_ETHERTYPE && left >= 40)
		return mix(ipv6_flow(eth + ETH_HEADER_LEN, left));
	return mix(vsw_load_mac(eth) + vsw_load_mac(eth + 6));
}

struct vsw_port *vsw_team_of_mac(const struct vsw_port *p, uint64_t mac)
{
	const struct vsw_team *t = p->portgroup->team;

	return t->config.load_balancing == VSW_BALANCE_MAC ? t->bucket[mix(mac)] : p->uplink;
}

struct vsw_port *vsw_team_pick(const struct vsw_port *p, const struct rte_mbuf *m)
{
	const struct vsw_team *t = p->portgroup->team;

	if (t->config.load_balancing == VSW_BALANCE_MAC)
		return t->bucket[mix(vsw_load_mac(rte_pktmbuf_mtod(m, const uint8_t *) + 6))];
	return t->bucket[frame_bucket(m)];
}
