/* Inside of virtio-net: its state (net.c has the device's description) and its two directions. */
#ifndef HV_VDEV_VIRTIO_NET_H
#define HV_VDEV_VIRTIO_NET_H

#include "vdev/virtio/device.h"
#include "vdev/virtio/net_header.h"
#include "vdev/virtio/net_steer.h"

static inline unsigned vnet_q_rx(unsigned pair)
{
	return 2 * pair;
}

static inline unsigned vnet_q_tx(unsigned pair)
{
	return 2 * pair + 1;
}

/* 5.1.3 */
#define VNET_F_CSUM (1ull << 0)
#define VNET_F_GUEST_CSUM (1ull << 1)
#define VNET_F_MTU (1ull << 3)
#define VNET_F_MAC (1ull << 5)
#define VNET_F_GUEST_TSO4 (1ull << 7)
#define VNET_F_GUEST_TSO6 (1ull << 8)
#define VNET_F_GUEST_ECN (1ull << 9)
#define VNET_F_HOST_TSO4 (1ull << 11)
#define VNET_F_HOST_TSO6 (1ull << 12)
#define VNET_F_HOST_ECN (1ull << 13)
#define VNET_F_MRG_RXBUF (1ull << 15)
#define VNET_F_STATUS (1ull << 16)
#define VNET_F_CTRL_VQ (1ull << 17)
#define VNET_F_CTRL_RX (1ull << 18)
#define VNET_F_MQ (1ull << 22)
#define VNET_F_CTRL_MAC_ADDR (1ull << 23)

enum {
	VNET_QUEUE_SIZE = 256,
	VNET_TX_SEGS = 64,
	VNET_RX_SEGS = 256,
	VNET_RX_CHAINS = 64, /* of one frame: 64 KiB in buffers of 1 KiB */
	VNET_CTRL_SEGS = 16,
	VNET_CTRL_BURST = 4,
	VNET_FRAME_MAX = 65535 + 18,
	VNET_LINK_UP = 1, /* 5.1.4 status */
};

struct vnet {
	struct virtio_dev dev;
	struct netport *port;
	struct netport_client client;
	uint16_t max_pairs;  /* offered */
	uint16_t pairs;      /* that the guest uses */
	uint16_t most_pairs; /* that it ever used */
	struct vnet_steer steer;
	bool promisc, allmulti;
	uint8_t mac[6]; /* what the guest has set */
	uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes, rx_no_buffer, tx_kept;
	uint64_t drops[VNET_DROP_COUNT];
	struct hv_seg rx_segs[VNET_RX_SEGS];
	struct hv_seg tx_segs[NETPORT_BURST][VNET_TX_SEGS];
};

static inline struct vnet *vnet_of_dev(struct virtio_dev *d)
{
	return hv_container_of(d, struct vnet, dev);
}

static inline unsigned vnet_q_ctrl(const struct vnet *n)
{
	return virtio_has(&n->dev, VNET_F_MQ) ? vnet_q_rx(n->max_pairs) : vnet_q_rx(1);
}

/* ---- net_tx.c ---- */
/* Takes a burst from the pair's transmit queue into the switch. Returns how many chains it dealt with. */
unsigned vnet_tx_poll(struct vnet *n, unsigned pair);

/* ---- net_rx.c ---- */
/* What the guest's driver accepts, enum netport_feature. */
uint32_t vnet_receiving_features(const struct vnet *n);
/* struct netport_client's rx_burst, rx_direct and rx_flush; arg: struct vnet. */
unsigned vnet_rx_burst(void *arg, const netport_rx_frame *frames, unsigned count);
unsigned vnet_rx_direct(void *arg, const struct netport_direct *frames, unsigned count);
void vnet_rx_flush(void *arg);

#endif
