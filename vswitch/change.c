/*
 * Live change, first half: another configuration is prepared while the switch runs by the present one. Everything that may fail is done or
 * tried here and changes nothing that a frame could see; commit (change_commit.c) cannot fail.
 *
 *   running --prepare--> prepared --commit--> running by the new configuration
 *                           `------abort----> running as before
 *
 * Objects are matched by name: uplinks (of the same NIC), vSwitches, port groups. A kept object stays where it is in memory, so ports and
 * the MAC table never see it move; only its index may change. A port stays in the port group of its name unless the caller places it in
 * another.
 *
 * What may fail: memory for vSwitches, port groups and domains; a MAC address that two ports would have in one VLAN; room for a static
 * entry in the MAC table; an MTU that an uplink's device does not take while it runs. New domains and static entries are put in place at
 * once and taken out by abort: no frame is forwarded between prepare and the end, which the caller does in one turn of the loop.
 *
 * Owner: the switch's core.
 */
#include "change.h"

#include "mirror.h"

#include <errno.h>
#include <hv/mem.h>
#include <stdarg.h>
#include <string.h>

static int refuse(struct vsw_refusal *why, int err, const char *path, unsigned index, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* path with one %u for the index, or "". Returns err. */
static int refuse(struct vsw_refusal *why, int err, const char *path, unsigned index, const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return err;
	va_start(ap, fmt);
	hv_vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	hv_snprintf(why->path, sizeof(why->path), path[0] ? "%s[%u]" : "%s", path, index);
	return err;
}

/* ---- which objects stay ---- */

static struct vsw_switch *switch_named(const struct vsw *v, const char *name)
{
	for (unsigned i = 0; i < v->config.switch_count; i++) {
		if (!strcmp(v->config.switches[i].name, name))
			return v->switches[i];
	}
	return NULL;
}

static struct vsw_portgroup *portgroup_named(const struct vsw *v, const char *name)
{
	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		if (!strcmp(v->config.portgroups[i].name, name))
			return v->portgroups[i];
	}
	return NULL;
}

static bool same_nic(const struct vsw_uplink_config *a, const struct vsw_uplink_config *b)
{
	if (a->has_mac != b->has_mac || a->has_pci != b->has_pci || a->queues != b->queues)
		return false; /* also the same NIC with another number of queues: it starts anew */
	if (a->has_mac)
		return !memcmp(a->mac, b->mac, sizeof(a->mac));
	return a->pci_segment == b->pci_segment && a->pci_bus == b->pci_bus && a->pci_dev == b->pci_dev && a->pci_fn == b->pci_fn;
}

static bool uplink_used(const struct vsw_config *c, unsigned uplink)
{
	for (unsigned i = 0; i < c->switch_count; i++) {
		for (unsigned k = 0; k < c->switches[i].uplink_count; k++) {
			if (c->switches[i].uplinks[k] == uplink)
				return true;
		}
	}
	return false;
}

static void match_uplink(struct vsw_change *c, unsigned i)
{
	const struct vsw_uplink_config *wanted = &c->config.uplinks[i];
	struct vsw *v = c->v;

	for (unsigned k = 0; k < v->config.uplink_count; k++) {
		const struct vsw_uplink_config *have = &v->config.uplinks[k];

		if (v->uplinks[k] && !strcmp(have->name, wanted->name) && same_nic(have, wanted) && uplink_used(&c->config, i))
			c->uplinks[i] = v->uplinks[k];
	}
}

bool vsw_change_kept_switch(const struct vsw_change *c, const struct vsw_switch *sw)
{
	for (unsigned i = 0; i < c->v->config.switch_count; i++) {
		if (c->v->switches[i] == sw)
			return true;
	}
	return false;
}

bool vsw_change_kept_portgroup(const struct vsw_change *c, const struct vsw_portgroup *pg)
{
	for (unsigned i = 0; i < c->v->config.portgroup_count; i++) {
		if (c->v->portgroups[i] == pg)
			return true;
	}
	return false;
}

static int match(struct vsw_change *c, struct vsw_refusal *why)
{
	for (unsigned i = 0; i < c->config.switch_count; i++) {
		c->switches[i] = switch_named(c->v, c->config.switches[i].name);
		if (!c->switches[i])
			c->switches[i] = vsw_switch_new(c->v);
		if (!c->switches[i])
			return refuse(why, -ENOMEM, "vswitches", i, "no memory for vSwitch \"%s\"", c->config.switches[i].name);
	}
	for (unsigned i = 0; i < c->config.portgroup_count; i++) {
		c->portgroups[i] = portgroup_named(c->v, c->config.portgroups[i].name);
		if (!c->portgroups[i])
			c->portgroups[i] = hv_contig_alloc(sizeof(*c->portgroups[i]), HV_PAGE_SIZE);
		if (!c->portgroups[i])
			return refuse(why, -ENOMEM, "portgroups", i, "no memory for port group \"%s\"", c->config.portgroups[i].name);
	}
	for (unsigned i = 0; i < c->config.uplink_count; i++)
		match_uplink(c, i);
	return 0;
}

/* ---- port groups as they will be ---- */

static int derive_portgroups(struct vsw_change *c, struct vsw_refusal *why)
{
	for (unsigned i = 0; i < c->config.portgroup_count; i++) {
		int err;

		c->next[i].config = &c->config.portgroups[i];
		c->next[i].sw = c->switches[c->config.portgroups[i].vswitch];
		err = vsw_portgroup_derive(&c->next[i], &c->config.switches[c->config.portgroups[i].vswitch]);
		if (err)
			return refuse(why, err, "portgroups", i,
				err == -EINVAL   ? "VLAN of \"%s\" is in no private VLAN"
				: err == -ENOSPC ? "the VLANs of \"%s\" are too many while the old ones are in use"
						 : "no memory for the VLANs of \"%s\"",
				c->config.portgroups[i].name);
	}
	return 0;
}

/* ---- ports ---- */

static int index_of(const struct vsw_change *c, const char *name)
{
	for (unsigned i = 0; i < c->config.portgroup_count; i++) {
		if (!strcmp(c->config.portgroups[i].name, name))
			return (int)i;
	}
	return -1;
}

static bool other_vlans(const struct vsw_port *p, const struct vsw_portgroup *next)
{
	return p->sw != next->sw || p->portgroup->trunk != next->trunk || p->portgroup->domain != next->domain ||
	       p->portgroup->private != next->private ||
	       (next->private && memcmp(&p->portgroup->family, &next->family, sizeof(next->family)) != 0) ||
	       memcmp(&p->portgroup->vlans, &next->vlans, sizeof(next->vlans)) != 0;
}

static int plan_port(struct vsw_change *c, struct vsw_port *p, const struct vsw_placement *placement, struct vsw_refusal *why)
{
	struct vsw_port_plan *plan = &c->ports[p->index];
	unsigned to = placement ? placement->portgroup(placement->arg, p->kind, p->name) : VSW_PLACE_STAY;
	const struct vsw_port_config *own;
	int stay;

	if (to == VSW_PLACE_STAY) {
		stay = index_of(c, p->portgroup->config->name);
		if (stay < 0)
			return refuse(why, -EBUSY, "", 0, "port group \"%s\" is in use by port %s", p->portgroup->config->name, p->name);
		to = (unsigned)stay;
	}
	if (to >= c->config.portgroup_count)
		return refuse(why, -EINVAL, "", 0, "port %s is placed in no port group", p->name);
	if (p->kind == VSW_PORT_VMK && c->next[to].trunk)
		return refuse(why, -EINVAL, "portgroups", to, "VMkernel NIC %s cannot be on a trunk: it does not tag", p->name);
	own = placement && placement->own ? placement->own(placement->arg, p->kind, p->name) : NULL;
	plan->own = own ? *own : p->own;
	plan->portgroup = (uint16_t)to;
	plan->mac = vsw_policy_of(&plan->own, &c->config.portgroups[to]).mac_changes ? p->mac : p->own_mac;
	plan->moves = other_vlans(p, &c->next[to]);
	return 0;
}

/* The VLANs in which a port of the group owns its address. */
static const struct vsw_vlan_set *owned(const struct vsw_portgroup *pg)
{
	return pg->private ? &pg->family : &pg->vlans;
}

static bool share_vlan(const struct vsw_portgroup *a, const struct vsw_portgroup *b)
{
	for (unsigned i = 0; i < HV_ARRAY_LEN(a->vlans.bits); i++) {
		if (owned(a)->bits[i] & owned(b)->bits[i])
			return true;
	}
	return false;
}

/* A guest may have another MAC address than its configuration says: two ports can meet in a VLAN that did not share one before. */
static int check_mac(struct vsw_change *c, const struct vsw_port *p, struct vsw_refusal *why)
{
	const struct vsw_port_plan *mine = &c->ports[p->index];
	uint8_t m[6];

	for (unsigned i = 0; i < p->index; i++) {
		const struct vsw_port *other = c->v->ports[i];
		const struct vsw_port_plan *theirs = &c->ports[i];

		if (!other || other->kind == VSW_PORT_UPLINK || theirs->mac != mine->mac ||
			c->next[theirs->portgroup].sw != c->next[mine->portgroup].sw ||
			!share_vlan(&c->next[theirs->portgroup], &c->next[mine->portgroup]))
			continue;
		vsw_store_mac(m, mine->mac);
		return refuse(why, -EEXIST, "portgroups", mine->portgroup,
			"ports %s and %s would both have the MAC address %02x:%02x:%02x:%02x:%02x:%02x in one VLAN", other->name, p->name,
			m[0], m[1], m[2], m[3], m[4], m[5]);
	}
	return 0;
}

/* The MAC table must have room for the port's address where it goes. */
static int reserve_mac(struct vsw_change *c, const struct vsw_port *p, struct vsw_refusal *why)
{
	struct vsw_port_plan *plan = &c->ports[p->index];
	const struct vsw_portgroup *next = &c->next[plan->portgroup];
	struct fdb *f = &next->sw->fdb;
	struct vsw_static_entry e;

	if (!plan->moves && plan->mac == p->mac)
		return 0;
	for (unsigned n = 0; vsw_static_entry(next, plan->mac, p->index, n, &e); n++) {
		int err;

		if (fdb_is_static(f, fdb_find(f, e.key)))
			continue; /* its own, or of a port that leaves in the same change: room enough */
		err = fdb_static_add(f, e.key, e.port);
		if (err)
			return refuse(why, err, "portgroups", plan->portgroup, "the MAC table has no room for port %s", p->name);
		plan->reserved |= 1ull << n;
	}
	return 0;
}

void vsw_change_unreserve(struct vsw_change *c, unsigned port)
{
	struct vsw_port_plan *plan = &c->ports[port];
	const struct vsw_portgroup *next = &c->next[plan->portgroup];
	struct vsw_static_entry e;

	for (unsigned n = 0; plan->reserved >> n && vsw_static_entry(next, plan->mac, (uint16_t)port, n, &e); n++) {
		if (plan->reserved >> n & 1)
			fdb_remove(&next->sw->fdb, e.key);
	}
	plan->reserved = 0;
}

static int plan_ports(struct vsw_change *c, const struct vsw_placement *placement, struct vsw_refusal *why)
{
	struct vsw *v = c->v;
	int err = 0;

	for (unsigned i = 0; i < v->port_count && !err; i++) {
		if (v->ports[i] && v->ports[i]->kind != VSW_PORT_UPLINK)
			err = plan_port(c, v->ports[i], placement, why);
	}
	for (unsigned i = 0; i < v->port_count && !err; i++) {
		if (v->ports[i] && v->ports[i]->kind != VSW_PORT_UPLINK)
			err = check_mac(c, v->ports[i], why);
	}
	return err;
}

static int reserve_macs(struct vsw_change *c, struct vsw_refusal *why)
{
	struct vsw *v = c->v;
	int err = 0;

	for (unsigned i = 0; i < v->port_count && !err; i++) {
		if (v->ports[i] && v->ports[i]->kind != VSW_PORT_UPLINK)
			err = reserve_mac(c, v->ports[i], why);
	}
	return err;
}

/* ---- uplinks ---- */

static int plan_uplinks(struct vsw_change *c, struct vsw_refusal *why)
{
	for (unsigned i = 0; i < c->config.uplink_count; i++) {
		int err = c->uplinks[i] ? vsw_uplink_mtu_prepare(c->uplinks[i], c->config.uplinks[i].mtu) : 0;

		if (err)
			return refuse(why, err, "uplinks", i, "the NIC of uplink \"%s\" does not take MTU %u while it runs (error %d)",
				c->config.uplinks[i].name, c->config.uplinks[i].mtu, -err);
	}
	return 0;
}

/* ---- mirror sessions ---- */

static int plan_mirrors(struct vsw_change *c, struct vsw_refusal *why)
{
	unsigned failed = 0;
	int err = vsw_mirrors_prepare(c->v, &c->config, c->mirrors, &failed);

	return err ? refuse(why, err, "mirrors", failed, "no memory for mirror session \"%s\"", c->config.mirrors[failed].name) : 0;
}

/* ---- entries ---- */

int vsw_change_prepare(struct vsw *v, const struct vsw_config *config, const struct vsw_placement *placement, struct vsw_refusal *why,
	struct vsw_change **out)
{
	struct vsw_change *c;
	int err;

	hv_assert(hv_core_self() == v->core);
	if (!vsw_config_in_range(config))
		return refuse(why, trace_error(-EINVAL), "", 0, "a reference is out of range");
	c = hv_contig_alloc(sizeof(*c), HV_PAGE_SIZE);
	if (!c)
		return refuse(why, trace_error(-ENOMEM), "", 0, "no memory to prepare the change");
	c->v = v;
	c->config = *config;
	vsw_flush_all(v); /* nothing staged is of the old configuration */
	err = match(c, why);
	if (!err)
		err = derive_portgroups(c, why);
	if (!err)
		err = plan_ports(c, placement, why);
	if (!err)
		err = plan_uplinks(c, why);
	if (!err)
		err = reserve_macs(c, why);
	if (!err)
		err = plan_mirrors(c, why);
	if (err) {
		vsw_change_abort(c);
		return err;
	}
	*out = c;
	return 0;
}

void vsw_change_abort(struct vsw_change *c)
{
	struct vsw *v = c->v;

	for (unsigned i = 0; i < v->port_count; i++) {
		if (c->ports[i].reserved)
			vsw_change_unreserve(c, i);
	}
	for (unsigned i = 0; i < v->config.uplink_count; i++) {
		if (v->uplinks[i])
			vsw_uplink_mtu_abort(v->uplinks[i]);
	}
	vsw_mirrors_abort(v, c->mirrors);
	vsw_domains_collect(v);
	for (unsigned i = 0; i < c->config.portgroup_count; i++) {
		if (c->portgroups[i] && !vsw_change_kept_portgroup(c, c->portgroups[i]))
			hv_contig_free(c->portgroups[i], sizeof(*c->portgroups[i]));
	}
	for (unsigned i = 0; i < c->config.switch_count; i++) {
		if (c->switches[i] && !vsw_change_kept_switch(c, c->switches[i]))
			vsw_switch_free(c->switches[i]);
	}
	hv_contig_free(c, sizeof(*c));
}

int vsw_apply(struct vsw *v, const struct vsw_config *config, struct vsw_refusal *why)
{
	struct vsw_change *c;
	int err = vsw_change_prepare(v, config, NULL, why, &c);

	if (!err)
		vsw_change_commit(c);
	return err;
}
