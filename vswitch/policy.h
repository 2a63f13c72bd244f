/* Security policy of the frame path: whose source address a port may use. */
#ifndef VSWITCH_POLICY_H
#define VSWITCH_POLICY_H

#include "switch.h"

/* Sentinel of policy_source: the frame may go on. */
#define POLICY_PASS VSW_DROP_COUNT

/* The rest of vsw_policy_source: not the port's own address. */
enum vsw_drop vsw_policy_other_source(struct vsw_port *in, uint64_t src, uint16_t domain);

/* Is a frame from an uplink one of ours that the physical network sent back? By an address of a trunk port or one learned at a port. */
bool vsw_policy_came_back(const struct vsw_port *uplink, uint64_t src, uint16_t domain);
/* An uplink's frame whose source was not known there: moved, new, refused or somebody's own. */
enum vsw_drop vsw_policy_learnt_outside(struct vsw_port *in, uint64_t src, uint16_t domain, enum fdb_learn learnt);

/*
 * Ingress: is `src` allowed from this port? Also learns it. The common case of an access port is its own address: one comparison. An
 * uplink's `mac` matches no frame.
 */
static inline enum vsw_drop vsw_policy_source(struct vsw_port *in, uint64_t src, uint16_t domain)
{
	if (__builtin_expect(src == in->mac, 1))
		return POLICY_PASS;
	if (in->kind == VSW_PORT_UPLINK && !vsw_mac_is_group(src) && src) {
		enum fdb_learn learnt;

		if (__builtin_expect(in->sw->trunk_ports || in->sw->learns_local, 0) && vsw_policy_came_back(in, src, domain))
			return VSW_DROP_OWN_SOURCE;
		learnt = fdb_learn(&in->sw->fdb, fdb_key(src, domain), VSW_PORT_OUTSIDE);

		return __builtin_expect(learnt == FDB_KNOWN, 1) ? POLICY_PASS : vsw_policy_learnt_outside(in, src, domain, learnt);
	}
	return vsw_policy_other_source(in, src, domain);
}

#endif
