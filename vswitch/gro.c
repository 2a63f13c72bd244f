/*
 * Generic receive offload for guests, by DPDK's rte_gro (TCP over IPv4): a guest that accepts large frames (virtio 1.2 section 5.1.3,
 * VIRTIO_NET_F_GUEST_TSO4) gets one frame for many segments that a wire brought in the same burst.
 *
 * rte_gro judges neither checksums nor fields beyond addresses, ports, sequence, acknowledgement and TCP options, and gives back what it
 * does not merge behind what it does. So a run of candidates is chosen here: segments whose checksum the NIC has verified, without IP
 * options or fragments, of one type of service (a congestion mark of RFC 3168 must not get lost in a merge), carrying data and no TCP flag
 * but ACK. Anything else ends the run, so frames of a flow keep their order, and nothing waits for a later burst.
 *
 * Owner: the switch's core. The table (vsw.gro) is empty between calls.
 */
#include "gro.h"

#include "filter.h"
#include "offload.h"

#include <errno.h>
#include <hv/netport.h>
#include <rte_byteorder.h>
#include <rte_gro.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#define FLAG_TEST (RTE_MBUF_F_RX_L4_CKSUM_MASK | VSW_OFFLOAD_MASK)

int vsw_gro_create(struct vsw *v)
{
	const struct rte_gro_param param = {
		.gro_types = RTE_GRO_TCP_IPV4,
		.max_flow_num = VSW_BURST,
		.max_item_per_flow = 1, /* in all: a burst */
		.socket_id = SOCKET_ID_ANY,
	};

	v->gro = rte_gro_ctx_create(&param);
	return v->gro ? 0 : trace_error(-ENOMEM);
}

void vsw_gro_destroy(struct vsw *v)
{
	if (v->gro)
		rte_gro_ctx_destroy(v->gro);
	v->gro = NULL;
}

void vsw_gro_set(struct vsw_port *p, uint32_t features)
{
	const uint32_t need = NETPORT_F_CSUM | NETPORT_F_TSO4;

	if ((features & need) == need)
		p->filters_out |= VSW_FILTER_GRO;
	else
		p->filters_out &= (uint16_t)~VSW_FILTER_GRO;
}

/*
 * A segment that may be merged: its lengths and type are set for rte_gro then. `kind` is what it must share with those it is merged with
 * and rte_gro does not compare: broadcast domain, priority and type of service.
 */
static bool candidate(struct rte_mbuf *m, uint64_t *kind)
{
	const struct rte_ipv4_hdr *ip;
	const struct rte_tcp_hdr *tcp;
	struct vsw_headers h;

	if ((m->ol_flags & FLAG_TEST) != RTE_MBUF_F_RX_L4_CKSUM_GOOD || m->nb_segs != 1 || rte_mbuf_refcnt_read(m) != 1)
		return false;
	if (!vsw_headers_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &h) || !h.ipv4 || !h.tcp || h.l3_len != sizeof(*ip))
		return false;
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, h.l2_len);
	tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, h.l2_len + h.l3_len);
	if (tcp->tcp_flags != RTE_TCP_ACK_FLAG || h.l3_total != m->pkt_len - h.l2_len || h.l3_total <= h.l3_len + h.l4_len)
		return false;
	if (__rte_raw_cksum_reduce(__rte_raw_cksum(ip, sizeof(*ip), 0)) != 0xffff)
		return false; /* the merged header gets a right checksum: a wrong one must not be mended */
	*kind = ip->type_of_service | (uint64_t)m->vlan_tci << 8 | (uint64_t)m->vlan_tci_outer << 24;
	m->l2_len = h.l2_len;
	m->l3_len = h.l3_len;
	m->l4_len = h.l4_len;
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	return true;
}

/* A merged frame is a large one whose checksum is left to do, as if a guest had sent it. */
static void finish(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, m->l2_len + m->l3_len);

	if (m->nb_segs == 1)
		return;
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
	m->tso_segsz = (uint16_t)(m->data_len - m->l2_len - m->l3_len - m->l4_len);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->cksum = rte_ipv4_phdr_cksum(ip, 0); /* with the full length: offload.h */
}

/* Merges a run in place; returns how many frames it became. */
static unsigned merge(struct vsw_port *p, struct rte_mbuf **run, unsigned n)
{
	void *table = p->sw->v->gro;
	unsigned apart, merged;

	if (n < 2)
		return n;
	apart = rte_gro_reassemble(run, (uint16_t)n, table); /* moved to the front */
	merged = rte_gro_timeout_flush(table, 0, RTE_GRO_TCP_IPV4, run + apart, (uint16_t)(n - apart));
	for (unsigned i = apart; i < apart + merged; i++)
		finish(run[i]);
	p->count.out_coalesced += n - apart - merged;
	return apart + merged;
}

unsigned vsw_gro_filter(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	unsigned out = 0, run = 0; /* frames[out .. out + run) is the run: it lies where it is to go */
	uint64_t run_kind = 0, kind = 0;

	if (!p->sw->v->wire)
		return n; /* between guests nothing was cut */
	for (unsigned i = 0; i < n; i++) {
		bool fits = candidate(frames[i], &kind);

		if (run && (!fits || kind != run_kind)) {
			out += merge(p, frames + out, run);
			run = 0;
		}
		frames[out + run] = frames[i];
		if (fits) {
			run_kind = kind;
			run++;
		} else {
			out++;
		}
	}
	return out + merge(p, frames + out, run);
}
