/*
 * Asks the guest behind a port what multicast groups it is a member of, when the port has another uplink or VLAN: the physical switches
 * there send it no group's frames until it reports, and the next query of the network's querier may be two minutes away. RFC 4541
 * section 2.1.1 (4) and section 3 let a switch ask so after a change of topology. The guest itself answers, in whatever version and with
 * whatever sources it has joined, so this works without snooping, too; its reports pass the switch like any others.
 *
 * What a query must not do is to take part in who is the querier, or in which version:
 *
 *   IGMP  version 3 (RFC 3376 4.1), from 0.0.0.0: such a proxy query counts in no election (RFC 4541 2.1.1 (4)). Hosts of version 2 answer
 * it as one of theirs; it makes no host of version 3 fall back, and one that has fallen back stays so (RFC 3376 7.2.1) MLD   version 2 (RFC
 * 3810 5.1). Its source must be link-local; the lowest address wins an election (RFC 3810 7.6.2), so ours is the highest
 *
 * Owner: the switch's core.
 */
#include "query.h"

#include "packet.h"

#include <string.h>

#define ETH_BYTES 14u
#define ETH_MIN 60u
#define QUERY_BYTES_MAX 96u
#define RESPONSE_MS 1000u /* within which the guest's answers are spread */
#define ROBUSTNESS 2u     /* RFC 3376 8.1, RFC 3810 9.1 */
#define INTERVAL_S 125u   /* RFC 3376 8.2, RFC 3810 9.2 */

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	put16(at, (uint16_t)~vsw_sum_fold(sum));
}

/* A general query to all hosts. Returns its length. */
static uint32_t write_igmp(uint8_t *frame)
{
	static const uint8_t mac[6] = {0x01, 0x00, 0x5e, 0, 0, 1};
	static const uint8_t header[24] = {0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, PROTO_IGMP, 0, 0, 0, 0, 0, 0, 224, 0, 0, 1, 148, 4, 0, 0};
	uint8_t *ip = frame + ETH_BYTES, *igmp = ip + sizeof(header);

	memcpy(frame, mac, sizeof(mac));
	put16(frame + 12, PACKET_IPV4);
	memcpy(ip, header, sizeof(header));
	put_sum(ip + 10, vsw_sum16(ip, sizeof(header), 0));
	igmp[0] = 0x11;
	igmp[1] = RESPONSE_MS / 100;
	igmp[8] = ROBUSTNESS;
	igmp[9] = INTERVAL_S;
	put_sum(igmp + 2, vsw_sum16(igmp, 12, 0));
	return ETH_MIN;
}

static uint32_t write_mld(uint8_t *frame)
{
	static const uint8_t mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t header[48] = {0x60, [5] = 36, [6] = 0, [7] = 1,             /* hop-by-hop options, hop limit 1 */
		[8] = 0xfe, 0x80, [16] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* source */
		[24] = 0xff, 0x02, [39] = 1,                                             /* all nodes */
		[40] = PROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};                               /* router alert (RFC 2711) */
	uint8_t *ip = frame + ETH_BYTES, *mld = ip + sizeof(header);

	memcpy(frame, mac, sizeof(mac));
	put16(frame + 12, PACKET_IPV6);
	memcpy(ip, header, sizeof(header));
	mld[0] = 130;
	put16(mld + 4, RESPONSE_MS);
	mld[24] = ROBUSTNESS;
	mld[25] = INTERVAL_S;
	put_sum(mld + 2, vsw_sum16(mld, 28, vsw_sum16(ip + 8, 32, 28 + PROTO_ICMPV6)));
	return ETH_BYTES + sizeof(header) + 28;
}

static bool ask(struct vsw_port *p, uint16_t domain, uint32_t (*write)(uint8_t *frame))
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->sw->v->guest_pool);
	uint8_t *frame;

	if (!m)
		return false;
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	memset(frame, 0, QUERY_BYTES_MAX);
	memcpy(frame + 6, p->uplink ? p->uplink->uplink_mac : (const uint8_t[]){0x02, 0, 0, 0, 0, 0}, 6);
	m->data_len = (uint16_t)write(frame);
	m->pkt_len = m->data_len;
	m->vlan_tci = domain;
	if (p->refuses(p, m) != VSW_DROP_COUNT) { /* no driver: no member of anything */
		rte_pktmbuf_free(m);
		return false;
	}
	p->deliver(p, &m, 1, 0);
	return true;
}

unsigned vsw_query_port(struct vsw_port *p, uint16_t domain)
{
	unsigned n = ask(p, domain, write_igmp);

	n += ask(p, domain, write_mld);
	if (p->flush)
		p->flush(p);
	return n;
}
