/*
 * Uplink teaming: which uplink a switch sends by. Explicit failover order: the first uplink of the vSwitch's list whose link is up is
 * active.
 *
 * Owner: the switch's core. Chosen again whenever an uplink is attached or its link changes.
 */
#include "switch.h"

static struct vsw_port *first_up(const struct vsw_switch *sw)
{
	for (unsigned i = 0; i < sw->config->uplink_count; i++) {
		struct vsw_port *p =
			sw->v->uplinks[sw->config->uplinks[i]] ? vsw_uplink_port(sw->v->uplinks[sw->config->uplinks[i]]) : NULL;

		if (p && p->link_up)
			return p;
	}
	return NULL;
}

static void tell_ports(struct vsw_switch *sw, bool up)
{
	struct vsw *v = sw->v;

	for (unsigned i = 0; i < v->port_count; i++) {
		struct vsw_port *p = v->ports[i];

		if (p && p->sw == sw && p->link_changed)
			p->link_changed(p, up);
	}
}

void vsw_team_update(struct vsw *v)
{
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		struct vsw_switch *sw = &v->switches[i];
		struct vsw_port *before = sw->active;

		sw->active = first_up(sw);
		if (sw->active == before)
			continue;
		if (sw->active)
			log_info("vswitch.uplink.active", "%s sends by %s", sw->config->name, sw->active->name);
		else
			log_warn("vswitch.uplink.none", "%s has no uplink that is up", sw->config->name);
		if (!sw->active != !before)
			tell_ports(sw, sw->active != NULL);
	}
}
