/* Rules on mirror sessions: their sources and destinations are there, in the session's vSwitch, and make sense together. */
#include "check.h"

#include <stdio.h>
#include <string.h>

/* The port group of the port of this name, "vmk0" or "web1.nic0"; -1: there is no such port. */
static int group_of_port(const struct config *config, const char *port)
{
	for (unsigned i = 0; i < config->net.vmknic_count; i++)
		if (!strcmp(config->net.vmknics[i].name, port))
			return config->net.vmknics[i].portgroup;
	for (unsigned v = 0; v < config->vm_count; v++) {
		for (unsigned i = 0; i < config->vms[v].nic_count; i++) {
			char name[CONFIG_NAME_MAX + 16];
			snprintf(name, sizeof(name), "%s.nic%u", config->vms[v].name, i);
			if (!strcmp(name, port))
				return config->vms[v].nics[i].portgroup;
		}
	}
	return -1;
}

static bool switch_has_uplink(const struct vsw_switch_config *sw, unsigned uplink)
{
	for (unsigned i = 0; i < sw->uplink_count; i++)
		if (sw->uplinks[i] == uplink)
			return true;
	return false;
}

/* Reports a port that does not exist or is another vSwitch's. The path is set. Returns its port group or -1. */
static int check_port(struct checker *c, const struct vsw_mirror_config *session, const char *port)
{
	const struct vsw_config *vsw = &c->config->vsw;
	int group = group_of_port(c->config, port);
	if (group < 0) {
		report_error(&c->report, "a VM's NIC is written web1.nic0, a VMkernel NIC by its name", "there is no port \"%s\"", port);
		return -1;
	}
	if (vsw->portgroups[group].vswitch != session->vswitch) {
		report_error(&c->report, "a session mirrors within one vSwitch", "port \"%s\" is on vSwitch \"%s\", not \"%s\"", port,
			vsw->switches[vsw->portgroups[group].vswitch].name, vsw->switches[session->vswitch].name);
		return -1;
	}
	return group;
}

static bool vlan_used(const struct vsw_config *vsw, unsigned sw, unsigned vlan)
{
	for (unsigned i = 0; i < vsw->portgroup_count; i++) {
		const struct vsw_portgroup_config *group = &vsw->portgroups[i];
		if (group->vswitch != sw)
			continue;
		if (!group->trunk_count && group->vlan == vlan)
			return true;
		if (group->trunk_count && group->has_native && group->native_vlan == vlan)
			return true;
		for (unsigned k = 0; k < group->trunk_count; k++)
			if (vlan >= group->trunk[k].first && vlan <= group->trunk[k].last)
				return true;
	}
	return false;
}

static void check_source(struct checker *c, unsigned i, unsigned k)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct vsw_mirror_config *session = &vsw->mirrors[i];
	const struct vsw_mirror_source *source = &session->sources[k];
	const char *sw = vsw->switches[session->vswitch].name;
	switch (source->kind) {
	case VSW_MIRROR_PORT:
		report_at(&c->report, "mirrors[%u].sources[%u].port", i, k);
		if (check_port(c, session, source->port) >= 0 && !session->captures && !strcmp(source->port, session->destination))
			report_error(&c->report, "take it out of the sources", "port \"%s\" is the session's destination", source->port);
		break;
	case VSW_MIRROR_PORTGROUP:
		report_at(&c->report, "mirrors[%u].sources[%u].portgroup", i, k);
		if (vsw->portgroups[source->portgroup].vswitch != session->vswitch)
			report_error(&c->report, "a session mirrors within one vSwitch",
				"port group \"%s\" is on vSwitch \"%s\", not \"%s\"", vsw->portgroups[source->portgroup].name,
				vsw->switches[vsw->portgroups[source->portgroup].vswitch].name, sw);
		break;
	case VSW_MIRROR_UPLINK:
		report_at(&c->report, "mirrors[%u].sources[%u].uplink", i, k);
		if (!switch_has_uplink(&vsw->switches[session->vswitch], source->uplink))
			report_error(&c->report, "a session mirrors within one vSwitch", "uplink \"%s\" is not one of vSwitch \"%s\"",
				vsw->uplinks[source->uplink].name, sw);
		break;
	case VSW_MIRROR_VLAN:
		if (source->direction != VSW_MIRROR_BOTH) {
			report_at(&c->report, "mirrors[%u].sources[%u].direction", i, k);
			report_error(&c->report, "take it out: each frame of the VLAN is mirrored once, where it comes in",
				"a VLAN has no direction");
		}
		report_at(&c->report, "mirrors[%u].sources[%u].vlan", i, k);
		if (!vlan_used(vsw, session->vswitch, source->vlan))
			report_warning(&c->report, "its frames end where they come in; name a VLAN of a port group",
				"no port group of vSwitch \"%s\" has VLAN %u", sw, source->vlan);
		break;
	}
}

static void check_destination(struct checker *c, unsigned i)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct vsw_mirror_config *session = &vsw->mirrors[i];
	if (session->captures)
		return;
	report_at(&c->report, "mirrors[%u].destination.port", i);
	int group = check_port(c, session, session->destination);
	if (group < 0)
		return;
	if (vsw->portgroups[group].trunk_count)
		report_error(&c->report, "connect the NIC to a port group with one VLAN: mirrored frames keep their own tags anyway",
			"port \"%s\" is on the trunk \"%s\"", session->destination, vsw->portgroups[group].name);
	for (unsigned v = 0; v < c->config->net.vmknic_count; v++)
		if (!strcmp(c->config->net.vmknics[v].name, session->destination))
			report_error(&c->report, "mirror to a VM's NIC, or capture",
				"\"%s\" is the host's own: it has no use for others' frames", session->destination);
}

static void check_filter(struct checker *c, unsigned i)
{
	const struct vsw_match_config *filter = &c->config->vsw.mirrors[i].filter;
	if (filter->port && (filter->protocol == VSW_MATCH_ICMP || filter->protocol == VSW_MATCH_ARP)) {
		report_at(&c->report, "mirrors[%u].filter.port", i);
		report_error(&c->report, "take port out, or write protocol: tcp or udp", "%s has no ports",
			filter->protocol == VSW_MATCH_ICMP ? "ICMP" : "ARP");
	}
	if (filter->has_address && filter->address.family == 6 && filter->protocol == VSW_MATCH_ARP) {
		report_at(&c->report, "mirrors[%u].filter.address", i);
		report_error(&c->report, "IPv6 neighbours are asked for by protocol: icmp", "ARP carries IPv4 addresses only");
	}
}

void check_mirrors(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	check_unique_names(c, "mirrors", "mirror sessions", vsw->mirrors, sizeof(vsw->mirrors[0]), vsw->mirror_count);
	for (unsigned i = 0; i < vsw->mirror_count; i++) {
		for (unsigned k = 0; k < vsw->mirrors[i].source_count; k++)
			check_source(c, i, k);
		check_destination(c, i);
		check_filter(c, i);
	}
}
