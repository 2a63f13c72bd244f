/*
 * An uplink: a physical NIC (DPDK ethdev port) as a port of the switch. This file configures and starts the device, has it polled, and
 * watches its link; uplink_rx.c and uplink_tx.c are its two directions.
 *
 * Owner: the switch's core. A receive queue belongs to the core that polls it, which is the switch's for all of them: each has a poller,
 * counters and an interrupt of its own, so a flood in one leaves the others' flows their descriptors and their turn. One queue sends.
 *
 * States: attached, link down -> link up, watched ten times a second; each queue: polled, or armed = its receive interrupt is on while the
 * core sleeps.
 */
#include "uplink.h"

#include "discovery.h"
#include "filter.h"

#include <errno.h>
#include <hv/mem.h>
#include <hv/netport.h>
#include <rte_ethdev.h>
#include <string.h>

#define RX_DESCRIPTORS 1024    /* of all queues, but each has ... */
#define RX_DESCRIPTORS_MIN 256 /* ... these at least */
#define RX_MBUFS 4095u         /* in the rings, twice RX_DESCRIPTORS at most, and on their way */
#define RSS_KEY_BYTES 40
#define TX_DESCRIPTORS 1024

static unsigned queue_poll(struct hv_poller *poller)
{
	struct vsw_uplink_queue *q = hv_container_of(poller, struct vsw_uplink_queue, poller);
	unsigned n = vsw_uplink_receive(q);

	return vsw_uplink_backlogged(q->uplink) ? n + vsw_uplink_push(q->uplink) : n;
}

/* Before the core sleeps: interrupt on, then one more look, so that a frame that came in between is not left lying. */
static bool queue_arm(struct hv_poller *poller, bool on)
{
	struct vsw_uplink_queue *q = hv_container_of(poller, struct vsw_uplink_queue, poller);
	struct vsw_uplink *u = q->uplink;

	if (!u->dev.arm || (on && vsw_uplink_backlogged(u)))
		return on; /* must be polled: no interrupt, or frames wait for room in the transmit ring */
	u->dev.arm(u->dev.arg, q->index, on);
	if (!on || !vsw_uplink_receive(q))
		return false;
	u->dev.arm(u->dev.arg, q->index, false);
	return true;
}

/* ---- control ---- */

struct vsw_port *vsw_uplink_port(struct vsw_uplink *u)
{
	return &u->port;
}

void vsw_uplink_queues(const struct vsw_uplink *u, struct vsw_uplink_info *info)
{
	info->queue_count = u->queue_count;
	for (unsigned i = 0; i < u->queue_count; i++)
		info->queue_frames[i] = u->queues[i].frames;
}

static bool read_link(const struct vsw_uplink *u)
{
	struct rte_eth_link link = {0};

	return rte_eth_link_get_nowait(u->dev.ethdev_port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

void vsw_uplink_watch(struct vsw_uplink *u)
{
	bool up = read_link(u);

	if (up == u->port.link_up)
		return;
	u->port.link_up = up;
	if (up)
		u->port.link_up_ns = hv_now_ns();
	else
		u->port.link_lost = true;
	vsw_discovery_link(&u->port, up);
	log_info("vswitch.uplink.link", "uplink %s: link %s", u->port.name, up ? "up" : "down");
	vsw_team_update(u->port.sw->v);
}

bool vsw_uplink_attached(const struct vsw *v, unsigned uplink)
{
	return uplink < v->config.uplink_count && v->uplinks[uplink];
}

bool vsw_uplink_link_up(const struct vsw *v, unsigned uplink)
{
	return uplink < v->config.uplink_count && v->uplinks[uplink] && v->uplinks[uplink]->port.link_up;
}

/* Does a frame of this MTU, with Ethernet header, two tags' room and FCS, fit into one buffer? */
static bool fits_buffer(uint32_t mtu)
{
	return mtu + 22u <= RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM;
}

/* Takes every offload that the device has and the switch can use. */
static void choose_offloads(struct vsw_uplink *u, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	const uint64_t l4 = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	uint64_t can = info->tx_offload_capa, want = can & (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);

	u->chains = can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	u->ip_checksum = can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if ((can & l4) == l4) {
		u->features = NETPORT_F_CSUM;
		want |= l4;
		if (can & RTE_ETH_TX_OFFLOAD_TCP_TSO && u->chains) {
			u->features |= NETPORT_F_TSO4 | NETPORT_F_TSO6;
			want |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
		}
	}
	conf->txmode.offloads = want;
	conf->rxmode.offloads = info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	if (!fits_buffer(conf->rxmode.mtu))
		conf->rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	u->scatter = conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER;
}

/*
 * As many receive queues as the configuration asks for and the device has. A device that can be told how to spread flows (RSS) gets them by
 * addresses and ports, with a key that puts both directions of a flow into one queue; another spreads as it likes. One queue sends: it has
 * one owner in any case.
 */
static void choose_queues(struct vsw_uplink *u, const struct rte_eth_dev_info *info, unsigned wanted, struct rte_eth_conf *conf)
{
	static const uint8_t repeated[2] = {0x6d, 0x5a};
	static uint8_t key[RSS_KEY_BYTES];
	uint64_t fields = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
	unsigned most = HV_MIN(HV_MIN(u->dev.queues, (unsigned)info->max_rx_queues), VSW_UPLINK_QUEUES);

	wanted = HV_MAX(wanted, 1u);
	u->queue_count = HV_MAX(HV_MIN(wanted, most), 1u);
	if (u->queue_count < wanted)
		log_warn("vswitch.uplink.queues", "uplink %s: its NIC has %u receive queue%s, not %u", u->port.name, u->queue_count,
			u->queue_count == 1 ? "" : "s", wanted);
	if (u->queue_count == 1 || !fields)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = fields;
	if (info->hash_key_size != sizeof(key))
		return; /* the driver's own */
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = repeated[i % 2];
	conf->rx_adv_conf.rss_conf.rss_key = key;
	conf->rx_adv_conf.rss_conf.rss_key_len = sizeof(key);
}

static int setup_queues(struct vsw_uplink *u, const struct rte_eth_conf *conf)
{
	uint16_t rx = (uint16_t)HV_MAX(RX_DESCRIPTORS / u->queue_count, RX_DESCRIPTORS_MIN), tx = TX_DESCRIPTORS, port = u->dev.ethdev_port;
	int err = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);

	for (unsigned i = 0; !err && i < u->queue_count; i++)
		err = rte_eth_rx_queue_setup(port, (uint16_t)i, rx, SOCKET_ID_ANY, NULL, u->port.sw->v->rx_pools[u->pool]);
	if (!err)
		err = rte_eth_tx_queue_setup(port, 0, tx, SOCKET_ID_ANY, NULL);
	return err;
}

static int start_device(struct vsw_uplink *u, const struct vsw_uplink_config *config)
{
	uint16_t port = u->dev.ethdev_port;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	struct rte_ether_addr mac;
	int err = rte_eth_dev_info_get(port, &info);

	if (err)
		return err;
	conf.rxmode.mtu = HV_MAX(HV_MIN(config->mtu ? config->mtu : u->port.sw->mtu, info.max_mtu), info.min_mtu);
	u->device_mtu = (uint16_t)conf.rxmode.mtu;
	conf.intr_conf.rxq = u->dev.arm != NULL;
	choose_offloads(u, &info, &conf);
	choose_queues(u, &info, config->queues, &conf);
	err = rte_eth_dev_configure(port, (uint16_t)u->queue_count, 1, &conf);
	if (!err)
		err = setup_queues(u, &conf);
	if (!err)
		err = rte_eth_dev_start(port);
	if (err)
		return err;
	/* Guests' MACs are not the device's: it must receive all. */
	err = rte_eth_promiscuous_enable(port);
	if (!err || err == -ENOTSUP)
		err = rte_eth_macaddr_get(port, &mac);
	if (err) {
		rte_eth_dev_stop(port);
		return err;
	}
	memcpy(u->port.uplink_mac, mac.addr_bytes, sizeof(u->port.uplink_mac));
	return 0;
}

/* The vSwitch that has the uplink; an uplink belongs to at most one (config/check.c). */
static struct vsw_switch *switch_of(struct vsw *v, unsigned uplink)
{
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		for (unsigned k = 0; k < v->config.switches[i].uplink_count; k++) {
			if (v->config.switches[i].uplinks[k] == uplink)
				return v->switches[i];
		}
	}
	return NULL;
}

static void init_port(struct vsw_uplink *u, struct vsw_switch *sw, const char *name)
{
	u->port.kind = VSW_PORT_UPLINK;
	u->port.sw = sw;
	u->port.mac = UINT64_MAX; /* equals no 48-bit address */
	u->port.flags = VSW_PF_PRIVATE;
	u->port.deliver = vsw_uplink_deliver;
	u->port.check = vsw_uplink_check;
	u->port.refuses = vsw_uplink_refuses;
	vsw_port_set_mtu(&u->port, sw->mtu);
	hv_snprintf(u->port.name, sizeof(u->port.name), "%s", name);
}

/* ---- the VLANs it carries ---- */

#define DOMAIN_TABLE_BYTES (65536 * sizeof(uint16_t))

void vsw_uplink_domain_changed(struct vsw_uplink *u, uint16_t vlan)
{
	bool carried = !u->restricted || vsw_vlan_in(&u->vlans, vlan);

	for (unsigned priority = 0; priority < 16; priority++) /* PCP and DEI */
		u->domain_of_tci[__builtin_bswap16((uint16_t)(priority << 12 | vlan))] =
			carried ? u->port.sw->domain_of[vlan] : VSW_DOMAIN_NONE;
}

static void take_vlans(struct vsw_uplink *u, const struct vsw_uplink_config *config)
{
	u->restricted = config->vlan_count;
	u->vlans = (struct vsw_vlan_set){0};
	vsw_vlan_set_ranges(&u->vlans, config->vlans, config->vlan_count);
	for (unsigned vlan = 0; vlan <= VSW_VLAN_MAX; vlan++)
		vsw_uplink_domain_changed(u, (uint16_t)vlan);
}

/* ---- live change ---- */

int vsw_uplink_mtu_prepare(struct vsw_uplink *u, uint16_t mtu)
{
	int err;

	if (mtu <= u->device_mtu) /* the switch itself keeps to a smaller one */
		return 0;
	if (!fits_buffer(mtu) && !u->scatter)
		return trace_error(-ENOTSUP);
	err = rte_eth_dev_set_mtu(u->dev.ethdev_port, mtu);
	if (err)
		return trace_error(err);
	u->mtu_before = u->device_mtu;
	u->device_mtu = mtu;
	return 0;
}

void vsw_uplink_mtu_abort(struct vsw_uplink *u)
{
	if (!u->mtu_before)
		return;
	if (rte_eth_dev_set_mtu(u->dev.ethdev_port, u->mtu_before) == 0)
		u->device_mtu = u->mtu_before;
	u->mtu_before = 0;
}

/* The uplink may be another vSwitch's now; teams are chosen by the caller. */
void vsw_uplink_apply(struct vsw_uplink *u, unsigned uplink)
{
	struct vsw *v = u->port.sw->v;

	u->mtu_before = 0;
	if (u->port.sw != switch_of(v, uplink)) {
		u->port.sw = switch_of(v, uplink);
		u->port.blocked = u->port.sw->config->has_lacp;
	}
	u->port.bit = (uint16_t)(1u << uplink);
	vsw_port_set_mtu(&u->port, u->port.sw->mtu);
	take_vlans(u, &v->config.uplinks[uplink]);
	vsw_discovery_apply(&u->port, uplink);
	vsw_storm_apply(&u->port, &v->config.uplinks[uplink].storm);
}

/* ---- attach, detach ---- */

static void start_polling(struct vsw_uplink *u)
{
	for (unsigned i = 0; i < u->queue_count; i++) {
		u->queues[i] = (struct vsw_uplink_queue){
			.uplink = u, .index = (uint16_t)i, .poller = {.poll = queue_poll, .arm = queue_arm, .name = u->port.name}};
		hv_poller_add(&u->queues[i].poller);
	}
}

/*
 * Each uplink receives into a pool of its own, so that frames of one that wait somewhere do not starve another. A pool stays when its
 * uplink goes, since frames may still be on their way; the next uplink gets it.
 */
static int take_pool(struct vsw_uplink *u)
{
	struct vsw *v = u->port.sw->v;

	while (v->rx_pools_used >> u->pool & 1)
		u->pool++; /* there are as many as uplinks */
	if (!v->rx_pools[u->pool]) {
		char name[RTE_MEMPOOL_NAMESIZE];

		hv_snprintf(name, sizeof(name), "vsw%u-rx%u", v->core, u->pool);
		v->rx_pools[u->pool] =
			rte_pktmbuf_pool_create(name, RX_MBUFS, VSW_MBUF_CACHE, VSW_MBUF_PRIVATE, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	}
	if (!v->rx_pools[u->pool])
		return -ENOMEM;
	v->rx_pools_used |= 1u << u->pool;
	return 0;
}

static void leave_pool(struct vsw_uplink *u)
{
	u->port.sw->v->rx_pools_used &= ~(1u << u->pool);
}

int vsw_uplink_attach(struct vsw *v, unsigned uplink, const struct vsw_uplink_dev *dev)
{
	struct vsw_switch *sw = uplink < v->config.uplink_count ? switch_of(v, uplink) : NULL;
	struct vsw_uplink *u;
	int err;

	if (!sw)
		return trace_error(-EINVAL);
	if (v->uplinks[uplink])
		return trace_error(-EBUSY);
	u = hv_contig_alloc(sizeof(*u), HV_PAGE_SIZE);
	if (!u)
		return trace_error(-ENOMEM);
	u->dev = *dev;
	init_port(u, sw, v->config.uplinks[uplink].name);
	u->port.bit = (uint16_t)(1u << uplink);
	u->port.blocked = sw->config->has_lacp;
	err = -ENOMEM;
	u->domain_of_tci = hv_contig_alloc(DOMAIN_TABLE_BYTES, HV_PAGE_SIZE);
	if (!u->domain_of_tci)
		goto free_uplink;
	take_vlans(u, &v->config.uplinks[uplink]);
	err = take_pool(u);
	if (err)
		goto free_domains;
	err = start_device(u, &v->config.uplinks[uplink]);
	if (!err) {
		err = vsw_discovery_start(&u->port, uplink);
		if (!err)
			err = vsw_port_add(v, &u->port);
		if (err) {
			vsw_discovery_stop(&u->port);
			rte_eth_dev_stop(dev->ethdev_port);
		}
	}
	if (err)
		goto free_pool;
	v->uplinks[uplink] = u;
	vsw_storm_apply(&u->port, &v->config.uplinks[uplink].storm);
	start_polling(u);
	vsw_uplink_watch(u);
	return 0;
free_pool:
	leave_pool(u);
free_domains:
	hv_contig_free(u->domain_of_tci, DOMAIN_TABLE_BYTES);
free_uplink:
	log_error("vswitch.uplink.start", "uplink %s: device does not start: error %d", u->port.name, -err);
	hv_contig_free(u, sizeof(*u));
	return trace_error(err);
}

void vsw_uplink_detach(struct vsw_uplink *u)
{
	struct vsw *v = u->port.sw->v;

	for (unsigned i = 0; i < u->queue_count; i++)
		hv_poller_remove(&u->queues[i].poller);
	vsw_discovery_stop(&u->port);
	vsw_flush(v);
	while (vsw_uplink_backlogged(u))
		vsw_drop(&u->port, VSW_DROP_NO_UPLINK, u->backlog[u->tail++ % VSW_BACKLOG]);
	vsw_port_remove(&u->port);
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
		if (v->uplinks[i] == u)
			v->uplinks[i] = NULL;
	}
	vsw_team_update(v);
	rte_eth_dev_stop(u->dev.ethdev_port);
	leave_pool(u);
	hv_contig_free(u->domain_of_tci, DOMAIN_TABLE_BYTES);
	hv_contig_free(u, sizeof(*u));
}
