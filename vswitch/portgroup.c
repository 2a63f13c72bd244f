/*
 * Port groups and the port table: a port gets its VLAN, its policy and its switch from its port group, an index, and its MAC in the MAC
 * table.
 *
 * Owner: the switch's core; control path.
 */
#include "switch.h"

#include <errno.h>

static int port_slot(struct vsw *v, uint16_t *index)
{
	for (unsigned i = 0; i < VSW_MAX_PORTS; i++) {
		if (v->ports[i])
			continue;
		*index = (uint16_t)i;
		return 0;
	}
	return trace_error(-ENOSPC);
}

int vsw_port_add(struct vsw *v, struct vsw_port *p)
{
	int err = port_slot(v, &p->index);

	if (err)
		return err;
	v->ports[p->index] = p;
	v->port_count = HV_MAX(v->port_count, p->index + 1u);
	if (p->portgroup)
		vsw_domain_join(p->portgroup->domain, p);
	return 0;
}

void vsw_port_remove(struct vsw_port *p)
{
	struct vsw *v = p->sw->v;

	vsw_flush(v);
	if (p->portgroup)
		vsw_domain_leave(p->portgroup->domain, p);
	fdb_remove_port(&p->sw->fdb, p->index);
	v->ports[p->index] = NULL;
}

int vsw_access_port_init(struct vsw *v, struct vsw_port *p, unsigned portgroup, const char *name, const uint8_t mac[6])
{
	struct vsw_portgroup *pg;
	int err;

	p->mac = vsw_load_mac(mac);
	if (portgroup >= v->config.portgroup_count || vsw_mac_is_group(p->mac) || !p->mac)
		return trace_error(-EINVAL);
	pg = &v->portgroups[portgroup];
	p->portgroup = pg;
	p->sw = pg->sw;
	p->domain = pg->domain->id;
	p->flags |= vsw_policy_flags(&pg->config->policy);
	p->link_up = true;
	hv_snprintf(p->name, sizeof(p->name), "%s", name);
	err = vsw_port_add(v, p);
	if (err)
		return err;
	err = fdb_static_add(&p->sw->fdb, fdb_key(p->mac, p->domain), p->index);
	if (err)
		vsw_port_remove(p);
	return err;
}
