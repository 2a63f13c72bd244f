/*
 * TCP segmentation in software, for a receiver without it (an uplink, or a guest driver): each segment a frame of its own with right
 * lengths, IP identification, sequence number, flags and checksums (RFC 9293 section 3.1, RFC 3168 section 6.1.2 for CWR).
 *
 * Two ways. To an uplink that takes chains, IPv4 goes by DPDK's rte_gso: headers are copied, the payload stays where it is. For IPv6, which
 * rte_gso does not know, and for receivers that want whole buffers, segments are copied, one at a time, so a frame of many segments
 * needs no array and stops cleanly when mbufs run out.
 *
 * Owner: the switch's core.
 */
#include "offload.h"

#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <string.h>

void vsw_segment_begin(struct vsw_segmenter *s, struct rte_mbuf *m, struct rte_mempool *pool)
{
	uint16_t headers = (uint16_t)(m->l2_len + m->l3_len + m->l4_len);

	*s = (struct vsw_segmenter){.frame = m, .pool = pool, .header_len = headers, .offset = headers};
}

uint32_t vsw_segment_left(const struct vsw_segmenter *s)
{
	return s->frame->pkt_len - s->offset;
}

/* Copies len bytes of m from offset into fresh mbufs of the pool; NULL when there are none. */
static struct rte_mbuf *copy_payload(struct vsw_segmenter *s, uint32_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_copy(s->frame, s->pool, s->offset, len);
	char *front;

	if (!head)
		return NULL;
	front = rte_pktmbuf_prepend(head, s->header_len);
	hv_assert(front); /* VSW_GSO_MAX_HEADERS fit */
	memcpy(front, rte_pktmbuf_mtod(s->frame, const void *), s->header_len);
	head->ol_flags = 0;
	return head;
}

static void fix_ip(const struct vsw_segmenter *s, struct rte_mbuf *seg)
{
	const struct rte_mbuf *m = s->frame;
	uint8_t *l3 = rte_pktmbuf_mtod_offset(seg, uint8_t *, m->l2_len);

	if (m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;

		ip->total_length = rte_cpu_to_be_16((uint16_t)(seg->pkt_len - m->l2_len));
		ip->packet_id = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + s->index));
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	} else {
		((struct rte_ipv6_hdr *)l3)->payload_len =
			rte_cpu_to_be_16((uint16_t)(seg->pkt_len - m->l2_len - sizeof(struct rte_ipv6_hdr)));
	}
}

static uint16_t pseudo_sum(const struct rte_mbuf *m, const uint8_t *l3, uint32_t l4_bytes)
{
	struct {
		uint32_t length, protocol;
	} tail = {rte_cpu_to_be_32(l4_bytes), rte_cpu_to_be_32(IPPROTO_TCP)};
	bool ipv4 = m->ol_flags & RTE_MBUF_F_TX_IPV4;
	uint32_t sum = __rte_raw_cksum(l3 + (ipv4 ? 12 : 8), ipv4 ? 8 : 32, 0);

	return __rte_raw_cksum_reduce(__rte_raw_cksum(&tail, sizeof(tail), sum));
}

static void fix_tcp(const struct vsw_segmenter *s, struct rte_mbuf *seg, bool last)
{
	const struct rte_mbuf *m = s->frame;
	uint32_t l4 = m->l2_len + m->l3_len;
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(seg, struct rte_tcp_hdr *, l4);

	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + s->offset - s->header_len);
	if (!last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (s->index)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	tcp->cksum = pseudo_sum(m, rte_pktmbuf_mtod_offset(seg, const uint8_t *, m->l2_len), seg->pkt_len - l4);
	seg->l2_len = m->l2_len;
	seg->l3_len = m->l3_len;
	seg->l4_len = m->l4_len;
	seg->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (m->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6));
}

struct rte_mbuf *vsw_segment_next(struct vsw_segmenter *s)
{
	uint32_t len = HV_MIN(vsw_segment_left(s), s->frame->tso_segsz);
	struct rte_mbuf *seg = len ? copy_payload(s, len) : NULL;

	if (!seg)
		return NULL;
	seg->vlan_tci = s->frame->vlan_tci;
	fix_ip(s, seg);
	fix_tcp(s, seg, len == vsw_segment_left(s));
	s->offset += len;
	s->index++;
	return seg;
}

bool vsw_gso_can(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_TX_IPV4 && m->data_len > m->l2_len + m->l3_len + m->l4_len;
}

/* What rte_gso leaves to its user: checksums, and the congestion flag, which only the first segment keeps. */
static void finish_gso(const struct rte_mbuf *m, struct rte_mbuf *seg, bool first)
{
	uint8_t *l3 = rte_pktmbuf_mtod_offset(seg, uint8_t *, m->l2_len);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(l3 + m->l3_len);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (!first)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	tcp->cksum = pseudo_sum(m, l3, seg->pkt_len - m->l2_len - m->l3_len);
	seg->vlan_tci = m->vlan_tci;
	seg->vlan_tci_outer = m->vlan_tci_outer;
	seg->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
}

unsigned vsw_gso_segment(struct vsw *v, struct rte_mbuf *m, struct rte_mbuf *out[VSW_GSO_MAX_SEGMENTS])
{
	const struct rte_gso_ctx gso = {
		.direct_pool = v->gso_headers,
		.indirect_pool = v->gso_payloads,
		.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
		.gso_size = (uint16_t)(m->l2_len + m->l3_len + m->l4_len + m->tso_segsz),
	};
	int n = rte_gso_segment(m, &gso, out, VSW_GSO_MAX_SEGMENTS);

	for (int i = 0; i < n; i++)
		finish_gso(m, out[i], i == 0);
	return n > 0 ? (unsigned)n : 0;
}
