/*
 * Storm limit: how many broadcast, multicast and unknown unicast frames a second a port may bring into the switch. Each of the three
 * kinds has a token bucket of BURST_MS of its limit; what exceeds it is dropped at the port, by a reason of its kind.
 *
 * Each kind:  calm -> [a frame is dropped] raging, logged -> [a whole second without a drop] calm, logged with the number dropped
 *
 * Link-local control frames (LACP, LLDP) are not counted: a storm must not take an uplink down. Unknown unicast: an address that the MAC
 * table does not have in the frame's VLAN; looked up only where it is limited.
 *
 * Owner: the switch's core.
 */
#include "filter.h"

#include "control.h"
#include "trace.h"

#define BURST_MS 100u
#define BURST_MIN 32u

static const struct {
	const char *name;
	enum vsw_drop reason;
} kinds[VSW_STORM_KINDS] = {
	[VSW_STORM_BROADCAST] = {"broadcast", VSW_DROP_STORM_BROADCAST},
	[VSW_STORM_MULTICAST] = {"multicast", VSW_DROP_STORM_MULTICAST},
	[VSW_STORM_UNKNOWN] = {"unknown unicast", VSW_DROP_STORM_UNKNOWN},
};

static bool is_known(const struct vsw_switch *sw, uint64_t dst, uint16_t domain)
{
	return fdb_find(&sw->fdb, fdb_key(dst, domain)) != FDB_NONE || (sw->trunk_ports && vsw_trunk_owner(sw, dst, domain));
}

/* VSW_STORM_KINDS: of none that is limited. */
static enum vsw_storm_kind kind_of(const struct vsw_port *p, const struct rte_mbuf *m)
{
	uint64_t dst = vsw_load_mac(rte_pktmbuf_mtod(m, const uint8_t *));

	if (__builtin_expect(!vsw_mac_is_group(dst), 1)) {
		if (!p->filter->storm.of[VSW_STORM_UNKNOWN].bucket.rate || is_known(p->sw, dst, m->vlan_tci))
			return VSW_STORM_KINDS;
		return VSW_STORM_UNKNOWN;
	}
	if (dst == 0xffffffffffffull)
		return VSW_STORM_BROADCAST;
	return vsw_is_link_control(dst) ? VSW_STORM_KINDS : VSW_STORM_MULTICAST;
}

static void begins(struct vsw_port *p, enum vsw_storm_kind kind)
{
	p->filter->storm.of[kind].raging = true;
	p->filter->storm.of[kind].dropped = 0;
	p->filter->storm.of[kind].dropped_last_tick = 0;
	log_warn("vswitch.storm.begin", "port %s: more than %llu %s frames a second: the rest is dropped", p->name,
		(unsigned long long)p->filter->storm.of[kind].bucket.rate, kinds[kind].name);
}

static void ends(struct vsw_port *p, enum vsw_storm_kind kind)
{
	p->filter->storm.of[kind].raging = false;
	log_info("vswitch.storm.end", "port %s: %s frames are within the limit again; %llu were dropped", p->name, kinds[kind].name,
		(unsigned long long)p->filter->storm.of[kind].dropped);
}

static void note(const struct vsw_port *p, const struct vsw_bucket *b, enum vsw_storm_kind kind)
{
	vsw_trace_note(p->sw->v, "filter", vsw_trace_setting(p, p->own.has_storm, "storm"),
		"%s: at most %llu %s frames a second: %llu may come now", p->name, (unsigned long long)b->rate, kinds[kind].name,
		(unsigned long long)(HV_MAX(b->tokens, 0) / BUCKET_SCALE));
}

static void count(struct vsw_port *p, enum vsw_storm_kind kind)
{
	if (!p->filter->storm.of[kind].raging)
		begins(p, kind);
	p->filter->storm.of[kind].dropped++;
}

/* The filter and, `traced`, its traced twin: that one says what the limit has left, takes no token and begins no storm (filter.h). */
static inline __attribute__((always_inline)) unsigned pass(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, bool traced)
{
	uint64_t now = hv_now_ns();
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		enum vsw_storm_kind kind = kind_of(p, frames[i]);
		struct vsw_bucket *b = kind == VSW_STORM_KINDS ? NULL : &p->filter->storm.of[kind].bucket;

		if (!b || !b->rate) {
			frames[kept++] = frames[i];
			continue;
		}
		vsw_bucket_fill(b, now);
		if (traced)
			note(p, b, kind);
		if (vsw_bucket_has(b, 1)) {
			if (!traced)
				vsw_bucket_take(b, 1);
			frames[kept++] = frames[i];
			continue;
		}
		if (!traced)
			count(p, kind);
		vsw_drop(p, kinds[kind].reason, frames[i]);
	}
	return kept;
}

unsigned vsw_storm_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return pass(p, frames, n, false);
}

unsigned vsw_storm_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return pass(p, frames, n, true);
}

void vsw_storm_tick(struct vsw_port *p)
{
	struct vsw_storm *s = &p->filter->storm;

	for (enum vsw_storm_kind kind = 0; kind < VSW_STORM_KINDS; kind++) {
		if (s->of[kind].raging && s->of[kind].dropped == s->of[kind].dropped_last_tick)
			ends(p, kind);
		s->of[kind].dropped_last_tick = s->of[kind].dropped;
	}
}

static void set_limit(struct vsw_port *p, enum vsw_storm_kind kind, uint32_t rate)
{
	struct vsw_bucket *b = &p->filter->storm.of[kind].bucket;

	if (b->rate == rate)
		return;
	if (rate)
		vsw_bucket_init(b, rate, HV_MAX(rate * (uint64_t)BURST_MS / 1000, BURST_MIN), hv_now_ns());
	b->rate = rate;
	if (!rate && p->filter->storm.of[kind].raging)
		ends(p, kind);
}

void vsw_storm_apply(struct vsw_port *p, const struct vsw_storm_config *c)
{
	set_limit(p, VSW_STORM_BROADCAST, c->broadcast_pps);
	set_limit(p, VSW_STORM_MULTICAST, c->multicast_pps);
	set_limit(p, VSW_STORM_UNKNOWN, c->unknown_unicast_pps);
	if (c->broadcast_pps || c->multicast_pps || c->unknown_unicast_pps)
		p->filters_in |= VSW_FILTER_STORM;
	else
		p->filters_in &= (uint16_t)~VSW_FILTER_STORM;
}
