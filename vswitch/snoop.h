/* IGMP and MLD snooping (snoop.c), as the path of a group frame sees it. */
#ifndef VSWITCH_SNOOP_H
#define VSWITCH_SNOOP_H

#include "switch.h"

/*
 * Reads what a group frame says of memberships, and tells who of its VLAN wants it: NULL: all; else a bit for each port's index, over which
 * those count that take all groups for now (vsw_snoop_takes_all) and promiscuous ones. Valid until the next call. @pre snooping is on
 */
const uint64_t *vsw_snoop(struct vsw_port *in, const struct vsw_domain *d, const struct rte_mbuf *m);

/* The port is in other VLANs now, where nobody has asked what it joined: it takes all groups for a while. */
void vsw_snoop_arrives(struct vsw_port *p);
/* The port goes, or to other VLANs. */
void vsw_snoop_leaves(struct vsw_port *p);

static inline bool vsw_snoop_takes_all(const struct vsw_port *p)
{
	return p->all_groups_until > p->sw->v->snoop.now_s;
}

/* Once a second. */
void vsw_snoop_tick(struct vsw *v);
void vsw_snoop_init(struct vsw *v);

#endif
