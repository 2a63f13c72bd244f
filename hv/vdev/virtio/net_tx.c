/*
 * virtio-net, from the guest: chains of a transmit queue become frames for the switch, a burst at a time. The usual chain, one buffer, goes
 * a short way; any other, and what is wrong with it, is judged by the long one. See net.c for owner and drops.
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

/* A header in guest memory, read once: what is checked is this copy. */
static HV_ALWAYS_INLINE struct vnet_header read_header(const void *from)
{
	struct vnet_header h;
	memcpy(&h, from, sizeof(h));
	__asm__ volatile("" : "+m"(h));
	return h;
}

/* What a burst needs to know once. */
struct tx_view {
	struct vring_burst ring;
	uint32_t limit; /* of a frame's length */
	uint32_t features;
};

/* False: the chain is left in the ring for the long way. */
static HV_ALWAYS_INLINE bool tx_simple(struct tx_view *v, struct hv_seg *seg, struct tx_entry *e, struct netport_frame *f)
{
	struct vring_one one;
	if (HV_UNLIKELY(!vring_look(&v->ring, false, sizeof(struct vnet_header) + 14, &one)))
		return false;
	uint32_t len = one.len - (uint32_t)sizeof(struct vnet_header);
	if (HV_UNLIKELY(len > v->limit))
		return false;
	struct vnet_header h = read_header(one.base);
	*seg = (struct hv_seg){one.base + sizeof(h), len};
	f->segs = seg;
	f->nsegs = 1;
	f->len = len;
	memset(&f->off, 0, sizeof(f->off));
	*e = (struct tx_entry){.head = one.head, .len = len};
	if (HV_UNLIKELY(h.flags | h.gso_type))
		e->drop = (uint8_t)vnet_header_decode(&h, len, v->features, &f->off);
	vring_take(&v->ring);
	return true;
}

/* The chains from the first on for which tx_simple is enough, `most` at most. */
static unsigned tx_collect_simple(
	struct vnet *n, struct vring *r, struct tx_entry *entries, struct netport_frame *frames, unsigned most, unsigned *frame_count)
{
	struct tx_view v = {.limit = frame_limit(n, false), .features = sending_features(n)};
	unsigned i, count = *frame_count;
	vring_burst_begin(r, &v.ring);
	for (i = 0; i < most && tx_simple(&v, n->tx_segs[NETPORT_BURST - most + i], &entries[i], &frames[count]); i++)
		count += entries[i].drop == VNET_DROP_NONE;
	vring_burst_end(r, &v.ring);
	*frame_count = count;
	return i;
}

/* ---- bursts ---- */

/* Takes up to a burst of chains. Returns how many; *frame_count of them are frames. */
static unsigned tx_collect(struct vnet *n, unsigned q, struct tx_entry *entries, struct netport_frame *frames, unsigned *frame_count)
{
	struct vring *r = &n->dev.queues[q].ring;
	unsigned i, count = 0;
	for (i = 0; i < NETPORT_BURST; i++) {
		if (virtio_running(&n->dev))
			i += tx_collect_simple(n, r, &entries[i], frames, NETPORT_BURST - i, &count);
		if (i == NETPORT_BURST)
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
	struct vring_burst b = {
		.used = r->used.first + 4, .mask = r->config.size - 1u, .next_avail = r->next_avail, .next_used = r->next_used};
	uint64_t bytes = 0;
	for (unsigned i = 0; i < count; i++) {
		bytes += entries[i].len;
		vring_return(&b, entries[i].head, 0);
	}
	vring_burst_end(r, &b);
	r->unmarked = true;
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
static void tx_steer(struct vnet *n, unsigned pair, const struct netport_frame *frames, unsigned count)
{
	uint8_t start[VNET_STEER_BYTES];
	for (unsigned i = 0; i < count; i++) {
		size_t len = blk_segs_to_buf(frames[i].segs, frames[i].nsegs, 0, start, HV_MIN(frames[i].len, (uint32_t)sizeof(start)));
		vnet_steer_learn(&n->steer, start, (uint32_t)len, pair);
	}
}

unsigned vnet_tx_poll(struct vnet *n, unsigned pair)
{
	struct tx_entry entries[NETPORT_BURST];
	struct netport_frame frames[NETPORT_BURST];
	unsigned frame_count, taken = 0;
	unsigned count = tx_collect(n, vnet_q_tx(pair), entries, frames, &frame_count);
	if (count == 0 || !virtio_running(&n->dev))
		return 0;
	if (frame_count) {
		if (n->pairs > 1)
			tx_steer(n, pair, frames, frame_count);
		taken = n->port->ops->tx_burst(n->port, frames, frame_count);
		if (n->port->ops->tx_flush)
			n->port->ops->tx_flush(n->port);
	}
	struct vring *r = &n->dev.queues[vnet_q_tx(pair)].ring;
	if (HV_LIKELY(taken == count && r->flat)) {
		tx_settle_all(n, r, entries, count);
		return count;
	}
	return tx_settle(n, vnet_q_tx(pair), entries, count, taken);
}
