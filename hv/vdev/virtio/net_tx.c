/*
 * virtio-net, from the guest: chains of a transmit queue become frames for the switch, a burst at a time. Plain frames, one buffer that
 * asks for nothing, go a way of their own as long as they come one after the other; of the others, those in one buffer still go a short
 * way. Any other, and what is wrong with it, is judged by the long one. See net.c for owner and drops.
 */
#include "vdev/virtio/net.h"
#include <string.h>

struct tx_entry {
	uint16_t head;
	uint8_t drop; /* enum vnet_drop; VNET_DROP_NONE: a frame for the switch */
	uint32_t len;
};

static uint32_t frame_limit(const struct vnet *n, bool gso)
{
	return gso ? VNET_FRAME_MAX : (n->port->mtu ? n->port->mtu : 1500) + 18u;
}

/* Skips the header in the chain's segments. */
static void skip_header(const struct vring_chain *c, struct netport_frame *f)
{
	uint32_t skip = sizeof(struct vnet_header);
	struct hv_seg *s = c->segs;
	unsigned n = c->out_segs;
	while (n && s->len <= skip) {
		skip -= s->len;
		s++;
		n--;
	}
	if (n) {
		s->base = (uint8_t *)s->base + skip;
		s->len -= skip;
	}
	f->segs = s;
	f->nsegs = (uint16_t)n;
	f->len = c->out_bytes - (uint32_t)sizeof(struct vnet_header);
}

static uint32_t sending_features(const struct vnet *n)
{
	uint32_t f = 0;
	if (!virtio_has(&n->dev, VNET_F_CSUM))
		return 0; /* 5.1.3.1: segmentation needs checksums */
	f |= NETPORT_F_CSUM;
	f |= virtio_has(&n->dev, VNET_F_HOST_TSO4) ? NETPORT_F_TSO4 : 0;
	f |= virtio_has(&n->dev, VNET_F_HOST_TSO6) ? NETPORT_F_TSO6 : 0;
	f |= virtio_has(&n->dev, VNET_F_HOST_ECN) ? NETPORT_F_ECN : 0;
	return f;
}

static enum vnet_drop make_frame(const struct vnet *n, const struct vring_chain *c, struct netport_frame *f)
{
	struct vnet_header h;
	blk_segs_to_buf(c->segs, c->out_segs, 0, &h, sizeof(h));
	skip_header(c, f);
	if (f->len < 14)
		return VNET_DROP_RUNT;
	if (f->len > frame_limit(n, h.gso_type != VNET_GSO_NONE))
		return VNET_DROP_TOO_LONG;
	return vnet_header_decode(&h, f->len, sending_features(n), &f->off);
}

/* ---- the short way: one buffer holds header and frame, as drivers usually send ---- */

#define HEADER ((uint32_t)sizeof(struct vnet_header))

/* A header in guest memory, read once: what is checked is this copy. */
static HV_ALWAYS_INLINE struct vnet_header read_header(const void *from)
{
	struct vnet_header h;
	memcpy(&h, from, sizeof(h));
	__asm__ volatile("" : "+m"(h));
	return h;
}

/* The chains from the first on, `most` at most, that are one buffer. */
static unsigned tx_collect_simple(struct vnet *n, struct vring *r, struct tx_entry *entries, struct netport_frame *frames,
	struct hv_seg (*segs)[VNET_TX_SEGS], unsigned most, unsigned *frame_count)
{
	uint32_t more = HV_MIN(frame_limit(n, false), VRING_BUFFER_MAX - HEADER) - 14, features = sending_features(n);
	unsigned count = *frame_count, chains, i;
	struct vring_burst b;
	chains = vring_burst_begin(r, &b, most);
	for (i = 0; i < chains; i++) {
		struct hv_seg *seg = segs[i];
		struct netport_frame *f = &frames[count];
		struct vring_one one;
		if (HV_UNLIKELY(!vring_look(r, &b, i, false, HEADER + 14, more, &one)))
			break;
		struct vnet_header h = read_header(one.base);
		*seg = (struct hv_seg){one.base + HEADER, one.len - HEADER};
		*f = (struct netport_frame){.segs = seg, .nsegs = 1, .len = seg->len};
		entries[i] = (struct tx_entry){.head = (uint16_t)one.head, .len = seg->len};
		if (h.flags | h.gso_type)
			entries[i].drop = (uint8_t)vnet_header_decode(&h, seg->len, features, &f->off);
		count += entries[i].drop == VNET_DROP_NONE;
	}
	vring_took(r, i);
	*frame_count = count;
	return i;
}

/* ---- the shortest: plain frames ---- */

/* Does the header ask for anything? Its first two bytes, flags and segmentation, tell; who says yes reads it anew. */
static HV_ALWAYS_INLINE bool asks(const uint8_t *header)
{
	uint16_t first;
	memcpy(&first, header, sizeof(first));
	return first != 0;
}

/* Plain frames, `most` at most, from the first chain on, up to the ring's end; their used entries are written, to be counted when the
 * switch has the frames.
 */
static __attribute__((noinline)) unsigned tx_collect_plain(
	struct vnet *n, struct vring *r, struct hv_seg *frames, unsigned most, uint64_t *bytes)
{
	const uint32_t least = HEADER + NETPORT_PLAIN_MIN;
	const uint32_t more = HV_MIN(frame_limit(n, false), (uint32_t)NETPORT_PLAIN_MAX) - NETPORT_PLAIN_MIN;
	struct vring_burst b;
	size_t i = 0, chains;
	uint64_t sum = 0;
	if (HV_UNLIKELY(!vring_is_idle(r)))
		return 0;
	for (chains = vring_burst_begin(r, &b, most); i < chains; frames++) {
		struct vring_one one;
		if (HV_UNLIKELY(!vring_look(r, &b, i, false, least, more, &one) || asks(one.base)))
			break;
		vring_answer_read(&b, i, one.head);
		frames->base = one.base + HEADER;
		frames->len = one.len - HEADER;
		sum += frames->len;
		i++;
		__asm__("" : "+r"(i)); /* an index into two rings, not two pointers */
	}
	*bytes = sum;
	return (unsigned)i;
}

/* ---- bursts ---- */

/* Takes up to `most` chains. Returns how many; *frame_count of them are frames. */
static unsigned tx_collect(
	struct vnet *n, unsigned q, unsigned most, struct tx_entry *entries, struct netport_frame *frames, unsigned *frame_count)
{
	struct vring *r = &n->dev.queues[q].ring;
	unsigned i, count = 0;
	for (i = 0; i < most; i++) {
		if (virtio_running(&n->dev))
			i += tx_collect_simple(n, r, &entries[i], frames, &n->tx_segs[i], most - i, &count);
		if (i == most)
			break;
		struct vring_chain c;
		enum vring_pop got = virtio_pop(&n->dev, q, &c, n->tx_segs[i], VNET_TX_SEGS);
		if (got == VRING_EMPTY || got == VRING_BROKEN)
			break;
		entries[i] = (struct tx_entry){.head = c.head, .drop = VNET_DROP_SEGMENTS};
		if (got == VRING_TOO_LONG)
			continue;
		if (c.out_bytes < sizeof(struct vnet_header) || c.in_segs) {
			virtio_break(&n->dev, q, c.head, "frame without header, or with writable parts");
			break;
		}
		struct netport_frame *f = &frames[count];
		entries[i].drop = (uint8_t)make_frame(n, &c, f);
		entries[i].len = f->len;
		count += entries[i].drop == VNET_DROP_NONE;
	}
	*frame_count = count;
	return i;
}

/* All were frames and all were taken. */
static void tx_settle_all(struct vnet *n, struct vring *r, const struct tx_entry *entries, unsigned count)
{
	uint64_t bytes = 0;
	for (unsigned i = 0; i < count; i++) {
		bytes += entries[i].len;
		vring_return(r, i, entries[i].head);
	}
	vring_answered(r, count);
	n->tx_frames += count;
	n->tx_bytes += bytes;
}

/* Gives back what is dealt with: drops, and the first `taken` frames. The rest stays in the ring. */
static unsigned tx_settle(struct vnet *n, unsigned q, const struct tx_entry *entries, unsigned count, unsigned taken)
{
	struct vring *r = &n->dev.queues[q].ring;
	unsigned i;
	for (i = 0; i < count; i++) {
		if (entries[i].drop != VNET_DROP_NONE) {
			n->drops[entries[i].drop]++;
		} else {
			if (taken == 0)
				break;
			taken--;
			n->tx_frames++;
			n->tx_bytes += entries[i].len;
		}
		vring_push(r, entries[i].head, 0);
	}
	n->tx_kept += count - i;
	vring_unpop(r, count - i);
	return i;
}

/* Their headers are read from guest memory, which may change: at worst a flow is received on another of the guest's own queues. */
static void tx_steer(struct vnet *n, unsigned pair, const struct hv_seg *segs, unsigned nsegs, uint32_t len)
{
	uint8_t start[VNET_STEER_BYTES];
	size_t read = blk_segs_to_buf(segs, nsegs, 0, start, HV_MIN(len, (uint32_t)sizeof(start)));
	vnet_steer_learn(&n->steer, start, (uint32_t)read, pair);
}

/* Chains of any form. */
static unsigned tx_mixed(struct vnet *n, unsigned pair, unsigned most)
{
	struct tx_entry entries[NETPORT_BURST];
	struct netport_frame frames[NETPORT_BURST];
	struct vring *r = &n->dev.queues[vnet_q_tx(pair)].ring;
	unsigned frame_count, taken = 0;
	unsigned count = tx_collect(n, vnet_q_tx(pair), most, entries, frames, &frame_count);
	if (count == 0 || !virtio_running(&n->dev))
		return 0;
	for (unsigned i = 0; n->pairs > 1 && i < frame_count; i++)
		tx_steer(n, pair, frames[i].segs, frames[i].nsegs, frames[i].len);
	if (frame_count)
		taken = n->port->ops->tx_burst(n->port, frames, frame_count);
	if (HV_LIKELY(taken == count && r->flat)) {
		tx_settle_all(n, r, entries, count);
		return count;
	}
	return tx_settle(n, vnet_q_tx(pair), entries, count, taken);
}

/* Plain frames, up to the first chain that is none or the ring's end; *all: the switch took them all. */
static unsigned tx_plain(struct vnet *n, unsigned pair, struct vring *r, unsigned most, bool *all)
{
	struct hv_seg frames[NETPORT_BURST];
	uint64_t bytes;
	unsigned count = tx_collect_plain(n, r, frames, most, &bytes), taken;
	if (!count)
		return 0;
	for (unsigned i = 0; n->pairs > 1 && i < count; i++)
		tx_steer(n, pair, &frames[i], 1, frames[i].len);
	taken = n->port->ops->tx_plain(n->port, frames, count);
	for (unsigned i = taken; HV_UNLIKELY(i < count); i++)
		bytes -= frames[i].len;
	vring_took(r, taken);
	vring_answered(r, taken);
	n->tx_frames += taken;
	n->tx_bytes += bytes;
	n->tx_kept += count - taken;
	*all = taken == count;
	return taken;
}

unsigned vnet_tx_poll(struct vnet *n, unsigned pair)
{
	struct vring *r = &n->dev.queues[vnet_q_tx(pair)].ring;
	unsigned done = 0, plain = n->port->ops->tx_plain ? 1 : 0;
	bool all = true;
	if (!vring_has_chains(r))
		return 0;
	while (plain && all && done < NETPORT_BURST && vring_waiting(r)) {
		plain = tx_plain(n, pair, r, NETPORT_BURST - done, &all);
		done += plain;
	}
	if (all && done < NETPORT_BURST && vring_waiting(r))
		done += tx_mixed(n, pair, NETPORT_BURST - done);
	if (done && n->port->ops->tx_flush)
		n->port->ops->tx_flush(n->port);
	return done;
}
