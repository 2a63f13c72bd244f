/* Flows to queues. See net_steer.h. A flow is known by a hash that is the same in both directions; two flows with one hash share a queue.
 */
#include "vdev/virtio/net_steer.h"
#include <string.h>

enum { ETH_BYTES = 14, TAG_BYTES = 4, IPV4_BYTES = 20, IPV6_BYTES = 40, TCP = 6, UDP = 17 };

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

/* The ports are XORed as they lie, so that direction does not matter. */
static uint32_t ports(const uint8_t *frame, uint32_t len, uint32_t at, uint8_t protocol)
{
	if ((protocol != TCP && protocol != UDP) || at + 4 > len)
		return 0;
	uint32_t both = load32(frame + at);
	return (both ^ both >> 16) & 0xffff;
}

/* 0: no flow. */
static uint32_t ipv4_flow(const uint8_t *frame, uint32_t len, uint32_t at)
{
	const uint8_t *ip = frame + at;
	if (at + IPV4_BYTES > len || (ip[0] & 0xf) < 5)
		return 0;
	uint32_t addresses = load32(ip + 12) ^ load32(ip + 16);
	if ((ip[6] & 0x3f) | ip[7]) /* fragments have no ports, or not all of them have */
		return addresses * 2 + 1;
	return (addresses ^ ports(frame, len, at + (ip[0] & 0xfu) * 4, ip[9])) * 2 + 1;
}

static uint32_t ipv6_flow(const uint8_t *frame, uint32_t len, uint32_t at)
{
	const uint8_t *ip = frame + at;
	uint32_t addresses = 0;
	if (at + IPV6_BYTES > len)
		return 0;
	for (unsigned i = 8; i < IPV6_BYTES; i += 4)
		addresses ^= load32(ip + i);
	return (addresses ^ ports(frame, len, at + IPV6_BYTES, ip[6])) * 2 + 1;
}

/* Index into the table, or -1. */
static int flow_of(const uint8_t *frame, uint32_t len)
{
	uint32_t at = ETH_BYTES, flow = 0;
	if (len >= ETH_BYTES + TAG_BYTES && frame[12] == 0x81 && frame[13] == 0)
		at += TAG_BYTES;
	if (at > len)
		return -1;
	if (frame[at - 2] == 0x08 && frame[at - 1] == 0x00)
		flow = ipv4_flow(frame, len, at);
	else if (frame[at - 2] == 0x86 && frame[at - 1] == 0xdd)
		flow = ipv6_flow(frame, len, at);
	return flow ? (int)((flow * 0x9e3779b1u) >> 24) : -1;
}

void vnet_steer_reset(struct vnet_steer *s)
{
	memset(s->pair, VNET_STEER_NONE, sizeof(s->pair));
}

void vnet_steer_learn(struct vnet_steer *s, const uint8_t *frame, uint32_t len, unsigned pair)
{
	int flow = flow_of(frame, len);
	if (flow >= 0)
		s->pair[flow] = (uint8_t)pair;
}

unsigned vnet_steer_pick(const struct vnet_steer *s, const uint8_t *frame, uint32_t len, unsigned pairs)
{
	int flow = flow_of(frame, len);
	if (flow < 0)
		return 0;
	return s->pair[flow] < pairs ? s->pair[flow] : (unsigned)flow % pairs; /* the guest may use fewer queues than it did */
}
