/*
 * Private VLANs (RFC 5517): ports of one subnet that do not reach each other.
 *
 *   frames from            are in VLAN    and reach
 *   a promiscuous port     primary        all ports of the private VLAN
 *   a port of a community  its community  promiscuous ports and its community
 *   an isolated port       isolated       promiscuous ports
 *
 * Each of these VLANs is a broadcast domain of its own, and that is all that forwarding knows: a port is a member of the domains whose
 * frames reach it, and it sends in one. On the wire a frame carries the tag of the VLAN it is in, so hosts and physical switches with the
 * same table agree.
 *
 * A MAC address is in the MAC table once for each VLAN of the private VLAN (shared learning): with its port where that is reached, else
 * as VSW_PORT_PRIVATE. So nobody of the private VLAN can take it, and a frame to a port that it may not reach is dropped here and does not
 * leave by an uplink.
 *
 * Owner: the switch's core; control path, but for vsw_private_learn, which runs for new sources and for sources that are not a port's own.
 */
#include "switch.h"

#include <errno.h>

static bool is_community(const struct vsw_private_vlan_config *p, uint16_t vlan)
{
	for (unsigned i = 0; i < p->community_count; i++) {
		if (vlan >= p->communities[i].first && vlan <= p->communities[i].last)
			return true;
	}
	return false;
}

const struct vsw_private_vlan_config *vsw_private_find(const struct vsw_switch_config *sw, uint16_t vlan)
{
	for (unsigned i = 0; i < sw->private_vlan_count; i++) {
		const struct vsw_private_vlan_config *p = &sw->private_vlans[i];

		if (p->primary == vlan || (p->has_isolated && p->isolated == vlan) || is_community(p, vlan))
			return p;
	}
	return NULL;
}

bool vsw_private_in_range(const struct vsw_private_vlan_config *p)
{
	unsigned communities = 0;

	if (p->community_count > VSW_MAX_VLAN_RANGES || !p->primary || p->primary > VSW_VLAN_MAX || p->isolated > VSW_VLAN_MAX)
		return false;
	for (unsigned i = 0; i < p->community_count; i++) {
		if (!p->communities[i].first || p->communities[i].last > VSW_VLAN_MAX || p->communities[i].first > p->communities[i].last)
			return false;
		communities += p->communities[i].last - p->communities[i].first + 1u;
	}
	return communities <= VSW_MAX_COMMUNITIES;
}

bool vsw_private_reaches(const struct vsw_private_vlan_config *p, uint16_t from, uint16_t to)
{
	return from == p->primary || to == p->primary || (from == to && is_community(p, from));
}

static void add_family(struct vsw_vlan_set *set, const struct vsw_private_vlan_config *p)
{
	vsw_vlan_set_ranges(set, p->communities, p->community_count);
	vsw_vlan_add(set, p->primary);
	if (p->has_isolated)
		vsw_vlan_add(set, p->isolated);
}

/* The next VLAN of the set from *vlan on; moves *vlan to it. False: none left. */
static bool next_vlan(const struct vsw_vlan_set *set, unsigned *vlan)
{
	for (unsigned word = *vlan / 64; word < HV_ARRAY_LEN(set->bits); word++) {
		uint64_t bits = set->bits[word] & (word == *vlan / 64 ? ~0ull << *vlan % 64 : ~0ull);

		if (bits) {
			*vlan = word * 64 + (unsigned)__builtin_ctzll(bits);
			return true;
		}
	}
	return false;
}

int vsw_private_portgroup(struct vsw_portgroup *pg, const struct vsw_switch_config *sw)
{
	uint16_t own = pg->config->private_vlan;
	const struct vsw_private_vlan_config *p = vsw_private_find(sw, own);
	int err = 0;

	if (!p)
		return trace_error(-EINVAL);
	pg->primary = p->primary;
	pg->family = (struct vsw_vlan_set){0};
	add_family(&pg->family, p);
	for (unsigned vlan = 0; !err && next_vlan(&pg->family, &vlan); vlan++) {
		struct vsw_domain *d;

		if (vsw_private_reaches(p, (uint16_t)vlan, own))
			vsw_vlan_add(&pg->vlans, (uint16_t)vlan);
		err = vsw_domain_get(pg->sw, (uint16_t)vlan, &d);
		if (!err && vlan == own)
			pg->domain = d;
	}
	return err;
}

bool vsw_private_vlan(const struct vsw_portgroup *pg, unsigned n, uint16_t *vlan)
{
	unsigned at = 0;

	*vlan = pg->primary;
	if (!n)
		return true;
	for (; next_vlan(&pg->family, &at); at++) {
		if (at == pg->primary || --n)
			continue;
		*vlan = (uint16_t)at;
		return true;
	}
	return false;
}

bool vsw_private_learn(struct vsw_port *in, uint64_t mac, uint16_t domain)
{
	struct vsw_switch *sw = in->sw;
	const struct vsw_vlan_set *family = in->kind == VSW_PORT_UPLINK ? NULL : &in->portgroup->family;
	struct vsw_vlan_set set = {0};

	if (!family) {
		add_family(&set, vsw_private_find(sw->config, sw->v->domains[domain]->vlan));
		family = &set;
	}
	for (unsigned vlan = 0; next_vlan(family, &vlan); vlan++) {
		uint16_t port = VSW_PORT_OUTSIDE;

		if (sw->domain_of[vlan] == VSW_DOMAIN_NONE)
			continue;
		if (in->kind != VSW_PORT_UPLINK)
			port = vsw_vlan_in(&in->portgroup->vlans, (uint16_t)vlan) ? in->index : VSW_PORT_PRIVATE;
		if (fdb_learn(&sw->fdb, fdb_key(mac, sw->domain_of[vlan]), port) == FDB_OWNED)
			return true;
	}
	return false;
}
