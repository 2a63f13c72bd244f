/* Rules on what limits a port: shaping, guards, of port groups and of the NICs that override them. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#define ETH_HEADER 14u
#define OWNER_MAX 48

/* ---- shaping ---- */

/* Largest frame of a port group's ports. */
static unsigned frame_bytes(const struct vsw_config *vsw, const struct vsw_portgroup_config *group)
{
	const struct vsw_switch_config *sw = &vsw->switches[group->vswitch];
	unsigned mtu = group->mtu;
	for (unsigned i = 0; !group->mtu && i < sw->uplink_count; i++)
		if (!mtu || vsw->uplinks[sw->uplinks[i]].mtu < mtu)
			mtu = vsw->uplinks[sw->uplinks[i]].mtu;
	return (mtu ? mtu : 1500) + ETH_HEADER;
}

static void check_rate(struct checker *c, const char *owner, const char *direction, const struct vsw_shaping_config *s, unsigned frame)
{
	report_at(&c->report, "%s.shaping.%s", owner, direction);
	if (!s->average_kbps) {
		if (s->peak_kbps || s->burst_bytes)
			report_warning(&c->report, "give an average, or take peak and burst out",
				"an average of 0 is no limit, so peak and burst have no effect");
		return;
	}
	if (!s->burst_bytes) {
		report_error(&c->report, "write how much may be sent at once, for example burst: 1MiB", "a rate needs the key \"burst\"");
		return;
	}
	if (s->burst_bytes < frame) {
		report_at(&c->report, "%s.shaping.%s.burst", owner, direction);
		report_error(&c->report, report_hint(&c->report, "write at least %uB", frame),
			"the burst of %llu bytes is smaller than a frame of %u", (unsigned long long)s->burst_bytes, frame);
	} else if (s->burst_bytes < s->average_kbps / 8) { /* of a millisecond */
		report_at(&c->report, "%s.shaping.%s.burst", owner, direction);
		report_warning(&c->report,
			report_hint(&c->report, "write at least %lluB: a millisecond of it", (unsigned long long)s->average_kbps / 8),
			"with a burst of %llu bytes the average of %llu kbit/s may not be reached", (unsigned long long)s->burst_bytes,
			(unsigned long long)s->average_kbps);
	}
	report_at(&c->report, "%s.shaping.%s.peak", owner, direction);
	if (s->peak_kbps && s->peak_kbps < s->average_kbps)
		report_error(&c->report, "raise peak, or take it out", "the peak rate of %llu kbit/s is lower than the average of %llu",
			(unsigned long long)s->peak_kbps, (unsigned long long)s->average_kbps);
	else if (s->peak_kbps == s->average_kbps)
		report_warning(
			&c->report, "raise peak, or take it out", "the burst has no effect: the peak rate is not higher than the average");
}

/* ---- guards ---- */

static void check_group_guard(struct checker *c, unsigned g)
{
	const struct vsw_portgroup_config *group = &c->config->vsw.portgroups[g];
	report_at(&c->report, "portgroups[%u].guard", g);
	if (group->guard.arp && !group->guard.servers)
		report_warning(&c->report, "add servers: true",
			"without the guard on servers any VM of \"%s\" can lease addresses to others and so lead the ARP guard astray",
			group->name);
	if (group->guard.arp && group->policy.forged_transmits) {
		report_at(&c->report, "portgroups[%u].policy.forged_transmits", g);
		report_warning(&c->report, "list the addresses of nested VMs at the NIC, or make it trusted",
			"the ARP guard of \"%s\" drops ARP of guests behind a guest unless their addresses are the NIC's", group->name);
	}
}

static void check_nic_guard(struct checker *c, unsigned v, unsigned n)
{
	const struct config_vm_nic *nic = &c->config->vms[v].nics[n];
	const struct vsw_portgroup_config *group = &c->config->vsw.portgroups[nic->portgroup];
	char text[CHECK_IPV4_TEXT];
	if (nic->own.trusted && !group->guard.servers && !group->guard.arp) {
		report_at(&c->report, "vms[%u].nics[%u].trusted", v, n);
		report_warning(&c->report, "take it out, or give the port group a guard", "port group \"%s\" has no guard", group->name);
	}
	if (nic->own.address_count && !group->guard.arp) {
		report_at(&c->report, "vms[%u].nics[%u].addresses", v, n);
		report_warning(
			&c->report, "take them out, or write guard: {arp: true} there", "port group \"%s\" has no ARP guard", group->name);
	}
	for (unsigned a = 0; a < nic->own.address_count; a++) {
		const char *problem = check_host_address(nic->own.addresses[a]);
		report_at(&c->report, "vms[%u].nics[%u].addresses[%u]", v, n, a);
		if (problem)
			report_error(&c->report, "write the address that the guest has", "%s %s",
				check_ipv4_text(text, nic->own.addresses[a]), problem);
	}
}

/* One address at two NICs of one port group: each could claim to be the other. */
static void check_address_owner(struct checker *c, unsigned v, unsigned n, unsigned a)
{
	const struct config_vm_nic *nic = &c->config->vms[v].nics[n];
	char text[CHECK_IPV4_TEXT];
	for (unsigned w = 0; w <= v; w++) {
		for (unsigned m = 0; m < (w == v ? n : c->config->vms[w].nic_count); m++) {
			const struct config_vm_nic *other = &c->config->vms[w].nics[m];
			for (unsigned b = 0; b < other->own.address_count; b++) {
				if (other->portgroup != nic->portgroup || other->own.addresses[b] != nic->own.addresses[a])
					continue;
				report_at(&c->report, "vms[%u].nics[%u].addresses[%u]", v, n, a);
				report_error(&c->report, report_hint(&c->report, "it is also at vms[%u].nics[%u]", w, m),
					"the address %s is used twice", check_ipv4_text(text, nic->own.addresses[a]));
				return;
			}
		}
	}
}

void check_limits(struct checker *c)
{
	const struct vsw_config *vsw = &c->config->vsw;
	char owner[OWNER_MAX];
	for (unsigned g = 0; g < vsw->portgroup_count; g++) {
		const struct vsw_portgroup_config *group = &vsw->portgroups[g];
		snprintf(owner, sizeof(owner), "portgroups[%u]", g);
		check_rate(c, owner, "ingress", &group->ingress, frame_bytes(vsw, group));
		check_rate(c, owner, "egress", &group->egress, frame_bytes(vsw, group));
		check_group_guard(c, g);
	}
	for (unsigned v = 0; v < c->config->vm_count; v++) {
		for (unsigned n = 0; n < c->config->vms[v].nic_count; n++) {
			const struct config_vm_nic *nic = &c->config->vms[v].nics[n];
			const struct vsw_portgroup_config *group = &vsw->portgroups[nic->portgroup];
			snprintf(owner, sizeof(owner), "vms[%u].nics[%u]", v, n);
			check_rate(c, owner, "ingress", &nic->own.ingress, frame_bytes(vsw, group));
			check_rate(c, owner, "egress", &nic->own.egress, frame_bytes(vsw, group));
			check_nic_guard(c, v, n);
			for (unsigned a = 0; a < nic->own.address_count; a++)
				check_address_owner(c, v, n, a);
		}
	}
}
