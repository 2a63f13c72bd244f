/*
 * From a guest: each frame is copied once into mbufs (the trust boundary: what is checked is what is sent), then its length, tag and
 * offload request are checked. What can go to another guest at once (guest_direct.c) goes there first.
 *
 * Owner: the switch's core.
 */
#include "guest_port.h"
#include "offload.h"

#include <hv/core.h>
#include <string.h>

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

/* ---- the short path: one segment, no offload, a length that its port group allows ---- */

static uint32_t plain_limit(const struct guest_port *g)
{
	return HV_MIN(g->port.payload_limit, MBUF_ROOM - ETH_HEADER_LEN + 1);
}

/* Copies a frame in one piece; false, and nothing is changed: it is not for the short path. */
static HV_ALWAYS_INLINE bool copy_plain(const struct hv_seg *seg, uint32_t len, uint32_t limit, struct rte_mbuf *m)
{
	uint8_t *eth = vsw_plain_data(m);

	if (HV_UNLIKELY(len - ETH_HEADER_LEN >= limit))
		return false;
	memcpy(eth, seg->base, len);
	mbuf_init(m, len);
	return HV_LIKELY(!vsw_may_be_tag(eth, 12)) || !vsw_is_tagged(eth);
}

static HV_ALWAYS_INLINE bool is_plain(const struct netport_frame *f)
{
	uint32_t offload; /* needs_csum, csum_valid, gso, ecn */

	__builtin_memcpy(&offload, &f->off, sizeof(offload));
	return f->nsegs == 1 && !offload && f->segs->len >= f->len;
}

/* Frames of an access port into as many fresh mbufs, in their order. Returns how many go on; the others are dropped. */
static unsigned copy_burst(struct guest_port *g, const struct netport_frame *frames, unsigned n, struct rte_mbuf **mbufs)
{
	uint32_t limit = plain_limit(g);
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];

		if (HV_UNLIKELY(!is_plain(&frames[i]) || !copy_plain(frames[i].segs, frames[i].len, limit, m)))
			m = take_frame(g, &frames[i], m);
		if (HV_LIKELY(m))
			mbufs[ready++] = m;
	}
	return ready;
}

/* The same for plain frames. */
static unsigned copy_plain_burst(struct guest_port *g, const struct hv_seg *frames, unsigned n, struct rte_mbuf **mbufs)
{
	uint32_t limit = plain_limit(g);
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];

		if (HV_UNLIKELY(!copy_plain(&frames[i], frames[i].len, limit, m)))
			m = take_frame(g, &(struct netport_frame){.segs = &frames[i], .nsegs = 1, .len = frames[i].len}, m);
		if (HV_LIKELY(m))
			mbufs[ready++] = m;
	}
	return ready;
}

/* What a trunk's frame may be, and the tag seen last. */
struct trunk_view {
	struct vsw_port *port;
	uint32_t limit;
	uint32_t tag;              /* type and TCI, as they lie in memory; 0: none was seen */
	uint32_t domain, priority; /* its */
};

uint16_t vsw_guest_domain_of_tag(struct vsw_port *p, uint32_t tag)
{
	uint16_t vlan = __builtin_bswap16((uint16_t)(tag >> 16)) & 0xfff;

	if ((uint16_t)tag != VLAN_TPID_C || !vlan || vlan > VSW_VLAN_MAX || !vsw_vlan_in(&p->portgroup->vlans, vlan))
		return VSW_DOMAIN_NONE;
	vsw_vlan_add(&p->used, vlan);
	return p->sw->domain_of[vlan];
}

/* A frame without a tag, of the native VLAN. */
static __attribute__((noinline)) bool copy_native(struct vsw_port *p, const struct hv_seg *seg, uint32_t limit, struct rte_mbuf *m)
{
	m->vlan_tci = p->domain;
	if (p->domain == VSW_DOMAIN_NONE)
		return false;
	vsw_vlan_add(&p->used, p->portgroup->config->native_vlan);
	return copy_plain(seg, seg->len, limit, m);
}

/*
 * The same as copy_plain for a trunk. A tag is left out: the first 16 bytes are read once, and what follows the tag is copied behind the
 * addresses.
 */
static HV_ALWAYS_INLINE bool copy_trunk(struct trunk_view *v, const struct hv_seg *seg, struct rte_mbuf *m)
{
	const uint8_t *base = seg->base;
	uint8_t *eth = vsw_plain_data(m);
	uint32_t tag, len = seg->len - VLAN_TAG_LEN;
	__m128i header = _mm_loadu_si128((const __m128i *)(const void *)base);

	__asm__ volatile("" : "+x"(header));
	tag = (uint32_t)_mm_extract_epi32(header, 3);
	if (HV_UNLIKELY(tag != v->tag)) {
		uint16_t domain = vsw_guest_domain_of_tag(v->port, tag);

		if (domain == VSW_DOMAIN_NONE)
			return (uint16_t)tag != VLAN_TPID_C && copy_native(v->port, seg, v->limit, m);
		v->tag = tag;
		v->domain = domain;
		v->priority = tag >> 16 & VLAN_PRIORITY_MASK;
	}
	if (HV_UNLIKELY(len - ETH_HEADER_LEN >= v->limit))
		return false;
	_mm_storeu_si128((__m128i *)(void *)eth, header);
	memcpy(eth + 12, base + 16, len - 12);
	if (HV_UNLIKELY(vsw_may_be_tag(eth, 12)) && vsw_is_tagged(eth))
		return false;
	mbuf_init(m, len);
	m->vlan_tci = (uint16_t)v->domain;
	m->vlan_tci_outer = (uint16_t)v->priority;
	return true;
}

/* Plain frames of a trunk: their domains are in vlan_tci. */
static unsigned copy_trunk_burst(struct guest_port *g, const struct hv_seg *frames, unsigned n, struct rte_mbuf **mbufs)
{
	struct trunk_view v = {.port = &g->port, .limit = plain_limit(g)};
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = mbufs[i];

		if (HV_UNLIKELY(!copy_trunk(&v, &frames[i], m)))
			m = take_frame(g, &(struct netport_frame){.segs = &frames[i], .nsegs = 1, .len = frames[i].len}, m);
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
	if (HV_UNLIKELY(trunk))
		vsw_input_trunk(&g->port, mbufs, n);
	else
		vsw_input_access(&g->port, mbufs, n);
}

unsigned vsw_guest_tx_burst(struct netport *np, const struct netport_frame *frames, unsigned n)
{
	struct guest_port *g = vsw_guest_of(np);

	hv_assert(hv_core_self() == np->core);
	for (unsigned i = 0; i < n; i += VSW_BURST)
		tx_burst(g, frames + i, HV_MIN(n - i, (unsigned)VSW_BURST));
	return n;
}

/* Plain frames in the form of others. */
static void tx_plain_as_any(struct guest_port *g, const struct hv_seg *segs, unsigned n)
{
	struct netport_frame frames[VSW_BURST];

	for (unsigned i = 0; i < n; i++)
		frames[i] = (struct netport_frame){.segs = &segs[i], .nsegs = 1, .len = segs[i].len};
	tx_burst(g, frames, n);
}

static void tx_plain(struct guest_port *g, const struct hv_seg *frames, unsigned n)
{
	struct rte_mbuf *mbufs[VSW_BURST];
	struct hv_seg left[VSW_BURST];

	if (HV_LIKELY(!g->port.filters_in && !g->port.sw->watchers)) {
		unsigned count = vsw_guest_direct(g, frames, n, left);

		frames = count == n ? frames : left;
		n = count;
	}
	if (HV_LIKELY(!n))
		return;
	if (HV_UNLIKELY(rte_mempool_get_bulk(g->port.sw->v->guest_pool, (void **)mbufs, n)))
		tx_plain_as_any(g, frames, n);
	else if (g->port.flags & VSW_PF_TRUNK)
		vsw_input_trunk(&g->port, mbufs, copy_trunk_burst(g, frames, n, mbufs));
	else
		vsw_input_access(&g->port, mbufs, copy_plain_burst(g, frames, n, mbufs));
}

unsigned vsw_guest_tx_plain(struct netport *np, const struct hv_seg *frames, unsigned n)
{
	struct guest_port *g = vsw_guest_of(np);

	hv_assert(hv_core_self() == np->core);
	for (unsigned i = 0; i < n; i += VSW_BURST)
		tx_plain(g, frames + i, HV_MIN(n - i, (unsigned)VSW_BURST));
	return n;
}

enum vsw_drop vsw_guest_check(struct vsw_port *p, struct rte_mbuf *m)
{
	struct netport_offload off = {0};

	return m->pkt_len < ETH_HEADER_LEN ? VSW_DROP_RUNT : check_frame(hv_container_of(p, struct guest_port, port), m, &off);
}
