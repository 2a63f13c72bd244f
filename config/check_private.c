/* Rules on private VLANs: the table of a vSwitch, and port groups that use it. */
#include "check.h"

static bool is_community(const struct vsw_private_vlan_config *p, unsigned vlan)
{
	return check_vlan_in(p->communities, p->community_count, vlan);
}

static bool is_isolated(const struct vsw_private_vlan_config *p, unsigned vlan)
{
	return p->has_isolated && p->isolated == vlan;
}

static bool is_of(const struct vsw_private_vlan_config *p, unsigned vlan)
{
	return p->primary == vlan || is_isolated(p, vlan) || is_community(p, vlan);
}

static const struct vsw_private_vlan_config *find(const struct vsw_switch_config *sw, unsigned vlan)
{
	for (unsigned i = 0; i < sw->private_vlan_count; i++)
		if (is_of(&sw->private_vlans[i], vlan))
			return &sw->private_vlans[i];
	return NULL;
}

bool check_private_uses(const struct vsw_switch_config *sw, unsigned own, unsigned vlan)
{
	const struct vsw_private_vlan_config *p = find(sw, own);
	return own == vlan || (p && (vlan == p->primary || (own == p->primary && is_of(p, vlan))));
}

/* ---- the table ---- */

/* The first VLAN that two private VLANs, or two parts of one, have both; 0: none. */
static unsigned used_twice(const struct vsw_private_vlan_config *a, const struct vsw_private_vlan_config *b)
{
	for (unsigned vlan = 1; vlan <= VSW_VLAN_MAX; vlan++) {
		unsigned in_a = (a->primary == vlan) + is_isolated(a, vlan) + is_community(a, vlan);
		if (a == b ? in_a > 1 : in_a && is_of(b, vlan))
			return vlan;
	}
	return 0;
}

static void check_parts(struct checker *c, unsigned s, unsigned i)
{
	const struct vsw_private_vlan_config *p = &c->config->vsw.switches[s].private_vlans[i];
	unsigned communities = 0;
	for (unsigned vlan = 1; vlan <= VSW_VLAN_MAX; vlan++)
		communities += is_community(p, vlan);
	if (communities > VSW_MAX_COMMUNITIES) {
		report_at(&c->report, "vswitches[%u].private_vlans[%u].communities", s, i);
		report_error(&c->report, "list the communities that this host's port groups and its neighbours use",
			"private VLAN %u has %u communities; at most %u are supported", p->primary, communities, VSW_MAX_COMMUNITIES);
	}
	if (is_community(p, 0)) {
		report_at(&c->report, "vswitches[%u].private_vlans[%u].communities", s, i);
		report_error(&c->report, "VLANs are numbered from 1", "VLAN 0 cannot be a community: its frames have no tag");
	}
	if (!p->has_isolated && !communities) {
		report_at(&c->report, "vswitches[%u].private_vlans[%u]", s, i);
		report_warning(&c->report, "add isolated or communities, or make it an ordinary vlan of a port group",
			"private VLAN %u has no secondary VLAN", p->primary);
	}
}

static void check_table(struct checker *c, unsigned s)
{
	const struct vsw_switch_config *sw = &c->config->vsw.switches[s];
	for (unsigned i = 0; i < sw->private_vlan_count; i++) {
		const struct vsw_private_vlan_config *p = &sw->private_vlans[i];
		bool used = false;
		check_parts(c, s, i);
		for (unsigned j = 0; j <= i; j++) {
			unsigned vlan = used_twice(&sw->private_vlans[j], p);
			if (!vlan)
				continue;
			report_at(&c->report, "vswitches[%u].private_vlans[%u]", s, i);
			report_error(&c->report, "give each primary, isolated and community VLAN a number of its own",
				"VLAN %u has two places in the private VLANs of \"%s\"", vlan, sw->name);
			break;
		}
		for (unsigned g = 0; g < c->config->vsw.portgroup_count; g++) {
			const struct vsw_portgroup_config *group = &c->config->vsw.portgroups[g];
			used |= group->vswitch == s && group->has_private_vlan && is_of(p, group->private_vlan);
		}
		if (!used) {
			report_at(&c->report, "vswitches[%u].private_vlans[%u]", s, i);
			report_warning(&c->report,
				report_hint(&c->report, "give a port group private_vlan: %u, or take it out", p->primary),
				"no port group is in private VLAN %u", p->primary);
		}
	}
}

/* ---- port groups ---- */

static void check_private_group(struct checker *c, unsigned g)
{
	const struct vsw_portgroup_config *group = &c->config->vsw.portgroups[g];
	const struct vsw_switch_config *sw = &c->config->vsw.switches[group->vswitch];
	const struct vsw_private_vlan_config *p = find(sw, group->private_vlan);
	report_at(&c->report, "portgroups[%u].private_vlan", g);
	if (!p)
		report_error(&c->report, report_hint(&c->report, "add it to the private_vlans of \"%s\", or write vlan", sw->name),
			"VLAN %u is in no private VLAN of \"%s\"", group->private_vlan, sw->name);
	if (group->has_vlan || group->trunk_count || group->has_native)
		report_error(&c->report, "take the other out: a port group is in one kind of VLAN",
			"port group \"%s\" has both private_vlan and %s", group->name,
			group->has_vlan      ? "vlan"
			: group->trunk_count ? "trunk"
					     : "native");
	if (p && group->policy.promiscuous && group->private_vlan != p->primary) {
		report_at(&c->report, "portgroups[%u].policy.promiscuous", g);
		report_warning(&c->report, "put the NIC that must see them into the primary VLAN",
			"guests on \"%s\" may see what promiscuous ports send to others of private VLAN %u", group->name, p->primary);
	}
}

/* An ordinary port group whose VLAN is a private one would be a way around it. */
static void check_ordinary_group(struct checker *c, unsigned g)
{
	const struct vsw_portgroup_config *group = &c->config->vsw.portgroups[g];
	const struct vsw_switch_config *sw = &c->config->vsw.switches[group->vswitch];
	const char *key = group->trunk_count ? "trunk" : "vlan";
	unsigned vlan = group->vlan;
	if (group->trunk_count) {
		for (vlan = 1; vlan <= VSW_VLAN_MAX; vlan++)
			if (find(sw, vlan) && check_vlan_in(group->trunk, group->trunk_count, vlan))
				break;
		if (vlan > VSW_VLAN_MAX && group->has_native) {
			key = "native";
			vlan = group->native_vlan;
		}
	}
	if (!find(sw, vlan))
		return;
	report_at(&c->report, "portgroups[%u].%s", g, key);
	report_error(&c->report,
		group->trunk_count ? "take it off the trunk: a guest there would be in none of its roles"
				   : report_hint(&c->report, "write private_vlan: %u", vlan),
		"VLAN %u is part of a private VLAN of \"%s\"", vlan, sw->name);
}

void check_private_vlans(struct checker *c)
{
	for (unsigned s = 0; s < c->config->vsw.switch_count; s++)
		check_table(c, s);
	for (unsigned g = 0; g < c->config->vsw.portgroup_count; g++) {
		if (c->config->vsw.portgroups[g].has_private_vlan)
			check_private_group(c, g);
		else
			check_ordinary_group(c, g);
	}
}
