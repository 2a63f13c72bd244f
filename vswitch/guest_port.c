/*
 * A guest's port: the switch's side of the contract hv/netport.h.
 *
 * From the guest: each frame is copied once into mbufs (the trust boundary: what is checked is what is sent), then its length, tag and
 * offload request are checked. To the guest: frames are handed over as segments of the mbufs in a burst; offloads the guest's driver did
 * not accept are done in software first.
 *
 * Owner: the switch's core.
 */
#include "forward.h"
#include "gro.h"
#include "offload.h"

#include <errno.h>
#include <hv/mem.h>
#include <hv/netport.h>
#include <string.h>

#define FRAME_MAX (65535u + ETH_HEADER_LEN) /* TSO: an IP packet of the greatest length */
#define MBUF_ROOM (RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM)
#define FRAME_SEGS_MAX (FRAME_MAX / MBUF_ROOM + 4)
#define OFFERED (NETPORT_F_CSUM | NETPORT_F_TSO4 | NETPORT_F_TSO6 | NETPORT_F_ECN)

struct guest_port {
	struct vsw_port port;
	struct netport np;
	struct netport_client client;
	bool connected;
	uint32_t features; /* what the driver accepts */
	/* A burst on its way to the guest. */
	unsigned rx_count, rx_segs;
	struct rte_mbuf *rx_mbufs[VSW_BURST];
	netport_rx_frame rx_frames[VSW_BURST];
	struct hv_seg segs[VSW_BURST + FRAME_SEGS_MAX];
	/* The same for plain frames. What stays as it is, one segment and no offload but csum_valid, was written once. */
	netport_rx_frame plain_frames[VSW_BURST];
	struct hv_seg plain_segs[VSW_BURST];
};

static struct guest_port *from_np(struct netport *np)
{
	return hv_container_of(np, struct guest_port, np);
}

/* ---- from the guest ---- */

/* Where copying stands in a frame's segments. */
struct seg_cursor {
	const struct hv_seg *segs;
	unsigned left;
	uint32_t offset; /* in segs[0] */
};

/* Copies len bytes; false when the segments end first. */
static bool copy_in(struct seg_cursor *c, uint8_t *to, uint32_t len)
{
	while (len) {
		uint32_t n;

		if (!c->left)
			return false;
		n = HV_MIN(len, c->segs->len - c->offset);
		memcpy(to, (const uint8_t *)c->segs->base + c->offset, n);
		to += n;
		len -= n;
		c->offset += n;
		if (c->offset == c->segs->len) {
			c->segs++;
			c->left--;
			c->offset = 0;
		}
	}
	return true;
}

static bool fill_mbuf(struct rte_mbuf *m, struct seg_cursor *c, uint32_t len)
{
	m->data_len = (uint16_t)len;
	return copy_in(c, rte_pktmbuf_mtod(m, uint8_t *), len);
}

/* Makes a fresh mbuf of the pool (one segment, one owner, no successor, as all are there) a frame of len bytes. */
static HV_ALWAYS_INLINE void mbuf_init(struct rte_mbuf *m, uint32_t len)
{
	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->ol_flags = 0;
	m->pkt_len = len;
	m->data_len = (uint16_t)len;
	m->vlan_tci_outer = 0;
}

/* A frame longer than one mbuf: a chain. */
static struct rte_mbuf *copy_chain(struct guest_port *g, const struct netport_frame *f, enum vsw_drop *reason)
{
	struct seg_cursor c = {.segs = f->segs, .left = f->nsegs};
	unsigned count = (f->len + MBUF_ROOM - 1) / MBUF_ROOM;
	struct rte_mbuf *chain[FRAME_SEGS_MAX];
	bool complete = true;

	*reason = VSW_DROP_NO_MBUF;
	if (rte_pktmbuf_alloc_bulk(g->port.sw->v->guest_pool, chain, count))
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		uint32_t len = HV_MIN(f->len - i * MBUF_ROOM, MBUF_ROOM);

		complete = complete && fill_mbuf(chain[i], &c, len);
		if (i)
			chain[i - 1]->next = chain[i];
	}
	chain[0]->nb_segs = (uint16_t)count;
	chain[0]->pkt_len = f->len;
	if (complete)
		return chain[0];
	rte_pktmbuf_free(chain[0]);
	*reason = VSW_DROP_RUNT;
	return NULL;
}

/* Copies the frame into `fresh`, an mbuf of the guests' pool, or NULL: one is taken. It is used or given back. */
static struct rte_mbuf *copy_frame(struct guest_port *g, const struct netport_frame *f, struct rte_mbuf *fresh, enum vsw_drop *reason)
{
	struct seg_cursor c = {.segs = f->segs, .left = f->nsegs};
	struct rte_mempool *pool = g->port.sw->v->guest_pool;
	struct rte_mbuf *m = fresh;

	if (f->len > MBUF_ROOM) {
		if (fresh)
			rte_mempool_put(pool, fresh);
		return copy_chain(g, f, reason);
	}
	*reason = VSW_DROP_NO_MBUF;
	if (!m && rte_mempool_get(pool, (void **)&m))
		return NULL;
	mbuf_init(m, f->len);
	if (copy_in(&c, rte_pktmbuf_mtod(m, uint8_t *), f->len))
		return m;
	rte_mempool_put(pool, m);
	*reason = VSW_DROP_RUNT;
	return NULL;
}

/*
 * A frame of a trunk's guest: its tag tells the domain and is taken out. VLAN 0 is a priority tag and counts as untagged (IEEE 802.1Q-2018
 * table 9-2). A second tag would be the first one where this VLAN leaves untagged, and so a way into any VLAN: such a frame is dropped.
 */
static enum vsw_drop trunk_untag(struct guest_port *g, struct rte_mbuf *m, struct netport_offload *off)
{
	const struct vsw_portgroup *pg = g->port.portgroup;
	uint16_t vlan = 0;

	if (vsw_ethertype_raw(rte_pktmbuf_mtod(m, const uint8_t *)) == VLAN_TPID_C) {
		if (m->data_len < ETH_HEADER_LEN + VLAN_TAG_LEN)
			return VSW_DROP_RUNT;
		vlan = vsw_vlan_pop(m);
		off->csum_start = (uint16_t)(off->csum_start - VLAN_TAG_LEN); /* below the header it is refused below */
		off->hdr_len = (uint16_t)(off->hdr_len - VLAN_TAG_LEN);
	}
	if (vsw_is_tagged(rte_pktmbuf_mtod(m, const uint8_t *)))
		return VSW_DROP_DOUBLE_TAG;
	if (!vlan && !pg->config->has_native)
		return VSW_DROP_UNTAGGED;
	if (!vlan)
		vlan = pg->config->native_vlan;
	if (vlan > VSW_VLAN_MAX || !vsw_vlan_in(&pg->vlans, vlan))
		return VSW_DROP_VLAN_NOT_ALLOWED;
	vsw_vlan_add(&g->port.used, vlan);
	m->vlan_tci = g->port.sw->domain_of[vlan];
	return VSW_DROP_COUNT;
}

/* Is a frame of the guest well formed? Then its domain is in vlan_tci. VSW_DROP_COUNT: yes. */
static enum vsw_drop check_frame(struct guest_port *g, struct rte_mbuf *m, struct netport_offload *off)
{
	uint16_t mtu = g->port.mtu;

	if (__builtin_expect(g->port.flags & VSW_PF_TRUNK, 0)) {
		enum vsw_drop reason = trunk_untag(g, m, off);

		if (reason != VSW_DROP_COUNT)
			return reason;
	} else {
		if (vsw_is_tagged(rte_pktmbuf_mtod(m, const uint8_t *)))
			return VSW_DROP_VLAN_TAG;
		m->vlan_tci = g->port.domain;
	}
	if ((off->needs_csum || off->gso) && !vsw_offload_from_guest(m, off, mtu))
		return VSW_DROP_BAD_OFFLOAD;
	if (m->pkt_len > mtu + ETH_HEADER_LEN && !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return VSW_DROP_OVERSIZE;
	return VSW_DROP_COUNT;
}

/* A frame in any form; NULL: dropped. `fresh` as in copy_frame. */
static struct rte_mbuf *take_frame(struct guest_port *g, const struct netport_frame *f, struct rte_mbuf *fresh)
{
	enum vsw_drop reason = f->len < ETH_HEADER_LEN ? VSW_DROP_RUNT : VSW_DROP_OVERSIZE;
	struct netport_offload off = f->off;
	struct rte_mbuf *m = NULL;

	if (f->len >= ETH_HEADER_LEN && f->len <= FRAME_MAX)
		m = copy_frame(g, f, fresh, &reason);
	else if (fresh)
		rte_mempool_put(g->port.sw->v->guest_pool, fresh);
	if (!m) {
		vsw_count_drop(&g->port, reason, 1);
		g->port.count.in_frames++;
		return NULL;
	}
	reason = check_frame(g, m, &off);
	if (reason == VSW_DROP_COUNT)
		return m;
	g->port.count.in_frames++;
	vsw_drop(&g->port, reason, m);
	return NULL;
}

/* ---- the short path from the guest: one segment, no offload, a length that its port group allows ---- */

/* The frame's length, or 0 when it is not for the short path. */
static HV_ALWAYS_INLINE uint32_t plain_length(const struct netport_frame *f, uint32_t limit)
{
	uint32_t offload; /* needs_csum, csum_valid, gso, ecn */

	__builtin_memcpy(&offload, &f->off, sizeof(offload));
	if (HV_UNLIKELY(f->nsegs != 1 || offload || f->len - ETH_HEADER_LEN >= limit || f->segs->len < f->len))
		return 0;
	return f->len;
}

/* Copies a plain frame; false, and nothing is changed: it is not for the short path. */
static HV_ALWAYS_INLINE bool copy_plain(const struct netport_frame *f, uint32_t limit, struct rte_mbuf *m)
{
	uint32_t len = plain_length(f, limit);
	uint8_t *eth = vsw_plain_data(m);

	if (HV_UNLIKELY(!len))
		return false;
	memcpy(eth, f->segs->base, len);
	mbuf_init(m, len);
	return HV_LIKELY(!vsw_may_be_tag(eth, 12)) || !vsw_is_tagged(eth);
}

/* Frames of an access port into as many fresh mbufs, in their order. Returns how many go on; the others are dropped. */
static unsigned copy_burst(struct guest_port *g, const struct netport_frame *frames, unsigned n, struct rte_mbuf **mbufs)
{
	uint32_t limit = HV_MIN(g->port.payload_limit, MBUF_ROOM - ETH_HEADER_LEN + 1);
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];

		if (HV_UNLIKELY(!copy_plain(&frames[i], limit, m)))
			m = take_frame(g, &frames[i], m);
		if (HV_LIKELY(m))
			mbufs[ready++] = m;
	}
	return ready;
}

/* The same one by one: frames of a trunk, or mbufs are nearly used up. */
static unsigned take_burst(struct guest_port *g, const struct netport_frame *frames, unsigned n, struct rte_mbuf **mbufs)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		mbufs[ready] = take_frame(g, &frames[i], NULL);
		ready += mbufs[ready] != NULL;
	}
	return ready;
}

static void tx_burst(struct guest_port *g, const struct netport_frame *frames, unsigned n)
{
	bool trunk = g->port.flags & VSW_PF_TRUNK;
	struct rte_mbuf *mbufs[VSW_BURST];

	if (HV_UNLIKELY(trunk || rte_mempool_get_bulk(g->port.sw->v->guest_pool, (void **)mbufs, n)))
		n = take_burst(g, frames, n, mbufs);
	else
		n = copy_burst(g, frames, n, mbufs);
	if (HV_UNLIKELY(trunk && n))
		vsw_input(&g->port, mbufs, n);
	else
		vsw_input_access(&g->port, mbufs, n);
}

static unsigned guest_tx_burst(struct netport *np, const struct netport_frame *frames, unsigned n)
{
	struct guest_port *g = from_np(np);

	hv_assert(hv_core_self() == np->core);
	for (unsigned i = 0; i < n; i += VSW_BURST)
		tx_burst(g, frames + i, HV_MIN(n - i, (unsigned)VSW_BURST));
	return n;
}

static void guest_tx_flush(struct netport *np)
{
	vsw_flush(from_np(np)->port.sw->v);
}

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

/* A burst of plain frames, offered as it lies. */
static void deliver_plain(struct guest_port *g, struct rte_mbuf **frames, unsigned n, uint32_t bytes)
{
	unsigned taken;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];

		g->plain_segs[i].base = rte_pktmbuf_mtod(m, void *);
		g->plain_segs[i].len = m->pkt_len;
		g->plain_frames[i].len = m->pkt_len;
		g->plain_frames[i].off.csum_valid = m->ol_flags / RTE_MBUF_F_RX_L4_CKSUM_GOOD & 1;
	}
	taken = g->client.rx_burst(g->client.arg, g->plain_frames, n);
	hv_assert(taken <= n);
	for (unsigned i = taken; HV_UNLIKELY(i < n); i++) {
		bytes -= frames[i]->pkt_len;
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

	if (HV_LIKELY(plain_bytes && g->connected && !(p->flags & VSW_PF_TRUNK))) {
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

static enum vsw_drop guest_check(struct vsw_port *p, struct rte_mbuf *m)
{
	struct netport_offload off = {0};

	return m->pkt_len < ETH_HEADER_LEN ? VSW_DROP_RUNT : check_frame(hv_container_of(p, struct guest_port, port), m, &off);
}

static enum vsw_drop guest_refuses(const struct vsw_port *p, const struct rte_mbuf *m)
{
	if (!hv_container_of(p, struct guest_port, port)->connected)
		return VSW_DROP_NOT_CONNECTED;
	return vsw_too_long(p, m) ? VSW_DROP_OVERSIZE : VSW_DROP_COUNT;
}

/* ---- control ---- */

static void guest_set_client(struct netport *np, const struct netport_client *client)
{
	struct guest_port *g = from_np(np);

	g->connected = client != NULL;
	if (client)
		g->client = *client;
}

static void guest_set_features(struct netport *np, uint32_t features)
{
	struct guest_port *g = from_np(np);

	g->features = features & OFFERED;
	vsw_gro_set(&g->port, g->features);
}

static void guest_set_mac(struct netport *np, const uint8_t mac[6])
{
	if (vsw_policy_set_mac(&from_np(np)->port, mac))
		memcpy(np->mac, mac, sizeof(np->mac));
}

static void guest_set_filter(struct netport *np, bool promisc, bool allmulti)
{
	(void)allmulti; /* a port gets all group frames of its VLAN */
	vsw_policy_set_promisc(&from_np(np)->port, promisc);
}

static const struct netport_ops guest_ops = {
	.tx_burst = guest_tx_burst,
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
	g->port.check = guest_check;
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
	struct vsw_port *p = &from_np(np)->port;

	p->own = *config;
	vsw_features_apply(p);
}

void vsw_guest_port_destroy(struct netport *np)
{
	struct guest_port *g = from_np(np);

	g->connected = false;
	vsw_port_remove(&g->port);
	hv_contig_free(g, sizeof(*g));
}
