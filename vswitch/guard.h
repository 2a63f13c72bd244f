/* Guards of a port: what a guest may not claim to be (guard.c). */
#ifndef VSWITCH_GUARD_H
#define VSWITCH_GUARD_H

#include "switch.h"

#define GUARD_BINDINGS 4 /* addresses by DHCP that a port holds at once */

struct vsw_guard {
	bool servers;                          /* no DHCP server, no router, unless the port is trusted */
	bool arp;                              /* sends ARP with its own addresses only */
	uint32_t addresses[VSW_MAX_ADDRESSES]; /* configured; IPv4, host order */
	unsigned address_count;
	struct {
		uint32_t address;
		uint64_t until_ns;
	} bindings[GUARD_BINDINGS]; /* by DHCP */
};

/* Filters (filter.h): what the port sends is checked; what it gets is looked through for its DHCP leases. */
unsigned vsw_guard_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_guard_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_guard_in_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
unsigned vsw_guard_out_traced(struct vsw_port *p, struct rte_mbuf **frames, unsigned n);
void vsw_guard_apply(struct vsw_port *p);

#endif
