/*
 * Port groups and the port table: a port gets its VLAN, its policy and its switch from its port group, an index, and its MAC in the MAC
 * table.
 *
 * Owner: the switch's core; control path.
 */
#include "filter.h"
#include "mirror.h"
#include "snoop.h"
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>

/* ---- what a port group says ---- */

/* The VLANs of a port group and their domains. */
static int derive_vlans(struct vsw_portgroup *pg, const struct vsw_switch_config *sw)
{
	const struct vsw_portgroup_config *c = pg->config;
	struct vsw_domain *d;
	int err = 0;

	pg->trunk = c->trunk_count;
	pg->domain = NULL;
	pg->vlans = (struct vsw_vlan_set){0};
	pg->private = c->has_private_vlan;
	if (pg->private)
		return vsw_private_portgroup(pg, sw);
	vsw_vlan_set_ranges(&pg->vlans, c->trunk, c->trunk_count);
	if (!pg->trunk || c->has_native)
		vsw_vlan_add(&pg->vlans, pg->trunk ? c->native_vlan : c->vlan);
	for (unsigned vlan = 0; vlan <= VSW_VLAN_MAX && !err; vlan++) {
		if (vsw_vlan_in(&pg->vlans, (uint16_t)vlan))
			err = vsw_domain_get(pg->sw, (uint16_t)vlan, &d);
	}
	if (!err && (!pg->trunk || c->has_native))
		pg->domain = pg->sw->v->domains[pg->sw->domain_of[pg->trunk ? c->native_vlan : c->vlan]];
	return err;
}

int vsw_portgroup_derive(struct vsw_portgroup *pg, const struct vsw_switch_config *sw)
{
	int err;

	/* What the uplinks carry at most; a switch without uplinks carries what its port groups say. */
	if (!pg->config->mtu)
		pg->mtu = pg->sw->mtu;
	else if (pg->sw->config && pg->sw->config->uplink_count)
		pg->mtu = HV_MIN(pg->config->mtu, pg->sw->mtu);
	else
		pg->mtu = pg->config->mtu;
	err = derive_vlans(pg, sw);
	fdb_forget(&pg->sw->fdb);
	return err;
}

void vsw_port_apply(struct vsw_port *p, struct vsw_portgroup *pg)
{
	if (p->portgroup != pg)
		vsw_stats_leave(p);
	p->portgroup = pg;
	p->sw = pg->sw;
	fdb_forget(&p->sw->fdb);
	p->domain = pg->domain ? pg->domain->id : VSW_DOMAIN_NONE;
	vsw_port_set_mtu(p, pg->mtu);
	p->flags = (uint16_t)(pg->trunk ? p->flags | VSW_PF_TRUNK : p->flags & ~VSW_PF_TRUNK);
	if (p->kind == VSW_PORT_GUEST) /* a guest on a trunk gets tags into its frames */
		p->flags = (uint16_t)(pg->trunk ? p->flags | VSW_PF_PRIVATE : p->flags & ~VSW_PF_PRIVATE);
	for (unsigned i = 0; i < HV_ARRAY_LEN(p->used.bits); i++)
		p->used.bits[i] &= pg->vlans.bits[i];
}

/* ---- the port table ---- */

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

void vsw_port_set_reach(struct vsw_port *p, bool there)
{
	struct vsw *v = p->sw->v;

	v->local.out[p->index] = there ? p : &v->nowhere;
	for (unsigned k = 0; k < VSW_MAX_UPLINKS; k++)
		v->from_uplink[k].out[p->index] = there && p->accepts & 1u << k ? p : &v->nowhere;
}

int vsw_port_add(struct vsw *v, struct vsw_port *p)
{
	int err = port_slot(v, &p->index);

	if (err)
		return err;
	p->filter = hv_contig_alloc(sizeof(*p->filter), HV_PAGE_SIZE);
	if (!p->filter)
		return trace_error(-ENOMEM);
	v->ports[p->index] = p;
	p->dirty = p->flags & VSW_PF_PULLS ? &v->pulled : &v->dirty;
	v->port_count = HV_MAX(v->port_count, p->index + 1u);
	if (p->portgroup) {
		p->bit = VSW_BIT_LOCAL;
		vsw_domains_join(p);
	}
	if (p->portgroup)
		p->team_up = vsw_team_up(p->portgroup->team);
	vsw_team_assign(p);
	vsw_mirrors_update(v);
	return 0;
}

/* What waits for it goes with it. */
static void forget_dirty(struct vsw_port *p)
{
	for (unsigned i = 0; i < p->dirty->count; i++) {
		if (p->dirty->ports[i] == p->index)
			p->dirty->ports[i] = VSW_PORT_NONE;
	}
	p->flags &= (uint16_t)~VSW_PF_DIRTY;
}

void vsw_port_remove(struct vsw_port *p)
{
	struct vsw *v = p->sw->v;

	vsw_flush_all(v);
	forget_dirty(p);
	vsw_shape_clear(p);
	if (p->portgroup) {
		vsw_domains_leave(p);
		vsw_snoop_leaves(p);
		vsw_mac_release(p, p->mac);
	}
	fdb_remove_port(&p->sw->fdb, p->index);
	v->ports[p->index] = NULL;
	vsw_port_set_reach(p, false);
	vsw_mirrors_update(v);
	vsw_stats_leave(p);
	vsw_stats_gone(p);
	hv_contig_free(p->filter, sizeof(*p->filter));
	p->filter = NULL;
}

void vsw_port_set_mtu(struct vsw_port *p, uint16_t mtu)
{
	p->mtu = mtu;
	p->payload_limit = mtu + 1u;
}

/* The slot of a trunk port's address, when the port has the domain's VLAN. */
static uint32_t trunk_slot(const struct vsw_switch *sw, uint64_t mac, uint16_t domain)
{
	uint32_t slot = fdb_find(&sw->fdb, fdb_key(mac, VSW_DOMAIN_TRUNK));

	if (slot == FDB_NONE)
		return slot;
	return vsw_vlan_in(&sw->v->ports[fdb_slot_port(&sw->fdb, slot)]->portgroup->vlans, sw->v->domains[domain]->vlan) ? slot : FDB_NONE;
}

struct vsw_port *vsw_trunk_owner(const struct vsw_switch *sw, uint64_t mac, uint16_t domain)
{
	uint32_t slot = trunk_slot(sw, mac, domain);

	return slot == FDB_NONE ? NULL : sw->v->ports[fdb_slot_port(&sw->fdb, slot)];
}

uint32_t vsw_trunk_elsewhere(const struct fdb *f, uint64_t key)
{
	const struct vsw_switch *sw = hv_container_of(f, struct vsw_switch, fdb);
	uint16_t domain = (uint16_t)key;

	if (!sw->trunk_ports || domain >= VSW_MAX_DOMAINS || !sw->v->domains[domain])
		return FDB_NONE;
	return trunk_slot(sw, key >> 16, domain);
}

/*
 * A trunk port's address has one entry for all its VLANs. It must not be another port's in any of them, and what was learned about it
 * there goes, so that the lookup by VLAN, which comes first, does not find it.
 */
static int trunk_claim(struct vsw_port *p, uint64_t mac)
{
	struct fdb *f = &p->sw->fdb;
	int err;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint16_t vlan = 0; vlan <= VSW_VLAN_MAX; vlan++) {
			uint64_t key = fdb_key(mac, p->sw->domain_of[vlan]);

			if (!vsw_vlan_in(&p->portgroup->vlans, vlan))
				continue;
			if (pass)
				fdb_remove(f, key);
			else if (fdb_is_static(f, fdb_find(f, key)))
				return -EEXIST;
		}
	}
	err = fdb_static_add(f, fdb_key(mac, VSW_DOMAIN_TRUNK), p->index);
	if (!err)
		p->sw->trunk_ports++;
	return err;
}

bool vsw_static_entry(const struct vsw_portgroup *pg, uint64_t mac, uint16_t index, unsigned n, struct vsw_static_entry *out)
{
	uint16_t vlan;

	out->port = index;
	if (!pg->private) {
		out->key = fdb_key(mac, pg->trunk ? VSW_DOMAIN_TRUNK : pg->domain->id);
		return !n;
	}
	if (!vsw_private_vlan(pg, n, &vlan))
		return false;
	out->key = fdb_key(mac, pg->sw->domain_of[vlan]);
	if (!vsw_vlan_in(&pg->vlans, vlan))
		out->port = VSW_PORT_PRIVATE;
	return true;
}

/* Takes the address out of all VLANs when it is the port's: it stands in the primary with its port. */
static void private_release(struct vsw_port *p, uint64_t mac)
{
	struct fdb *f = &p->sw->fdb;
	struct vsw_static_entry e;
	uint32_t slot;

	vsw_static_entry(p->portgroup, mac, p->index, 0, &e);
	slot = fdb_find(f, e.key);
	if (!fdb_is_static(f, slot) || fdb_slot_port(f, slot) != p->index)
		return;
	for (unsigned n = 0; vsw_static_entry(p->portgroup, mac, p->index, n, &e); n++)
		fdb_remove(f, e.key);
}

static int private_claim(struct vsw_port *p, uint64_t mac)
{
	struct vsw_static_entry e;
	int err = 0;

	for (unsigned n = 0; !err && vsw_static_entry(p->portgroup, mac, p->index, n, &e); n++)
		err = fdb_static_add(&p->sw->fdb, e.key, e.port); /* the primary first: there another's is met */
	if (err)
		private_release(p, mac);
	return err;
}

int vsw_mac_claim(struct vsw_port *p, uint64_t mac)
{
	if (p->flags & VSW_PF_TRUNK)
		return trunk_claim(p, mac);
	if (p->portgroup->private)
		return private_claim(p, mac);
	if (vsw_trunk_owner(p->sw, mac, p->domain))
		return -EEXIST;
	return fdb_static_add(&p->sw->fdb, fdb_key(mac, p->domain), p->index);
}

void vsw_mac_release(struct vsw_port *p, uint64_t mac)
{
	uint64_t key = fdb_key(mac, p->flags & VSW_PF_TRUNK ? VSW_DOMAIN_TRUNK : p->domain);
	uint32_t slot = fdb_find(&p->sw->fdb, key);

	if (p->portgroup->private) {
		private_release(p, mac);
		return;
	}
	if (slot == FDB_NONE || fdb_slot_port(&p->sw->fdb, slot) != p->index)
		return;
	fdb_remove(&p->sw->fdb, key);
	if (p->flags & VSW_PF_TRUNK)
		p->sw->trunk_ports--;
}

void vsw_features_apply(struct vsw_port *p)
{
	vsw_policy_apply(p);
	vsw_team_assign(p); /* a port with many addresses is another matter to it */
	vsw_filters_apply(p);
}

int vsw_access_port_init(struct vsw *v, struct vsw_port *p, unsigned portgroup, const char *name, const uint8_t mac[6])
{
	int err;

	p->mac = p->own_mac = vsw_load_mac(mac);
	if (portgroup >= v->config.portgroup_count || vsw_mac_is_group(p->mac) || !p->mac)
		return trace_error(-EINVAL);
	vsw_port_apply(p, v->portgroups[portgroup]);
	p->link_up = true;
	hv_snprintf(p->name, sizeof(p->name), "%s", name);
	err = vsw_port_add(v, p);
	if (err)
		return err;
	err = vsw_mac_claim(p, p->mac);
	if (err)
		vsw_port_remove(p);
	else
		vsw_features_apply(p);
	return err;
}
