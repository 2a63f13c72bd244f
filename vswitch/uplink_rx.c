/*
 * An uplink receives: rx_burst -> length check -> 802.1Q tag taken out, VLAN -> domain (unknown VLAN: dropped) -> forwarding. Frames
 * without anything unusual take the short path (forward.h), all in one loop; the others, in their place in the order, the careful one.
 *
 * Owner: the switch's core.
 */
#include "control.h"
#include "mirror.h"
#include "offload.h"
#include "uplink.h"

#include <rte_ethdev.h>

#define TAG_BITS 0x2001ull /* of an Ethernet type as it lies in memory: every tag has one of them */
/*
 * A poll takes bursts as long as they are full: what they bring for a port goes to it together. It ends after so many, whose buffers the
 * pool's cache can take back at once (so the next poll gets them, still near in the processor's caches, and not others from afar), or when
 * it has so many bytes: four bursts of full-sized frames.
 */
#define RX_BURSTS (VSW_MBUF_CACHE / VSW_BURST)
#define RX_BYTES 147456

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
	if (HV_UNLIKELY(u->port.blocked))
		return VSW_DROP_NOT_COLLECTING;
	if (HV_UNLIKELY(u->restricted) && !vsw_vlan_in(&u->vlans, vlan))
		return VSW_DROP_VLAN_NOT_ALLOWED;
	if (vlan > VSW_VLAN_MAX || sw->domain_of[vlan] == VSW_DOMAIN_NONE)
		return VSW_DROP_VLAN_UNKNOWN;
	m->vlan_tci = sw->domain_of[vlan];
	m->ol_flags &= RTE_MBUF_F_RX_L4_CKSUM_MASK;
	if (m->ol_flags == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		vsw_offload_from_uplink(m);
	return VSW_DROP_COUNT;
}

enum vsw_drop vsw_uplink_check(struct vsw_port *p, struct rte_mbuf *m)
{
	return classify(hv_container_of(p, struct vsw_uplink, port), m);
}

/* A control frame is read even where no port group has its VLAN: it is the wire's own. */
static void refuse(struct vsw_uplink *u, enum vsw_drop reason, struct rte_mbuf *m)
{
	if (vsw_control_despite(reason, m))
		vsw_control_input(&u->port, m);
	else
		vsw_drop(&u->port, reason, m);
}

/* A frame that is not for the short path. */
static HV_COLD void receive_careful(struct vsw_uplink *u, struct rte_mbuf *m)
{
	enum vsw_drop reason = classify(u, m);

	if (reason != VSW_DROP_COUNT) {
		u->port.count.in_frames++;
		refuse(u, reason, m);
	} else {
		vsw_input(&u->port, &m, 1);
	}
}

/* A burst's view of the uplink. */
struct receiver {
	const struct vsw_reach *reach;
	struct fdb_view fdb;
	const uint16_t *domain_of_tci;
	uint64_t outside; /* the MAC table's entry of an address that is known to be outside since this second */
	uint64_t payload; /* of what it took: the bytes behind the Ethernet headers */
};

/* The port for a frame of this domain from a known outside address; NULL or `nowhere`: the short path does not know. */
static HV_ALWAYS_INLINE struct vsw_port *look_up(const struct receiver *r, const uint8_t *eth, uint64_t domain, uint32_t payload)
{
	struct vsw_port *out;

	if (HV_UNLIKELY(fdb_view_entry(&r->fdb, fdb_view_find(&r->fdb, vsw_plain_key(eth + 6, domain))) != r->outside))
		return NULL;
	out = vsw_plain_port(r->reach, &r->fdb, vsw_plain_key(eth, domain));
	return HV_LIKELY(payload < out->payload_limit) ? out : NULL; /* it is not when the frame is shorter than its header */
}

/*
 * What receive_tagged wants of a frame, in one test: it is plain (vsw_is_plain) and its checksum not in doubt; it has a tag; what follows
 * is no tag. For the last, two bits: 0x8100 has the first, 0x88a8 the second; IPv4, ARP and IPv6 have neither. Other types that do are
 * slower.
 */
static HV_ALWAYS_INLINE bool is_plain_tagged(const struct rte_mbuf *m, const uint8_t *eth)
{
	/* 16-bit words. m: data_off, refcnt, nb_segs, port, ol_flags in 4. eth, from the source on: 3: type of the tag, 5: what follows it.
	 */
	const __m128i wanted = _mm_set_epi64x(0, (long long)(VSW_PLAIN_SHAPE | (uint64_t)VLAN_TPID_C << 48));
	const __m128i mask = _mm_set_epi64x((long long)(VSW_NOT_PLAIN | RTE_MBUF_F_RX_L4_CKSUM_BAD | TAG_BITS << 16), -1);
	__m128i meta = _mm_loadu_si128((const __m128i *)&m->rearm_data), header = _mm_loadu_si128((const __m128i *)(eth + 6));

	return _mm_testz_si128(_mm_xor_si128(_mm_blend_epi16(header, meta, 0xff & ~(1 << 3 | 1 << 5)), wanted), mask);
}
_Static_assert(!((VSW_NOT_PLAIN | RTE_MBUF_F_RX_L4_CKSUM_BAD) & 0xffff0000), "word 5, its flags, is free for the type");

/* Takes a plain frame with one tag, which it takes out. */
static HV_ALWAYS_INLINE bool receive_tagged(struct receiver *r, struct rte_mbuf *m)
{
	uint8_t *eth = vsw_plain_data(m);
	struct vsw_port *out;
	uint64_t domain;
	uint32_t payload;
	uint16_t tci;

	if (HV_UNLIKELY(!is_plain_tagged(m, eth)))
		return false;
	payload = m->pkt_len - (ETH_HEADER_LEN + VLAN_TAG_LEN);
	__builtin_memcpy(&tci, eth + 14, sizeof(tci));
	m->vlan_tci_outer = tci;
	domain = r->domain_of_tci[tci];
	m->vlan_tci = (uint16_t)domain;
	out = look_up(r, eth, domain, payload);
	if (HV_UNLIKELY(!out))
		return false;
	vsw_addresses_up(eth);
	vsw_plain_untagged(m);
	vsw_stage(out, m, payload);
	r->payload += payload;
	return true;
}

static HV_ALWAYS_INLINE bool receive_untagged(struct receiver *r, struct rte_mbuf *m)
{
	uint8_t *eth = vsw_plain_data(m);
	uint32_t payload = m->pkt_len - ETH_HEADER_LEN;
	uint64_t domain = r->domain_of_tci[0];
	struct vsw_port *out;

	if (HV_UNLIKELY(!vsw_is_plain(m, VSW_NOT_PLAIN | RTE_MBUF_F_RX_L4_CKSUM_BAD) || m->pkt_len < ETH_HEADER_LEN + VLAN_TAG_LEN))
		return false;
	if (HV_UNLIKELY(vsw_may_be_tag(eth, 12)) && vsw_is_tagged(eth))
		return false;
	m->vlan_tci = (uint16_t)domain;
	m->vlan_tci_outer = 0;
	out = look_up(r, eth, domain, payload);
	if (HV_UNLIKELY(!out))
		return false;
	vsw_stage(out, m, payload);
	r->payload += payload;
	return true;
}

/* What the short path took of a burst: the frames up to `rest`. */
struct run {
	struct rte_mbuf **rest;
	uint64_t payload;
};

/* Takes frames as long as they are for the short path, all with a tag or all without. */
static HV_ALWAYS_INLINE struct run receive_run(const struct vsw_uplink *u, struct rte_mbuf **at, struct rte_mbuf **end, bool tagged)
{
	struct vsw_switch *sw = u->port.sw;
	struct receiver r = {
		.reach = &sw->v->from_uplink[__builtin_ctz(u->port.bit)],
		.fdb = fdb_view(&sw->fdb),
		.domain_of_tci = u->domain_of_tci,
		.outside = fdb_entry(sw->fdb.tick, VSW_PORT_OUTSIDE),
	};

	__asm__("" : "+r"(r.reach)); /* a pointer, not an index that is computed for each frame */
#pragma GCC unroll 4
	for (; at != end; at++) {
		if (HV_UNLIKELY(tagged ? !receive_tagged(&r, *at) : !receive_untagged(&r, *at)))
			break;
	}
	return (struct run){at, r.payload};
}

static __attribute__((noinline)) struct run receive_tagged_run(const struct vsw_uplink *u, struct rte_mbuf **at, struct rte_mbuf **end)
{
	return receive_run(u, at, end, true);
}

static __attribute__((noinline)) struct run receive_untagged_run(const struct vsw_uplink *u, struct rte_mbuf **at, struct rte_mbuf **end)
{
	return receive_run(u, at, end, false);
}

static bool has_tag(const struct rte_mbuf *m)
{
	return vsw_ethertype_raw(rte_pktmbuf_mtod(m, const uint8_t *)) == VLAN_TPID_C;
}

/* @pre n > 0 */
static void input_plain(struct vsw_uplink *u, struct rte_mbuf **frames, unsigned n)
{
	struct rte_mbuf **end = frames + n;

	while (frames != end) {
		struct run run = has_tag(*frames) ? receive_tagged_run(u, frames, end) : receive_untagged_run(u, frames, end);
		uint64_t taken = (uint64_t)(run.rest - frames);

		u->port.count.in_frames += taken;
		u->port.count.in_bytes += run.payload + taken * ETH_HEADER_LEN;
		frames = run.rest;
		if (HV_UNLIKELY(!taken))
			receive_careful(u, *frames++);
	}
	u->port.count.in_bursts++;
}

static __attribute__((noinline)) void input_careful(struct vsw_uplink *u, struct rte_mbuf **frames, unsigned n)
{
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		enum vsw_drop reason = classify(u, frames[i]);

		if (HV_UNLIKELY(reason != VSW_DROP_COUNT)) {
			u->port.count.in_frames++;
			refuse(u, reason, frames[i]);
		} else {
			frames[good++] = frames[i];
		}
	}
	if (good)
		vsw_input(&u->port, frames, good);
}

unsigned vsw_uplink_receive(struct vsw_uplink_queue *q)
{
	struct vsw_uplink *u = q->uplink;
	struct rte_mbuf *burst[VSW_BURST];
	bool marks = vsw_mirror_only_marks(&u->port);
	uint64_t bytes_end = u->port.count.in_bytes + RX_BYTES;
	unsigned sum = 0, n;

	do {
		n = rte_eth_rx_burst(u->dev.ethdev_port, q->index, burst, VSW_BURST);
		if (!n)
			break;
		u->port.sw->v->wire = true;
		if (HV_UNLIKELY(marks))
			vsw_mirror_in(&u->port, burst, n);
		if (HV_LIKELY((!u->port.filters_in || marks) && !u->port.sw->watchers && !u->port.blocked))
			input_plain(u, burst, n);
		else
			input_careful(u, burst, n);
		sum += n;
	} while (n == VSW_BURST && sum < RX_BURSTS * VSW_BURST && u->port.count.in_bytes < bytes_end);
	if (!sum)
		return 0;
	q->frames += sum;
	vsw_flush(u->port.sw->v);
	return sum;
}
