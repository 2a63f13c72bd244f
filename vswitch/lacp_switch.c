/*
 * LACP on a vSwitch: its uplinks are the ports of one LACP system (lacp.c), each with a number that it keeps. An uplink of such a vSwitch
 * is `blocked` unless it is collecting and distributing: teams do not send by it, and what it receives is dropped but for control frames.
 *
 * Owner: the switch's core. Stepped every VSW_WATCH_NS, and soon after each LACPDU; never inside the receive path, since teams tell
 * VMkernel NICs, which may send.
 */
#include "lacp_switch.h"

#include <string.h>

static void send(void *arg, unsigned port, const uint8_t *frame, uint32_t len)
{
	struct vsw_switch *sw = arg;

	if (sw->lacp.uplinks[port])
		(void)vsw_uplink_send(sw->lacp.uplinks[port], frame, len); /* as if lost on the wire: it is sent again */
}

static bool belongs(const struct vsw_switch *sw, const struct vsw_port *p)
{
	for (unsigned i = 0; i < sw->config->uplink_count; i++) {
		struct vsw_uplink *u = sw->v->uplinks[sw->config->uplinks[i]];

		if (u && vsw_uplink_port(u) == p)
			return true;
	}
	return false;
}

unsigned vsw_lacp_port_of(const struct vsw_switch *sw, const struct vsw_port *uplink)
{
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		if (sw->lacp.uplinks[i] == uplink)
			return i;
	}
	return LACP_NONE;
}

static void start(struct vsw_switch *sw, const struct vsw_port *first)
{
	const struct vsw_lacp_config *c = &sw->config->lacp;
	struct lacp_settings s = {.active = c->mode == VSW_LACP_ACTIVE,
		.fast = c->rate == VSW_LACP_FAST,
		.system_priority = c->system_priority,
		.port_priority = c->port_priority,
		.key = c->key};

	memcpy(s.system, first->uplink_mac, sizeof(s.system));
	sw->lacp.machine.send = send;
	sw->lacp.machine.arg = sw;
	lacp_init(&sw->lacp.machine, &s);
	sw->lacp.started = true;
}

/* Gives uplinks that came a port, and takes it from those that went. */
static void match_uplinks(struct vsw_switch *sw)
{
	struct vsw_lacp *l = &sw->lacp;

	for (unsigned i = 0; i < LACP_PORTS; i++) {
		if (l->uplinks[i] && !belongs(sw, l->uplinks[i])) {
			l->uplinks[i] = NULL;
			lacp_port_disable(&l->machine, i);
		}
	}
	for (unsigned i = 0; i < sw->config->uplink_count; i++) {
		struct vsw_uplink *u = sw->v->uplinks[sw->config->uplinks[i]];
		unsigned free_port = vsw_lacp_port_of(sw, NULL);

		if (!u || vsw_lacp_port_of(sw, vsw_uplink_port(u)) != LACP_NONE || free_port == LACP_NONE)
			continue;
		if (!l->started)
			start(sw, vsw_uplink_port(u));
		l->uplinks[free_port] = vsw_uplink_port(u);
		vsw_uplink_port(u)->blocked = true;
	}
}

static void tell(const struct vsw_port *p, const struct lacp_port *port)
{
	const uint8_t *s = port->partner.system;

	if (p->blocked)
		log_warn("vswitch.lacp.down", "uplink %s: LACP has taken it out (%s)", p->name, lacp_mux_name(port->mux));
	else if (port->actor.state & LACP_DEFAULTED)
		log_warn("vswitch.lacp.alone", "uplink %s: nobody speaks LACP there; it is used alone", p->name);
	else
		log_info("vswitch.lacp.up", "uplink %s: in the aggregate with %02x:%02x:%02x:%02x:%02x:%02x, key %u, port %u", p->name,
			s[0], s[1], s[2], s[3], s[4], s[5], port->partner.key, port->partner.port);
}

static bool publish(struct vsw_switch *sw)
{
	bool changed = false;

	for (unsigned i = 0; i < LACP_PORTS; i++) {
		struct vsw_port *p = sw->lacp.uplinks[i];
		const struct lacp_port *port = &sw->lacp.machine.ports[i];

		if (!p)
			continue;
		if (port->churn[0].count + port->churn[1].count != sw->lacp.churns[i])
			log_warn("vswitch.lacp.churn",
				"uplink %s: LACP has not agreed for a minute; look at the channel on the physical switch", p->name);
		sw->lacp.churns[i] = port->churn[0].count + port->churn[1].count;
		if (p->blocked != lacp_distributes(&sw->lacp.machine, i))
			continue;
		p->blocked = !p->blocked;
		changed = true;
		tell(p, port);
	}
	return changed;
}

bool vsw_lacp_step(struct vsw_switch *sw)
{
	struct vsw_lacp *l = &sw->lacp;

	if (!l->on)
		return false;
	match_uplinks(sw);
	for (unsigned i = 0; i < LACP_PORTS; i++) {
		if (l->uplinks[i] && l->uplinks[i]->link_up)
			lacp_port_enable(&l->machine, i, l->uplinks[i]->uplink_mac);
		else
			lacp_port_disable(&l->machine, i);
	}
	if (l->started)
		lacp_run(&l->machine, hv_now_ns());
	return publish(sw);
}

bool vsw_lacp_input(struct vsw_port *uplink, const uint8_t *frame, uint32_t len)
{
	struct vsw_switch *sw = uplink->sw;
	unsigned port = sw->lacp.on ? vsw_lacp_port_of(sw, uplink) : LACP_NONE;

	if (port == LACP_NONE)
		return false;
	lacp_input(&sw->lacp.machine, port, frame, len, hv_now_ns());
	hv_timer_arm(&sw->v->watch, hv_now_ns()); /* publishes */
	return true;
}

void vsw_lacp_apply(struct vsw_switch *sw)
{
	struct vsw_lacp *l = &sw->lacp;
	bool on = sw->config->has_lacp;

	if (on == l->on && !memcmp(&l->config, &sw->config->lacp, sizeof(l->config)))
		return;
	memset(l, 0, sizeof(*l));
	l->on = on;
	l->config = sw->config->lacp;
	for (unsigned i = 0; i < sw->config->uplink_count; i++) {
		struct vsw_uplink *u = sw->v->uplinks[sw->config->uplinks[i]];

		if (u)
			vsw_uplink_port(u)->blocked = on;
	}
}
