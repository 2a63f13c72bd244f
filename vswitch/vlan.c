/*
 * Broadcast domains: one for each VLAN of a vSwitch that some port group uses. A frame of a VLAN without a domain has nowhere to go and is
 * dropped where it came in.
 *
 * Owner: the switch's core. Members are the guests' and vmks' ports, of trunks in each of their VLANs; uplinks carry every domain of their
 * switch. `promisc` is a subset of `members`, empty unless a port group allows promiscuous mode and a guest asked for it.
 */
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>

/* The switch's domain for `vlan`; its uplinks know it too. */
static void domain_set(struct vsw_switch *sw, uint16_t vlan, uint16_t id)
{
	sw->domain_of[vlan] = id;
	for (unsigned i = 0; i < VSW_MAX_UPLINKS; i++) {
		struct vsw_uplink *u = sw->v->uplinks[i];

		if (u && vsw_uplink_port(u)->sw == sw)
			vsw_uplink_domain_changed(u, vlan);
	}
}

int vsw_domain_get(struct vsw_switch *sw, uint16_t vlan, struct vsw_domain **out)
{
	struct vsw *v = sw->v;
	struct vsw_domain *d;

	if (sw->domain_of[vlan] != VSW_DOMAIN_NONE) {
		*out = v->domains[sw->domain_of[vlan]];
		return 0;
	}
	while (v->domain_hint <= v->domain_count && (!v->domain_hint || v->domains[v->domain_hint]))
		v->domain_hint++;
	if (v->domain_hint >= VSW_MAX_DOMAINS)
		return trace_error(-ENOSPC);
	d = hv_contig_alloc(sizeof(*d), HV_PAGE_SIZE);
	if (!d)
		return trace_error(-ENOMEM);
	*d = (struct vsw_domain){.sw = sw, .vlan = vlan, .id = (uint16_t)v->domain_hint};
	v->domain_count = HV_MAX(v->domain_count, v->domain_hint);
	v->domains[d->id] = d;
	v->tag_of[d->id] = vlan ? vsw_tag(vlan, 0) : 0;
	domain_set(sw, vlan, d->id);
	*out = d;
	return 0;
}

static bool domain_used(const struct vsw *v, const struct vsw_domain *d)
{
	for (unsigned i = 0; i < v->config.portgroup_count; i++) {
		const struct vsw_portgroup *pg = v->portgroups[i];

		if (pg->sw == d->sw && vsw_vlan_in(pg->private ? &pg->family : &pg->vlans, d->vlan))
			return true;
	}
	return false;
}

static bool entry_dead(void *arg, uint64_t key, uint16_t port, bool is_static)
{
	const struct vsw *v = arg;
	uint16_t domain = (uint16_t)key;

	return domain != VSW_DOMAIN_TRUNK && !domain_used(v, v->domains[domain]);
}

void vsw_domains_collect(struct vsw *v)
{
	struct vsw_switch *last = NULL;

	for (unsigned id = 1; id <= v->domain_count; id++) {
		struct vsw_domain *d = v->domains[id];

		if (!d || domain_used(v, d))
			continue;
		if (d->sw != last) /* one walk for all of a vSwitch that stand together */
			fdb_remove_if(&d->sw->fdb, entry_dead, v);
		last = d->sw;
		hv_assert(!d->member_count);
		domain_set(d->sw, d->vlan, VSW_DOMAIN_NONE);
		v->domains[id] = NULL;
		hv_contig_free(d, sizeof(*d));
		v->domain_hint = HV_MIN(v->domain_hint, id);
	}
}

static bool list_add(uint16_t *list, uint16_t *count, uint16_t index)
{
	for (unsigned i = 0; i < *count; i++) {
		if (list[i] == index)
			return false;
	}
	list[(*count)++] = index;
	return true;
}

static bool list_remove(uint16_t *list, uint16_t *count, uint16_t index)
{
	for (unsigned i = 0; i < *count; i++) {
		if (list[i] == index) {
			list[i] = list[--*count];
			return true;
		}
	}
	return false;
}

void vsw_vlan_set_ranges(struct vsw_vlan_set *set, const struct vsw_vlan_range *ranges, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		for (unsigned vlan = ranges[i].first; vlan <= ranges[i].last && vlan <= VSW_VLAN_MAX; vlan++)
			vsw_vlan_add(set, (uint16_t)vlan);
	}
}

/* The port's next domain from VLAN *vlan on; moves *vlan behind it. NULL: none left. */
static struct vsw_domain *next_domain(const struct vsw_port *p, unsigned *vlan)
{
	while (*vlan <= VSW_VLAN_MAX) {
		uint16_t at = (uint16_t)(*vlan)++;

		if (vsw_vlan_in(&p->portgroup->vlans, at))
			return p->sw->v->domains[p->sw->domain_of[at]];
	}
	return NULL;
}

void vsw_domains_join(struct vsw_port *p)
{
	struct vsw_domain *d;

	for (unsigned vlan = 0; (d = next_domain(p, &vlan));)
		list_add(d->members, &d->member_count, p->index);
}

void vsw_domains_set_promisc(struct vsw_port *p, bool on)
{
	struct vsw_domain *d;

	for (unsigned vlan = 0; (d = next_domain(p, &vlan));) {
		if (on)
			p->sw->watchers += list_add(d->promisc, &d->promisc_count, p->index);
		else
			p->sw->watchers -= list_remove(d->promisc, &d->promisc_count, p->index);
	}
}

void vsw_domains_leave(struct vsw_port *p)
{
	struct vsw_domain *d;

	vsw_domains_set_promisc(p, false);
	for (unsigned vlan = 0; (d = next_domain(p, &vlan));)
		list_remove(d->members, &d->member_count, p->index);
}
