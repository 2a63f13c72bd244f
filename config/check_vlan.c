/* Rules on VLANs and MTUs: trunks, native VLANs, what uplinks carry. */
#include "check.h"

#define MAX_TRUNK_VLANS 8192 /* broadcast domains over all vSwitches that the host has room for */

bool check_vlan_in(const struct vsw_vlan_range *ranges, unsigned count, unsigned vlan)
{
	for (unsigned i = 0; i < count; i++)
		if (vlan >= ranges[i].first && vlan <= ranges[i].last)
			return true;
	return false;
}

bool check_group_has_vlan(const struct vsw_config *vsw, const struct vsw_portgroup_config *group, unsigned vlan)
{
	if (group->has_private_vlan)
		return check_private_uses(&vsw->switches[group->vswitch], group->private_vlan, vlan);
	if (!group->trunk_count)
		return group->vlan == vlan;
	return check_vlan_in(group->trunk, group->trunk_count, vlan) || (group->has_native && group->native_vlan == vlan);
}

static void check_overlap(
	struct checker *c, const char *section, unsigned index, const char *key, const struct vsw_vlan_range *ranges, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		for (unsigned j = 0; j < i; j++) {
			if (ranges[i].first > ranges[j].last || ranges[j].first > ranges[i].last)
				continue;
			report_at(&c->report, "%s[%u].%s[%u]", section, index, key, i);
			report_warning(&c->report, "list each VLAN once", "VLAN %u is listed twice",
				ranges[i].first > ranges[j].first ? ranges[i].first : ranges[j].first);
			break;
		}
	}
}

static void check_trunk(struct checker *c, unsigned i)
{
	const struct vsw_portgroup_config *group = &c->config->vsw.portgroups[i];
	report_at(&c->report, "portgroups[%u].trunk", i);
	if (group->has_vlan)
		report_error(&c->report, "take vlan out; the VLAN of untagged frames on a trunk is native",
			"port group \"%s\" has both vlan and trunk", group->name);
	for (unsigned k = 0; k < group->trunk_count; k++) {
		if (group->trunk[k].first)
			continue;
		report_at(&c->report, "portgroups[%u].trunk[%u]", i, k);
		report_error(&c->report, "write native: 0 for untagged frames, and VLANs from 1 on here", "VLAN 0 cannot be tagged");
	}
	if (group->has_native && group->native_vlan && check_vlan_in(group->trunk, group->trunk_count, group->native_vlan)) {
		report_at(&c->report, "portgroups[%u].native", i);
		report_error(&c->report, "take it out of trunk: guests send and receive it untagged",
			"VLAN %u is the native VLAN and on the trunk's list", group->native_vlan);
	}
	check_overlap(c, "portgroups", i, "trunk", group->trunk, group->trunk_count);
}

/* Is the VLAN carried by some uplink of the vSwitch? */
static bool carried(const struct vsw_config *vsw, const struct vsw_switch_config *sw, unsigned vlan)
{
	for (unsigned k = 0; k < sw->uplink_count; k++) {
		const struct vsw_uplink_config *uplink = &vsw->uplinks[sw->uplinks[k]];
		if (!uplink->vlan_count || check_vlan_in(uplink->vlans, uplink->vlan_count, vlan))
			return true;
	}
	return false;
}

static void check_carried(struct checker *c, unsigned i)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct vsw_portgroup_config *group = &vsw->portgroups[i];
	const struct vsw_switch_config *sw = &vsw->switches[group->vswitch];
	if (!sw->uplink_count)
		return;
	for (unsigned vlan = 0; vlan <= VSW_VLAN_MAX; vlan++) {
		if (!check_group_has_vlan(vsw, group, vlan) || carried(vsw, sw, vlan))
			continue;
		report_at(&c->report, "portgroups[%u].%s", i,
			group->has_private_vlan      ? "private_vlan"
			: !group->trunk_count        ? "vlan"
			: vlan == group->native_vlan ? "native"
						     : "trunk");
		report_error(&c->report, report_hint(&c->report, "add %u to the vlans of an uplink of \"%s\"", vlan, sw->name),
			"VLAN %u of port group \"%s\" is on no uplink's list", vlan, group->name);
		return;
	}
}

static void check_group_mtu(struct checker *c, unsigned i)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct vsw_portgroup_config *group = &vsw->portgroups[i];
	const struct vsw_switch_config *sw = &vsw->switches[group->vswitch];
	for (unsigned k = 0; k < sw->uplink_count; k++) {
		const struct vsw_uplink_config *uplink = &vsw->uplinks[sw->uplinks[k]];
		if (group->mtu <= uplink->mtu)
			continue;
		report_at(&c->report, "portgroups[%u].mtu", i);
		report_error(&c->report, report_hint(&c->report, "lower it to %u, or raise the uplink's", uplink->mtu),
			"the MTU %u of port group \"%s\" is larger than the %u of uplink \"%s\"", group->mtu, group->name, uplink->mtu,
			uplink->name);
	}
}

static void check_domains(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	unsigned count = 0;
	for (unsigned s = 0; s < vsw->switch_count; s++) {
		for (unsigned vlan = 0; vlan <= VSW_VLAN_MAX; vlan++) {
			bool used = false;
			for (unsigned p = 0; p < vsw->portgroup_count && !used; p++)
				used = vsw->portgroups[p].vswitch == s && check_group_has_vlan(vsw, &vsw->portgroups[p], vlan);
			count += used;
		}
	}
	if (count > MAX_TRUNK_VLANS) {
		report_at(&c->report, "portgroups");
		report_error(&c->report, "list on trunks only the VLANs that guests use",
			"the vSwitches have %u VLANs; at most %u are supported", count, MAX_TRUNK_VLANS);
	}
}

void check_vlans(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	for (unsigned i = 0; i < vsw->uplink_count; i++)
		check_overlap(c, "uplinks", i, "vlans", vsw->uplinks[i].vlans, vsw->uplinks[i].vlan_count);
	for (unsigned i = 0; i < vsw->portgroup_count; i++) {
		const struct vsw_portgroup_config *group = &vsw->portgroups[i];
		if (group->trunk_count) {
			check_trunk(c, i);
		} else if (group->has_native) {
			report_at(&c->report, "portgroups[%u].native", i);
			report_error(&c->report, "add trunk, or write vlan instead",
				"port group \"%s\" is no trunk; a native VLAN belongs to one", group->name);
		}
		check_carried(c, i);
		check_group_mtu(c, i);
	}
	check_domains(c);
	check_private_vlans(c);
}
