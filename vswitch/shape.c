/*
 * Traffic shaping: a port's frames, in each direction, are limited to an average rate (bits per second over time), a burst (bytes that may
 * exceed it after a pause) and a peak rate (while the burst lasts). Two token buckets: one of the burst's size filled at the average, one
 * of PEAK_NS filled at the peak; a frame goes on when both have its bytes. (rte_meter's colour markers would tell which frames to drop, not
 * when one may go, so a queue cannot be built on them.)
 *
 * A frame that may not go yet waits in the shaper's queue and a timer sends it: what a TCP sender sees is a slower link, not loss. The
 * queue holds QUEUE_NS of the average rate, at least a few frames, and all shapers together hold a quarter of the guests' buffers at most;
 * what does not fit is dropped (shaped). Both directions queue: to police what a guest sends would make its TCP retransmit what
 * we could have kept.
 *
 *   frame -> [queue empty, tokens] -> goes on
 *         -> [else, room]          -> waits -> timer: tokens -> goes on behind the filter
 *                                           -> the port is unplugged, or goes to other VLANs -> dropped (port-gone)
 *         -> [else]                -> dropped (shaped)
 *
 * Bytes are those of frames as a wire would have them, without FCS and tag: a TSO frame counts the headers of all its segments.
 *
 * Owner: the switch's core.
 */
#include "filter.h"

#include "offload.h"
#include "trace.h"

#define PEAK_NS 1000000ull /* how long a peak may be exceeded: pollers and timers are not exact */
#define QUEUE_NS 100000000ull
#define QUEUE_BYTES_MIN (16u * 1514u)
#define TIMER_MIN_NS 50000ull      /* so that many ports at high rates are no flood of timers */
#define ALL_QUEUED_MBUFS_MAX 1024u /* of all shapers of the switch */

uint32_t vsw_wire_bytes(const struct rte_mbuf *m)
{
	uint32_t headers, payload;

	if (__builtin_expect(!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG), 1))
		return m->pkt_len;
	headers = m->l2_len + (uint32_t)m->l3_len + m->l4_len;
	payload = m->pkt_len - headers;
	return m->pkt_len + (payload ? (payload - 1) / m->tso_segsz : 0) * headers;
}

static uint32_t cost(const struct rte_mbuf *m)
{
	return HV_MIN(vsw_wire_bytes(m) * 8, (uint32_t)BUCKET_COST_MAX);
}

static void fill(struct vsw_shaper *s, uint64_t now_ns)
{
	vsw_bucket_fill(&s->average, now_ns);
	if (s->has_peak)
		vsw_bucket_fill(&s->peak, now_ns);
}

static bool has_tokens(const struct vsw_shaper *s, uint32_t bits)
{
	return vsw_bucket_has(&s->average, bits) && (!s->has_peak || vsw_bucket_has(&s->peak, bits));
}

static bool pass(struct vsw_shaper *s, const struct rte_mbuf *m)
{
	uint32_t bits = cost(m);

	if (!has_tokens(s, bits))
		return false;
	vsw_bucket_take(&s->average, bits);
	if (s->has_peak)
		vsw_bucket_take(&s->peak, bits);
	return true;
}

/* ---- the queue ---- */

static uint32_t *all_queued(const struct vsw_shaper *s)
{
	return &s->port->sw->v->shaped_mbufs;
}

static bool has_room(const struct vsw_shaper *s, const struct rte_mbuf *m)
{
	return s->head - s->tail < SHAPE_QUEUE && s->queue_bytes + m->pkt_len <= s->queue_bytes_max &&
	       *all_queued(s) + m->nb_segs <= ALL_QUEUED_MBUFS_MAX;
}

static void enqueue(struct vsw_shaper *s, struct rte_mbuf *m)
{
	if (!has_room(s, m)) {
		vsw_drop(s->port, VSW_DROP_SHAPED, m);
		return;
	}
	s->queue_bytes += m->pkt_len;
	s->queue_mbufs += m->nb_segs;
	*all_queued(s) += m->nb_segs;
	s->queue[s->head++ % SHAPE_QUEUE] = m;
	if (s->out)
		s->port->count.out_shaped++;
	else
		s->port->count.in_shaped++;
}

static struct rte_mbuf *dequeue(struct vsw_shaper *s)
{
	struct rte_mbuf *m = s->queue[s->tail++ % SHAPE_QUEUE];

	s->queue_bytes -= m->pkt_len;
	s->queue_mbufs -= m->nb_segs;
	*all_queued(s) -= m->nb_segs;
	return m;
}

/* Wakes when the first that waits may go. */
static void arm(struct vsw_shaper *s)
{
	uint32_t bits;
	uint64_t wait;

	if (s->head == s->tail)
		return;
	bits = cost(s->queue[s->tail % SHAPE_QUEUE]);
	wait = vsw_bucket_wait_ns(&s->average, bits);
	if (s->has_peak)
		wait = HV_MAX(wait, vsw_bucket_wait_ns(&s->peak, bits));
	hv_timer_arm(&s->timer, s->average.then_ns + HV_MAX(wait, TIMER_MIN_NS));
}

static void go_on(struct vsw_shaper *s, struct rte_mbuf **frames, unsigned n)
{
	struct vsw_port *p = s->port;

	if (!s->out) {
		vsw_input_resume(p, VSW_FILTER_SHAPE, frames, n);
		vsw_flush(p->sw->v);
		return;
	}
	vsw_deliver_resume(p, VSW_FILTER_SHAPE, frames, n);
	if (p->flush)
		p->flush(p);
}

static void release(struct hv_timer *t)
{
	struct vsw_shaper *s = hv_container_of(t, struct vsw_shaper, timer);
	struct rte_mbuf *burst[VSW_BURST];
	unsigned n;

	fill(s, hv_now_ns());
	do {
		for (n = 0; n < VSW_BURST && s->head != s->tail && (!s->on || pass(s, s->queue[s->tail % SHAPE_QUEUE])); n++)
			burst[n] = dequeue(s);
		if (n)
			go_on(s, burst, n);
	} while (n == VSW_BURST);
	arm(s);
}

/* ---- filters ---- */

/* The usual burst: nothing waits, no frame is to be segmented, and there are tokens for all. */
static bool pass_all(struct vsw_shaper *s, struct rte_mbuf *const *frames, unsigned n)
{
	uint64_t bytes = 0, flags = 0;

	for (unsigned i = 0; i < n; i++) {
		bytes += frames[i]->pkt_len;
		flags |= frames[i]->ol_flags;
	}
	if (s->head != s->tail || flags & RTE_MBUF_F_TX_TCP_SEG)
		return false;
	if (!vsw_bucket_has_all(&s->average, bytes * 8) || (s->has_peak && !vsw_bucket_has_all(&s->peak, bytes * 8)))
		return false;
	vsw_bucket_take(&s->average, bytes * 8);
	if (s->has_peak)
		vsw_bucket_take(&s->peak, bytes * 8);
	return true;
}

static unsigned shape(struct vsw_shaper *s, struct rte_mbuf **frames, unsigned n)
{
	unsigned kept = 0;

	fill(s, hv_now_ns());
	if (__builtin_expect(pass_all(s, frames, n), 1))
		return n;
	for (unsigned i = 0; i < n; i++) {
		if (__builtin_expect(s->head == s->tail && pass(s, frames[i]), 1))
			frames[kept++] = frames[i];
		else
			enqueue(s, frames[i]);
	}
	if (__builtin_expect(s->head != s->tail && !s->timer.armed, 0))
		arm(s);
	return kept;
}

unsigned vsw_shape_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return shape(&p->filter->shape_in, frames, n);
}

unsigned vsw_shape_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return shape(&p->filter->shape_out, frames, n);
}

/* ---- trace ---- */

static unsigned trace(struct vsw_shaper *s, bool own, struct rte_mbuf **frames, unsigned n)
{
	struct vsw_trace_place place = vsw_trace_setting(s->port, own, s->out ? "shaping.egress" : "shaping.ingress");
	unsigned kept = 0;

	fill(s, hv_now_ns());
	for (unsigned i = 0; i < n; i++) {
		bool room = has_room(s, frames[i]), at_once = s->head == s->tail && has_tokens(s, cost(frames[i]));

		vsw_trace_note(s->port->sw->v, "filter", place, "%s: %s shaped to %llu kbit/s: %s, %u frames before it", s->port->name,
			s->out ? "what it gets is" : "what it sends is", (unsigned long long)s->average.rate / 1000,
			at_once ? "goes on at once"
			: room  ? "waits for its turn"
				: "the queue has no room",
			s->head - s->tail);
		if (at_once || room)
			frames[kept++] = frames[i];
		else if (s->out)
			vsw_trace_refuse(s->port, VSW_DROP_SHAPED, frames[i]);
		else
			vsw_drop(s->port, VSW_DROP_SHAPED, frames[i]);
	}
	return kept;
}

unsigned vsw_shape_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return trace(&p->filter->shape_in, p->own.has_ingress, frames, n);
}

unsigned vsw_shape_out_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return trace(&p->filter->shape_out, p->own.has_egress, frames, n);
}

/* ---- control ---- */

static void set_rates(struct vsw_shaper *s, const struct vsw_shaping_config *c, bool was_on)
{
	void (*set)(struct vsw_bucket *, uint64_t, uint64_t, uint64_t) = was_on ? vsw_bucket_change : vsw_bucket_init;
	uint64_t now = hv_now_ns(), average = c->average_kbps * 1000ull, peak = c->peak_kbps * 1000ull;
	uint64_t peak_burst = HV_MAX(peak * PEAK_NS / 1000000000, 8ull * 2 * (s->port->mtu + 14u));

	if (was_on)
		fill(s, now);
	set(&s->average, average, c->burst_bytes * 8, now);
	if (peak)
		(s->has_peak ? set : vsw_bucket_init)(&s->peak, peak, peak_burst, now);
	s->has_peak = peak;
	s->queue_bytes_max = (uint32_t)HV_MIN(HV_MAX(average / 8 * QUEUE_NS / 1000000000, QUEUE_BYTES_MIN), UINT32_MAX / 2);
}

static void apply_one(struct vsw_port *p, struct vsw_shaper *s, bool out, const struct vsw_shaping_config *c)
{
	uint16_t *filters = out ? &p->filters_out : &p->filters_in;
	bool was_on = s->on;

	s->port = p;
	s->out = out;
	s->timer.fn = release;
	s->on = c->average_kbps;
	if (s->on)
		set_rates(s, c, was_on);
	*filters = (uint16_t)(s->on ? *filters | VSW_FILTER_SHAPE : *filters & ~VSW_FILTER_SHAPE);
	if (s->head != s->tail)
		hv_timer_arm(&s->timer, hv_now_ns()); /* sends, or waits anew */
}

void vsw_shape_apply(struct vsw_port *p)
{
	const struct vsw_port_config *own = &p->own;
	const struct vsw_portgroup_config *group = p->portgroup->config;

	apply_one(p, &p->filter->shape_in, false, own->has_ingress ? &own->ingress : &group->ingress);
	apply_one(p, &p->filter->shape_out, true, own->has_egress ? &own->egress : &group->egress);
}

static void clear(struct vsw_shaper *s)
{
	if (!s->port)
		return;
	hv_timer_cancel(&s->timer);
	while (s->head != s->tail)
		vsw_drop(s->port, VSW_DROP_PORT_GONE, dequeue(s));
}

void vsw_shape_clear(struct vsw_port *p)
{
	clear(&p->filter->shape_in);
	clear(&p->filter->shape_out);
}
