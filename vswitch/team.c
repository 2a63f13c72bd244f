/*
 * Uplink teaming: which uplink a switch sends by. Explicit failover order: the first uplink of the vSwitch's list whose link is up is
 * active, the others stand by.
 *
 * Failback: an uplink whose link was lost and is back takes over from one behind it in the list only when the vSwitch says so and its link
 * has been up for the delay; that keeps a flapping link, or a physical switch that boots (link first, forwarding later), from taking
 * traffic. When the active uplink is lost the first that is up takes over at once, whatever its past.
 *
 * Owner: the switch's core. Chosen again whenever an uplink is attached or its link changes.
 */
#include "switch.h"

/* May p take over from an active uplink that works? */
static bool may_fail_back(const struct vsw_switch *sw, const struct vsw_port *p)
{
	if (!p->link_lost)
		return true; /* its first link: the host starts */
	return sw->config->failback && hv_now_ns() - p->link_up_ns >= sw->config->failback_delay_s * 1000000000ull;
}

static bool active_works(const struct vsw_switch *sw)
{
	for (unsigned i = 0; i < sw->config->uplink_count; i++) {
		struct vsw_uplink *u = sw->v->uplinks[sw->config->uplinks[i]];

		if (u && vsw_uplink_port(u) == sw->active)
			return sw->active->link_up;
	}
	return false; /* none, or detached: sw->active is not looked into */
}

static struct vsw_port *choose(const struct vsw_switch *sw)
{
	bool works = active_works(sw);

	for (unsigned i = 0; i < sw->config->uplink_count; i++) {
		struct vsw_port *p =
			sw->v->uplinks[sw->config->uplinks[i]] ? vsw_uplink_port(sw->v->uplinks[sw->config->uplinks[i]]) : NULL;

		if (p && p->link_up && (!works || p == sw->active || may_fail_back(sw, p)))
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

void vsw_team_assign(struct vsw_port *p)
{
	p->uplink = p->kind == VSW_PORT_UPLINK ? NULL : p->sw->active;
}

void vsw_team_update(struct vsw *v)
{
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		struct vsw_switch *sw = v->switches[i];
		struct vsw_port *before = sw->active;

		sw->active = choose(sw);
		if (sw->active == before)
			continue;
		if (sw->active)
			log_info("vswitch.uplink.active", "%s sends by %s", sw->config->name, sw->active->name);
		else
			log_warn("vswitch.uplink.none", "%s has no uplink that is up", sw->config->name);
		for (unsigned k = 0; k < v->port_count; k++) {
			if (v->ports[k] && v->ports[k]->sw == sw)
				vsw_team_assign(v->ports[k]);
		}
		if (sw->active && sw->config->notify_switches)
			vsw_notify_begin(sw);
		if (!sw->active != !before)
			tell_ports(sw, sw->active != NULL);
	}
}
