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

uint16_t vsw_policy_flags(const struct vsw_policy_config *policy)
{
	return policy->forged_transmits ? VSW_PF_FORGED : 0;
}

enum vsw_drop vsw_policy_other_source(struct vsw_port *in, uint64_t src, uint16_t domain)
{
	if (vsw_mac_is_group(src) || !src)
		return VSW_DROP_BAD_SOURCE;
	if (!(in->flags & VSW_PF_FORGED))
		return VSW_DROP_FORGED_SOURCE;
	if (in->sw->trunk_ports && vsw_trunk_owner(in->sw, src, domain))
		return VSW_DROP_OWN_SOURCE;
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
	if (fdb_slot_port(&sw->fdb, slot) == VSW_PORT_OUTSIDE || fdb_is_static(&sw->fdb, slot))
		return false;
	p = sw->v->ports[fdb_slot_port(&sw->fdb, slot)];
	return !p->portgroup->team->aggregate && vsw_team_of_mac(p, src) != uplink;
}

bool vsw_policy_set_mac(struct vsw_port *p, const uint8_t mac[6])
{
	uint64_t wanted = vsw_load_mac(mac);
	int err;

	if (wanted == p->mac)
		return true;
	if (!p->portgroup->config->policy.mac_changes || vsw_mac_is_group(wanted) || !wanted) {
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

static void set_promisc(struct vsw_port *p, bool on)
{
	p->flags = (uint16_t)(on ? p->flags | VSW_PF_PROMISC : p->flags & ~VSW_PF_PROMISC);
	vsw_domains_set_promisc(p, on);
}

void vsw_policy_set_promisc(struct vsw_port *p, bool on)
{
	p->wants_promisc = on;
	if (on && !p->portgroup->config->policy.promiscuous) {
		log_info("vswitch.promiscuous.rejected", "port %s: promiscuous mode refused by port group %s", p->name,
			p->portgroup->config->name);
		return;
	}
	set_promisc(p, on);
}

void vsw_policy_apply(struct vsw_port *p)
{
	bool on = p->wants_promisc && p->portgroup->config->policy.promiscuous;

	if (on || p->flags & VSW_PF_PROMISC)
		set_promisc(p, on);
}
