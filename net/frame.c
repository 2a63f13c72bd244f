/*
 * A frame of the stack as mbufs of the switch, ready to be sent.
 *
 *   pbuf (lwIP's)   [struct | Ethernet IP TCP | data ...................]   one piece of the stack's memory (memory.c)
 *                                 | copied          ^ referenced, held
 *   mbufs           [Ethernet IP TCP] -> [external buffer: data]
 *
 * lwIP keeps a segment until it is acknowledged, and writes its headers again each time it sends it; so the headers are copied and the
 * data, which never changes, is only referenced. The reference holds the memory, not the pbuf: lwIP may send the segment once more or let
 * it go while the first frame still lies in a device's ring, and the memory is free when both have let go. What is small, or not in one
 * piece of our memory (an echo reply lies in a received mbuf), is copied whole.
 *
 * L4 checksums are left to the switch, which leaves them to the NIC where it can.
 *
 * Owner: the network's core.
 */
#include "stack.h"

#include <hv/core.h>
#include <hv/mem.h>
#include <lwip/pbuf.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <string.h>

#define ETH_LEN 14u
#define REFERENCE_MIN 256u /* bytes of data: less is copied faster than described */
#define TCP_CHECKSUM_OFFSET 16u

/* Bytes of Ethernet, IPv4 and TCP header when p begins with all three, else 0. */
static uint16_t tcp_headers(const struct pbuf *p)
{
	const uint8_t *eth = p->payload, *ip = eth + ETH_LEN;
	unsigned l3, l4;

	if (p->len < ETH_LEN + sizeof(struct rte_ipv4_hdr) || eth[12] != 0x08 || eth[13] != 0x00 || ip[0] >> 4 != 4 || ip[9] != IPPROTO_TCP)
		return 0;
	l3 = (ip[0] & 0xfu) * 4;
	if (p->len < ETH_LEN + l3 + sizeof(struct rte_tcp_hdr))
		return 0;
	l4 = (ip[l3 + 12] >> 4) * 4u;
	return p->len < ETH_LEN + l3 + l4 ? 0 : (uint16_t)(ETH_LEN + l3 + l4);
}

/* Metadata for the switch, and the pseudo-header sum in the field. lwIP has left it 0. */
static void request_checksum(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETH_LEN);
	uint16_t sum;

	m->l2_len = ETH_LEN;
	m->l3_len = rte_ipv4_hdr_len(ip);
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	sum = rte_ipv4_phdr_cksum(ip, m->ol_flags);
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, ETH_LEN + m->l3_len + TCP_CHECKSUM_OFFSET), &sum, sizeof(sum));
}

/* ---- copied ---- */

/* Copies the chain; a frame of a large MTU needs several mbufs. */
static struct rte_mbuf *copy_whole(struct rte_mempool *pool, const struct pbuf *p)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *last = head;
	u16_t at = 0;

	while (last && at < p->tot_len) {
		u16_t n = (u16_t)HV_MIN((unsigned)(p->tot_len - at), (unsigned)rte_pktmbuf_tailroom(last));

		pbuf_copy_partial(p, rte_pktmbuf_mtod(last, void *), n, at);
		last->data_len = n;
		at = (u16_t)(at + n);
		if (at == p->tot_len)
			break;
		last->next = rte_pktmbuf_alloc(pool);
		last = last->next;
		head->nb_segs = (uint16_t)(head->nb_segs + (last != NULL));
	}
	if (!last) {
		rte_pktmbuf_free(head);
		return NULL;
	}
	head->pkt_len = p->tot_len;
	return head;
}

/* ---- referenced ---- */

/* struct pbuf and data are one piece of the stack's memory, which nothing but that piece's last user gives back. */
static bool referable(const struct pbuf *p)
{
	return pbuf_match_type(p, PBUF_RAM);
}

static void reference_over(void *data, void *piece)
{
	net_lwip_free(piece);
}

/* Data of one pbuf. The record of the reference lies in the mbuf's own room, which is not used while other memory is attached. */
static struct rte_mbuf *reference(struct rte_mempool *pool, struct pbuf *p, uint16_t skip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *data = (uint8_t *)p->payload + skip;
	struct rte_mbuf_ext_shared_info *record;

	if (!m)
		return NULL;
	record = m->buf_addr;
	*record = (struct rte_mbuf_ext_shared_info){.free_cb = reference_over, .fcb_opaque = p};
	rte_mbuf_ext_refcnt_set(record, 1);
	net_memory_hold(p);
	rte_pktmbuf_attach_extbuf(m, data, hv_virt_to_phys(data).v, (uint16_t)(p->len - skip), record);
	m->data_len = (uint16_t)(p->len - skip);
	return m;
}

static struct rte_mbuf *reference_data(struct rte_mempool *pool, struct pbuf *p, uint16_t headers)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *last = head;
	uint16_t skip = headers;

	if (!head)
		return NULL;
	memcpy(rte_pktmbuf_mtod(head, void *), p->payload, headers);
	head->data_len = headers;
	head->pkt_len = p->tot_len;
	for (struct pbuf *q = p; q; q = q->next, skip = 0) {
		if (q->len == skip)
			continue;
		last->next = reference(pool, q, skip);
		last = last->next;
		if (!last) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		head->nb_segs++;
	}
	return head;
}

static bool worth_referencing(const struct pbuf *p, uint16_t headers)
{
	if (!headers || p->tot_len < headers + REFERENCE_MIN)
		return false;
	for (; p; p = p->next)
		if (!referable(p))
			return false;
	return true;
}

struct rte_mbuf *net_frame_make(struct rte_mempool *pool, struct pbuf *p, bool *referenced)
{
	uint16_t headers = tcp_headers(p);
	struct rte_mbuf *m;

	*referenced = worth_referencing(p, headers);
	m = *referenced ? reference_data(pool, p, headers) : copy_whole(pool, p);
	if (m && headers)
		request_checksum(m);
	return m;
}
