/*
 * virtio-net (VIRTIO 1.2, 5.1): a guest NIC in front of a switch port (hv/netport.h). Queues (5.1.2): 0 receive, 1 transmit, 2 and 3 a
 * second pair and so on, then control; a driver without VIRTIO_NET_F_MQ uses one pair and finds control at 2.
 *
 * Owner: io_core, which is also the port's core. Nothing allocates after attach.
 *
 * Transmit: chains are taken in bursts; the switch copies the frames out before tx_burst returns, so used entries follow at once. Frames
 * that the switch has no room for go back into the ring. Receive: the switch calls rx_burst with frames, which are copied into the buffers
 * that the guest has posted; receive buffers need no notification, because the next rx_burst looks at the ring anyway.
 *
 * A frame whose virtio_net_hdr or size is wrong is dropped and counted by reason (enum vnet_drop); the guest sees it as sent. Only chains
 * that are no frames at all (no header, writable parts) break the device.
 */
#include "vdev/virtio/device.h"
#include "vdev/virtio/net_header.h"
#include "vdev/virtio/net_steer.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

static unsigned q_rx(unsigned pair)
{
	return 2 * pair;
}

static unsigned q_tx(unsigned pair)
{
	return 2 * pair + 1;
}

/* 5.1.3 */
#define F_CSUM (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU (1ull << 3)
#define F_MAC (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_GUEST_TSO6 (1ull << 8)
#define F_GUEST_ECN (1ull << 9)
#define F_HOST_TSO4 (1ull << 11)
#define F_HOST_TSO6 (1ull << 12)
#define F_HOST_ECN (1ull << 13)
#define F_MRG_RXBUF (1ull << 15)
#define F_STATUS (1ull << 16)
#define F_CTRL_VQ (1ull << 17)
#define F_CTRL_RX (1ull << 18)
#define F_MQ (1ull << 22)
#define F_CTRL_MAC_ADDR (1ull << 23)

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

/* 5.1.4 */
struct vnet_config {
	uint8_t mac[6];
	uint16_t status, max_pairs, mtu;
};
_Static_assert(sizeof(struct vnet_config) == 12, "5.1.4");

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

static struct vnet *of_dev(struct virtio_dev *d)
{
	return hv_container_of(d, struct vnet, dev);
}

static unsigned q_ctrl(const struct vnet *n)
{
	return virtio_has(&n->dev, F_MQ) ? q_rx(n->max_pairs) : q_rx(1);
}

/* ---- transmit ---- */

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
	if (!virtio_has(&n->dev, F_CSUM))
		return 0; /* 5.1.3.1: segmentation needs checksums */
	f |= NETPORT_F_CSUM;
	f |= virtio_has(&n->dev, F_HOST_TSO4) ? NETPORT_F_TSO4 : 0;
	f |= virtio_has(&n->dev, F_HOST_TSO6) ? NETPORT_F_TSO6 : 0;
	f |= virtio_has(&n->dev, F_HOST_ECN) ? NETPORT_F_ECN : 0;
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

/* Takes up to a burst of chains. Returns how many; *frame_count of them are frames. */
static unsigned tx_collect(struct vnet *n, unsigned q, struct tx_entry *entries, struct netport_frame *frames, unsigned *frame_count)
{
	unsigned i;
	*frame_count = 0;
	for (i = 0; i < NETPORT_BURST; i++) {
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
		struct netport_frame *f = &frames[*frame_count];
		entries[i].drop = (uint8_t)make_frame(n, &c, f);
		entries[i].len = f->len;
		*frame_count += entries[i].drop == VNET_DROP_NONE;
	}
	return i;
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

static unsigned tx_poll(struct vnet *n, unsigned pair)
{
	struct tx_entry entries[NETPORT_BURST];
	struct netport_frame frames[NETPORT_BURST];
	unsigned frame_count, taken = 0;
	unsigned count = tx_collect(n, q_tx(pair), entries, frames, &frame_count);
	if (count == 0 || !virtio_running(&n->dev))
		return 0;
	if (frame_count) {
		if (n->pairs > 1)
			tx_steer(n, pair, frames, frame_count);
		taken = n->port->ops->tx_burst(n->port, frames, frame_count);
		if (n->port->ops->tx_flush)
			n->port->ops->tx_flush(n->port);
	}
	return tx_settle(n, q_tx(pair), entries, count, taken);
}

/* ---- receive ---- */

static uint32_t receiving_features(const struct vnet *n)
{
	uint32_t f = 0;
	if (!virtio_has(&n->dev, F_GUEST_CSUM))
		return 0;
	f |= NETPORT_F_CSUM;
	f |= virtio_has(&n->dev, F_GUEST_TSO4) ? NETPORT_F_TSO4 : 0;
	f |= virtio_has(&n->dev, F_GUEST_TSO6) ? NETPORT_F_TSO6 : 0;
	f |= virtio_has(&n->dev, F_GUEST_ECN) ? NETPORT_F_ECN : 0;
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
	unsigned most = virtio_has(d, F_MRG_RXBUF) ? VNET_RX_CHAINS : 1;
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

static unsigned rx_pair(struct vnet *n, const netport_rx_frame *f)
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
	unsigned q = q_rx(rx_pair(n, f));
	struct vnet_header h;
	struct rx_buffers b;
	uint32_t total = f->len + (uint32_t)sizeof(h);
	enum vnet_drop drop = f->len > VNET_FRAME_MAX ? VNET_DROP_RX_TOO_LONG : vnet_header_encode(&f->off, receiving_features(n), &h);
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

static unsigned rx_burst(void *arg, const netport_rx_frame *frames, unsigned count)
{
	struct vnet *n = arg;
	unsigned i = 0;
	if (!virtio_running(&n->dev) || n->dev.draining || !vpci_bus_master(&n->dev.pci))
		return 0;
	while (i < count && rx_frame(n, &frames[i]))
		i++;
	return i;
}

static void rx_flush(void *arg)
{
	struct vnet *n = arg;
	for (unsigned pair = 0; pair < n->pairs; pair++)
		(void)virtio_publish(&n->dev, q_rx(pair)); /* how many became visible does not matter here */
}

/* ---- control (5.1.6.5) ---- */

enum {
	CTRL_RX = 0,
	CTRL_MAC = 1,
	CTRL_MQ = 4,
	MQ_PAIRS_SET = 0,
	RX_PROMISC = 0,
	RX_ALLMULTI = 1,
	MAC_TABLE_SET = 0,
	MAC_ADDR_SET = 1,
	CTRL_OK = 0,
	CTRL_ERR = 1
};

static uint8_t ctrl_rx(struct vnet *n, uint8_t command, const uint8_t *data, size_t len)
{
	if (len != 1 || command > RX_ALLMULTI)
		return CTRL_ERR;
	if (command == RX_PROMISC)
		n->promisc = data[0];
	else
		n->allmulti = data[0];
	n->port->ops->set_filter(n->port, n->promisc, n->allmulti);
	return CTRL_OK;
}

static void set_mac(struct vnet *n, const uint8_t mac[6])
{
	memcpy(n->mac, mac, 6);
	virtio_config_set(&n->dev, 0, mac, 6);
	n->port->ops->set_mac(n->port, mac);
}

/*
 * The receive filter's address lists: two tables {le32 entries, entries * 6 bytes}, unicast and multicast. The port knows addresses by its
 * own learning and floods multicast, so a list needs nothing beyond a check of its form.
 */
static uint8_t ctrl_mac_table(const struct vring_chain *c, uint32_t offset)
{
	for (unsigned table = 0; table < 2; table++) {
		uint32_t entries;
		if (blk_segs_to_buf(c->segs, c->out_segs, offset, &entries, sizeof(entries)) != sizeof(entries))
			return CTRL_ERR;
		offset += (uint32_t)sizeof(entries);
		if (entries > (c->out_bytes - offset) / 6)
			return CTRL_ERR;
		offset += entries * 6;
	}
	return offset == c->out_bytes ? CTRL_OK : CTRL_ERR;
}

/* 5.1.6.5.5: the guest says how many pairs it uses; what still lies in others waits until it uses them again. */
static uint8_t ctrl_pairs(struct vnet *n, uint8_t command, const uint8_t *data, size_t len)
{
	uint16_t pairs;
	if (!virtio_has(&n->dev, F_MQ) || command != MQ_PAIRS_SET || len != sizeof(pairs))
		return CTRL_ERR;
	memcpy(&pairs, data, sizeof(pairs));
	if (pairs < 1 || pairs > n->max_pairs)
		return CTRL_ERR;
	n->pairs = pairs;
	n->most_pairs = HV_MAX(n->most_pairs, pairs);
	return CTRL_OK;
}

static uint8_t ctrl_command(struct vnet *n, const struct vring_chain *c)
{
	uint8_t b[8]; /* class, command, and the longest fixed-size argument */
	size_t len = blk_segs_to_buf(c->segs, c->out_segs, 0, b, HV_MIN(c->out_bytes, (uint32_t)sizeof(b)));
	if (len < 2)
		return CTRL_ERR;
	if (b[0] == CTRL_RX)
		return ctrl_rx(n, b[1], b + 2, c->out_bytes - 2);
	if (b[0] == CTRL_MQ)
		return ctrl_pairs(n, b[1], b + 2, c->out_bytes - 2);
	if (b[0] != CTRL_MAC)
		return CTRL_ERR;
	if (b[1] == MAC_TABLE_SET)
		return ctrl_mac_table(c, 2);
	if (b[1] != MAC_ADDR_SET || c->out_bytes != 8 || (b[2] & 1))
		return CTRL_ERR;
	set_mac(n, b + 2);
	return CTRL_OK;
}

static unsigned ctrl_poll(struct vnet *n)
{
	struct virtio_dev *d = &n->dev;
	struct hv_seg segs[VNET_CTRL_SEGS];
	unsigned q = q_ctrl(n), i;
	for (i = 0; i < VNET_CTRL_BURST; i++) {
		struct vring_chain c;
		enum vring_pop got = virtio_pop(d, q, &c, segs, VNET_CTRL_SEGS);
		if (got == VRING_TOO_LONG || (got == VRING_CHAIN && c.in_bytes < 1))
			virtio_break(d, q, c.head, "command without room for its result, or of too many segments");
		if (got != VRING_CHAIN || !virtio_running(d))
			break;
		uint8_t ack = ctrl_command(n, &c);
		blk_segs_from_buf(c.segs + c.out_segs, c.in_segs, 0, &ack, 1);
		vring_push(&d->queues[q].ring, c.head, 1);
	}
	return i;
}

/* ---- the device ---- */

static unsigned vnet_poll(struct virtio_dev *d)
{
	struct vnet *n = of_dev(d);
	unsigned work = 0;
	if (!d->draining) {
		for (unsigned pair = 0; pair < n->pairs; pair++)
			work += tx_poll(n, pair);
		work += ctrl_poll(n);
	}
	for (unsigned q = 0; q < q_rx(n->pairs); q++)
		work += virtio_publish(d, q);
	return work + virtio_publish(d, q_ctrl(n));
}

static void vnet_start(struct virtio_dev *d)
{
	struct vnet *n = of_dev(d);
	for (unsigned q = 0; q < d->queue_count; q++)
		d->queues[q].listens = (q & 1) || q == q_ctrl(n);
	n->port->ops->set_features(n->port, receiving_features(n));
}

/* Reset: the port is as if no driver had ever been there. */
static void vnet_stop(struct virtio_dev *d)
{
	struct vnet *n = of_dev(d);
	n->promisc = n->allmulti = false;
	n->pairs = 1;
	vnet_steer_reset(&n->steer);
	n->port->ops->set_features(n->port, 0);
	n->port->ops->set_filter(n->port, false, false);
	if (memcmp(n->mac, n->port->mac, 6) != 0)
		set_mac(n, n->port->mac);
}

static struct vnet_config config_now(const struct vnet *n)
{
	struct vnet_config c = {.status = n->port->link_up ? VNET_LINK_UP : 0, .max_pairs = n->max_pairs, .mtu = n->port->mtu};
	memcpy(c.mac, n->mac, 6);
	return c;
}

static void port_changed(void *arg)
{
	struct vnet *n = arg;
	struct vnet_config c = config_now(n);
	virtio_config_set(&n->dev, 0, &c, sizeof(c));
}

static void vnet_stats(struct virtio_dev *d, struct vm_stats_sink *sink)
{
	const struct vnet *n = of_dev(d);
	virtio_counter(d, sink, "tx_frames", n->tx_frames);
	virtio_counter(d, sink, "tx_bytes", n->tx_bytes);
	virtio_counter(d, sink, "tx_kept", n->tx_kept);
	virtio_counter(d, sink, "rx_frames", n->rx_frames);
	virtio_counter(d, sink, "rx_bytes", n->rx_bytes);
	virtio_counter(d, sink, "rx_no_buffer", n->rx_no_buffer);
	virtio_counter(d, sink, "pairs", n->most_pairs);
	for (unsigned pair = 1; pair < n->max_pairs; pair++) {
		char name[24];
		hv_snprintf(name, sizeof(name), "pair%u.rx_chains", pair);
		virtio_counter(d, sink, name, d->queues[q_rx(pair)].chains);
		hv_snprintf(name, sizeof(name), "pair%u.tx_chains", pair);
		virtio_counter(d, sink, name, d->queues[q_tx(pair)].chains);
	}
	for (unsigned i = VNET_DROP_NONE + 1; i < VNET_DROP_COUNT; i++)
		virtio_counter(d, sink, vnet_drop_name(i), n->drops[i]);
}

static void vnet_save(struct virtio_dev *d, struct state_writer *w)
{
	const struct vnet *n = of_dev(d);
	state_put(w, n->mac, sizeof(n->mac));
	state_put_u8(w, (uint8_t)(n->promisc | n->allmulti << 1));
	state_put_u16(w, n->pairs);
}

static int vnet_load(struct virtio_dev *d, struct state_reader *r)
{
	struct vnet *n = of_dev(d);
	uint8_t mac[6];
	state_get(r, mac, sizeof(mac));
	uint8_t filter = state_get_u8(r);
	uint16_t pairs = state_get_u16(r);
	if (!state_reader_ok(r) || filter > 3 || pairs < 1 || pairs > n->max_pairs)
		return trace_error(-EINVAL);
	n->pairs = pairs;
	n->promisc = filter & 1;
	n->allmulti = filter & 2;
	n->port->ops->set_filter(n->port, n->promisc, n->allmulti);
	set_mac(n, mac);
	return 0;
}

static void vnet_destroy(struct virtio_dev *d)
{
	struct vnet *n = of_dev(d);
	n->port->ops->set_client(n->port, NULL);
	hv_contig_free(n, sizeof(*n));
}

static const struct virtio_ops vnet_ops = {
	.start = vnet_start,
	.poll = vnet_poll,
	.stop = vnet_stop,
	.stats = vnet_stats,
	.save = vnet_save,
	.load = vnet_load,
	.destroy = vnet_destroy,
};

static uint64_t offer(const struct netport *port, unsigned max_pairs)
{
	uint64_t f = (max_pairs > 1 ? F_MQ : 0) | F_MAC | (port->mtu >= 68 ? F_MTU : 0) | F_STATUS | F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_RX |
		     F_CTRL_MAC_ADDR;
	if (!(port->features & NETPORT_F_CSUM))
		return f;
	f |= F_CSUM | F_GUEST_CSUM;
	f |= port->features & NETPORT_F_TSO4 ? F_HOST_TSO4 | F_GUEST_TSO4 : 0;
	f |= port->features & NETPORT_F_TSO6 ? F_HOST_TSO6 | F_GUEST_TSO6 : 0;
	f |= port->features & NETPORT_F_ECN ? F_HOST_ECN | F_GUEST_ECN : 0;
	return f;
}

static void vnet_init(struct vnet *n, unsigned index, struct netport *port, unsigned max_pairs)
{
	struct virtio_dev *d = &n->dev;
	n->port = port;
	n->max_pairs = (uint16_t)max_pairs;
	n->pairs = n->most_pairs = 1;
	vnet_steer_reset(&n->steer);
	memcpy(n->mac, port->mac, 6);
	n->client = (struct netport_client){.rx_burst = rx_burst, .rx_flush = rx_flush, .changed = port_changed, .arg = n};
	hv_snprintf(d->name, sizeof(d->name), "nic%u", index);
	d->queue_count = (uint16_t)(q_rx(max_pairs) + 1);
	for (unsigned q = 0; q < d->queue_count; q++)
		d->queues[q].max_size = VNET_QUEUE_SIZE;
	d->offered = offer(port, max_pairs);
	d->config_bytes = sizeof(struct vnet_config);
	struct vnet_config c = config_now(n);
	memcpy(d->config, &c, sizeof(c));
}

int vnet_attach(struct vm *vm, unsigned index, const struct vm_nic_config *config)
{
	struct netport *port = config->port;
	if (!port || port->core != vm->config.io_core) {
		log_error("vnet.port", "%s: nic%u has no switch port on core %u", vm->name, index, vm->config.io_core);
		return trace_error(-EINVAL);
	}
	struct vnet *n = hv_contig_alloc(sizeof(*n), HV_PAGE_SIZE);
	if (!n)
		return trace_error(-ENOMEM);
	memset(n, 0, sizeof(*n));
	unsigned pairs = config->queue_pairs ? config->queue_pairs : vm->config.cpus;
	vnet_init(n, index, port, HV_MAX(HV_MIN(pairs, (unsigned)VNET_PAIRS_MAX), 1u));
	int err = virtio_dev_add(vm, &n->dev, 1, 0x020000, &vnet_ops);
	if (err < 0) {
		hv_contig_free(n, sizeof(*n));
		return err;
	}
	port->ops->set_client(port, &n->client);
	return 0;
}
