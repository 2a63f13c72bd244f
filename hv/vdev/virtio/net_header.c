/* virtio_net_hdr, checked. See net_header.h. */
#include "vdev/virtio/net_header.h"
#include <string.h>

/*
 * The smallest segment payload we cut: a frame of 64 KiB with a gso_size of 1 would become 65000 packets for one chain. Below the smallest
 * MSS that TCP stacks accept (Linux: 48) minus options nothing honest remains.
 */
#define VNET_GSO_SIZE_MIN 8
#define VNET_GSO_SEGMENTS_MAX 2048 /* of one frame */

static const char *const names[VNET_DROP_COUNT] = {
	[VNET_DROP_NONE] = "drop.none",
	[VNET_DROP_RUNT] = "drop.runt",
	[VNET_DROP_TOO_LONG] = "drop.too_long",
	[VNET_DROP_SEGMENTS] = "drop.segments",
	[VNET_DROP_CSUM] = "drop.bad_csum_request",
	[VNET_DROP_GSO] = "drop.bad_gso",
	[VNET_DROP_GSO_SIZE] = "drop.bad_gso_size",
	[VNET_DROP_RX_TOO_LONG] = "drop.rx_too_long",
	[VNET_DROP_RX_OFFLOAD] = "drop.rx_offload",
	[VNET_DROP_RX_TOO_SMALL] = "drop.rx_buffers_too_small",
	[VNET_DROP_RX_QUEUE_FULL] = "drop.rx_queue_full",
};

const char *vnet_drop_name(unsigned drop)
{
	return drop < VNET_DROP_COUNT ? names[drop] : "drop.unknown";
}

static enum vnet_drop decode_csum(const struct vnet_header *h, uint32_t frame_len, uint32_t features, struct netport_offload *off)
{
	if (!(features & NETPORT_F_CSUM) || h->csum_start < 14 || (uint32_t)h->csum_start + h->csum_offset + 2 > frame_len)
		return VNET_DROP_CSUM;
	off->needs_csum = true;
	off->csum_start = h->csum_start;
	off->csum_offset = h->csum_offset;
	return VNET_DROP_NONE;
}

static enum vnet_drop decode_gso(const struct vnet_header *h, uint32_t frame_len, uint32_t features, struct netport_offload *off)
{
	uint8_t type = h->gso_type & (uint8_t)~VNET_GSO_ECN;
	bool ecn = h->gso_type & VNET_GSO_ECN;
	if (type == VNET_GSO_TCPV4 && (features & NETPORT_F_TSO4))
		off->gso = NETPORT_GSO_TCPV4;
	else if (type == VNET_GSO_TCPV6 && (features & NETPORT_F_TSO6))
		off->gso = NETPORT_GSO_TCPV6;
	else
		return VNET_DROP_GSO;
	if (!off->needs_csum || (ecn && !(features & NETPORT_F_ECN)))
		return VNET_DROP_GSO;
	if (h->gso_size < VNET_GSO_SIZE_MIN || frame_len / h->gso_size >= VNET_GSO_SEGMENTS_MAX || h->hdr_len > frame_len)
		return VNET_DROP_GSO_SIZE;
	off->ecn = ecn;
	off->gso_size = h->gso_size;
	off->hdr_len = h->hdr_len;
	return VNET_DROP_NONE;
}

enum vnet_drop vnet_header_decode(const struct vnet_header *h, uint32_t frame_len, uint32_t features, struct netport_offload *off)
{
	enum vnet_drop drop = VNET_DROP_NONE;
	memset(off, 0, sizeof(*off));
	if (h->flags & VNET_NEEDS_CSUM)
		drop = decode_csum(h, frame_len, features, off);
	if (drop == VNET_DROP_NONE && h->gso_type != VNET_GSO_NONE)
		drop = decode_gso(h, frame_len, features, off);
	return drop;
}

enum vnet_drop vnet_header_encode(const struct netport_offload *off, uint32_t features, struct vnet_header *h)
{
	static const uint8_t type[] = {VNET_GSO_NONE, VNET_GSO_TCPV4, VNET_GSO_TCPV6};
	static const uint32_t need[] = {0, NETPORT_F_TSO4, NETPORT_F_TSO6};
	memset(h, 0, sizeof(*h));
	if (off->gso >= HV_ARRAY_LEN(type) || (need[off->gso] & ~features) || (off->needs_csum && !(features & NETPORT_F_CSUM)) ||
		(off->gso && off->ecn && !(features & NETPORT_F_ECN)))
		return VNET_DROP_RX_OFFLOAD;
	if (off->needs_csum) {
		h->flags = VNET_NEEDS_CSUM;
		h->csum_start = off->csum_start;
		h->csum_offset = off->csum_offset;
	} else if (off->csum_valid && (features & NETPORT_F_CSUM)) {
		h->flags = VNET_DATA_VALID;
	}
	if (off->gso) {
		h->gso_type = type[off->gso] | (off->ecn ? VNET_GSO_ECN : 0);
		h->gso_size = off->gso_size;
		h->hdr_len = off->hdr_len;
	}
	return VNET_DROP_NONE;
}
