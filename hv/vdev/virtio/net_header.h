/*
 * virtio_net_hdr (VIRTIO 1.2, 5.1.6) to and from the switch's offload notes. Pure. A guest's header is hostile: every field is checked
 * against the frame's length and the negotiated features before anyone uses it.
 */
#ifndef HV_VDEV_VIRTIO_NET_HEADER_H
#define HV_VDEV_VIRTIO_NET_HEADER_H

#include <hv/netport.h>
#include <hv/types.h>

enum { VNET_NEEDS_CSUM = 1, VNET_DATA_VALID = 2, VNET_GSO_NONE = 0, VNET_GSO_TCPV4 = 1, VNET_GSO_TCPV6 = 4, VNET_GSO_ECN = 0x80 };

struct vnet_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct vnet_header) == 12, "5.1.6");

/* Why a frame went no further; each has a counter with a name. */
enum vnet_drop {
	VNET_DROP_NONE,
	VNET_DROP_RUNT,          /* shorter than an Ethernet header */
	VNET_DROP_TOO_LONG,      /* longer than MTU, or than 64 KiB with segmentation */
	VNET_DROP_SEGMENTS,      /* in more pieces than VNET_TX_SEGS */
	VNET_DROP_CSUM,          /* checksum not negotiated, or its place is outside the frame */
	VNET_DROP_GSO,           /* segmentation type unknown or not negotiated, or without checksum */
	VNET_DROP_GSO_SIZE,      /* segments absurdly small, or headers longer than the frame */
	VNET_DROP_RX_TOO_LONG,   /* receive: longer than any frame */
	VNET_DROP_RX_OFFLOAD,    /* receive: an offload that the guest did not accept */
	VNET_DROP_RX_TOO_SMALL,  /* receive: the guest's buffers cannot hold the frame */
	VNET_DROP_RX_QUEUE_FULL, /* receive: the queue of its flow has no buffers, others have */
	VNET_DROP_COUNT
};
const char *vnet_drop_name(unsigned drop);

/* features: enum netport_feature that the guest may use. frame_len without the header, at least 14. */
enum vnet_drop vnet_header_decode(const struct vnet_header *h, uint32_t frame_len, uint32_t features, struct netport_offload *off);
/* features: enum netport_feature that the guest accepts. num_buffers stays 0. */
enum vnet_drop vnet_header_encode(const struct netport_offload *off, uint32_t features, struct vnet_header *h);

#endif
