/*
 * An uplink: a physical NIC (DPDK ethdev port) as a port of the switch. It configures and starts the device, polls its receive queue, and
 * sends.
 *
 * Receive: rx_burst -> length check -> 802.1Q tag taken out, VLAN -> domain (unknown VLAN: dropped) -> vsw_input.
 * Send: offload work the device cannot do is done in software -> tag put in -> backlog ring -> tx_burst. The backlog takes what the
 * device's ring has no room for; guests may fill three quarters of it, the rest is the hypervisor's own (storage), so guests cannot shut it
 * out.
 *
 * Owner: the switch's core (queue 0 in both directions). States: attached, link down -> link up, watched once a second; polled, or armed =
 * the device's receive interrupt is on while the core sleeps.
 */
#include "control.h"
#include "discovery.h"
#include "offload.h"
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>
#include <hv/netport.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <string.h>

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024
#define BACKLOG 1024u /* power of two */
#define BACKLOG_GUESTS (BACKLOG / 4 * 3)
#define MIN_FRAME 60u /* IEEE 802.3 section 4A.2.3.3, without FCS */

struct vsw_uplink {
	struct vsw_port port;
	struct hv_poller poller;
	struct vsw_uplink_dev dev;
	uint32_t features; /* enum netport_feature that the device does for us */
	bool ip_checksum, chains;
	uint16_t device_mtu; /* the device takes frames up to this */
	uint16_t mtu_before; /* while a change is prepared that raised it; else 0 */
	bool scatter;        /* it may receive into several buffers */
	bool restricted;     /* carries only `vlans` */
	struct vsw_vlan_set vlans;
	uint32_t head, tail; /* backlog: head - tail frames wait */
	struct rte_mbuf *backlog[BACKLOG];
};

/* ---- send ---- */

/* Sends of the backlog what the device takes. */
static unsigned push(struct vsw_uplink *u)
{
	unsigned sent = 0;

	while (u->tail != u->head) {
		uint32_t at = u->tail % BACKLOG;
		uint16_t run = (uint16_t)HV_MIN(u->head - u->tail, BACKLOG - at);
		uint16_t n = rte_eth_tx_burst(u->dev.ethdev_port, 0, &u->backlog[at], run);

		u->tail += n;
		sent += n;
		if (n < run)
			break;
	}
	return sent;
}

static void enqueue(struct vsw_uplink *u, struct rte_mbuf *m)
{
	uint32_t limit = m->pool == u->port.sw->v->vmk_pool ? BACKLOG : BACKLOG_GUESTS;

	if (__builtin_expect(u->head - u->tail >= limit, 0)) {
		push(u);
		if (u->head - u->tail >= limit) {
			vsw_drop(&u->port, VSW_DROP_TX_FULL, m);
			return;
		}
	}
	u->port.count.out_frames++;
	u->port.count.out_bytes += m->pkt_len;
	u->backlog[u->head++ % BACKLOG] = m;
}

/* Hardware wants the pseudo-header sum its own way: without the length when it segments (rte_ethdev, RTE_MBUF_F_TX_TCP_SEG). */
static void prepare_pseudo_header(struct vsw_uplink *u, struct rte_mbuf *m)
{
	void *l3 = rte_pktmbuf_mtod_offset(m, void *, m->l2_len);
	bool tcp = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
	uint8_t *field = rte_pktmbuf_mtod_offset(m, uint8_t *, m->l2_len + m->l3_len + (tcp ? 16 : 6));
	uint16_t sum = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? rte_ipv4_phdr_cksum(l3, m->ol_flags) : rte_ipv6_phdr_cksum(l3, m->ol_flags);

	if (m->ol_flags & RTE_MBUF_F_TX_IPV4 && u->ip_checksum) {
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
		((struct rte_ipv4_hdr *)l3)->hdr_checksum = 0;
	}
	memcpy(field, &sum, sizeof(sum));
}

static bool device_checksums(const struct vsw_uplink *u, const struct rte_mbuf *m)
{
	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && !u->ip_checksum)
		return false;
	return vsw_offload_fixup(m, u->features | NETPORT_F_ECN) == VSW_FIX_NONE || (u->features & NETPORT_F_CSUM);
}

/* Zeros to the least length, so that no driver or device fills in old memory. */
static void pad(struct rte_mbuf *m)
{
	uint16_t missing = (uint16_t)(MIN_FRAME - m->pkt_len);
	char *tail;

	if (m->nb_segs != 1 && rte_pktmbuf_linearize(m))
		return;
	tail = rte_pktmbuf_append(m, missing);
	if (tail)
		memset(tail, 0, missing);
}

/* One frame that is no longer to be cut: checksum, tag, into the backlog. */
static void send_whole(struct vsw_uplink *u, struct rte_mbuf *m, uint16_t vlan)
{
	bool offloaded = false;

	if (m->ol_flags & VSW_OFFLOAD_MASK) {
		offloaded = device_checksums(u, m);
		if (!offloaded) {
			vsw_checksum_finish(m);
			u->port.count.out_checksummed++;
		} else {
			prepare_pseudo_header(u, m);
		}
	}
	if (m->pkt_len < MIN_FRAME)
		pad(m);
	if (vlan && !vsw_vlan_push(m, vlan)) {
		vsw_drop(&u->port, VSW_DROP_TX_REFUSED, m);
		return;
	}
	if (m->nb_segs > 1 && !u->chains && rte_pktmbuf_linearize(m)) {
		vsw_drop(&u->port, VSW_DROP_TX_REFUSED, m);
		return;
	}
	m->vlan_tci = 0;
	if (offloaded && rte_eth_tx_prepare(u->dev.ethdev_port, 0, &m, 1) != 1) {
		vsw_drop(&u->port, VSW_DROP_TX_REFUSED, m);
		return;
	}
	enqueue(u, m);
}

/* In chains that refer to m's payload. */
static void send_referring(struct vsw_uplink *u, struct rte_mbuf *m, uint16_t vlan)
{
	struct rte_mbuf *segments[VSW_GSO_MAX_SEGMENTS];
	unsigned n = vsw_gso_segment(u->port.sw->v, m, segments);

	for (unsigned i = 0; i < n; i++)
		send_whole(u, segments[i], vlan);
	u->port.count.out_segmented += n;
	if (!n)
		vsw_count_drop(&u->port, VSW_DROP_NO_MBUF, 1);
	rte_pktmbuf_free(m);
}

static void send_segmented(struct vsw_uplink *u, struct rte_mbuf *m, uint16_t vlan)
{
	struct vsw_segmenter s;
	struct rte_mbuf *seg;

	if (u->chains && vsw_gso_can(m)) {
		send_referring(u, m, vlan);
		return;
	}
	vsw_segment_begin(&s, m, m->pool);
	while ((seg = vsw_segment_next(&s))) {
		u->port.count.out_segmented++;
		send_whole(u, seg, vlan);
	}
	if (vsw_segment_left(&s))
		vsw_count_drop(&u->port, VSW_DROP_NO_MBUF, 1);
	rte_pktmbuf_free(m);
}

static void uplink_deliver(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	struct vsw_uplink *u = hv_container_of(p, struct vsw_uplink, port);

	for (unsigned i = 0; i < n; i++) {
		uint16_t vlan = p->sw->v->domains[frames[i]->vlan_tci]->vlan;

		if (__builtin_expect(u->restricted, 0) && !vsw_vlan_in(&u->vlans, vlan))
			vsw_drop(p, VSW_DROP_VLAN_NOT_ALLOWED, frames[i]);
		else if (vsw_offload_fixup(frames[i], u->features | NETPORT_F_ECN) == VSW_FIX_SEGMENT)
			send_segmented(u, frames[i], vlan);
		else
			send_whole(u, frames[i], vlan);
	}
	p->count.out_bursts++;
	push(u);
}

bool vsw_uplink_send(struct vsw_port *p, const uint8_t *frame, uint32_t len)
{
	struct vsw_uplink *u = hv_container_of(p, struct vsw_uplink, port);
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->sw->v->vmk_pool); /* guests cannot use these up */
	char *to = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (!to) {
		rte_pktmbuf_free(m);
		return false;
	}
	memcpy(to, frame, len);
	if (len < MIN_FRAME)
		pad(m);
	enqueue(u, m);
	push(u);
	return true;
}

/* ---- receive ---- */

/* Is a received frame well formed, and in which domain is it? VSW_DROP_COUNT: yes, the domain is in vlan_tci. */
static inline enum vsw_drop classify(struct vsw_uplink *u, struct rte_mbuf *m)
{
	struct vsw_switch *sw = u->port.sw;
	uint16_t vlan = 0;

	if (m->data_len < ETH_HEADER_LEN + VLAN_TAG_LEN) /* room for a tag: every real frame is longer */
		return VSW_DROP_RUNT;
	if (m->pkt_len > sw->mtu + ETH_HEADER_LEN + VLAN_TAG_LEN)
		return VSW_DROP_OVERSIZE;
	if (vsw_ethertype_raw(rte_pktmbuf_mtod(m, const uint8_t *)) == VLAN_TPID_C)
		vlan = vsw_vlan_pop(m);
	else
		m->vlan_tci_outer = 0;
	if (vsw_is_tagged(rte_pktmbuf_mtod(m, const uint8_t *)))
		return VSW_DROP_DOUBLE_TAG;
	if (__builtin_expect(u->port.blocked, 0))
		return VSW_DROP_NOT_COLLECTING;
	if (__builtin_expect(u->restricted, 0) && !vsw_vlan_in(&u->vlans, vlan))
		return VSW_DROP_VLAN_NOT_ALLOWED;
	if (vlan > VSW_VLAN_MAX || sw->domain_of[vlan] == VSW_DOMAIN_NONE)
		return VSW_DROP_VLAN_UNKNOWN;
	m->vlan_tci = sw->domain_of[vlan];
	m->ol_flags &= RTE_MBUF_F_RX_L4_CKSUM_MASK;
	if (m->ol_flags == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		vsw_offload_from_uplink(m);
	return VSW_DROP_COUNT;
}

/* A control frame is read even where no port group has its VLAN: it is the wire's own. */
static void refuse(struct vsw_uplink *u, enum vsw_drop reason, struct rte_mbuf *m)
{
	if ((reason == VSW_DROP_VLAN_UNKNOWN || reason == VSW_DROP_VLAN_NOT_ALLOWED || reason == VSW_DROP_NOT_COLLECTING) &&
		vsw_is_link_control(vsw_load_mac(rte_pktmbuf_mtod(m, const uint8_t *))))
		vsw_control_input(&u->port, m);
	else
		vsw_drop(&u->port, reason, m);
}

static unsigned receive(struct vsw_uplink *u)
{
	struct rte_mbuf *burst[VSW_BURST];
	uint16_t n = rte_eth_rx_burst(u->dev.ethdev_port, 0, burst, VSW_BURST);
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		enum vsw_drop reason = classify(u, burst[i]);

		if (__builtin_expect(reason != VSW_DROP_COUNT, 0)) {
			u->port.count.in_frames++;
			refuse(u, reason, burst[i]);
		} else {
			burst[good++] = burst[i];
		}
	}
	if (!n)
		return 0;
	vsw_input(&u->port, burst, good);
	vsw_flush(u->port.sw->v);
	return n;
}

static unsigned uplink_poll(struct hv_poller *poller)
{
	struct vsw_uplink *u = hv_container_of(poller, struct vsw_uplink, poller);
	unsigned n = receive(u);

	return u->tail != u->head ? n + push(u) : n;
}

/* Before the core sleeps: interrupt on, then one more look, so that a frame that came in between is not left lying. */
static bool uplink_arm(struct hv_poller *poller, bool on)
{
	struct vsw_uplink *u = hv_container_of(poller, struct vsw_uplink, poller);

	if (!u->dev.arm || (on && u->tail != u->head))
		return on; /* must be polled: no interrupt, or frames wait for room in the transmit ring */
	u->dev.arm(u->dev.arg, on);
	if (!on || !receive(u))
		return false;
	u->dev.arm(u->dev.arg, false);
	return true;
}

/* ---- control ---- */

struct vsw_port *vsw_uplink_port(struct vsw_uplink *u)
{
	return &u->port;
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

static int setup_queues(struct vsw_uplink *u, const struct rte_eth_conf *conf)
{
	uint16_t rx = RX_DESCRIPTORS, tx = TX_DESCRIPTORS, port = u->dev.ethdev_port;
	int err = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);

	if (!err)
		err = rte_eth_rx_queue_setup(port, 0, rx, SOCKET_ID_ANY, NULL, u->port.sw->v->rx_pool);
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
	err = rte_eth_dev_configure(port, 1, 1, &conf);
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
	u->port.deliver = uplink_deliver;
	hv_snprintf(u->port.name, sizeof(u->port.name), "%s", name);
}

static void take_vlans(struct vsw_uplink *u, const struct vsw_uplink_config *config)
{
	u->restricted = config->vlan_count;
	u->vlans = (struct vsw_vlan_set){0};
	vsw_vlan_set_ranges(&u->vlans, config->vlans, config->vlan_count);
}

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
	take_vlans(u, &v->config.uplinks[uplink]);
	vsw_discovery_apply(&u->port, uplink);
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
	take_vlans(u, &v->config.uplinks[uplink]);
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
	if (err) {
		log_error("vswitch.uplink.start", "uplink %s: device does not start: error %d", u->port.name, -err);
		hv_contig_free(u, sizeof(*u));
		return trace_error(err);
	}
	v->uplinks[uplink] = u;
	u->poller = (struct hv_poller){.poll = uplink_poll, .arm = uplink_arm, .name = u->port.name};
	hv_poller_add(&u->poller);
	vsw_uplink_watch(u);
	return 0;
}

void vsw_uplink_detach(struct vsw_uplink *u)
{
	struct vsw *v = u->port.sw->v;

	hv_poller_remove(&u->poller);
	vsw_discovery_stop(&u->port);
	vsw_port_remove(&u->port);
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
		if (v->uplinks[i] == u)
			v->uplinks[i] = NULL;
	}
	vsw_team_update(v);
	while (u->tail != u->head)
		rte_pktmbuf_free(u->backlog[u->tail++ % BACKLOG]);
	rte_eth_dev_stop(u->dev.ethdev_port);
	hv_contig_free(u, sizeof(*u));
}
