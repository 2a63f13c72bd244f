/*
 * Trace of a frame through the live switch.
 *
 * The frame takes the very path that every frame takes (the careful one; the short path of forward.h is a part of it), so a trace cannot
 * disagree with forwarding. What makes it a trace:
 *
 *   save      the MAC table and counters of the port's vSwitch, and what ports keep per frame
 *   divert    every port's deliver and flush: frames end here, each with what the port's driver would say to it (vsw_port.refuses)
 *   run       ingress check -> vsw_input -> vsw_flush; filters that keep state are named and not run (filter.c), control frames not read
 *   compare   counters and the MAC table before and after: what was dropped and where, what would be learned
 *   restore   all of it, to the byte
 *
 * All this is one turn of the owner core's loop: nobody sees the switch in between. The steps' texts are made from the same tables by
 * looking; which ports get the frame, and what drops it, comes from the run.
 *
 * Owner: the switch's core.
 */
#include "trace.h"

#include "control.h"
#include "filter.h"
#include "snoop.h"
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>
#include <hv/netport.h>
#include <stdarg.h>
#include <string.h>

#define FRAME_MAX 9216u

struct port_saved {
	struct vsw_counters count;
	struct vsw_vlan_set used;
	void (*deliver)(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes);
	void (*flush)(struct vsw_port *p);
	uint16_t flags;
};

struct vsw_trace_run {
	struct vsw_trace *out;
	void *fdb; /* saved */
	struct port_saved ports[VSW_MAX_PORTS];
};

/* ---- steps ---- */

void vsw_trace_note(struct vsw *v, const char *stage, const char *path, unsigned index, const char *fmt, ...)
{
	struct vsw_trace *t = v->trace->out;
	struct vsw_trace_step *step;
	va_list ap;

	if (t->step_count == VSW_TRACE_STEPS)
		return;
	step = &t->steps[t->step_count++];
	step->stage = stage;
	va_start(ap, fmt);
	hv_vsnprintf(step->text, sizeof(step->text), fmt, ap);
	va_end(ap);
	hv_snprintf(step->path, sizeof(step->path), path[0] ? path : "%.0u", index);
}

#define MAC_FORMAT "%02x:%02x:%02x:%02x:%02x:%02x"
#define MAC_BYTES(m) (m)[0], (m)[1], (m)[2], (m)[3], (m)[4], (m)[5]

static unsigned portgroup_index(const struct vsw_port *p)
{
	return (unsigned)(p->portgroup->config - p->sw->v->config.portgroups);
}

static unsigned switch_index(const struct vsw_switch *sw)
{
	return (unsigned)(sw->config - sw->v->config.switches);
}

static unsigned uplink_index(const struct vsw_port *p)
{
	unsigned i = 0;

	while (i < VSW_MAX_UPLINKS && !(p->sw->v->uplinks[i] && vsw_uplink_port(p->sw->v->uplinks[i]) == p))
		i++;
	return i;
}

/* The place of the configuration that makes a port drop for this reason, or "". */
static const char *drop_path(const struct vsw_port *p, enum vsw_drop reason, unsigned *index)
{
	bool uplink = p->kind == VSW_PORT_UPLINK;

	*index = uplink ? uplink_index(p) : portgroup_index(p);
	switch (reason) {
	case VSW_DROP_VLAN_TAG:
		return "portgroups[%u].vlan";
	case VSW_DROP_UNTAGGED:
		return "portgroups[%u].trunk";
	case VSW_DROP_VLAN_NOT_ALLOWED:
		return uplink ? "uplinks[%u].vlans" : "portgroups[%u].trunk";
	case VSW_DROP_OVERSIZE:
		return uplink ? "uplinks[%u].mtu" : "portgroups[%u].mtu";
	case VSW_DROP_FORGED_SOURCE:
		return "portgroups[%u].policy.forged_transmits";
	case VSW_DROP_PRIVATE_VLAN:
		return uplink ? "uplinks[%u]" : "portgroups[%u].private_vlan";
	case VSW_DROP_DHCP_SERVER:
	case VSW_DROP_ROUTER_ADVERT:
	case VSW_DROP_ARP_SPOOF:
	case VSW_DROP_HIDDEN_HEADER:
		return "portgroups[%u].guard";
	case VSW_DROP_NO_MEMBER:
		*index = switch_index(p->sw);
		return "vswitches[%u].snooping";
	case VSW_DROP_NO_UPLINK:
	case VSW_DROP_STANDBY_UPLINK:
		*index = switch_index(p->sw);
		return "vswitches[%u].uplinks";
	case VSW_DROP_VLAN_UNKNOWN:
		return "uplinks[%u]";
	default:
		return uplink ? "uplinks[%u]" : "portgroups[%u]";
	}
}

static void note_drop(struct vsw_port *p, const char *stage, enum vsw_drop reason)
{
	unsigned index;
	const char *path = drop_path(p, reason, &index);

	vsw_trace_note(p->sw->v, stage, path, index, "dropped at %s: %s (%s)", p->name, vsw_drop_text(reason), vsw_drop_name(reason));
}

static void note_port(struct vsw_port *p, uint32_t len)
{
	if (p->portgroup)
		vsw_trace_note(p->sw->v, "ingress", "portgroups[%u]", portgroup_index(p), "%u bytes from %s (%s) in port group %s of %s",
			len, p->name, vsw_port_kind_name(p->kind), p->portgroup->config->name, p->sw->config->name);
	else
		vsw_trace_note(p->sw->v, "ingress", "uplinks[%u]", uplink_index(p), "%u bytes from the wire of %s, an uplink of %s", len,
			p->name, p->sw->config->name);
}

static void note_vlan(struct vsw_port *p, const struct rte_mbuf *m, bool tagged)
{
	uint16_t vlan = p->sw->v->domains[m->vlan_tci]->vlan;
	const char *how = tagged ? "by its tag" : "it is untagged";

	if (p->kind == VSW_PORT_UPLINK)
		vsw_trace_note(p->sw->v, "vlan", "uplinks[%u].vlans", uplink_index(p), "VLAN %u: %s", vlan, how);
	else if (p->flags & VSW_PF_TRUNK)
		vsw_trace_note(p->sw->v, "vlan", tagged ? "portgroups[%u].trunk" : "portgroups[%u].native", portgroup_index(p),
			"VLAN %u: %s", vlan, how);
	else
		vsw_trace_note(p->sw->v, "vlan", p->portgroup->private ? "portgroups[%u].private_vlan" : "portgroups[%u].vlan",
			portgroup_index(p), "VLAN %u: the port group's", vlan);
}

/* Where an address is, by the MAC table. */
static const char *place(const struct vsw_switch *sw, uint32_t slot)
{
	uint16_t port = fdb_slot_port(&sw->fdb, slot);

	if (port == VSW_PORT_OUTSIDE)
		return "outside";
	return port >= VSW_PORT_SPECIAL ? "a port of the private VLAN that frames of this one do not reach" : sw->v->ports[port]->name;
}

static void note_policy(struct vsw_port *p, uint64_t src, uint16_t domain)
{
	uint8_t mac[6];
	uint32_t slot = fdb_find(&p->sw->fdb, fdb_key(src, domain));

	vsw_store_mac(mac, src);
	if (p->kind == VSW_PORT_UPLINK)
		vsw_trace_note(p->sw->v, "policy", "", 0, "source " MAC_FORMAT " is outside's", MAC_BYTES(mac));
	else if (src == p->mac)
		vsw_trace_note(p->sw->v, "policy", "", 0, "source " MAC_FORMAT " is the port's own", MAC_BYTES(mac));
	else
		vsw_trace_note(p->sw->v, "policy", "portgroups[%u].policy.forged_transmits", portgroup_index(p),
			"source " MAC_FORMAT " is not the port's own; forged transmits are %s", MAC_BYTES(mac),
			p->flags & VSW_PF_FORGED ? "allowed" : "rejected");
	if (slot == FDB_NONE)
		vsw_trace_note(p->sw->v, "learning", "", 0,
			src == p->mac ? "nothing: the port's address needs no learning" : "the address is not in the MAC table");
	else if (!fdb_is_static(&p->sw->fdb, slot))
		vsw_trace_note(p->sw->v, "learning", "vswitches[%u].mac_ageing", switch_index(p->sw), "the address is known already, at %s",
			place(p->sw, slot));
}

static void note_lookup(struct vsw_port *p, uint64_t dst, uint16_t domain)
{
	struct vsw *v = p->sw->v;
	uint32_t slot = fdb_find(&p->sw->fdb, fdb_key(dst, domain));
	struct vsw_port *trunk = vsw_trunk_owner(p->sw, dst, domain);
	uint8_t mac[6];

	vsw_store_mac(mac, dst);
	if (vsw_is_link_control(dst))
		vsw_trace_note(v, "look-up", "", 0, MAC_FORMAT " is a control address between neighbours: never forwarded", MAC_BYTES(mac));
	else if (vsw_mac_is_group(dst))
		vsw_trace_note(v, "look-up", "", 0, MAC_FORMAT " is a group: all ports of the VLAN (%u), and outside", MAC_BYTES(mac),
			v->domains[domain]->member_count);
	else if (slot != FDB_NONE && fdb_slot_port(&p->sw->fdb, slot) == VSW_PORT_OUTSIDE)
		vsw_trace_note(v, "look-up", "", 0, MAC_FORMAT " was learned outside", MAC_BYTES(mac));
	else if (slot != FDB_NONE)
		vsw_trace_note(v, "look-up", "", 0, MAC_FORMAT " is at %s (%s)", MAC_BYTES(mac), place(p->sw, slot),
			fdb_is_static(&p->sw->fdb, slot) ? "its own address" : "learned");
	else if (trunk)
		vsw_trace_note(v, "look-up", "", 0, MAC_FORMAT " is at %s (its own address on a trunk)", MAC_BYTES(mac), trunk->name);
	else
		vsw_trace_note(v, "look-up", "", 0, MAC_FORMAT " is unknown: it can only be outside", MAC_BYTES(mac));
	if (v->domains[domain]->promisc_count)
		vsw_trace_note(v, "look-up", "", 0, "%u promiscuous ports of the VLAN get every frame", v->domains[domain]->promisc_count);
}

static void note_members(struct vsw_port *p, const struct rte_mbuf *m)
{
	const uint64_t *only = vsw_snoop(p, p->sw->v->domains[m->vlan_tci], m);
	unsigned n = 0;

	for (unsigned i = 0; only && i < VSW_MAX_PORTS / 64; i++)
		n += (unsigned)__builtin_popcountll(only[i]);
	if (only)
		vsw_trace_note(p->sw->v, "look-up", "vswitches[%u].snooping", switch_index(p->sw),
			"%u ports are members of its group or lead to a multicast router", n);
	else
		vsw_trace_note(p->sw->v, "look-up", "vswitches[%u].snooping", switch_index(p->sw),
			"snooping does not filter it: no querier in its VLAN as yet, or a group of link scope");
}

/* ---- the end of the path ---- */

static bool leaves_tagged(const struct vsw_port *p, uint16_t vlan)
{
	if (p->kind == VSW_PORT_UPLINK)
		return vlan;
	if (!(p->flags & VSW_PF_TRUNK))
		return false;
	return !p->portgroup->config->has_native || vlan != p->portgroup->config->native_vlan;
}

static void note_delivery(struct vsw_port *p, const struct rte_mbuf *m, const struct vsw_trace_delivery *d)
{
	struct vsw *v = p->sw->v;
	char tag[32] = "untagged";
	unsigned index;
	const char *path;

	if (d->tagged)
		hv_snprintf(tag, sizeof(tag), "with the tag of VLAN %u", d->vlan);
	if (p->kind == VSW_PORT_UPLINK)
		vsw_trace_note(v, "team", "vswitches[%u].uplinks", switch_index(p->sw), "outside is by %s", p->name);
	if (d->refused != VSW_DROP_COUNT) {
		path = drop_path(p, d->refused, &index);
		vsw_trace_note(
			v, "egress", path, index, "%s refuses it: %s (%s)", p->name, vsw_drop_text(d->refused), vsw_drop_name(d->refused));
		return;
	}
	index = p->kind == VSW_PORT_UPLINK ? uplink_index(p) : portgroup_index(p);
	vsw_trace_note(v, "egress", p->kind == VSW_PORT_UPLINK ? "uplinks[%u]" : "portgroups[%u]", index, "to %s: %u bytes, %s", p->name,
		m->pkt_len + (d->tagged ? VLAN_TAG_LEN : 0), tag);
}

static void end_here(struct vsw_port *p, struct rte_mbuf **frames, unsigned n, uint32_t plain_bytes)
{
	struct vsw_trace *t = p->sw->v->trace->out;

	for (unsigned i = 0; i < n; i++) {
		uint16_t vlan = p->sw->v->domains[frames[i]->vlan_tci]->vlan;
		struct vsw_trace_delivery d = {.vlan = vlan, .tagged = leaves_tagged(p, vlan), .refused = p->refuses(p, frames[i])};

		hv_snprintf(d.port, sizeof(d.port), "%s", p->name);
		note_delivery(p, frames[i], &d);
		if (t->delivery_count < VSW_TRACE_DELIVERIES)
			t->deliveries[t->delivery_count] = d;
		t->delivery_count++;
		rte_pktmbuf_free(frames[i]);
	}
}

/* ---- save, divert, restore ---- */

static struct vsw_trace_run *run_begin(struct vsw *v, struct vsw_switch *sw, struct vsw_trace *out)
{
	struct vsw_trace_run *r = hv_contig_alloc(sizeof(*r), HV_PAGE_SIZE);

	if (!r)
		return NULL;
	r->out = out;
	r->fdb = fdb_save(&sw->fdb);
	if (!r->fdb) {
		hv_contig_free(r, sizeof(*r));
		return NULL;
	}
	vsw_flush(v); /* nothing of others is staged */
	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i];

		if (!p)
			continue;
		r->ports[i] = (struct port_saved){
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
		p->flags = r->ports[i].flags;
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

static void note_result(struct vsw_port *p)
{
	struct vsw_trace *t = p->sw->v->trace->out;
	unsigned refused = 0;

	for (unsigned i = 0; i < HV_MIN(t->delivery_count, VSW_TRACE_DELIVERIES); i++)
		refused += t->deliveries[i].refused != VSW_DROP_COUNT;
	if (t->dropped != VSW_DROP_COUNT)
		note_drop(p, "result", t->dropped);
	else if (t->control)
		vsw_trace_note(p->sw->v, "result", "", 0, "the switch itself reads it");
	else
		vsw_trace_note(p->sw->v, "result", "", 0, "handed to %u port%s%s", t->delivery_count - refused,
			t->delivery_count - refused == 1 ? "" : "s", refused ? ", refused by others" : "");
}

static void run(struct vsw_port *p, struct rte_mbuf *m)
{
	struct vsw *v = p->sw->v;
	struct vsw_trace *t = v->trace->out;
	const struct vsw_counters *before = &v->trace->ports[p->index].count;
	bool tagged = m->data_len >= ETH_HEADER_LEN && vsw_ethertype_raw(rte_pktmbuf_mtod(m, const uint8_t *)) == VLAN_TPID_C;
	const uint8_t *eth;

	note_port(p, m->pkt_len);
	t->dropped = p->check(p, m);
	if (t->dropped != VSW_DROP_COUNT) {
		if (p->kind == VSW_PORT_UPLINK && m->data_len >= ETH_HEADER_LEN && vsw_control_despite(t->dropped, m)) {
			t->control = vsw_control_reads(p, m);
			t->dropped = t->control ? VSW_DROP_COUNT : VSW_DROP_LINK_CONTROL;
		}
		rte_pktmbuf_free(m);
		note_result(p);
		return;
	}
	eth = rte_pktmbuf_mtod(m, const uint8_t *);
	note_vlan(p, m, tagged);
	note_policy(p, vsw_load_mac(eth + 6), m->vlan_tci);
	note_lookup(p, vsw_load_mac(eth), m->vlan_tci);
	if (p->sw->config->snooping && vsw_mac_is_group(vsw_load_mac(eth)))
		note_members(p, m);
	vsw_input(p, &m, 1);
	vsw_flush(v);
	t->control = p->count.in_control != before->in_control;
	t->dropped = new_drop(p, before);
	note_result(p);
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
	r = run_begin(v, sw, out);
	if (!r) {
		rte_pktmbuf_free(m);
		return trace_error(-ENOMEM);
	}
	run(p, m);
	run_end(v, sw, r);
	return 0;
}
