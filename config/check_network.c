/* Rules on uplinks, vSwitches, port groups and VMkernel NICs, and on MAC addresses over all of them. */
#include "check.h"

#include <stdio.h>
#include <string.h>

/* ---- uplinks and vSwitches ---- */

static bool same_pci(const struct vsw_uplink_config *a, const struct vsw_uplink_config *b)
{
	return a->has_pci && b->has_pci && a->pci_segment == b->pci_segment && a->pci_bus == b->pci_bus && a->pci_dev == b->pci_dev &&
	       a->pci_fn == b->pci_fn;
}

static bool same_mac(const struct vsw_uplink_config *a, const struct vsw_uplink_config *b)
{
	return a->has_mac && b->has_mac && !memcmp(a->mac, b->mac, 6);
}

static void check_uplinks(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	check_unique_names(c, "uplinks", "uplinks", vsw->uplinks, sizeof(vsw->uplinks[0]), vsw->uplink_count);
	for (unsigned i = 0; i < vsw->uplink_count; i++) {
		for (unsigned j = 0; j < i; j++) {
			bool pci = same_pci(&vsw->uplinks[i], &vsw->uplinks[j]);
			if (!pci && !same_mac(&vsw->uplinks[i], &vsw->uplinks[j]))
				continue;
			report_at(&c->report, "uplinks[%u].match.%s", i, pci ? "pci" : "mac");
			report_error(&c->report, "one uplink for each physical NIC", "uplinks \"%s\" and \"%s\" match the same NIC",
				vsw->uplinks[j].name, vsw->uplinks[i].name);
		}
	}
}

static void check_uplink_used(struct checker *c, unsigned uplink)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const char *user = NULL;
	unsigned users = 0;
	for (unsigned s = 0; s < vsw->switch_count; s++) {
		for (unsigned k = 0; k < vsw->switches[s].uplink_count; k++) {
			if (vsw->switches[s].uplinks[k] != uplink)
				continue;
			if (users++) {
				report_at(&c->report, "vswitches[%u].uplinks[%u]", s, k);
				if (user == vsw->switches[s].name)
					report_error(&c->report, "name it once", "uplink \"%s\" is listed twice in vSwitch \"%s\"",
						vsw->uplinks[uplink].name, user);
				else
					report_error(&c->report,
						"an uplink belongs to one vSwitch; use port groups with VLANs to share a NIC",
						"uplink \"%s\" is already in vSwitch \"%s\"", vsw->uplinks[uplink].name, user);
			}
			user = vsw->switches[s].name;
		}
	}
	if (!users) {
		report_at(&c->report, "uplinks[%u]", uplink);
		report_warning(&c->report, "add it to the uplinks of a vSwitch, or take it out", "no vSwitch uses uplink \"%s\"",
			vsw->uplinks[uplink].name);
	}
}

/* What every frame of the vSwitch can leave by is the smallest of its uplinks' MTUs. */
static void check_uplink_mtus(struct checker *c, unsigned s)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct vsw_switch_config *sw = &vsw->switches[s];
	for (unsigned k = 1; k < sw->uplink_count; k++) {
		const struct vsw_uplink_config *first = &vsw->uplinks[sw->uplinks[0]], *other = &vsw->uplinks[sw->uplinks[k]];
		if (first->mtu == other->mtu)
			continue;
		report_at(&c->report, "uplinks[%u].mtu", sw->uplinks[k]);
		report_warning(&c->report, "give the uplinks of a vSwitch the same MTU",
			"the MTU %u of uplink \"%s\" and the %u of \"%s\" differ: vSwitch \"%s\" carries the smaller", other->mtu,
			other->name, first->mtu, first->name, sw->name);
		return;
	}
}

static void check_discovery(struct checker *c, unsigned s)
{
	const struct vsw_switch_config *sw = &c->config->vsw.switches[s];
	if (sw->uplink_count || sw->discovery == VSW_DISCOVERY_LISTEN)
		return;
	report_at(&c->report, "vswitches[%u].discovery", s);
	report_warning(&c->report, "take it out", "discovery has no effect: vSwitch \"%s\" has no uplink", sw->name);
}

static void check_snooping(struct checker *c, unsigned s)
{
	const struct vsw_switch_config *sw = &c->config->vsw.switches[s];
	if (sw->uplink_count || !sw->snooping)
		return;
	report_at(&c->report, "vswitches[%u].snooping", s);
	report_warning(&c->report, "take it out, unless a VM is the querier",
		"snooping filters only where a querier is, and vSwitch \"%s\" has no uplink to one", sw->name);
}

static void check_ports(struct checker *c)
{
	unsigned count = c->config->vsw.uplink_count + c->config->net.vmknic_count;
	for (unsigned v = 0; v < c->config->vm_count; v++)
		count += c->config->vms[v].nic_count;
	if (count <= VSW_MAX_PORTS)
		return;
	report_at(&c->report, "vms");
	report_error(&c->report, "give some VMs fewer NICs, or run them on another host",
		"the host has %u NICs of VMs, VMkernel NICs and uplinks; its switch has %u ports", count, VSW_MAX_PORTS);
}

static void check_vswitches(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	check_unique_names(c, "vswitches", "vSwitches", vsw->switches, sizeof(vsw->switches[0]), vsw->switch_count);
	for (unsigned i = 0; i < vsw->uplink_count; i++)
		check_uplink_used(c, i);
	for (unsigned s = 0; s < vsw->switch_count; s++) {
		check_uplink_mtus(c, s);
		check_discovery(c, s);
		check_snooping(c, s);
		bool used = false;
		for (unsigned p = 0; p < vsw->portgroup_count; p++)
			used |= vsw->portgroups[p].vswitch == s;
		if (used)
			continue;
		report_at(&c->report, "vswitches[%u]", s);
		report_warning(
			&c->report, "add a port group to connect NICs to it", "vSwitch \"%s\" has no port group", vsw->switches[s].name);
	}
}

/* ---- VMkernel NICs ---- */

static uint32_t prefix_mask(unsigned prefix)
{
	return prefix ? 0xffffffffu << (32 - prefix) : 0;
}

/* NULL, or why the address is not one of its subnet's hosts (RFC 1122 section 3.2.1.3; RFC 3021 for /31). */
static const char *subnet_position(uint32_t address, unsigned prefix)
{
	uint32_t host = address & ~prefix_mask(prefix);
	if (prefix >= 31)
		return NULL;
	if (!host)
		return "is the address of the subnet itself";
	return host == ~prefix_mask(prefix) ? "is the broadcast address of the subnet" : NULL;
}

static void check_vmk_address(struct checker *c, unsigned i)
{
	const struct net_vmknic_config *vmk = &c->config->net.vmknics[i];
	char text[CHECK_IPV4_TEXT];
	const char *problem = check_host_address(vmk->address);
	if (!problem)
		problem = subnet_position(vmk->address, vmk->prefix);
	if (problem) {
		report_at(&c->report, "vmknics[%u].address", i);
		report_error(&c->report, "choose an address between the first and the last of the subnet", "%s %s",
			check_ipv4_text(text, vmk->address), problem);
	} else if (vmk->prefix == 32) {
		report_at(&c->report, "vmknics[%u].address", i);
		report_error(&c->report, "write the length of the network's prefix, /24 for example",
			"\"%s\" has no neighbour: the subnet %s/32 has no other address", vmk->name, check_ipv4_text(text, vmk->address));
	}
}

static void check_gateway(struct checker *c, unsigned i)
{
	const struct net_vmknic_config *vmk = &c->config->net.vmknics[i];
	char gateway[CHECK_IPV4_TEXT], subnet[CHECK_IPV4_TEXT];
	uint32_t mask = prefix_mask(vmk->prefix);
	if (!vmk->gateway)
		return;
	report_at(&c->report, "vmknics[%u].gateway", i);
	check_ipv4_text(gateway, vmk->gateway);
	if (vmk->gateway == vmk->address) {
		report_error(&c->report, "write the router's address", "the gateway %s is the VMkernel NIC's own address", gateway);
	} else if ((vmk->gateway & mask) != (vmk->address & mask)) {
		report_error(&c->report, "a gateway must be a neighbour: correct it, or the prefix length of the address",
			"the gateway %s is not in the subnet %s/%u of \"%s\"", gateway, check_ipv4_text(subnet, vmk->address & mask),
			vmk->prefix, vmk->name);
	} else if (subnet_position(vmk->gateway, vmk->prefix)) {
		report_error(
			&c->report, "write the router's address", "the gateway %s %s", gateway, subnet_position(vmk->gateway, vmk->prefix));
	}
	for (unsigned j = 0; j < i; j++) {
		if (!c->config->net.vmknics[j].gateway)
			continue;
		report_error(&c->report, "keep the gateway of the VMkernel NIC that leads outside",
			"\"%s\" already has a gateway; a host has one", c->config->net.vmknics[j].name);
		break;
	}
}

static void check_vmk_pair(struct checker *c, unsigned i, unsigned j)
{
	const struct net_vmknic_config *a = &c->config->net.vmknics[j], *b = &c->config->net.vmknics[i];
	uint32_t mask = prefix_mask(a->prefix < b->prefix ? a->prefix : b->prefix);
	char text[CHECK_IPV4_TEXT];
	report_at(&c->report, "vmknics[%u].address", i);
	if (a->address == b->address)
		report_error(&c->report, "give each its own", "\"%s\" and \"%s\" have the same address %s", a->name, b->name,
			check_ipv4_text(text, a->address));
	else if ((a->address & mask) == (b->address & mask))
		report_error(&c->report, "put each VMkernel NIC into its own subnet: the host could not tell which to send from",
			"\"%s\" and \"%s\" are in the same subnet %s/%u", a->name, b->name, check_ipv4_text(text, a->address & mask),
			a->prefix < b->prefix ? a->prefix : b->prefix);
}

static void check_vmk_uplinks(struct checker *c, unsigned i)
{
	const struct vsw_config *vsw = &c->config->vsw;
	const struct net_vmknic_config *vmk = &c->config->net.vmknics[i];
	const struct vsw_portgroup_config *group = &vsw->portgroups[vmk->portgroup];
	const struct vsw_switch_config *sw = &vsw->switches[group->vswitch];
	if (!sw->uplink_count) {
		report_at(&c->report, "vmknics[%u].portgroup", i);
		report_error(&c->report,
			report_hint(&c->report, "add an uplink to \"%s\", or use a port group of another vSwitch", sw->name),
			"port group \"%s\" leads nowhere: its vSwitch \"%s\" has no uplink", group->name, sw->name);
	}
	if (group->mtu && vmk->mtu > group->mtu) {
		report_at(&c->report, "vmknics[%u].mtu", i);
		report_error(&c->report, report_hint(&c->report, "lower it to %u, or raise the port group's", group->mtu),
			"the MTU %u of \"%s\" is larger than the %u of port group \"%s\"", vmk->mtu, vmk->name, group->mtu, group->name);
	}
	if (group->trunk_count) {
		report_at(&c->report, "vmknics[%u].portgroup", i);
		report_error(&c->report, "make a port group with the vlan of the VMkernel NIC",
			"port group \"%s\" is a trunk; a VMkernel NIC does not tag", group->name);
	}
	for (unsigned k = 0; k < sw->uplink_count; k++) {
		const struct vsw_uplink_config *uplink = &vsw->uplinks[sw->uplinks[k]];
		if (vmk->mtu <= uplink->mtu)
			continue;
		report_at(&c->report, "vmknics[%u].mtu", i);
		report_error(&c->report,
			report_hint(&c->report, "lower it to %u, or raise the uplink's if the physical network carries it", uplink->mtu),
			"the MTU %u of \"%s\" is larger than the %u of uplink \"%s\"", vmk->mtu, vmk->name, uplink->mtu, uplink->name);
	}
}

static void check_vmknics(struct checker *c)
{
	const struct net_config *net = &c->config->net;
	check_unique_names(c, "vmknics", "VMkernel NICs", net->vmknics, sizeof(net->vmknics[0]), net->vmknic_count);
	for (unsigned i = 0; i < net->vmknic_count; i++) {
		check_vmk_address(c, i);
		check_gateway(c, i);
		check_vmk_uplinks(c, i);
		for (unsigned j = 0; j < i; j++)
			check_vmk_pair(c, i, j);
	}
}

/* ---- MAC addresses over uplinks, VMkernel NICs and VMs ---- */

#define MAX_MACS (VSW_MAX_UPLINKS + NET_MAX_VMKNICS + CONFIG_MAX_VMS * CONFIG_MAX_VM_NICS)

/* The n-th NIC of the host, or NULL behind the last. Sets the report's path to its mac. */
static const uint8_t *nth_mac(struct checker *c, unsigned n)
{
	const struct config *config = c->config;
	if (n < config->vsw.uplink_count) {
		report_at(&c->report, "uplinks[%u].match.mac", n);
		return config->vsw.uplinks[n].mac;
	}
	n -= config->vsw.uplink_count;
	if (n < config->net.vmknic_count) {
		report_at(&c->report, "vmknics[%u].mac", n);
		return config->net.vmknics[n].mac;
	}
	n -= config->net.vmknic_count;
	for (unsigned v = 0; v < config->vm_count; n -= config->vms[v++].nic_count) {
		if (n < config->vms[v].nic_count) {
			report_at(&c->report, "vms[%u].nics[%u].mac", v, n);
			return config->vms[v].nics[n].mac;
		}
	}
	return NULL;
}

static void check_macs(struct checker *c)
{
	const uint8_t *macs[MAX_MACS], *mac;
	unsigned count = 0;
	for (; count < MAX_MACS && (mac = nth_mac(c, count)); count++) {
		static const uint8_t none[6];
		macs[count] = mac;
		for (unsigned j = 0; j < count; j++) {
			bool uplinks = count < c->config->vsw.uplink_count; /* two uplinks of one MAC: check_uplinks has told it */
			if (uplinks || memcmp(macs[j], mac, 6) != 0 || !memcmp(mac, none, 6))
				continue;
			char other[CONFIG_PATH_MAX + 1];
			nth_mac(c, j);
			memcpy(other, c->report.path.text, sizeof(other));
			nth_mac(c, count);
			report_error(&c->report, report_hint(&c->report, "it is also at %s; take one out to have it derived", other),
				"the MAC address %02x:%02x:%02x:%02x:%02x:%02x is used twice", mac[0], mac[1], mac[2], mac[3], mac[4],
				mac[5]);
			break;
		}
	}
}

void check_network(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	check_uplinks(c);
	check_vswitches(c);
	check_unique_names(c, "portgroups", "port groups", vsw->portgroups, sizeof(vsw->portgroups[0]), vsw->portgroup_count);
	check_vmknics(c);
	check_macs(c);
	check_ports(c);
}
