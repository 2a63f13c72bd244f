/*
 * virtio-net, to the guest: frames that the switch delivers are copied into the buffers that the guest has posted: from memory of the
 * switch, or straight from other guests' memory. A frame in one segment that fits one buffer goes a short way; any other by the long one.
 * See net.c for owner and drops.
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
			memmove((uint8_t *)to->base + skip, from + done, n); /* one VM may have sent it and receive it */
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

#define RX_SPARE 0x7fffu /* what a buffer for the short way is larger at most */
_Static_assert(sizeof(struct vnet_header) + NETPORT_PLAIN_MAX + RX_SPARE <= VRING_BUFFER_MAX, "for vring_look");
#define RX_SIMPLE_MAX (VRING_BUFFER_MAX - RX_SPARE - (uint32_t)sizeof(struct vnet_header))
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

#define HEADER ((uint32_t)sizeof(struct vnet_header))

/* Writes the frame into the i-th buffer. False: nothing was done; the long way does it. `valid`: the flags that say that a checksum is
 * good. */
static HV_ALWAYS_INLINE bool rx_simple(struct vring *r, struct vring_burst *b, size_t i, const netport_rx_frame *f, uint8_t valid)
{
	uint32_t offload, len = f->len;
	struct vring_one one;
	memcpy(&offload, &f->off, sizeof(offload)); /* needs_csum, csum_valid, gso, ecn */
	if (HV_UNLIKELY(f->nsegs != 1 || offload & ~RX_CSUM_VALID || len > RX_SIMPLE_MAX))
		return false;
	if (HV_UNLIKELY(!vring_look(r, b, i, true, HEADER + len, RX_SPARE, &one)))
		return false;
	vring_answer(b, i, one.head, HEADER + len);
	write_header(one.base, offload ? valid : 0);
	memcpy(one.base + HEADER, f->segs->base, len);
	return true;
}

/*
 * Takes the i-th buffer for a frame from a guest's memory: writes the header and the frame's head into it, and its used entry. The buffer,
 * or NULL: nothing was done.
 */
static HV_ALWAYS_INLINE uint8_t *rx_direct_begin(
	struct vring *r, struct vring_burst *b, size_t i, const struct netport_direct *f, uint32_t total)
{
	struct vring_one one;
	if (HV_UNLIKELY(!vring_look(r, b, i, true, total, RX_SPARE, &one)))
		return NULL;
	vring_answer(b, i, one.head, total);
	write_header(one.base, 0);
	memcpy(one.base + HEADER, f->head, NETPORT_HEAD);
	return one.base;
}

static void rx_count(struct vnet *n, struct vring *r, unsigned frames, uint64_t bytes)
{
	vring_took(r, frames);
	vring_answered(r, frames);
	n->rx_frames += frames;
	n->rx_bytes += bytes;
}

/* The frames from the first on for which rx_simple is enough, all to one pair, up to the ring's end. */
static unsigned rx_simple_burst(struct vnet *n, unsigned pair, const netport_rx_frame *frames, unsigned count)
{
	uint8_t valid = vnet_receiving_features(n) & NETPORT_F_CSUM ? VNET_DATA_VALID : 0;
	struct vring *r = &n->dev.queues[vnet_q_rx(pair)].ring;
	struct vring_burst b;
	uint64_t bytes = 0;
	unsigned i;
	if (HV_UNLIKELY(!vring_is_idle(r)))
		return 0;
	count = vring_burst_begin(r, &b, count);
	for (i = 0; i < count && rx_simple(r, &b, i, &frames[i], valid); i++)
		bytes += frames[i].len;
	rx_count(n, r, i, bytes);
	return i;
}

/* In two turns, the second of which only copies: what the first needs stays in registers. @pre count <= NETPORT_BURST */
static unsigned rx_direct_burst(struct vnet *n, unsigned pair, const struct netport_direct *frames, unsigned count)
{
	struct vring *r = &n->dev.queues[vnet_q_rx(pair)].ring;
	const struct netport_direct *f = frames;
	uint8_t *to[NETPORT_BURST];
	struct vring_burst b;
	uint64_t bytes = 0;
	size_t i = 0, most;
	if (HV_UNLIKELY(!vring_is_idle(r)))
		return 0;
	for (most = vring_burst_begin(r, &b, count); i < most; f++) {
		uint32_t total = HEADER + f->bytes;
		to[i] = rx_direct_begin(r, &b, i, f, total);
		if (HV_UNLIKELY(!to[i]))
			break;
		bytes += total;
		i++;
		__asm__("" : "+r"(i)); /* an index into three arrays, not three pointers */
	}
#pragma GCC unroll 4
	for (size_t k = 0; k < i; k++)
		memmove(to[k] + HEADER + frames[k].head_bytes, frames[k].rest, frames[k].bytes - frames[k].head_bytes);
	rx_count(n, r, (unsigned)i, bytes - i * HEADER);
	return (unsigned)i;
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

static bool rx_is_on(const struct vnet *n)
{
	return virtio_running(&n->dev) && !n->dev.draining && vpci_bus_master(&n->dev.pci);
}

unsigned vnet_rx_burst(void *arg, const netport_rx_frame *frames, unsigned count)
{
	struct vnet *n = arg;
	unsigned i = 0;
	if (!rx_is_on(n))
		return 0;
	while (i < count) {
		unsigned pair, run = rx_run(n, frames + i, count - i, &pair), simple = rx_simple_burst(n, pair, frames + i, run);
		i += simple;
		if (simple)
			continue;
		if (!rx_frame(n, &frames[i]))
			break;
		i++;
	}
	return i;
}

static unsigned rx_direct_pair(const struct vnet *n, const struct netport_direct *f)
{
	uint8_t start[NETPORT_HEAD + VNET_STEER_BYTES];
	uint32_t rest = HV_MIN(f->bytes - f->head_bytes, VNET_STEER_BYTES - NETPORT_HEAD);
	memcpy(start, f->head, NETPORT_HEAD);
	memcpy(start + f->head_bytes, f->rest, rest);
	return vnet_steer_pick(&n->steer, start, f->head_bytes + rest, n->pairs);
}

static unsigned rx_direct_run(const struct vnet *n, const struct netport_direct *frames, unsigned count, unsigned *pair)
{
	unsigned i;
	*pair = 0;
	if (HV_LIKELY(n->pairs == 1))
		return count;
	*pair = rx_direct_pair(n, &frames[0]);
	for (i = 1; i < count && rx_direct_pair(n, &frames[i]) == *pair; i++)
		;
	return i;
}

/* As any other frame. */
static bool rx_direct_frame(struct vnet *n, const struct netport_direct *f)
{
	struct hv_seg segs[2] = {{(void *)(uintptr_t)f->head, f->head_bytes}, {(void *)(uintptr_t)f->rest, f->bytes - f->head_bytes}};
	return rx_frame(n, &(netport_rx_frame){.segs = segs, .nsegs = 2, .len = f->bytes});
}

unsigned vnet_rx_direct(void *arg, const struct netport_direct *frames, unsigned count)
{
	struct vnet *n = arg;
	unsigned i = 0;
	if (!rx_is_on(n))
		return 0;
	while (i < count) {
		unsigned pair, run = rx_direct_run(n, frames + i, count - i, &pair), simple = rx_direct_burst(n, pair, frames + i, run);
		i += simple;
		if (simple)
			continue;
		if (!rx_direct_frame(n, &frames[i]))
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
