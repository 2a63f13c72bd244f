/*
 * Security policy of a port group. Three things a guest may want and gets only when its port group says so; all default to no:
 *   forged transmits  frames with a source MAC that is not the port's
 *   MAC changes       another MAC for its port (what the guest's driver programs)
 *   promiscuous       frames for other ports of its VLAN
 *
 * Owner: the switch's core.
 */
#include "policy.h"

#include <string.h>

struct vsw_policy_config vsw_policy_of(const struct vsw_port_config *port, const struct vsw_portgroup_config *portgroup)
{
	const struct vsw_policy_config *own = &port->policy, *group = &portgroup->policy;

	return (struct vsw_policy_config){
		.promiscuous = own->has_promiscuous ? own->promiscuous : group->promiscuous,
		.mac_changes = own->has_mac_changes ? own->mac_changes : group->mac_changes,
		.forged_transmits = own->has_forged_transmits ? own->forged_transmits : group->forged_transmits,
	};
}

static void set_promisc(struct vsw_port *p, bool on)
{
	p->flags = (uint16_t)(on ? p->flags | VSW_PF_PROMISC : p->flags & ~VSW_PF_PROMISC);
	vsw_domains_set_promisc(p, on);
}

void vsw_policy_apply(struct vsw_port *p)
{
	struct vsw_policy_config policy = vsw_policy_of(&p->own, p->portgroup->config);
	bool promisc = p->wants_promisc && policy.promiscuous;

	p->flags = (uint16_t)(policy.forged_transmits ? p->flags | VSW_PF_FORGED : p->flags & ~VSW_PF_FORGED);
	p->sw->learns_local |= policy.forged_transmits;
	if (promisc || p->flags & VSW_PF_PROMISC)
		set_promisc(p, promisc);
}

enum vsw_drop vsw_policy_other_source(struct vsw_port *in, uint64_t src, uint16_t domain)
{
	if (vsw_mac_is_group(src) || !src)
		return VSW_DROP_BAD_SOURCE;
	if (!(in->flags & VSW_PF_FORGED))
		return VSW_DROP_FORGED_SOURCE;
	if (in->sw->trunk_ports && vsw_trunk_owner(in->sw, src, domain))
		return VSW_DROP_OWN_SOURCE;
	if (in->portgroup->private)
		return vsw_private_learn(in, src, domain) ? VSW_DROP_OWN_SOURCE : POLICY_PASS;
	return fdb_learn(&in->sw->fdb, fdb_key(src, domain), in->index) == FDB_OWNED ? VSW_DROP_OWN_SOURCE : POLICY_PASS;
}

/*
 * A learned address that now arrives by the uplink that its port sends by has moved away: no switch sends a frame back where it came from.
 * By another uplink it is our own flood, going round.
 */
bool vsw_policy_came_back(const struct vsw_port *uplink, uint64_t src, uint16_t domain)
{
	const struct vsw_switch *sw = uplink->sw;
	uint32_t slot = fdb_find(&sw->fdb, fdb_key(src, domain));
	const struct vsw_port *p;

	if (slot == FDB_NONE)
		return vsw_trunk_owner(sw, src, domain) != NULL;
	if (fdb_slot_port(&sw->fdb, slot) == VSW_PORT_PRIVATE) { /* its port stands in the primary VLAN */
		const struct vsw_private_vlan_config *private = vsw_private_find(sw->config, sw->v->domains[domain]->vlan);

		slot = private ? fdb_find(&sw->fdb, fdb_key(src, sw->domain_of[private->primary])) : FDB_NONE;
	}
	if (slot == FDB_NONE || fdb_slot_port(&sw->fdb, slot) >= VSW_PORT_SPECIAL || fdb_is_static(&sw->fdb, slot))
		return false;
	p = sw->v->ports[fdb_slot_port(&sw->fdb, slot)];
	return !p->portgroup->team->aggregate && vsw_team_of_mac(p, src) != uplink;
}

enum vsw_drop vsw_policy_learnt_outside(struct vsw_port *in, uint64_t src, uint16_t domain, enum fdb_learn learnt)
{
	bool owned = learnt == FDB_OWNED;

	/* New or moved here: the other VLANs of a private VLAN hear of it, or an older entry of theirs would lead to where it was. */
	if (learnt == FDB_LEARNED && vsw_private_find(in->sw->config, in->sw->v->domains[domain]->vlan))
		owned = vsw_private_learn(in, src, domain);
	return owned ? VSW_DROP_OWN_SOURCE : POLICY_PASS;
}

bool vsw_policy_set_mac(struct vsw_port *p, const uint8_t mac[6])
{
	uint64_t wanted = vsw_load_mac(mac);
	int err;

	if (wanted == p->mac)
		return true;
	if (!vsw_policy_of(&p->own, p->portgroup->config).mac_changes || vsw_mac_is_group(wanted) || !wanted) {
		p->count.mac_change_rejected++;
		log_warn("vswitch.mac-change.rejected", "port %s: change to %02x:%02x:%02x:%02x:%02x:%02x refused by port group %s",
			p->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], p->portgroup->config->name);
		return false;
	}
	err = vsw_mac_claim(p, wanted);
	if (err) {
		p->count.mac_change_rejected++;
		log_warn("vswitch.mac-change.rejected", "port %s: new MAC is in use by another port of the VLAN", p->name);
		return false;
	}
	vsw_mac_release(p, p->mac);
	p->mac = wanted;
	return true;
}

void vsw_policy_set_promisc(struct vsw_port *p, bool on)
{
	p->wants_promisc = on;
	if (on && !vsw_policy_of(&p->own, p->portgroup->config).promiscuous) {
		log_info("vswitch.promiscuous.rejected", "port %s: promiscuous mode refused by port group %s", p->name,
			p->portgroup->config->name);
		return;
	}
	set_promisc(p, on);
}
