/*
 * The steps of a trace in words, each with the place of the configuration that decided it. They look at the same tables as the path does,
 * before and after it; which ports get the frame, and why it is dropped, is what the path itself did (trace.c).
 *
 * Owner: the switch's core.
 */
#include "trace.h"

#include "control.h"
#include "snoop.h"
#include "vlan.h"

#include <stdarg.h>
#include <string.h>

#define MAC_FORMAT "%02x:%02x:%02x:%02x:%02x:%02x"
#define MAC_BYTES(m) (m)[0], (m)[1], (m)[2], (m)[3], (m)[4], (m)[5]

/* ---- places ---- */

struct vsw_trace_place vsw_trace_switch(const struct vsw_switch *sw, const char *key)
{
	return (struct vsw_trace_place){.list = "vswitches", .index = (unsigned)(sw->config - sw->v->config.switches), .key = key};
}

static unsigned uplink_index(const struct vsw_port *p)
{
	unsigned i = 0;

	while (i < VSW_MAX_UPLINKS && !(p->sw->v->uplinks[i] && vsw_uplink_port(p->sw->v->uplinks[i]) == p))
		i++;
	return i;
}

struct vsw_trace_place vsw_trace_port(const struct vsw_port *p, const char *key)
{
	struct vsw_trace_place place = {.list = "uplinks", .key = key};

	if (p->kind == VSW_PORT_UPLINK) {
		place.index = uplink_index(p);
	} else {
		place.list = "portgroups";
		place.index = (unsigned)(p->portgroup->config - p->sw->v->config.portgroups);
	}
	return place;
}

struct vsw_trace_place vsw_trace_setting(const struct vsw_port *p, bool own, const char *key)
{
	return own ? (struct vsw_trace_place){.nic = p->name, .key = key} : vsw_trace_port(p, key);
}

static struct vsw_trace_place team_place(const struct vsw_port *p)
{
	static const struct vsw_teaming_config none;

	if (memcmp(&p->portgroup->config->teaming, &none, sizeof(none)) != 0)
		return vsw_trace_port(p, "teaming");
	return vsw_trace_switch(p->sw, p->sw->config->has_lacp ? "lacp" : "teaming");
}

/* What makes a port drop for this reason. */
static struct vsw_trace_place drop_place(const struct vsw_port *p, enum vsw_drop reason)
{
	bool uplink = p->kind == VSW_PORT_UPLINK;

	switch (reason) {
	case VSW_DROP_VLAN_TAG:
		return vsw_trace_port(p, !uplink && p->portgroup->private ? "private_vlan" : "vlan");
	case VSW_DROP_UNTAGGED:
		return vsw_trace_port(p, "trunk");
	case VSW_DROP_VLAN_NOT_ALLOWED:
		return vsw_trace_port(p, uplink ? "vlans" : "trunk");
	case VSW_DROP_OVERSIZE:
		return vsw_trace_port(p, "mtu");
	case VSW_DROP_FORGED_SOURCE:
		return vsw_trace_setting(p, p->own.policy.has_forged_transmits, "policy.forged_transmits");
	case VSW_DROP_PRIVATE_VLAN:
		return uplink ? vsw_trace_switch(p->sw, "private_vlans") : vsw_trace_port(p, "private_vlan");
	case VSW_DROP_DHCP_SERVER:
	case VSW_DROP_ROUTER_ADVERT:
		return vsw_trace_port(p, "guard.servers");
	case VSW_DROP_ARP_SPOOF:
		return vsw_trace_setting(p, p->own.address_count, p->own.address_count ? "addresses" : "guard.arp");
	case VSW_DROP_HIDDEN_HEADER:
		return vsw_trace_port(p, "guard");
	case VSW_DROP_STORM_BROADCAST:
	case VSW_DROP_STORM_MULTICAST:
	case VSW_DROP_STORM_UNKNOWN:
		return vsw_trace_setting(p, p->own.has_storm, "storm");
	case VSW_DROP_SHAPED:
		if (p == p->sw->v->trace->in)
			return vsw_trace_setting(p, p->own.has_ingress, "shaping.ingress");
		return vsw_trace_setting(p, p->own.has_egress, "shaping.egress");
	case VSW_DROP_NO_MEMBER:
		return vsw_trace_switch(p->sw, "snooping");
	case VSW_DROP_NO_UPLINK:
	case VSW_DROP_STANDBY_UPLINK:
		return vsw_trace_switch(p->sw, "uplinks");
	default:
		return vsw_trace_port(p, "");
	}
}

/* ---- writing one ---- */

void vsw_trace_note(struct vsw *v, const char *stage, struct vsw_trace_place place, const char *fmt, ...)
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
	if (place.list)
		hv_snprintf(step->path, sizeof(step->path), "%s[%u]%s%s", place.list, place.index, place.key[0] ? "." : "", place.key);
	else if (place.nic)
		hv_snprintf(step->path, sizeof(step->path), "%s", place.key);
	if (place.nic)
		hv_snprintf(step->nic, sizeof(step->nic), "%s", place.nic);
}

/* ---- the way in ---- */

void vsw_trace_steps_ingress(struct vsw_port *p, uint32_t len)
{
	if (p->portgroup)
		vsw_trace_note(p->sw->v, "ingress", vsw_trace_port(p, ""), "%u bytes from %s (%s) in port group %s of %s", len, p->name,
			vsw_port_kind_name(p->kind), p->portgroup->config->name, p->sw->config->name);
	else
		vsw_trace_note(p->sw->v, "ingress", vsw_trace_port(p, ""), "%u bytes from the wire of %s, an uplink of %s", len, p->name,
			p->sw->config->name);
}

static const char *private_role(const struct vsw_switch *sw, uint16_t vlan, uint16_t primary)
{
	const struct vsw_private_vlan_config *private = vsw_private_find(sw->config, vlan);

	if (vlan == primary)
		return "promiscuous";
	return private && private->has_isolated && private->isolated == vlan ? "isolated" : "a community";
}

void vsw_trace_steps_vlan(struct vsw_port *p, const struct rte_mbuf *m, bool tagged)
{
	uint16_t vlan = p->sw->v->domains[m->vlan_tci]->vlan;
	const char *how = tagged ? "by its tag" : "it is untagged";
	struct vsw *v = p->sw->v;

	if (p->kind == VSW_PORT_UPLINK)
		vsw_trace_note(v, "vlan", vsw_trace_port(p, "vlans"), "VLAN %u: %s", vlan, how);
	else if (p->flags & VSW_PF_TRUNK)
		vsw_trace_note(v, "vlan", vsw_trace_port(p, tagged ? "trunk" : "native"), "VLAN %u: %s", vlan, how);
	else if (p->portgroup->private)
		vsw_trace_note(v, "vlan", vsw_trace_port(p, "private_vlan"), "VLAN %u: the port group's, %s in private VLAN %u", vlan,
			private_role(p->sw, vlan, p->portgroup->primary), p->portgroup->primary);
	else
		vsw_trace_note(v, "vlan", vsw_trace_port(p, "vlan"), "VLAN %u: the port group's", vlan);
}

/* Where an address is, by the MAC table. */
static const char *place_of(const struct vsw_switch *sw, uint32_t slot)
{
	uint16_t port = fdb_slot_port(&sw->fdb, slot);

	if (port == VSW_PORT_OUTSIDE)
		return "outside";
	return port >= VSW_PORT_SPECIAL ? "a port of the private VLAN that frames of this one do not reach" : sw->v->ports[port]->name;
}

void vsw_trace_steps_policy(struct vsw_port *p, uint64_t src, uint16_t domain)
{
	struct vsw *v = p->sw->v;
	uint32_t slot = fdb_find(&p->sw->fdb, fdb_key(src, domain));
	uint8_t mac[6];

	vsw_store_mac(mac, src);
	if (p->kind == VSW_PORT_UPLINK)
		vsw_trace_note(v, "policy", VSW_TRACE_NOWHERE, "source " MAC_FORMAT " is outside's", MAC_BYTES(mac));
	else if (src == p->mac)
		vsw_trace_note(v, "policy", VSW_TRACE_NOWHERE, "source " MAC_FORMAT " is the port's own", MAC_BYTES(mac));
	else
		vsw_trace_note(v, "policy", vsw_trace_setting(p, p->own.policy.has_forged_transmits, "policy.forged_transmits"),
			"source " MAC_FORMAT " is not the port's own; forged transmits are %s", MAC_BYTES(mac),
			p->flags & VSW_PF_FORGED ? "allowed" : "rejected");
	if (slot == FDB_NONE)
		vsw_trace_note(v, "learning", VSW_TRACE_NOWHERE, "%s",
			src == p->mac ? "nothing: the port's address needs no learning" : "the address is not in the MAC table");
	else if (!fdb_is_static(&p->sw->fdb, slot))
		vsw_trace_note(
			v, "learning", vsw_trace_switch(p->sw, "mac_ageing"), "the address is known already, at %s", place_of(p->sw, slot));
}

void vsw_trace_steps_lookup(struct vsw_port *p, uint64_t dst, uint16_t domain)
{
	struct vsw *v = p->sw->v;
	uint32_t slot = fdb_find(&p->sw->fdb, fdb_key(dst, domain));
	struct vsw_port *trunk = vsw_trunk_owner(p->sw, dst, domain);
	uint8_t mac[6];

	vsw_store_mac(mac, dst);
	if (vsw_is_link_control(dst))
		vsw_trace_note(v, "look-up", VSW_TRACE_NOWHERE, MAC_FORMAT " is a control address between neighbours: never forwarded",
			MAC_BYTES(mac));
	else if (vsw_mac_is_group(dst))
		vsw_trace_note(v, "look-up", VSW_TRACE_NOWHERE, MAC_FORMAT " is a group: all ports of the VLAN (%u), and outside",
			MAC_BYTES(mac), v->domains[domain]->member_count);
	else if (slot != FDB_NONE && fdb_slot_port(&p->sw->fdb, slot) == VSW_PORT_OUTSIDE)
		vsw_trace_note(v, "look-up", VSW_TRACE_NOWHERE, MAC_FORMAT " was learned outside", MAC_BYTES(mac));
	else if (slot != FDB_NONE)
		vsw_trace_note(v, "look-up", VSW_TRACE_NOWHERE, MAC_FORMAT " is at %s (%s)", MAC_BYTES(mac), place_of(p->sw, slot),
			fdb_is_static(&p->sw->fdb, slot) ? "its own address" : "learned");
	else if (trunk)
		vsw_trace_note(
			v, "look-up", VSW_TRACE_NOWHERE, MAC_FORMAT " is at %s (its own address on a trunk)", MAC_BYTES(mac), trunk->name);
	else
		vsw_trace_note(v, "look-up", VSW_TRACE_NOWHERE, MAC_FORMAT " is unknown: it can only be outside", MAC_BYTES(mac));
	if (v->domains[domain]->promisc_count)
		vsw_trace_note(v, "look-up", VSW_TRACE_NOWHERE, "%u promiscuous ports of the VLAN get every frame",
			v->domains[domain]->promisc_count);
}

void vsw_trace_steps_members(struct vsw_port *p, const struct rte_mbuf *m)
{
	const uint64_t *only = vsw_snoop(p, p->sw->v->domains[m->vlan_tci], m);
	struct vsw_trace_place place = vsw_trace_switch(p->sw, "snooping");
	unsigned n = 0;

	for (unsigned i = 0; only && i < VSW_MAX_PORTS / 64; i++)
		n += (unsigned)__builtin_popcountll(only[i]);
	if (!only)
		vsw_trace_note(p->sw->v, "look-up", place,
			"snooping does not filter it: no querier in its VLAN as yet, a query, or a group of link scope");
	else if (p->sw->v->snoop.report)
		vsw_trace_note(p->sw->v, "look-up", place, "a report of memberships: for the %u ports that lead to a multicast router", n);
	else
		vsw_trace_note(p->sw->v, "look-up", place, "%u ports are members of its group or lead to a multicast router", n);
}

/* ---- the way out ---- */

static void note_team(const struct vsw_port *in, const struct vsw_port *out)
{
	static const char *const by[] = {
		[VSW_BALANCE_PORT] = "the port that sends",
		[VSW_BALANCE_MAC] = "the source address",
		[VSW_BALANCE_IP_HASH] = "the hash of its flow",
		[VSW_BALANCE_EXPLICIT] = "the order of the uplinks",
	};

	if (out->kind == VSW_PORT_UPLINK && in->portgroup)
		vsw_trace_note(in->sw->v, "team", team_place(in), "outside is by %s: chosen by %s", out->name,
			by[in->portgroup->team->config.load_balancing]);
}

static bool leaves_tagged(const struct vsw_port *p, uint16_t vlan)
{
	if (p->kind == VSW_PORT_UPLINK)
		return vlan;
	if (!(p->flags & VSW_PF_TRUNK))
		return false;
	return !p->portgroup->config->has_native || vlan != p->portgroup->config->native_vlan;
}

static void add_delivery(struct vsw_port *out, const struct rte_mbuf *m, enum vsw_drop refused)
{
	struct vsw_trace *t = out->sw->v->trace->out;
	uint16_t vlan = out->sw->v->domains[m->vlan_tci]->vlan;
	struct vsw_trace_delivery d = {.vlan = vlan, .tagged = leaves_tagged(out, vlan), .refused = refused};
	char tag[32] = "untagged";

	hv_snprintf(d.port, sizeof(d.port), "%s", out->name);
	if (d.tagged)
		hv_snprintf(tag, sizeof(tag), "with the tag of VLAN %u", vlan);
	if (refused != VSW_DROP_COUNT)
		vsw_trace_note(out->sw->v, "egress", drop_place(out, refused), "%s refuses it: %s (%s)", out->name, vsw_drop_text(refused),
			vsw_drop_name(refused));
	else
		vsw_trace_note(out->sw->v, "egress", vsw_trace_port(out, ""), "to %s: %u bytes, %s", out->name,
			m->pkt_len + (d.tagged ? VLAN_TAG_LEN : 0), tag);
	if (t->delivery_count < VSW_TRACE_DELIVERIES)
		t->deliveries[t->delivery_count] = d;
	t->delivery_count++;
}

void vsw_trace_steps_delivery(struct vsw_port *in, struct vsw_port *out, struct rte_mbuf *m)
{
	note_team(in, out);
	add_delivery(out, m, out->refuses(out, m));
}

void vsw_trace_refuse(struct vsw_port *p, enum vsw_drop reason, struct rte_mbuf *m)
{
	add_delivery(p, m, reason);
	rte_pktmbuf_free(m);
}

void vsw_trace_steps_result(struct vsw_port *p)
{
	struct vsw *v = p->sw->v;
	struct vsw_trace *t = v->trace->out;
	unsigned refused = 0;

	for (unsigned i = 0; i < HV_MIN(t->delivery_count, VSW_TRACE_DELIVERIES); i++)
		refused += t->deliveries[i].refused != VSW_DROP_COUNT;
	if (t->dropped != VSW_DROP_COUNT)
		vsw_trace_note(v, "result", drop_place(p, t->dropped), "dropped at %s: %s (%s)", p->name, vsw_drop_text(t->dropped),
			vsw_drop_name(t->dropped));
	else if (t->control)
		vsw_trace_note(v, "result", VSW_TRACE_NOWHERE, "the switch itself reads it");
	else
		vsw_trace_note(v, "result", VSW_TRACE_NOWHERE, "handed to %u port%s%s", t->delivery_count - refused,
			t->delivery_count - refused == 1 ? "" : "s", refused ? ", refused by others" : "");
}
