/*
 * Broadcast domains: one for each VLAN of a vSwitch that some port group uses. A frame of a VLAN without a domain has nowhere to go and is
 * dropped where it came in.
 *
 * Owner: the switch's core. Members are the access ports (guests, vmks); uplinks carry every domain of their switch. `promisc` is a subset
 * of `members`, empty unless a port group allows promiscuous mode and a guest asked for it.
 */
#include "vlan.h"

#include <errno.h>
#include <hv/mem.h>

int vsw_domain_get(struct vsw_switch *sw, uint16_t vlan, struct vsw_domain **out)
{
	struct vsw *v = sw->v;
	struct vsw_domain *d;

	if (sw->domain_of[vlan] != VSW_DOMAIN_NONE) {
		*out = v->domains[sw->domain_of[vlan]];
		return 0;
	}
	hv_assert(v->domain_count + 1 < VSW_MAX_DOMAINS);
	d = hv_contig_alloc(sizeof(*d), HV_PAGE_SIZE);
	if (!d)
		return trace_error(-ENOMEM);
	*d = (struct vsw_domain){.sw = sw, .vlan = vlan, .id = (uint16_t)++v->domain_count};
	v->domains[d->id] = d;
	sw->domain_of[vlan] = d->id;
	*out = d;
	return 0;
}

static void list_add(uint16_t *list, uint16_t *count, uint16_t index)
{
	for (unsigned i = 0; i < *count; i++) {
		if (list[i] == index)
			return;
	}
	list[(*count)++] = index;
}

static void list_remove(uint16_t *list, uint16_t *count, uint16_t index)
{
	for (unsigned i = 0; i < *count; i++) {
		if (list[i] == index) {
			list[i] = list[--*count];
			return;
		}
	}
}

void vsw_domain_join(struct vsw_domain *d, struct vsw_port *p)
{
	list_add(d->members, &d->member_count, p->index);
}

void vsw_domain_set_promisc(struct vsw_domain *d, struct vsw_port *p, bool on)
{
	if (on)
		list_add(d->promisc, &d->promisc_count, p->index);
	else
		list_remove(d->promisc, &d->promisc_count, p->index);
}

void vsw_domain_leave(struct vsw_domain *d, struct vsw_port *p)
{
	list_remove(d->members, &d->member_count, p->index);
	list_remove(d->promisc, &d->promisc_count, p->index);
}
