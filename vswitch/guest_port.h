/*
 * Inside of a guest's port, which is three files: guest_port.c (life, to the guest), guest_tx.c (from the guest, copied into mbufs),
 * guest_direct.c (from guest to guest without them).
 */
#ifndef VSWITCH_GUEST_PORT_H
#define VSWITCH_GUEST_PORT_H

#include "forward.h"

#include <hv/netport.h>

#define FRAME_MAX (65535u + ETH_HEADER_LEN) /* TSO: an IP packet of the greatest length */
#define MBUF_ROOM (RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM)
#define FRAME_SEGS_MAX (FRAME_MAX / MBUF_ROOM + 4)
#define OFFERED (NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_TSO6 | NETPORT_F_ECN)

/* Frames for a guest that lie in others' memory: of one burst, while that is looked through. */
struct vsw_direct {
	struct netport_direct *next; /* behind the last one in `frames` */
	uint32_t limit;              /* of a frame's length without a tag; a trunk's: 0, because its frames are looked at once more, and */
	uint32_t trunk_limit;        /* this is the limit; it gets tags but in its native VLAN's domain. Else 0 */
	uint16_t native;
	uint64_t bytes;
	struct netport_direct frames[VSW_BURST];
};

struct guest_port {
	struct vsw_port port;
	struct netport np;
	struct netport_client client;
	bool connected;
	uint32_t features; /* what the driver accepts */
	/* A burst on its way to the guest. */
	unsigned rx_count, rx_segs;
	struct rte_mbuf *rx_mbufs[VSW_BURST];
	netport_rx_frame rx_frames[VSW_BURST];
	struct hv_seg segs[VSW_BURST + FRAME_SEGS_MAX];
	/* The same for plain frames. What stays as it is, one segment and no offload but csum_valid, was written once. */
	netport_rx_frame plain_frames[VSW_BURST];
	struct hv_seg plain_segs[VSW_BURST];
	struct vsw_direct direct;
};

static inline struct guest_port *vsw_guest_of(struct netport *np)
{
	return hv_container_of(np, struct guest_port, np);
}

/* ---- guest_tx.c ---- */
/* struct netport_ops's tx_burst and tx_plain. */
unsigned vsw_guest_tx_burst(struct netport *np, const struct netport_frame *frames, unsigned n);
unsigned vsw_guest_tx_plain(struct netport *np, const struct hv_seg *frames, unsigned n);
/* A trunk's guest sends this tag, type and TCI as they lie in memory: its domain. VSW_DOMAIN_NONE: no tag, or not of the list. */
uint16_t vsw_guest_domain_of_tag(struct vsw_port *p, uint32_t tag);
/* struct vsw_port's check. */
enum vsw_drop vsw_guest_check(struct vsw_port *p, struct rte_mbuf *m);

/* ---- guest_direct.c ---- */
/*
 * Delivers those of a guest's plain frames, n up to VSW_BURST, that go to other guests as they lie. Returns how many it left: n are all
 * of `frames`; fewer are, in their order, in `left`.
 */
unsigned vsw_guest_direct(struct guest_port *g, const struct hv_seg *frames, unsigned n, struct hv_seg *left);

#endif
