/*
 * Which receive queue of a multi-queue NIC a frame goes to: automatic receive steering (VIRTIO 1.2, 5.1.6.5.6). A flow is received by the
 * pair of queues that the guest last sent it on, so that one of its CPUs does all the work of a flow. Pure; owner: the NIC's io_core.
 */
#ifndef HV_VDEV_VIRTIO_NET_STEER_H
#define HV_VDEV_VIRTIO_NET_STEER_H

#include <hv/types.h>

#define VNET_PAIRS_MAX 8
#define VNET_STEER_BYTES 78 /* of a frame that are looked at: Ethernet with a tag, IPv4 with options or IPv6, ports */

struct vnet_steer {
	uint8_t pair[256]; /* by flow; VNET_STEER_NONE: the guest has not sent on it */
};

#define VNET_STEER_NONE 0xff

void vnet_steer_reset(struct vnet_steer *s);
/* The guest has sent a frame that begins with these bytes on `pair`. */
void vnet_steer_learn(struct vnet_steer *s, const uint8_t *frame, uint32_t len, unsigned pair);
/* The pair for a received frame, below `pairs`. What is not TCP or UDP goes to the first. */
unsigned vnet_steer_pick(const struct vnet_steer *s, const uint8_t *frame, uint32_t len, unsigned pairs);

#endif
