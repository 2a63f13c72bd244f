/*
 * The path of a frame through the switch, for bursts: VLAN is known on entry -> source policy and learning -> lookup of the destination ->
 * staging at one port (known unicast) or several (flood) -> delivery in bursts at the end of the round or when a stage is full.
 *
 * Where a frame goes:
 *   known unicast      its port; "outside" means the uplink of the port it came from
 *   unknown unicast    from a local port: its uplink (all local addresses are known); from an uplink: nowhere
 *   group address      every other port of the domain, and the sender's uplink unless it came from one
 *   any of these       also the promiscuous ports of the domain
 * Frames never go from uplink to uplink, so several uplinks make no loop. The physical network brings a flooded frame on all uplinks: each
 * port gets it from those in `floods` (team.c).
 *
 * Owner: the switch's core. deliver() never enters the switch again, so nothing here is re-entered.
 */
#include "forward.h"

#include "control.h"
#include "filter.h"
#include "offload.h"
#include "policy.h"
#include "snoop.h"

static __attribute__((noinline)) void deliver_filtered(struct vsw_port *p, struct vsw_staged s)
{
	unsigned n = vsw_filters_out(p, p->stage, s.frames);

	if (n)
		p->deliver(p, p->stage, n, n == s.frames ? s.plain_bytes : 0); /* a filter that changes frames makes them fewer, or more */
}

static HV_ALWAYS_INLINE void port_deliver(struct vsw_port *p)
{
	struct vsw_staged s = vsw_stage_take(p);

	if (HV_UNLIKELY(p->filters_out))
		deliver_filtered(p, s);
	else if (HV_LIKELY(s.frames))
		p->deliver(p, p->stage, s.frames, s.plain_bytes);
}

void vsw_port_deliver(struct vsw_port *p)
{
	port_deliver(p);
}

/* Any frame. */
static void stage(struct vsw_port *out, struct rte_mbuf *m)
{
	vsw_stage(out, m, 0);
	out->stage_payload |= VSW_STAGE_MIXED;
}

/* ---- several destinations ---- */

struct flood {
	struct rte_mbuf *frame;
	struct vsw_port *last; /* gets the original, when nobody shares it */
	bool shared;
};

/* A frame for `out` while the original stays: the same data where the port only reads, else a copy. */
static struct rte_mbuf *replica(struct vsw_port *out, struct rte_mbuf *m, bool *shared)
{
	struct vsw *v = out->sw->v;
	struct rte_mbuf *copy;

	if (!(out->flags & VSW_PF_PRIVATE) && !(m->ol_flags & VSW_OFFLOAD_MASK)) {
		rte_pktmbuf_refcnt_update(m, 1);
		*shared = true;
		return m;
	}
	copy = rte_pktmbuf_copy(m, out->flags & VSW_PF_VMK ? v->vmk_pool : v->guest_pool, 0, UINT32_MAX);
	if (!copy)
		vsw_count_drop(out, VSW_DROP_NO_MBUF, 1);
	return copy;
}

static void flood_add(struct flood *f, struct vsw_port *out)
{
	if (f->last) {
		struct rte_mbuf *m = replica(f->last, f->frame, &f->shared);

		if (m)
			stage(f->last, m);
	}
	f->last = out;
}

static void flood_finish(struct flood *f, struct vsw_port *in, enum vsw_drop none)
{
	struct rte_mbuf *m = f->frame;

	if (!f->last) {
		vsw_drop(in, none, m);
		return;
	}
	if (f->shared && (f->last->flags & VSW_PF_PRIVATE)) {
		m = replica(f->last, f->frame, &f->shared);
		rte_pktmbuf_free(f->frame);
	}
	if (m)
		stage(f->last, m);
}

static bool wants(const struct vsw_port *in, const struct vsw_port *out, const uint64_t *only)
{
	if (only[out->index / 64] >> out->index % 64 & 1 || out->flags & VSW_PF_PROMISC)
		return true;
	return !in->sw->v->snoop.report && vsw_snoop_takes_all(out);
}

/* only: those of the VLAN who want it (snoop.c), or NULL. */
static void flood_group(struct vsw_port *in, struct vsw_domain *d, const uint64_t *only, struct rte_mbuf *m)
{
	struct vsw *v = in->sw->v;
	struct vsw_port *uplink = vsw_uplink_for(in, m);
	struct flood f = {.frame = m};
	bool elsewhere = false; /* some port of the domain gets it from another uplink */
	bool unwanted = false;  /* some port of the domain has not joined its group */

	for (unsigned i = 0; i < d->member_count; i++) {
		struct vsw_port *out = v->ports[d->members[i]];

		if (out == in)
			continue;
		if (HV_UNLIKELY(only != NULL) && !wants(in, out, only))
			unwanted = true;
		else if (out->floods & in->bit)
			flood_add(&f, out);
		else
			elsewhere = true;
	}
	if (uplink)
		flood_add(&f, uplink);
	flood_finish(&f, in, elsewhere ? VSW_DROP_STANDBY_UPLINK : unwanted ? VSW_DROP_NO_MEMBER : VSW_DROP_NO_DESTINATION);
}

static void flood_promisc(struct vsw_port *in, struct vsw_domain *d, struct vsw_port *out, struct rte_mbuf *m, enum vsw_drop none)
{
	struct vsw *v = in->sw->v;
	struct flood f = {.frame = m};

	for (unsigned i = 0; i < d->promisc_count; i++) {
		struct vsw_port *also = v->ports[d->promisc[i]];

		if (also != in && also != out && (out || also->floods & in->bit)) /* to nobody of ours: it comes on every uplink */
			flood_add(&f, also);
	}
	if (out)
		flood_add(&f, out);
	flood_finish(&f, in, none);
}

/* ---- one destination ---- */

/* The local port's, when unicast from `in` may reach it. */
static inline struct vsw_port *local_port(const struct vsw_port *in, struct vsw_port *out, enum vsw_drop *reason)
{
	if (HV_LIKELY(out->accepts & in->bit && out != in))
		return out;
	*reason = out == in ? VSW_DROP_HAIRPIN : VSW_DROP_UNUSED_UPLINK;
	return NULL;
}

/* The port for a unicast destination, or NULL with the reason. */
static inline struct vsw_port *unicast_port(
	struct vsw_port *in, const struct rte_mbuf *m, uint64_t dst, uint16_t domain, enum vsw_drop *reason)
{
	struct vsw_switch *sw = in->sw;
	uint32_t slot = fdb_find(&sw->fdb, fdb_key(dst, domain));
	struct vsw_port *out;

	if (__builtin_expect(slot != FDB_NONE && fdb_slot_port(&sw->fdb, slot) < VSW_PORT_SPECIAL, 1)) {
		out = sw->v->ports[fdb_slot_port(&sw->fdb, slot)];
		return local_port(in, out, reason);
	}
	if (__builtin_expect(sw->trunk_ports, 0) && slot == FDB_NONE && (out = vsw_trunk_owner(sw, dst, domain)))
		return local_port(in, out, reason);
	if (slot != FDB_NONE && fdb_slot_port(&sw->fdb, slot) == VSW_PORT_PRIVATE) {
		*reason = VSW_DROP_PRIVATE_VLAN;
		return NULL;
	}
	if (in->kind == VSW_PORT_UPLINK) {
		*reason = slot != FDB_NONE ? VSW_DROP_HAIRPIN : VSW_DROP_NO_DESTINATION;
		return NULL;
	}
	*reason = VSW_DROP_NO_UPLINK;
	return vsw_uplink_for(in, m);
}

static void forward_group(struct vsw_port *in, struct vsw_domain *d, uint64_t dst, struct rte_mbuf *m)
{
	if (vsw_is_link_control(dst))
		vsw_control_input(in, m);
	else
		flood_group(in, d, in->sw->config->snooping ? vsw_snoop(in, d, m) : NULL, m);
}

void vsw_forward(struct vsw_port *in, struct rte_mbuf *m)
{
	const uint8_t *eth = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t dst = vsw_load_mac(eth), src = vsw_load_mac(eth + 6);
	struct vsw_domain *d = in->sw->v->domains[m->vlan_tci];
	enum vsw_drop reason = vsw_policy_source(in, src, m->vlan_tci);
	struct vsw_port *out;

	if (HV_UNLIKELY(reason != POLICY_PASS)) {
		vsw_drop(in, reason, m);
		return;
	}
	if (HV_UNLIKELY(vsw_mac_is_group(dst))) {
		forward_group(in, d, dst, m);
		return;
	}
	out = unicast_port(in, m, dst, m->vlan_tci, &reason);
	if (HV_UNLIKELY(d->promisc_count))
		flood_promisc(in, d, out, m, reason);
	else if (out)
		stage(out, m);
	else
		vsw_drop(in, reason, m);
}

static uint64_t bytes_of(struct rte_mbuf **frames, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += frames[i]->pkt_len;
	return bytes;
}

void vsw_input(struct vsw_port *in, struct rte_mbuf **frames, unsigned n)
{
	in->count.in_frames += n;
	in->count.in_bytes += bytes_of(frames, n);
	in->count.in_bursts++;
	if (HV_UNLIKELY(in->filters_in))
		n = vsw_filters_in(in, frames, n);
	for (unsigned i = 0; i < n; i++)
		vsw_forward(in, frames[i]);
}

/* ---- the short path of an access port ---- */

/* A burst's view of the sender. */
struct sender {
	const struct vsw_reach *reach;
	struct fdb_view fdb;
	__m128i wanted;   /* what is_plain_own wants to see */
	uint64_t payload; /* the bytes behind the Ethernet headers */
	uint64_t domain;
};

/* 16-bit words of an mbuf's data_off, refcnt, nb_segs, port, ol_flags in 4; and of a frame's addresses: the source is in words 3 to 5. */
#define SOURCE_WORDS (1 << 3 | 1 << 4 | 1 << 5)

static __m128i own_plain(uint64_t mac)
{
	return _mm_set_epi64x((long long)(mac >> 16), (long long)(VSW_PLAIN_SHAPE | mac << 48));
}

/* Is the frame plain (vsw_is_plain), and from the port's own address? One test for both. */
static HV_ALWAYS_INLINE bool is_plain_own(const struct sender *s, const struct rte_mbuf *m, const uint8_t *eth)
{
	__m128i meta = _mm_loadu_si128((const __m128i *)&m->rearm_data), header = _mm_loadu_si128((const __m128i *)eth);
	__m128i differs = _mm_xor_si128(_mm_blend_epi16(meta, header, SOURCE_WORDS), s->wanted);

	return _mm_testz_si128(differs, _mm_set_epi64x((long long)(VSW_NOT_PLAIN | 0xffffffff), -1));
}
_Static_assert(!(VSW_NOT_PLAIN & 0xffffffff), "words 4 and 5 are free for the source");

/* Takes the frame when it is plain, from the port's own address, to a known one, and not too long. */
static HV_ALWAYS_INLINE bool short_path(struct sender *s, struct rte_mbuf *m)
{
	const uint8_t *eth = vsw_plain_data(m);
	uint32_t payload = m->pkt_len - ETH_HEADER_LEN;
	struct vsw_port *out;

	if (HV_UNLIKELY(!is_plain_own(s, m, eth)))
		return false;
	out = vsw_plain_port(s->reach, &s->fdb, vsw_plain_key(eth, s->domain));
	if (HV_UNLIKELY(payload >= out->payload_limit))
		return false;
	vsw_stage(out, m, payload);
	s->payload += payload;
	return true;
}

/* Frames that no filter holds back any more. Returns the bytes behind their Ethernet headers. */
static HV_ALWAYS_INLINE uint64_t forward_all(struct vsw_port *in, struct rte_mbuf **frames, unsigned n, bool trunk)
{
	struct sender s = {
		.reach = &in->sw->v->local,
		.fdb = fdb_view(&in->sw->fdb),
		.wanted = own_plain(in->mac),
		.domain = in->domain,
	};

	__asm__("" : "+r"(s.reach)); /* a pointer, not a sum that is computed for each frame */
	vsw_reach_from(in);
#pragma GCC unroll 2
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];

		if (trunk)
			s.domain = m->vlan_tci;
		else
			m->vlan_tci = (uint16_t)s.domain;
		if (HV_LIKELY(!(trunk && m->vlan_tci_outer) && short_path(&s, m)))
			continue;
		s.payload += m->pkt_len - ETH_HEADER_LEN;
		vsw_forward(in, m);
	}
	vsw_reach_end(in);
	return s.payload;
}

static __attribute__((noinline)) uint64_t forward_plain(struct vsw_port *in, struct rte_mbuf **frames, unsigned n)
{
	return forward_all(in, frames, n, false);
}

/* A trunk's: the domain is in vlan_tci; those with a priority go the careful path, because the short one does not keep it. */
static __attribute__((noinline)) uint64_t forward_trunk(struct vsw_port *in, struct rte_mbuf **frames, unsigned n)
{
	return forward_all(in, frames, n, true);
}

/* Filters first; with promiscuous ports about, the careful path. */
static __attribute__((noinline)) void input_watched(struct vsw_port *in, struct rte_mbuf **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		frames[i]->vlan_tci = in->domain;
	if (in->sw->watchers) {
		vsw_input(in, frames, n);
		return;
	}
	in->count.in_frames += n;
	in->count.in_bytes += bytes_of(frames, n);
	in->count.in_bursts++;
	n = vsw_filters_in(in, frames, n);
	if (n)
		forward_plain(in, frames, n);
}

void vsw_input_access(struct vsw_port *in, struct rte_mbuf **frames, unsigned n)
{
	if (!n)
		return;
	if (HV_UNLIKELY(in->filters_in || in->sw->watchers)) {
		input_watched(in, frames, n);
		return;
	}
	in->count.in_frames += n;
	in->count.in_bytes += forward_plain(in, frames, n) + (uint64_t)n * ETH_HEADER_LEN;
	in->count.in_bursts++;
}

void vsw_input_trunk(struct vsw_port *in, struct rte_mbuf **frames, unsigned n)
{
	if (!n)
		return;
	if (HV_UNLIKELY(in->filters_in || in->sw->watchers)) {
		vsw_input(in, frames, n);
		return;
	}
	in->count.in_frames += n;
	in->count.in_bytes += forward_trunk(in, frames, n) + (uint64_t)n * ETH_HEADER_LEN;
	in->count.in_bursts++;
}

/* ---- frames that waited ---- */

void vsw_input_resume(struct vsw_port *in, uint16_t after, struct rte_mbuf **frames, unsigned n)
{
	n = vsw_filters_in_after(in, after, frames, n);
	for (unsigned i = 0; i < n; i++)
		vsw_forward(in, frames[i]);
}

void vsw_deliver_resume(struct vsw_port *out, uint16_t after, struct rte_mbuf **frames, unsigned n)
{
	n = vsw_filters_out_after(out, after, frames, n);
	if (n)
		out->deliver(out, frames, n, 0);
}

/* ---- the end of a round ---- */

void vsw_flush(struct vsw *v)
{
	for (unsigned i = 0; i < v->dirty.count; i++) {
		struct vsw_port *p = v->ports[v->dirty.ports[i]];

		if (!p)
			continue;
		p->flags &= (uint16_t)~VSW_PF_DIRTY;
		vsw_port_deliver(p);
		if (p->flush)
			p->flush(p);
	}
	v->dirty.count = 0;
	v->wire = false;
}

void vsw_flush_all(struct vsw *v)
{
	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i];

		if (p && p->flags & VSW_PF_PULLS)
			port_deliver(p);
	}
	vsw_flush(v); /* what a filter sent elsewhere too */
}
