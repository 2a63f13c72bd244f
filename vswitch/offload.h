/*
 * Offload metadata of a frame inside the switch, in the mbuf's own fields:
 *   RTE_MBUF_F_TX_{TCP,UDP}_CKSUM  the L4 checksum is still to do; l2_len, l3_len valid; the field holds the sum of the pseudo-header with
 * the full L4 length (as virtio wants it, virtio 1.2 section 5.1.6.2) RTE_MBUF_F_TX_TCP_SEG          also: to be cut into segments of
 * tso_segsz payload bytes; l4_len valid RTE_MBUF_F_TX_IP_CKSUM         the IPv4 header checksum is still to do RTE_MBUF_F_RX_L4_CKSUM_GOOD
 * the L4 checksum was verified on receive Always with RTE_MBUF_F_TX_IPV4 or _IPV6. All headers lie in the first segment of the mbuf.
 */
#ifndef VSWITCH_OFFLOAD_H
#define VSWITCH_OFFLOAD_H

#include "switch.h"

#define VSW_OFFLOAD_MASK (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM)
#define VSW_GSO_MAX_HEADERS (RTE_PKTMBUF_HEADROOM - 4) /* headers of a segment lie in its headroom, beside a VLAN tag */
#define VSW_GSO_MAX_SEGMENTS 256u                      /* of one guest frame: 64 KiB at 256 bytes; less is an attempt to make us work */

struct netport_offload;

struct vsw_headers {
	uint8_t l2_len, l3_len, l4_len; /* l4_len: TCP header with options, UDP 8, else 0 */
	bool ipv4, ipv6, tcp, udp;      /* tcp, udp: only when it is no fragment and the header is complete */
	uint16_t l3_total;              /* bytes of the IP packet by its own header */
};

/* Headers of a frame in `len` contiguous private bytes. False when it is not IP; then all is zero but l2_len. */
bool vsw_headers_parse(const uint8_t *frame, uint32_t len, struct vsw_headers *h);

/*
 * Checks what a guest asked for against the frame's headers and puts it into m's metadata; a checksum of a kind that no receiver knows is
 * done at once. False: it does not fit. `mtu` limits the segments.
 */
bool vsw_offload_from_guest(struct rte_mbuf *m, const struct netport_offload *off, uint16_t mtu) HV_MUST_CHECK;
/* A frame received with a partial checksum (RTE_MBUF_F_RX_L4_CKSUM_NONE: data good, checksum not computed): makes it a transmit request. */
void vsw_offload_from_uplink(struct rte_mbuf *m);
/* The same in the terms of a guest that accepts it. */
void vsw_offload_to_guest(const struct rte_mbuf *m, struct netport_offload *off);
/* What of m's offloads a guest with these features (enum netport_feature) cannot take: needs segmentation, needs checksum. */
enum vsw_fixup { VSW_FIX_NONE, VSW_FIX_CHECKSUM, VSW_FIX_SEGMENT };
enum vsw_fixup vsw_offload_fixup(const struct rte_mbuf *m, uint32_t features);
/* Finishes checksums in software, and clears the request. @pre no RTE_MBUF_F_TX_TCP_SEG, not shared */
void vsw_checksum_finish(struct rte_mbuf *m);

/* ---- segment.c ---- */
struct vsw_segmenter {
	struct rte_mbuf *frame;
	struct rte_mempool *pool;
	uint32_t offset; /* of the next payload byte */
	uint16_t header_len, index;
};
/* @pre m has RTE_MBUF_F_TX_TCP_SEG. Does not take m. */
void vsw_segment_begin(struct vsw_segmenter *s, struct rte_mbuf *m, struct rte_mempool *pool);
/* The next segment, its TCP checksum still to do (RTE_MBUF_F_TX_TCP_CKSUM); NULL when there is none left or no mbuf (then
 * vsw_segment_left() > 0). */
struct rte_mbuf *vsw_segment_next(struct vsw_segmenter *s);
/* Payload bytes not yet handed out. */
uint32_t vsw_segment_left(const struct vsw_segmenter *s);
/* Can the payload stay where it is (vsw_gso_segment)? */
bool vsw_gso_can(const struct rte_mbuf *m);
/*
 * Cuts m into chains: a copied header and references to m's payload, each with its TCP checksum still to do. Returns how many; 0: no
 * mbufs. The caller frees m, whose data lives until the last segment is freed. @pre RTE_MBUF_F_TX_TCP_SEG, vsw_gso_can(m)
 */
unsigned vsw_gso_segment(struct vsw *v, struct rte_mbuf *m, struct rte_mbuf *out[VSW_GSO_MAX_SEGMENTS]);

#endif
