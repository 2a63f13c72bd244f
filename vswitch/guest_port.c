/*
 * A guest's port: the switch's side of the contract hv/netport.h.
 *
 * From the guest: each frame is copied once into mbufs (the trust boundary: what is checked is what is sent), then its length, tag and
 * offload request are checked. To the guest: frames are handed over as segments of the mbufs in a burst; offloads the guest's driver did
 * not accept are done in software first.
 *
 * Owner: the switch's core.
 */
#include "guest_port.h"
#include "gro.h"
#include "offload.h"

#include <errno.h>
#include <hv/mem.h>
#include <hv/netport.h>
#include <string.h>

/* ---- to the guest ---- */

static void rx_push(struct guest_port *g)
{
	unsigned taken;

	if (!g->rx_count)
		return;
	taken = g->client.rx_burst(g->client.arg, g->rx_frames, g->rx_count);
	hv_assert(taken <= g->rx_count);
	for (unsigned i = 0; i < taken; i++) {
		g->port.count.out_bytes += g->rx_mbufs[i]->pkt_len;
		rte_pktmbuf_free(g->rx_mbufs[i]);
	}
	g->port.count.out_frames += taken;
	g->port.count.out_bursts++;
	for (unsigned i = taken; i < g->rx_count; i++)
		vsw_drop(&g->port, VSW_DROP_RX_FULL, g->rx_mbufs[i]);
	g->rx_count = 0;
	g->rx_segs = 0;
}

/* To a trunk: the tag goes in, but for the native VLAN. False: no room in front of the frame. */
static bool trunk_tag(const struct guest_port *g, struct rte_mbuf *m)
{
	const struct vsw_portgroup_config *config = g->port.portgroup->config;
	uint16_t vlan = g->port.sw->v->domains[m->vlan_tci]->vlan;

	return (config->has_native && vlan == config->native_vlan) || vsw_vlan_push(m, vlan);
}

static void rx_add(struct guest_port *g, struct rte_mbuf *m)
{
	netport_rx_frame *f;

	if (g->port.flags & VSW_PF_TRUNK && !trunk_tag(g, m)) {
		vsw_drop(&g->port, VSW_DROP_NO_MBUF, m);
		return;
	}
	if (m->nb_segs > FRAME_SEGS_MAX) {
		vsw_drop(&g->port, VSW_DROP_OVERSIZE, m);
		return;
	}
	if (g->rx_count == VSW_BURST || g->rx_segs + m->nb_segs > HV_ARRAY_LEN(g->segs))
		rx_push(g);
	f = &g->rx_frames[g->rx_count];
	*f = (netport_rx_frame){.segs = &g->segs[g->rx_segs], .nsegs = m->nb_segs, .len = m->pkt_len};
	vsw_offload_to_guest(m, &f->off);
	g->rx_mbufs[g->rx_count++] = m;
	for (struct rte_mbuf *s = m; s; s = s->next)
		g->segs[g->rx_segs++] = (struct hv_seg){rte_pktmbuf_mtod(s, void *), s->data_len};
}

static void rx_checksummed(struct guest_port *g, struct rte_mbuf *m)
{
	if (vsw_offload_fixup(m, g->features) == VSW_FIX_CHECKSUM) {
		vsw_checksum_finish(m);
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		g->port.count.out_checksummed++;
	}
	rx_add(g, m);
}

static void rx_segmented(struct guest_port *g, struct rte_mbuf *m)
{
	struct vsw_segmenter s;
	struct rte_mbuf *seg;

	vsw_segment_begin(&s, m, g->port.sw->v->guest_pool);
	while ((seg = vsw_segment_next(&s))) {
		g->port.count.out_segmented++;
		rx_checksummed(g, seg);
	}
	if (vsw_segment_left(&s))
		vsw_count_drop(&g->port, VSW_DROP_NO_MBUF, 1);
	rte_pktmbuf_free(m);
}

/* Gives back plain frames. */
static void free_plain(struct rte_mbuf **frames, unsigned n)
{
	struct rte_mempool *pool = n ? frames[0]->pool : NULL;
	bool one_pool = true;

	for (unsigned i = 0; i < n; i++)
		one_pool &= frames[i]->pool == pool;
	if (HV_LIKELY(n && one_pool))
		rte_mempool_put_bulk(pool, (void **)frames, n);
	else
		rte_pktmbuf_free_bulk(frames, n);
}

static HV_ALWAYS_INLINE void offer_plain(struct guest_port *g, unsigned i, const struct rte_mbuf *m, uint8_t *eth, uint32_t len)
{
	g->plain_segs[i].base = eth;
	g->plain_segs[i].len = len;
	g->plain_frames[i].len = len;
	g->plain_frames[i].off.csum_valid = m->ol_flags / RTE_MBUF_F_RX_L4_CKSUM_GOOD & 1;
}

/*
 * For a trunk, with tags but in the native VLAN; a wire's priority is in vlan_tci_outer. The mbufs stay as they are: they end here. Returns
 * the bytes that came to the frames.
 */
static __attribute__((noinline)) uint32_t offer_tagged(struct guest_port *g, struct rte_mbuf **frames, unsigned n)
{
	const uint32_t *tag_of = g->port.sw->v->tag_of;
	uint16_t native = g->port.domain;
	uint32_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];
		uint8_t *eth = rte_pktmbuf_mtod(m, uint8_t *);
		uint32_t len = m->pkt_len;

		if (m->vlan_tci != native) {
			vsw_addresses_down(eth, tag_of[m->vlan_tci] | (uint32_t)(m->vlan_tci_outer & VLAN_PRIORITY_MASK) << 16);
			eth -= VLAN_TAG_LEN;
			len += VLAN_TAG_LEN;
			bytes += VLAN_TAG_LEN;
		}
		offer_plain(g, i, m, eth, len);
	}
	return bytes;
}

/* A burst of plain frames, offered as it lies. */
static void deliver_plain(struct guest_port *g, struct rte_mbuf **frames, unsigned n, uint32_t bytes)
{
	unsigned taken;

	if (HV_UNLIKELY(g->port.flags & VSW_PF_TRUNK)) {
		bytes += offer_tagged(g, frames, n);
	} else {
		for (unsigned i = 0; i < n; i++)
			offer_plain(g, i, frames[i], rte_pktmbuf_mtod(frames[i], uint8_t *), frames[i]->pkt_len);
	}
	taken = g->client.rx_burst(g->client.arg, g->plain_frames, n);
	hv_assert(taken <= n);
	for (unsigned i = taken; HV_UNLIKELY(i < n); i++) {
		bytes -= g->plain_frames[i].len;
		vsw_drop(&g->port, VSW_DROP_RX_FULL, frames[i]);
	}
	g->port.count.out_frames += taken;
	g->port.count.out_bytes += bytes;
	g->port.count.out_bursts++;
	free_plain(frames, taken);
}

static void guest_deliver(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes)
{
	struct guest_port *g = hv_container_of(p, struct guest_port, port);

	if (HV_LIKELY(plain_bytes && g->connected)) {
		deliver_plain(g, frames, n, plain_bytes);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!g->connected)
			vsw_drop(p, VSW_DROP_NOT_CONNECTED, frames[i]);
		else if (vsw_too_long(p, frames[i]))
			vsw_drop(p, VSW_DROP_OVERSIZE, frames[i]);
		else if (vsw_offload_fixup(frames[i], g->features) == VSW_FIX_SEGMENT)
			rx_segmented(g, frames[i]);
		else
			rx_checksummed(g, frames[i]);
	}
	rx_push(g);
}

static void guest_flush(struct vsw_port *p)
{
	struct guest_port *g = hv_container_of(p, struct guest_port, port);

	if (g->connected && g->client.rx_flush)
		g->client.rx_flush(g->client.arg);
}

/* ---- trace ---- */

static enum vsw_drop guest_refuses(const struct vsw_port *p, const struct rte_mbuf *m)
{
	if (!hv_container_of(p, struct guest_port, port)->connected)
		return VSW_DROP_NOT_CONNECTED;
	return vsw_too_long(p, m) ? VSW_DROP_OVERSIZE : VSW_DROP_COUNT;
}

/* ---- control ---- */

static void guest_tx_flush(struct netport *np)
{
	vsw_flush(vsw_guest_of(np)->port.sw->v);
}

static void guest_set_client(struct netport *np, const struct netport_client *client)
{
	struct guest_port *g = vsw_guest_of(np);

	g->connected = client != NULL;
	if (client)
		g->client = *client;
}

static void guest_set_features(struct netport *np, uint32_t features)
{
	struct guest_port *g = vsw_guest_of(np);

	g->features = features & OFFERED;
	vsw_gro_set(&g->port, g->features);
}

static void guest_set_mac(struct netport *np, const uint8_t mac[6])
{
	if (vsw_policy_set_mac(&vsw_guest_of(np)->port, mac))
		memcpy(np->mac, mac, sizeof(np->mac));
}

static void guest_set_filter(struct netport *np, bool promisc, bool allmulti)
{
	(void)allmulti; /* a port gets all group frames of its VLAN */
	vsw_policy_set_promisc(&vsw_guest_of(np)->port, promisc);
}

static const struct netport_ops guest_ops = {
	.tx_burst = vsw_guest_tx_burst,
	.tx_plain = vsw_guest_tx_plain,
	.tx_flush = guest_tx_flush,
	.set_client = guest_set_client,
	.set_features = guest_set_features,
	.set_mac = guest_set_mac,
	.set_filter = guest_set_filter,
};

static void guest_reconfigured(struct vsw_port *p, bool moved)
{
	struct guest_port *g = hv_container_of(p, struct guest_port, port);

	g->np.mtu = p->mtu;
	vsw_store_mac(g->np.mac, p->mac);
}

int vsw_guest_port_create(struct vsw *v, unsigned portgroup, const char *name, const uint8_t mac[6], struct netport **out)
{
	struct guest_port *g = hv_contig_alloc(sizeof(*g), HV_PAGE_SIZE);
	int err;

	if (!g)
		return trace_error(-ENOMEM);
	g->port.kind = VSW_PORT_GUEST;
	g->port.deliver = guest_deliver;
	g->port.check = vsw_guest_check;
	g->port.refuses = guest_refuses;
	g->port.flush = guest_flush;
	g->port.reconfigured = guest_reconfigured;
	err = vsw_access_port_init(v, &g->port, portgroup, name, mac);
	if (err) {
		hv_contig_free(g, sizeof(*g));
		return err;
	}
	g->np = (struct netport){
		.ops = &guest_ops,
		.name = g->port.name,
		.mtu = g->port.mtu,
		.core = (uint16_t)v->core,
		.link_up = true,
		.features = OFFERED,
	};
	memcpy(g->np.mac, mac, sizeof(g->np.mac));
	for (unsigned i = 0; i < VSW_BURST; i++)
		g->plain_frames[i] = (netport_rx_frame){.segs = &g->plain_segs[i], .nsegs = 1};
	*out = &g->np;
	return 0;
}

void vsw_guest_port_apply(struct netport *np, const struct vsw_port_config *config)
{
	struct vsw_port *p = &vsw_guest_of(np)->port;

	p->own = *config;
	vsw_features_apply(p);
}

void vsw_guest_port_destroy(struct netport *np)
{
	struct guest_port *g = vsw_guest_of(np);

	g->connected = false;
	vsw_port_remove(&g->port);
	hv_contig_free(g, sizeof(*g));
}
