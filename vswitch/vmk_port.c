/*
 * A VMkernel NIC's port: frames as mbufs in both directions. A poller for all vmks hands them to their clients, so that the TCP/IP stack
 * is never entered from inside its own transmit call; it knows those for which something waits (vsw.pulled). Until then they wait: plain
 * ones where the switch has staged them, nearly always; what is more than a stage holds, or needs work, in a ring behind it.
 *
 *   stage --(the poller comes)------------------------------------> client
 *   stage --(full, filters, not plain: vmk_deliver)--> ring --(the poller comes: first)--> client
 *
 * Owner: the switch's core. Ring: rx_count frames wait from rx_tail on, at most RX_RING; it begins anew at its first place when it is
 * empty.
 */
#include "forward.h"
#include "offload.h"
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>
#include <string.h>

#define RX_RING 1024u    /* power of two */
#define POLL_FRAMES 512u /* of one poll: no fewer than an uplink's poll brings (uplink_rx.c) */

struct vsw_vmk_port {
	struct vsw_port port;
	struct vsw_vmk_client client;
	uint32_t rx_tail, rx_count;
	uint64_t rx_bytes;                           /* of the frames that wait */
	struct rte_mbuf *rx[RX_RING + VSW_COPY - 1]; /* the last are no places, but may be written */
};

static void ring_put(struct vsw_vmk_port *k, struct rte_mbuf *m)
{
	if (k->rx_count == RX_RING) {
		vsw_drop(&k->port, VSW_DROP_RX_FULL, m);
		return;
	}
	k->rx[(k->rx_tail + k->rx_count++) % RX_RING] = m;
	k->rx_bytes += m->pkt_len;
}

/* Plain frames of one burst. False: the ring has no room for all of them in one piece. */
static bool ring_put_burst(struct vsw_vmk_port *k, struct rte_mbuf **frames, unsigned n, uint32_t bytes)
{
	uint32_t at = (k->rx_tail + k->rx_count) % RX_RING;

	/* the copy may write a few places more */
	if (HV_UNLIKELY(RX_RING - k->rx_count < n + VSW_COPY - 1 || RX_RING - at < n))
		return false;
	vsw_copy_frames(&k->rx[at], frames, n);
	k->rx_count += n;
	k->rx_bytes += bytes;
	return true;
}

/* From a guest that left the checksum to us: its data never was on a wire, so it is as good as verified; the stack gets a complete one
 * anyway. */
static void put_checksummed(struct vsw_vmk_port *k, struct rte_mbuf *m)
{
	if (m->ol_flags & VSW_OFFLOAD_MASK) {
		vsw_checksum_finish(m);
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		k->port.count.out_checksummed++;
	}
	ring_put(k, m);
}

static void put_segmented(struct vsw_vmk_port *k, struct rte_mbuf *m)
{
	struct vsw_segmenter s;
	struct rte_mbuf *seg;

	vsw_segment_begin(&s, m, k->port.sw->v->guest_pool);
	while ((seg = vsw_segment_next(&s))) {
		k->port.count.out_segmented++;
		put_checksummed(k, seg);
	}
	if (vsw_segment_left(&s))
		vsw_count_drop(&k->port, VSW_DROP_NO_MBUF, 1);
	rte_pktmbuf_free(m);
}

static __attribute__((noinline)) void deliver_careful(struct vsw_vmk_port *k, struct rte_mbuf **frames, unsigned n)
{
	struct vsw_port *p = &k->port;

	for (unsigned i = 0; i < n; i++) {
		if (vsw_too_long(p, frames[i]))
			vsw_drop(p, VSW_DROP_OVERSIZE, frames[i]);
		else if (frames[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
			put_segmented(k, frames[i]);
		else
			put_checksummed(k, frames[i]);
	}
}

static void vmk_deliver(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes)
{
	struct vsw_vmk_port *k = hv_container_of(p, struct vsw_vmk_port, port);

	if (HV_UNLIKELY(!plain_bytes || !ring_put_burst(k, frames, n, plain_bytes)))
		deliver_careful(k, frames, n);
	vsw_port_dirty(p);
}

/* ---- trace ---- */

static enum vsw_drop vmk_check(struct vsw_port *p, struct rte_mbuf *m)
{
	m->vlan_tci = p->domain;
	return m->pkt_len < ETH_HEADER_LEN ? VSW_DROP_RUNT : VSW_DROP_COUNT;
}

static enum vsw_drop vmk_refuses(const struct vsw_port *p, const struct rte_mbuf *m)
{
	return vsw_too_long(p, m) ? VSW_DROP_OVERSIZE : VSW_DROP_COUNT;
}

/* ---- to the client ---- */

/* Of the next n that wait. */
static uint64_t bytes_of(const struct vsw_vmk_port *k, uint32_t n)
{
	uint64_t bytes = 0;

	if (HV_LIKELY(n == k->rx_count))
		return k->rx_bytes;
	for (uint32_t i = 0; i < n; i++)
		bytes += k->rx[(k->rx_tail + i) % RX_RING]->pkt_len;
	return bytes;
}

/* The client took only some of a burst. */
static HV_COLD void refused(struct vsw_vmk_port *k, struct rte_mbuf **burst, unsigned n, unsigned taken)
{
	hv_assert(taken <= n);
	k->port.count.out_frames -= n - taken;
	for (unsigned i = taken; i < n; i++) {
		k->port.count.out_bytes -= burst[i]->pkt_len;
		vsw_drop(&k->port, VSW_DROP_RX_FULL, burst[i]);
	}
}

/* Hands over a burst, whose bytes have been counted. */
static HV_ALWAYS_INLINE void hand_over(struct vsw_vmk_port *k, struct rte_mbuf **burst, unsigned n)
{
	unsigned taken;

	k->port.count.out_frames += n;
	k->port.count.out_bursts++;
	taken = k->client.rx(k->client.arg, burst, n);
	if (HV_UNLIKELY(taken != n))
		refused(k, burst, n, taken);
}

/* All that waits is staged, plain, and no filter wants it. @pre something is */
static __attribute__((noinline)) unsigned hand_over_staged(struct vsw_vmk_port *k)
{
	struct vsw_staged s = vsw_stage_take(&k->port);
	struct rte_mbuf *burst[VSW_BURST]; /* the client may send what comes back to this stage */

	vsw_copy_frames(burst, k->port.stage, s.frames);
	k->port.count.out_bytes += s.plain_bytes;
	hand_over(k, burst, s.frames);
	return s.frames;
}

static __attribute__((noinline)) unsigned hand_over_all(struct vsw_vmk_port *k)
{
	uint64_t bytes;
	uint32_t n;

	vsw_port_deliver(&k->port); /* into the ring */
	n = HV_MIN(k->rx_count, POLL_FRAMES);
	bytes = bytes_of(k, n);
	k->rx_bytes -= bytes;
	k->port.count.out_bytes += bytes;
	for (uint32_t left = n; left;) {
		uint32_t burst = HV_MIN(HV_MIN(left, (uint32_t)VSW_BURST), RX_RING - k->rx_tail);

		hand_over(k, &k->rx[k->rx_tail], burst);
		k->rx_tail = (k->rx_tail + burst) % RX_RING;
		k->rx_count -= burst;
		left -= burst;
	}
	if (!k->rx_count)
		k->rx_tail = 0;
	return n;
}

/* Hands over what waits; then the port is in no list, or again at the end of it. */
static HV_ALWAYS_INLINE unsigned pull(struct vsw *v, struct vsw_vmk_port *k)
{
	unsigned n;

	if (HV_UNLIKELY(k->rx_count || k->port.filters_out || k->port.stage_payload & VSW_STAGE_MIXED || !k->port.staged))
		n = hand_over_all(k);
	else
		n = hand_over_staged(k);
	if (HV_UNLIKELY(k->port.staged || k->rx_count))
		v->pulled.ports[v->pulled.count++] = k->port.index;
	else
		k->port.flags &= (uint16_t)~VSW_PF_DIRTY;
	return n;
}

static unsigned vmks_poll(struct hv_poller *poller)
{
	struct vsw *v = hv_container_of(poller, struct vsw, puller);
	unsigned n = v->pulled.count, frames = 0;

	if (!n) /* mostly */
		return 0;
	for (unsigned i = 0; i < n; i++) {
		if (HV_LIKELY(v->pulled.ports[i] != VSW_PORT_NONE))
			frames += pull(v, hv_container_of(v->ports[v->pulled.ports[i]], struct vsw_vmk_port, port));
	}
	v->pulled.count -= n;
	if (HV_UNLIKELY(v->pulled.count)) /* they came meanwhile: the next round's */
		memmove(v->pulled.ports, v->pulled.ports + n, v->pulled.count * sizeof(v->pulled.ports[0]));
	if (v->dirty.count)
		vsw_flush(v); /* what the clients sent, or a filter */
	return frames;
}

static bool vmks_arm(struct hv_poller *poller, bool on)
{
	return on && hv_container_of(poller, struct vsw, puller)->pulled.count;
}

void vsw_vmk_tx(struct vsw_vmk_port *p, struct rte_mbuf **frames, unsigned n)
{
	hv_assert(hv_core_self() == p->port.sw->v->core);
	vsw_input_access(&p->port, frames, n);
}

void vsw_vmk_flush(struct vsw_vmk_port *p)
{
	vsw_flush(p->port.sw->v);
}

struct rte_mempool *vsw_vmk_pool(struct vsw_vmk_port *p)
{
	return p->port.sw->v->vmk_pool;
}

uint16_t vsw_vmk_mtu(const struct vsw_vmk_port *p)
{
	return p->port.mtu;
}

bool vsw_vmk_link_up(const struct vsw_vmk_port *p)
{
	return vsw_team_up(p->port.portgroup->team);
}

static void vmk_link_changed(struct vsw_port *p, bool up)
{
	struct vsw_vmk_port *k = hv_container_of(p, struct vsw_vmk_port, port);

	if (k->client.link)
		k->client.link(k->client.arg, up);
}

/* In another network: the client tells its neighbours. */
static void vmk_reconfigured(struct vsw_port *p, bool moved)
{
	if (moved && p->team_up)
		vmk_link_changed(p, true);
}

int vsw_vmk_port_create(struct vsw *v, unsigned portgroup, const char *name, const uint8_t mac[6], const struct vsw_vmk_client *client,
	struct vsw_vmk_port **out)
{
	struct vsw_vmk_port *k = hv_contig_alloc(sizeof(*k), HV_PAGE_SIZE);
	int err;

	if (!k)
		return trace_error(-ENOMEM);
	if (portgroup < v->config.portgroup_count && v->portgroups[portgroup]->trunk) {
		hv_contig_free(k, sizeof(*k));
		return trace_error(-EINVAL);
	}
	k->client = *client;
	k->port.kind = VSW_PORT_VMK;
	k->port.flags = VSW_PF_VMK | VSW_PF_PRIVATE | VSW_PF_PULLS;
	k->port.deliver = vmk_deliver;
	k->port.check = vmk_check;
	k->port.refuses = vmk_refuses;
	k->port.link_changed = vmk_link_changed;
	k->port.reconfigured = vmk_reconfigured;
	err = vsw_access_port_init(v, &k->port, portgroup, name, mac);
	if (err) {
		hv_contig_free(k, sizeof(*k));
		return err;
	}
	hv_poller_remove(&v->puller); /* to the end: behind those that bring frames */
	v->puller.poll = vmks_poll;
	v->puller.arm = vmks_arm;
	v->puller.name = "vmk";
	hv_poller_add(&v->puller);
	*out = k;
	return 0;
}

void vsw_vmk_port_destroy(struct vsw_vmk_port *k)
{
	vsw_port_remove(&k->port);
	for (; k->rx_count; k->rx_count--)
		rte_pktmbuf_free(k->rx[k->rx_tail++ % RX_RING]);
	hv_contig_free(k, sizeof(*k));
}
