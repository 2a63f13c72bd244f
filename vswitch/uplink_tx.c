/*
 * An uplink sends: offload work the device cannot do is done in software -> tag put in -> backlog ring -> tx_burst. Plain frames
 * (forward.h) get their tag and go to the device at once when nothing waits before them. The backlog takes what the device's ring has no
 * room for; guests may fill three quarters of it, the rest is the hypervisor's own (storage), so guests cannot shut it out.
 *
 * Owner: the switch's core (the device's transmit queue 0).
 */
#include "offload.h"
#include "uplink.h"

#include <hv/netport.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <string.h>

#define BACKLOG_GUESTS (VSW_BACKLOG / 4 * 3)
#define MIN_FRAME 60u /* IEEE 802.3 section 4A.2.3.3, without FCS */

unsigned vsw_uplink_push(struct vsw_uplink *u)
{
	unsigned sent = 0;

	while (vsw_uplink_backlogged(u)) {
		uint32_t at = u->tail % VSW_BACKLOG;
		uint16_t run = (uint16_t)HV_MIN(u->head - u->tail, VSW_BACKLOG - at);
		uint16_t n = rte_eth_tx_burst(u->dev.ethdev_port, 0, &u->backlog[at], run);

		u->tail += n;
		sent += n;
		if (n < run)
			break;
	}
	return sent;
}

/* `bytes`: what the frame counts, its length without a tag. */
static void enqueue(struct vsw_uplink *u, struct rte_mbuf *m, uint32_t bytes)
{
	uint32_t limit = m->pool == u->port.sw->v->vmk_pool ? VSW_BACKLOG : BACKLOG_GUESTS;

	if (__builtin_expect(u->head - u->tail >= limit, 0)) {
		vsw_uplink_push(u);
		if (u->head - u->tail >= limit) {
			vsw_drop(&u->port, VSW_DROP_TX_FULL, m);
			return;
		}
	}
	u->port.count.out_frames++;
	u->port.count.out_bytes += bytes;
	u->backlog[u->head++ % VSW_BACKLOG] = m;
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

/* Zeros to the least length, so that no driver or device fills in old memory. Returns how many. */
static HV_COLD uint32_t pad(struct rte_mbuf *m)
{
	uint16_t missing = (uint16_t)(MIN_FRAME - m->pkt_len);
	char *tail;

	if (m->nb_segs != 1 && rte_pktmbuf_linearize(m))
		return 0;
	tail = rte_pktmbuf_append(m, missing);
	if (!tail)
		return 0;
	memset(tail, 0, missing);
	return missing;
}

/* One frame that is no longer to be cut: checksum, tag, into the backlog. */
static void send_whole(struct vsw_uplink *u, struct rte_mbuf *m, uint16_t vlan)
{
	bool offloaded = false;
	uint32_t bytes;

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
	bytes = m->pkt_len;
	if (vlan && !vsw_vlan_push(m, vlan)) {
		vsw_drop(&u->port, VSW_DROP_TX_REFUSED, m);
		return;
	}
	if (m->nb_segs > 1 && !u->chains && rte_pktmbuf_linearize(m)) {
		vsw_drop(&u->port, VSW_DROP_TX_REFUSED, m);
		return;
	}
	if (offloaded && rte_eth_tx_prepare(u->dev.ethdev_port, 0, &m, 1) != 1) {
		vsw_drop(&u->port, VSW_DROP_TX_REFUSED, m);
		return;
	}
	enqueue(u, m, bytes);
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

/* Frames that are ready and that the device did not take at once. They have been counted as sent. */
static HV_COLD void keep(struct vsw_uplink *u, struct rte_mbuf **frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t bytes = frames[i]->pkt_len - (u->port.sw->v->tag_of[frames[i]->vlan_tci] ? VLAN_TAG_LEN : 0);

		u->port.count.out_frames--;
		u->port.count.out_bytes -= bytes;
		enqueue(u, frames[i], bytes);
	}
	vsw_uplink_push(u);
}

/* Plain frames up to the first of another domain: pads them (*bytes counts it) and puts in their tag, if they have one. Returns the rest.
 */
static HV_ALWAYS_INLINE struct rte_mbuf **tag_run(struct rte_mbuf **at, struct rte_mbuf **end, uint32_t tag, uint32_t *bytes)
{
	struct rte_mbuf *m = *at;
	uint16_t domain = m->vlan_tci;

	do {
		if (HV_UNLIKELY(m->pkt_len < MIN_FRAME))
			*bytes += pad(m);
		if (tag)
			vsw_plain_tag(m, tag);
		if (++at == end)
			break;
		m = *at;
	} while (HV_LIKELY(m->vlan_tci == domain));
	return at;
}

/* A burst of frames from local ports that came plain: padding and tags are all they need. */
static void send_plain(struct vsw_uplink *u, struct rte_mbuf **frames, unsigned n, uint32_t bytes)
{
	const uint32_t *tag_of = u->port.sw->v->tag_of;
	struct rte_mbuf **end = frames + n;
	unsigned sent = 0;

	for (struct rte_mbuf **at = frames; at != end;) {
		uint32_t tag = tag_of[(*at)->vlan_tci];

		at = HV_LIKELY(tag) ? tag_run(at, end, tag, &bytes) : tag_run(at, end, 0, &bytes);
	}
	u->port.count.out_frames += n;
	u->port.count.out_bytes += bytes;
	if (HV_LIKELY(!vsw_uplink_backlogged(u)))
		sent = rte_eth_tx_burst(u->dev.ethdev_port, 0, frames, (uint16_t)n);
	if (HV_UNLIKELY(sent < n))
		keep(u, frames + sent, n - sent);
}

void vsw_uplink_deliver(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes)
{
	struct vsw_uplink *u = hv_container_of(p, struct vsw_uplink, port);

	p->count.out_bursts++;
	if (HV_LIKELY(plain_bytes && !u->restricted)) {
		send_plain(u, frames, n, plain_bytes);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		uint16_t vlan = p->sw->v->domains[frames[i]->vlan_tci]->vlan;

		if (HV_UNLIKELY(u->restricted) && !vsw_vlan_in(&u->vlans, vlan))
			vsw_drop(p, VSW_DROP_VLAN_NOT_ALLOWED, frames[i]);
		else if (vsw_offload_fixup(frames[i], u->features | NETPORT_F_ECN) == VSW_FIX_SEGMENT)
			send_segmented(u, frames[i], vlan);
		else
			send_whole(u, frames[i], vlan);
	}
	vsw_uplink_push(u);
}

enum vsw_drop vsw_uplink_refuses(const struct vsw_port *p, const struct rte_mbuf *m)
{
	const struct vsw_uplink *u = hv_container_of(p, struct vsw_uplink, port);

	return u->restricted && !vsw_vlan_in(&u->vlans, p->sw->v->domains[m->vlan_tci]->vlan) ? VSW_DROP_VLAN_NOT_ALLOWED : VSW_DROP_COUNT;
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
	enqueue(u, m, m->pkt_len);
	vsw_uplink_push(u);
	return true;
}
