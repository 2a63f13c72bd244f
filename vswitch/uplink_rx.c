/*
 * An uplink receives: rx_burst -> length check -> 802.1Q tag taken out, VLAN -> domain (unknown VLAN: dropped) -> forwarding. Frames
 * without anything unusual take the short path (forward.h), all in one loop; the others, in their place in the order, the careful one.
 *
 * Owner: the switch's core.
 */
#include "control.h"
#include "offload.h"
#include "uplink.h"

#include <rte_ethdev.h>

#define RX_BURSTS 8 /* of one poll, as long as they are full: what they bring for a port goes to it together */

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
	struct vsw *v;
	struct fdb_view fdb;
	const uint16_t *domain_of_tci;
	uint64_t outside; /* the MAC table's entry of an address that is known to be outside since this second */
	uint64_t bytes;   /* what the short path took */
	unsigned careful; /* frames that it did not take */
	uint16_t bit;     /* the uplink's */
};

/*
 * Takes a plain frame of one domain, from a known outside address to a known local one that is not too long; header_bytes: 14, or 18 with a
 * tag, which it takes out.
 */
static HV_ALWAYS_INLINE bool short_path(struct receiver *r, struct rte_mbuf *m, uint8_t *eth, uint64_t domain, uint32_t header_bytes)
{
	uint32_t len = m->pkt_len;
	struct vsw_port *out;

	if (HV_UNLIKELY(fdb_view_find(&r->fdb, vsw_key_source(eth, domain)) != r->outside))
		return false;
	out = vsw_plain_port(r->v, &r->fdb, vsw_key_destination(eth, domain));
	if (HV_UNLIKELY(len - header_bytes >= out->payload_limit || !(out->accepts & r->bit))) /* also when shorter than its header */
		return false;
	m->vlan_tci = (uint16_t)domain;
	if (header_bytes != ETH_HEADER_LEN) {
		__builtin_memcpy(&m->vlan_tci_outer, eth + 14, sizeof(m->vlan_tci_outer));
		vsw_addresses_up(eth);
		len -= VLAN_TAG_LEN;
		m->data_off = RTE_PKTMBUF_HEADROOM + VLAN_TAG_LEN;
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
	} else {
		m->vlan_tci_outer = 0;
	}
	vsw_stage(out, m, len);
	r->bytes += len;
	return true;
}

static HV_ALWAYS_INLINE bool is_tag_at(const uint8_t *eth, unsigned type_offset)
{
	return HV_UNLIKELY(vsw_may_be_tag(eth, type_offset)) && vsw_is_tagged(eth + type_offset - 12);
}

static HV_ALWAYS_INLINE bool receive_plain(struct receiver *r, struct rte_mbuf *m)
{
	uint8_t *eth = vsw_plain_data(m);
	uint16_t tci;

	if (HV_UNLIKELY(!vsw_is_plain(m) || m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_BAD)) /* bad, or not computed as yet */
		return false;
	if (HV_LIKELY(vsw_ethertype_raw(eth) == VLAN_TPID_C)) {
		if (is_tag_at(eth, 16))
			return false;
		__builtin_memcpy(&tci, eth + 14, sizeof(tci));
		return short_path(r, m, eth, r->domain_of_tci[tci], ETH_HEADER_LEN + VLAN_TAG_LEN);
	}
	if (is_tag_at(eth, 12) || HV_UNLIKELY(m->pkt_len < ETH_HEADER_LEN + VLAN_TAG_LEN))
		return false;
	return short_path(r, m, eth, r->domain_of_tci[0], ETH_HEADER_LEN);
}

static __attribute__((noinline)) void input_plain(struct vsw_uplink *u, struct rte_mbuf **frames, unsigned n)
{
	struct vsw_switch *sw = u->port.sw;
	struct receiver r = {
		.v = sw->v,
		.fdb = fdb_view(&sw->fdb),
		.domain_of_tci = u->domain_of_tci,
		.outside = fdb_entry(sw->fdb.tick, VSW_PORT_OUTSIDE),
		.bit = u->port.bit,
	};

	for (unsigned i = 0; i < n; i++) {
		if (HV_LIKELY(receive_plain(&r, frames[i])))
			continue;
		r.careful++;
		receive_careful(u, frames[i]);
	}
	u->port.count.in_frames += n - r.careful;
	u->port.count.in_bytes += r.bytes;
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
	unsigned sum = 0, n;

	do {
		n = rte_eth_rx_burst(u->dev.ethdev_port, q->index, burst, VSW_BURST);
		if (!n)
			break;
		u->port.sw->v->wire = true;
		if (HV_LIKELY(!u->port.filters_in && !u->port.sw->watchers && !u->port.blocked))
			input_plain(u, burst, n);
		else
			input_careful(u, burst, n);
		sum += n;
	} while (n == VSW_BURST && sum < RX_BURSTS * VSW_BURST);
	if (!sum)
		return 0;
	q->frames += sum;
	vsw_flush(u->port.sw->v);
	return sum;
}
