/*
 * Trace of a frame through the live switch.
 *
 * The frame takes the very path that every frame takes (the careful one; the short path of forward.h is a part of it), so a trace cannot
 * disagree with forwarding. What makes it a trace:
 *
 *   save      the MAC table and counters of the port's vSwitch, and what ports keep per frame
 *   divert    every port's deliver and flush: frames end here, each with what the port's driver would say to it (vsw_port.refuses)
 *   run       ingress check -> filters in -> vsw_forward -> vsw_flush_all, filters out; a filter that keeps something for later frames
 * (tokens, a queue) says what it would do by it and leaves it as it is (filter.c), control frames are not read compare   counters and the
 * MAC table before and after: what was dropped and where, what would be learned restore   all of it, to the byte
 *
 * All this is one turn of the owner core's loop: nobody sees the switch in between. The steps' texts (trace_steps.c) are made from the same
 * tables by looking; which ports get the frame, and what drops it, comes from the run.
 *
 * Owner: the switch's core.
 */
#include "trace.h"

#include "control.h"
#include "filter.h"
#include "forward.h"

#include <errno.h>
#include <hv/mem.h>
#include <string.h>

#define FRAME_MAX 9216u

/* ---- save, divert, restore ---- */

static void end_here(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes)
{
	for (unsigned i = 0; i < n; i++) {
		vsw_trace_steps_delivery(p->sw->v->trace->in, p, frames[i]);
		rte_pktmbuf_free(frames[i]);
	}
}

static struct vsw_trace_run *run_begin(struct vsw_port *in, struct vsw_trace *out)
{
	struct vsw_switch *sw = in->sw;
	struct vsw *v = sw->v;
	struct vsw_trace_run *r = hv_contig_alloc(sizeof(*r), HV_PAGE_SIZE);

	if (!r)
		return NULL;
	r->out = out;
	r->in = in;
	r->fdb = fdb_save(&sw->fdb);
	if (!r->fdb) {
		hv_contig_free(r, sizeof(*r));
		return NULL;
	}
	vsw_flush_all(v); /* nothing of others is staged */
	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i];

		if (!p)
			continue;
		r->ports[i] = (struct vsw_trace_saved){
			.count = p->count, .used = p->used, .deliver = p->deliver, .flush = p->flush, .flags = p->flags};
		p->deliver = end_here;
		p->flush = NULL;
	}
	v->trace = r;
	return r;
}

static void run_end(struct vsw *v, struct vsw_switch *sw, struct vsw_trace_run *r)
{
	v->trace = NULL;
	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i];

		if (!p)
			continue;
		p->count = r->ports[i].count;
		p->used = r->ports[i].used;
		p->deliver = r->ports[i].deliver;
		p->flush = r->ports[i].flush;
		p->flags = (uint16_t)((r->ports[i].flags & ~VSW_PF_DIRTY) | (p->flags & VSW_PF_DIRTY)); /* it is in its list, or not */
	}
	fdb_restore(&sw->fdb, r->fdb);
	hv_contig_free(r, sizeof(*r));
}

/* ---- the run ---- */

static struct rte_mbuf *make_frame(struct vsw *v, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(v->guest_pool), *last = m;

	for (uint32_t at = 0; m && at < len;) {
		uint16_t n = (uint16_t)HV_MIN(len - at, rte_pktmbuf_tailroom(last));

		memcpy(rte_pktmbuf_mtod_offset(last, char *, last->data_len), frame + at, n);
		last->data_len = (uint16_t)(last->data_len + n);
		m->pkt_len += n;
		at += n;
		if (at == len)
			break;
		last->next = rte_pktmbuf_alloc(v->guest_pool);
		last = last->next;
		if (!last) {
			rte_pktmbuf_free(m);
			return NULL;
		}
		m->nb_segs++;
	}
	return m;
}

/* The reason by which `p` counts more drops than before; VSW_DROP_COUNT: none. */
static enum vsw_drop new_drop(const struct vsw_port *p, const struct vsw_counters *before)
{
	unsigned r = 0;

	while (r < VSW_DROP_COUNT && p->count.drop[r] == before->drop[r])
		r++;
	return (enum vsw_drop)r;
}

/* No source is accepted that causes this drop, so no destination is looked for. */
static bool is_of_source(enum vsw_drop reason)
{
	return reason == VSW_DROP_FORGED_SOURCE || reason == VSW_DROP_BAD_SOURCE || reason == VSW_DROP_OWN_SOURCE;
}

/* As vsw_input and vsw_flush_all do it. */
static void forward(struct vsw_port *p, struct rte_mbuf *m, bool tagged)
{
	struct vsw *v = p->sw->v;
	struct vsw_trace *t = v->trace->out;
	const struct vsw_counters *before = &v->trace->ports[p->index].count;
	const uint8_t *eth = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned to_source = 0;

	vsw_trace_steps_vlan(p, m, tagged);
	if (!p->filters_in || vsw_filters_in(p, &m, 1)) {
		vsw_trace_steps_policy(p, vsw_load_mac(eth + 6), m->vlan_tci);
		to_source = t->step_count;
		vsw_trace_steps_lookup(p, vsw_load_mac(eth), m->vlan_tci);
		if (p->sw->config->snooping && vsw_mac_is_group(vsw_load_mac(eth)) && !vsw_is_link_control(vsw_load_mac(eth)))
			vsw_trace_steps_members(p, m);
		vsw_forward(p, m);
	}
	vsw_flush_all(v);
	t->control = p->count.in_control != before->in_control;
	t->dropped = new_drop(p, before);
	if (is_of_source(t->dropped))
		t->step_count = to_source;
}

static void run(struct vsw_port *p, struct rte_mbuf *m)
{
	struct vsw_trace *t = p->sw->v->trace->out;
	bool tagged = m->data_len >= ETH_HEADER_LEN && vsw_ethertype_raw(rte_pktmbuf_mtod(m, const uint8_t *)) == VLAN_TPID_C;

	vsw_trace_steps_ingress(p, m->pkt_len);
	t->dropped = p->check(p, m);
	if (t->dropped == VSW_DROP_COUNT) {
		forward(p, m, tagged);
	} else {
		if (p->kind == VSW_PORT_UPLINK && m->data_len >= ETH_HEADER_LEN && vsw_control_despite(t->dropped, m)) {
			t->control = vsw_control_reads(p, m);
			t->dropped = t->control ? VSW_DROP_COUNT : VSW_DROP_LINK_CONTROL;
		}
		rte_pktmbuf_free(m);
	}
	vsw_trace_steps_result(p);
}

int vsw_trace(struct vsw *v, const char *port, const uint8_t *frame, uint32_t len, struct vsw_trace *out)
{
	struct vsw_port *p = NULL;
	struct vsw_switch *sw;
	struct vsw_trace_run *r;
	struct rte_mbuf *m;

	hv_assert(hv_core_self() == v->core);
	memset(out, 0, sizeof(*out));
	out->dropped = VSW_DROP_COUNT;
	for (unsigned i = 0; i < v->port_count && !p; i++)
		p = v->ports[i] && !strcmp(v->ports[i]->name, port) ? v->ports[i] : NULL;
	if (!p)
		return -ENOENT;
	if (len > FRAME_MAX)
		return trace_error(-EINVAL);
	sw = p->sw;
	m = make_frame(v, frame, len);
	if (!m)
		return trace_error(-ENOMEM);
	r = run_begin(p, out);
	if (!r) {
		rte_pktmbuf_free(m);
		return trace_error(-ENOMEM);
	}
	run(p, m);
	run_end(v, sw, r);
	return 0;
}
