/*
 * Live change, second half: the prepared configuration becomes the running one. Nothing here can fail, and no frame moves meanwhile: it is
 * one turn of the owner core's loop. Ports whose VLANs stay the same keep their domains, their entries of the MAC table and their counters.
 *
 * Order: ports that move leave -> configuration, vSwitches, port groups, uplinks get their new indexes and contents -> uplinks that are
 * gone are detached -> ports arrive -> domains, port groups and vSwitches that nobody uses go -> teams choose anew.
 *
 * Owner: the switch's core.
 */
#include "change.h"

#include "filter.h"
#include "mirror.h"
#include "snoop.h"

#include <hv/mem.h>
#include <string.h>

/* ---- ports leave ---- */

struct leaving {
	const struct vsw_port *p;
	const struct vsw_portgroup *next;
	bool forget; /* all that it was allowed to send as */
};

/* Learned at the port, and not to be kept: in a VLAN that it is no longer in, or forged and no longer allowed. */
static bool entry_gone(void *arg, uint64_t key, uint16_t port, bool is_static)
{
	const struct leaving *l = arg;
	uint16_t domain = (uint16_t)key;

	if (port != l->p->index || is_static)
		return false;
	return l->forget || l->p->sw != l->next->sw || !vsw_vlan_in(&l->next->vlans, l->p->sw->v->domains[domain]->vlan);
}

static void port_leave(struct vsw_change *c, struct vsw_port *p)
{
	const struct vsw_port_plan *plan = &c->ports[p->index];
	struct leaving l = {.p = p, .next = &c->next[plan->portgroup]};

	l.forget = p->flags & VSW_PF_FORGED && !vsw_policy_of(&plan->own, l.next->config).forged_transmits;
	l.forget |= plan->moves && (p->portgroup->private || l.next->private); /* who reaches them is another question there */
	if (plan->moves)
		vsw_shape_clear(p); /* what waits is of its old VLANs */
	if (plan->moves || plan->mac != p->mac)
		vsw_mac_release(p, p->mac);
	if (plan->moves) {
		vsw_domains_leave(p);
		vsw_snoop_leaves(p);
	}
	if (plan->moves || l.forget)
		fdb_remove_if(&p->sw->fdb, entry_gone, &l);
}

static bool entry_unreached(void *arg, uint64_t key, uint16_t port, bool is_static)
{
	return port == VSW_PORT_PRIVATE && !is_static;
}

/* Of addresses behind ports of private VLANs: where they are not reached may be another question now. They are learned again. */
static void forget_unreached(struct vsw *v)
{
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		if (v->config.switches[i].private_vlan_count)
			fdb_remove_if(&v->switches[i]->fdb, entry_unreached, NULL);
	}
}

/* ---- objects ---- */

static void replace_objects(struct vsw_change *c)
{
	struct vsw *v = c->v;

	v->config = c->config;
	memcpy(v->switches, c->switches, sizeof(v->switches));
	memcpy(v->portgroups, c->portgroups, sizeof(v->portgroups));
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		v->switches[i]->config = &v->config.switches[i];
		v->switches[i]->mtu = vsw_switch_mtu(v, v->switches[i]->config);
	}
	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		struct vsw_portgroup *pg = v->portgroups[i];
		int err;

		pg->config = &v->config.portgroups[i];
		pg->sw = v->switches[pg->config->vswitch];
		err = vsw_portgroup_derive(pg, pg->sw->config);
		hv_assert(!err); /* prepare made its domains */
	}
}

static bool in_list(struct vsw_uplink *const *list, const struct vsw_uplink *u)
{
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
		if (list[i] == u)
			return true;
	}
	return false;
}

static void replace_uplinks(struct vsw_change *c)
{
	struct vsw_uplink *before[VSW_MAX_UPLINKS];
	struct vsw *v = c->v;

	memcpy(before, v->uplinks, sizeof(before));
	memcpy(v->uplinks, c->uplinks, sizeof(v->uplinks));
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		if (v->uplinks[i])
			vsw_uplink_apply(v->uplinks[i], i);
	}
	vsw_teams_apply(v); /* none knows an uplink any more that is now detached */
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
		if (before[i] && !in_list(v->uplinks, before[i]))
			vsw_uplink_detach(before[i]);
	}
}

/* ---- ports arrive ---- */

static void port_arrive(struct vsw_change *c, struct vsw_port *p)
{
	const struct vsw_port_plan *plan = &c->ports[p->index];
	bool claims = plan->moves || plan->mac != p->mac;

	p->mac = plan->mac;
	p->own = plan->own;
	vsw_port_apply(p, c->v->portgroups[plan->portgroup]);
	if (plan->moves) {
		vsw_domains_join(p);
		vsw_snoop_arrives(p);
	}
	if (claims) {
		int err;

		vsw_change_unreserve(c, p->index); /* a trunk counts its claims */
		err = vsw_mac_claim(p, p->mac);
		hv_assert(!err); /* prepare has checked it and held the room */
	}
	vsw_features_apply(p);
	vsw_team_assign(p);
	if (plan->moves) {
		log_info("vswitch.port.moved", "port %s is in port group %s now", p->name, p->portgroup->config->name);
	}
	if (p->reconfigured)
		p->reconfigured(p, plan->moves);
}

/* ---- what is left over ---- */

static void free_unused(struct vsw_change *c, struct vsw_switch **switches, struct vsw_portgroup **portgroups)
{
	for (unsigned i = 0; i < VSW_MAX_PORTGROUPS; i++) {
		if (portgroups[i] && !vsw_change_kept_portgroup(c, portgroups[i]))
			hv_contig_free(portgroups[i], sizeof(*portgroups[i]));
	}
	vsw_domains_collect(c->v);
	for (unsigned i = 0; i < VSW_MAX_SWITCHES; i++) {
		if (switches[i] && !vsw_change_kept_switch(c, switches[i]))
			vsw_switch_free(switches[i]);
	}
}

static void for_each_access_port(struct vsw_change *c, void (*fn)(struct vsw_change *, struct vsw_port *))
{
	for (unsigned i = 0; i < c->v->port_count; i++) {
		if (c->v->ports[i] && c->v->ports[i]->kind != VSW_PORT_UPLINK)
			fn(c, c->v->ports[i]);
	}
}

/* Physical switches learn where the addresses of ports that moved are now. */
static void notify_moved(struct vsw_change *c)
{
	for (unsigned i = 0; i < c->v->port_count; i++) {
		struct vsw_port *p = c->v->ports[i];

		if (!p || p->kind == VSW_PORT_UPLINK || !c->ports[i].moves || !p->uplink || !p->portgroup->team->config.notify_switches)
			continue;
		p->moved = true;
		vsw_notify_begin(p->sw);
	}
}

void vsw_change_commit(struct vsw_change *c)
{
	struct vsw_portgroup *portgroups[VSW_MAX_PORTGROUPS];
	struct vsw_switch *switches[VSW_MAX_SWITCHES];
	struct vsw *v = c->v;

	hv_assert(hv_core_self() == v->core);
	vsw_flush_all(v);
	memcpy(switches, v->switches, sizeof(switches));
	memcpy(portgroups, v->portgroups, sizeof(portgroups));
	for_each_access_port(c, port_leave);
	forget_unreached(v);
	replace_objects(c);
	replace_uplinks(c);
	for_each_access_port(c, port_arrive);
	vsw_mirrors_commit(v, c->mirrors);
	vsw_team_update(v);
	vsw_flush_all(v); /* a vmk that was told of a new link may have sent */
	free_unused(c, switches, portgroups);
	notify_moved(c);
	hv_contig_free(c, sizeof(*c));
}
