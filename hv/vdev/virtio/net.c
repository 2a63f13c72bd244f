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
 * The two directions are net_tx.c and net_rx.c.
 *
 * A frame whose virtio_net_hdr or size is wrong is dropped and counted by reason (enum vnet_drop); the guest sees it as sent. Only chains
 * that are no frames at all (no header, writable parts) break the device.
 */
#include "vdev/virtio/net.h"
#include "vm/state.h"
#include "vm/vm_impl.h"
#include <errno.h>
#include <hv/log.h>
#include <hv/mem.h>
#include <string.h>

/* 5.1.4 */
struct vnet_config {
	uint8_t mac[6];
	uint16_t status, max_pairs, mtu;
};
_Static_assert(sizeof(struct vnet_config) == 12, "5.1.4");

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
	if (!virtio_has(&n->dev, VNET_F_MQ) || command != MQ_PAIRS_SET || len != sizeof(pairs))
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
	unsigned q = vnet_q_ctrl(n), i;
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
	struct vnet *n = vnet_of_dev(d);
	unsigned work = 0, ctrl = vnet_q_ctrl(n);
	if (!d->draining) {
		for (unsigned pair = 0; pair < n->pairs; pair++)
			work += vnet_tx_poll(n, pair);
		if (HV_UNLIKELY(vring_has_chains(&d->queues[ctrl].ring)))
			work += ctrl_poll(n);
	}
	for (unsigned q = 0; q < vnet_q_rx(n->pairs); q++)
		work += virtio_publish(d, q);
	return work + virtio_publish(d, ctrl);
}

static void vnet_start(struct virtio_dev *d)
{
	struct vnet *n = vnet_of_dev(d);
	for (unsigned q = 0; q < d->queue_count; q++)
		d->queues[q].listens = (q & 1) || q == vnet_q_ctrl(n);
	n->port->ops->set_features(n->port, vnet_receiving_features(n));
}

/* Reset: the port is as if no driver had ever been there. */
static void vnet_stop(struct virtio_dev *d)
{
	struct vnet *n = vnet_of_dev(d);
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
	const struct vnet *n = vnet_of_dev(d);
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
		virtio_counter(d, sink, name, d->queues[vnet_q_rx(pair)].chains);
		hv_snprintf(name, sizeof(name), "pair%u.tx_chains", pair);
		virtio_counter(d, sink, name, d->queues[vnet_q_tx(pair)].chains);
	}
	for (unsigned i = VNET_DROP_NONE + 1; i < VNET_DROP_COUNT; i++)
		virtio_counter(d, sink, vnet_drop_name(i), n->drops[i]);
}

static void vnet_save(struct virtio_dev *d, struct state_writer *w)
{
	const struct vnet *n = vnet_of_dev(d);
	state_put(w, n->mac, sizeof(n->mac));
	state_put_u8(w, (uint8_t)(n->promisc | n->allmulti << 1));
	state_put_u16(w, n->pairs);
}

static int vnet_load(struct virtio_dev *d, struct state_reader *r)
{
	struct vnet *n = vnet_of_dev(d);
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
	struct vnet *n = vnet_of_dev(d);
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
	uint64_t f = (max_pairs > 1 ? VNET_F_MQ : 0) | VNET_F_MAC | (port->mtu >= 68 ? VNET_F_MTU : 0) | VNET_F_STATUS | VNET_F_MRG_RXBUF |
		     VNET_F_CTRL_VQ | VNET_F_CTRL_RX | VNET_F_CTRL_MAC_ADDR;
	if (!(port->features & NETPORT_F_CSUM))
		return f;
	f |= VNET_F_CSUM | VNET_F_GUEST_CSUM;
	f |= port->features & NETPORT_F_TSO4 ? VNET_F_HOST_TSO4 | VNET_F_GUEST_TSO4 : 0;
	f |= port->features & NETPORT_F_TSO6 ? VNET_F_HOST_TSO6 | VNET_F_GUEST_TSO6 : 0;
	f |= port->features & NETPORT_F_ECN ? VNET_F_HOST_ECN | VNET_F_GUEST_ECN : 0;
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
	n->client = (struct netport_client){
		.rx_burst = vnet_rx_burst, .rx_direct = vnet_rx_direct, .rx_flush = vnet_rx_flush, .changed = port_changed, .arg = n};
	hv_snprintf(d->name, sizeof(d->name), "nic%u", index);
	d->queue_count = (uint16_t)(vnet_q_rx(max_pairs) + 1);
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
