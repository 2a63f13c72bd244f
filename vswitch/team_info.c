/* Uplinks, teams and who uses which, as others see them. Owner: the switch's core. */
#include "lacp_switch.h"
#include "uplink.h"

static struct vsw_lacp_side side(const struct lacp_info *i)
{
	struct vsw_lacp_side s = {.system_priority = i->system_priority,
		.key = i->key,
		.port_priority = i->port_priority,
		.port = i->port,
		.state = i->state};

	memcpy(s.system, i->system, sizeof(s.system));
	return s;
}

static void lacp_info(const struct vsw_port *p, struct vsw_uplink_info *info)
{
	const struct vsw_lacp *l = &p->sw->lacp;
	unsigned port = l->on ? vsw_lacp_port_of(p->sw, p) : LACP_NONE;
	const struct lacp_port *m;

	if (port == LACP_NONE)
		return;
	m = &l->machine.ports[port];
	info->has_lacp = true;
	info->lacp = (struct vsw_uplink_lacp){.mux = lacp_mux_name(m->mux),
		.receive = lacp_receive_name(m->receive),
		.chosen = m->aggregator != LACP_NONE && m->aggregator == l->machine.chosen,
		.churn = m->churn[0].state == LACP_CHURN || m->churn[1].state == LACP_CHURN,
		.actor = side(&m->actor),
		.partner = side(&m->partner),
		.pdus_in = m->pdus_in,
		.pdus_out = m->pdus_out,
		.pdus_bad = m->pdus_bad,
		.markers = m->markers};
}

void vsw_uplink_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_uplink_info *info), void *arg)
{
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		struct vsw_uplink_info info = {.name = v->config.uplinks[i].name, .vswitch = ""};
		const struct vsw_port *p = v->uplinks[i] ? vsw_uplink_port(v->uplinks[i]) : NULL;

		if (p) {
			info.present = true;
			info.vswitch = p->sw->config->name;
			info.link_up = p->link_up;
			info.link_up_s = p->link_up ? (hv_now_ns() - p->link_up_ns) / 1000000000u : 0;
			info.probed = p->sw->beacon.on;
			info.cut_off = info.probed && p->beacon.lost;
			vsw_uplink_queues(v->uplinks[i], &info);
			lacp_info(p, &info);
		}
		fn(arg, &info);
	}
}

void vsw_uplink_user_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_uplink_user *user), void *arg)
{
	for (unsigned i = 0; i < v->port_count; i++) {
		const struct vsw_port *p = v->ports[i];
		struct vsw_uplink_user user;

		if (!p || !p->portgroup)
			continue;
		user = (struct vsw_uplink_user){.port = p->name,
			.portgroup = p->portgroup->config->name,
			.vswitch = p->sw->config->name,
			.uplink = !p->uplink                 ? ""
				  : p->flags & VSW_PF_HASHED ? "*"
							     : p->uplink->name};
		fn(arg, &user);
	}
}

void vsw_team_foreach(const struct vsw *v, void (*fn)(void *arg, const struct vsw_team_info *info), void *arg)
{
	static const char *const balance[] = {"port", "mac", "ip-hash", "explicit"};
	static const char *const detection[] = {"link", "beacon"};

	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		const struct vsw_portgroup *pg = v->portgroups[i];
		struct vsw_team_info info = {.portgroup = pg->config->name,
			.vswitch = pg->sw->config->name,
			.load_balancing = balance[pg->team->config.load_balancing],
			.failure_detection = detection[pg->team->config.failure_detection]};
		unsigned n = 0;

		for (unsigned k = 0; k < pg->team->slots; k++) {
			if (pg->team->holder[k])
				info.in_use[n++] = pg->team->holder[k]->name;
		}
		fn(arg, &info);
	}
}
