/*
 * virtio-net, to the guest: frames that the switch delivers are copied into the buffers that the guest has posted. A frame in one segment
 * that fits one buffer goes a short way; any other by the long one. See net.c for owner and drops.
 */
#include "vdev/virtio/net.h"
#include <string.h>

uint32_t vnet_receiving_features(const struct vnet *n)
{
	uint32_t f = 0;
	if (!virtio_has(&n->dev, VNET_F_GUEST_CSUM))
		return 0;
	f |= NETPORT_F_CSUM;
	f |= virtio_has(&n->dev, VNET_F_GUEST_TSO4) ? NETPORT_F_TSO4 : 0;
	f |= virtio_has(&n->dev, VNET_F_GUEST_TSO6) ? NETPORT_F_TSO6 : 0;
	f |= virtio_has(&n->dev, VNET_F_GUEST_ECN) ? NETPORT_F_ECN : 0;
	return f;
}

/* Copies the frame's bytes into the buffers, `skip` bytes from their start. @pre they fit */
static void copy_frame(const netport_rx_frame *f, const struct hv_seg *to, unsigned nto, uint32_t skip)
{
	uint32_t left = f->len;
	for (unsigned i = 0; i < f->nsegs && left; i++) {
		uint32_t len = HV_MIN(f->segs[i].len, left), done = 0;
		const uint8_t *from = f->segs[i].base;
		left -= len;
		while (done < len && nto) {
			if (skip >= to->len) {
				skip -= to->len;
				to++;
				nto--;
				continue;
			}
			uint32_t n = HV_MIN(len - done, to->len - skip);
			memcpy((uint8_t *)to->base + skip, from + done, n);
			done += n;
			skip += n;
		}
	}
}

struct rx_buffers {
	unsigned count, segs;
	uint32_t bytes;
	uint16_t head[VNET_RX_CHAINS];
	uint32_t size[VNET_RX_CHAINS];
};

enum rx_result { RX_OK, RX_NO_BUFFER, RX_TOO_SMALL };

/* Takes posted buffers for `total` bytes. When they do not suffice all go back. */
static enum rx_result rx_collect(struct vnet *n, unsigned q, uint32_t total, struct rx_buffers *b)
{
	struct virtio_dev *d = &n->dev;
	unsigned most = virtio_has(d, VNET_F_MRG_RXBUF) ? VNET_RX_CHAINS : 1;
	enum rx_result result = RX_OK;
	b->count = b->segs = b->bytes = 0;
	while (b->bytes < total && result == RX_OK) {
		struct vring_chain c;
		if (b->count == most) {
			result = RX_TOO_SMALL;
			break;
		}
		enum vring_pop got = virtio_pop(d, q, &c, n->rx_segs + b->segs, VNET_RX_SEGS - b->segs);
		if (got == VRING_EMPTY || got == VRING_BROKEN) {
			result = RX_NO_BUFFER;
			break;
		}
		b->head[b->count] = c.head;
		b->size[b->count++] = c.in_bytes;
		if (got == VRING_TOO_LONG) {
			result = RX_TOO_SMALL;
		} else if (c.out_segs || c.in_bytes < sizeof(struct vnet_header)) {
			virtio_break(d, q, c.head, "receive buffer with readable parts, or smaller than its header");
			return RX_NO_BUFFER;
		}
		b->segs += c.in_segs;
		b->bytes += c.in_bytes;
	}
	if (result != RX_OK)
		vring_unpop(&d->queues[q].ring, b->count);
	return result;
}

static void rx_push(struct vnet *n, unsigned q, const struct rx_buffers *b, uint32_t total)
{
	for (unsigned i = 0; i < b->count; i++) {
		uint32_t len = HV_MIN(b->size[i], total);
		vring_push(&n->dev.queues[q].ring, b->head[i], len);
		total -= len;
	}
}

static unsigned rx_pair(const struct vnet *n, const netport_rx_frame *f)
{
	uint8_t start[VNET_STEER_BYTES];
	if (n->pairs == 1)
		return 0;
	size_t len = blk_segs_to_buf(f->segs, f->nsegs, 0, start, HV_MIN(f->len, (uint32_t)sizeof(start)));
	return vnet_steer_pick(&n->steer, start, (uint32_t)len, n->pairs);
}

/* False when the guest has no room: the switch counts and drops. With several pairs a full queue must not hold up the others: counted here.
 */
static bool rx_frame(struct vnet *n, const netport_rx_frame *f)
{
	unsigned q = vnet_q_rx(rx_pair(n, f));
	struct vnet_header h;
	struct rx_buffers b;
	uint32_t total = f->len + (uint32_t)sizeof(h);
	enum vnet_drop drop = f->len > VNET_FRAME_MAX ? VNET_DROP_RX_TOO_LONG : vnet_header_encode(&f->off, vnet_receiving_features(n), &h);
	if (drop == VNET_DROP_NONE) {
		enum rx_result got = rx_collect(n, q, total, &b);
		if (got == RX_NO_BUFFER) {
			n->rx_no_buffer++;
			if (n->pairs == 1 || !virtio_running(&n->dev))
				return false;
			drop = VNET_DROP_RX_QUEUE_FULL;
		} else if (got == RX_TOO_SMALL) {
			drop = VNET_DROP_RX_TOO_SMALL;
		}
	}
	if (drop != VNET_DROP_NONE) {
		n->drops[drop]++;
		return true; /* dealt with here */
	}
	h.num_buffers = (uint16_t)b.count;
	blk_segs_from_buf(n->rx_segs, b.segs, 0, &h, sizeof(h));
	copy_frame(f, n->rx_segs, b.segs, sizeof(h));
	rx_push(n, q, &b, total);
	n->rx_frames++;
	n->rx_bytes += f->len;
	return true;
}

/* ---- the short way: one segment without offload work left, into one buffer of one descriptor ---- */

/* The second byte of struct netport_offload. */
#define RX_CSUM_VALID 0xff00u
_Static_assert(offsetof(struct netport_offload, csum_valid) == 1 && offsetof(struct netport_offload, ecn) == 3, "read as one word");

/* The header of a complete frame in one buffer; checksum_flags: 0 or VNET_DATA_VALID. */
static HV_ALWAYS_INLINE void write_header(uint8_t *to, uint8_t checksum_flags)
{
	uint64_t low = checksum_flags;
	uint32_t high = 1u << 16; /* num_buffers */
	memcpy(to, &low, sizeof(low));
	memcpy(to + sizeof(low), &high, sizeof(high));
}
_Static_assert(offsetof(struct vnet_header, flags) == 0 && offsetof(struct vnet_header, num_buffers) == 10, "5.1.6");

/* False: nothing was done; the long way does it. `valid`: the flags that say that a checksum is good. */
static HV_ALWAYS_INLINE bool rx_simple(struct vring_burst *ring, const netport_rx_frame *f, uint8_t valid)
{
	uint32_t offload, len = f->len, total = len + (uint32_t)sizeof(struct vnet_header);
	struct vring_one one;
	memcpy(&offload, &f->off, sizeof(offload)); /* needs_csum, csum_valid, gso, ecn */
	if (HV_UNLIKELY(f->nsegs != 1 || offload & ~RX_CSUM_VALID || !vring_look(ring, true, total, &one)))
		return false;
	write_header(one.base, offload ? valid : 0);
	memcpy(one.base + sizeof(struct vnet_header), f->segs->base, len);
	vring_take(ring);
	vring_return(ring, one.head, total);
	return true;
}

/* The frames from the first on for which rx_simple is enough, all to one pair. */
static unsigned rx_simple_burst(struct vnet *n, unsigned pair, const netport_rx_frame *frames, unsigned count)
{
	uint8_t valid = vnet_receiving_features(n) & NETPORT_F_CSUM ? VNET_DATA_VALID : 0;
	struct vring *r = &n->dev.queues[vnet_q_rx(pair)].ring;
	struct vring_burst ring;
	uint64_t bytes = 0;
	unsigned i;
	vring_burst_begin(r, &ring);
	for (i = 0; i < count && rx_simple(&ring, &frames[i], valid); i++)
		bytes += frames[i].len;
	vring_burst_end(r, &ring);
	n->rx_frames += i;
	n->rx_bytes += bytes;
	return i;
}

/* How many frames from the first on go to the pair of the first. */
static unsigned rx_run(const struct vnet *n, const netport_rx_frame *frames, unsigned count, unsigned *pair)
{
	unsigned i;
	*pair = 0;
	if (HV_LIKELY(n->pairs == 1))
		return count;
	*pair = rx_pair(n, &frames[0]);
	for (i = 1; i < count && rx_pair(n, &frames[i]) == *pair; i++)
		;
	return i;
}

unsigned vnet_rx_burst(void *arg, const netport_rx_frame *frames, unsigned count)
{
	struct vnet *n = arg;
	unsigned i = 0;
	if (!virtio_running(&n->dev) || n->dev.draining || !vpci_bus_master(&n->dev.pci))
		return 0;
	while (i < count) {
		unsigned pair, run = rx_run(n, frames + i, count - i, &pair), simple = rx_simple_burst(n, pair, frames + i, run);
		i += simple;
		if (simple == run)
			continue;
		if (!rx_frame(n, &frames[i]))
			break;
		i++;
	}
	return i;
}

void vnet_rx_flush(void *arg)
{
	struct vnet *n = arg;
	for (unsigned pair = 0; pair < n->pairs; pair++)
		(void)virtio_publish(&n->dev, vnet_q_rx(pair)); /* how many became visible does not matter here */
}
