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
	uint32_t limit;              /* of a frame's length */
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
/* struct vsw_port's check. */
enum vsw_drop vsw_guest_check(struct vsw_port *p, struct rte_mbuf *m);

/* ---- guest_direct.c ---- */
/*
 * Delivers those of a guest's plain frames, n up to VSW_BURST, that go to other guests as they lie. Returns how many it left, in their
 * order, in `left`.
 */
unsigned vsw_guest_direct(struct guest_port *g, const struct hv_seg *frames, unsigned n, struct hv_seg *left);

#endif
